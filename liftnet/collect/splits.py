"""Division of the artists into train, val and test."""

from __future__ import annotations

from collections.abc import Collection

from liftnet.io.ids import stable_fraction


def assign_splits(
    artist_ids: Collection[str],
    val_share: float,
    test_share: float,
    val_ids: Collection[str] = (),
    test_ids: Collection[str] = (),
) -> dict[str, str]:
    """Give each artist a split that depends on the ids alone, not on their order.

    Artists are sorted by a hash in [0, 1): those below `test_share` are for testing, the next `val_share` for
    validation. With three artists or more, neither is left empty (unless its share is 0): the artist of the smallest
    hash tests, the next validates. One artist at least always trains.

    Args:
        artist_ids: Every artist that has an image.
        val_share: Expected share of validation artists; unused if `val_ids` names them.
        test_share: Expected share of test artists; unused if `test_ids` names them.
        val_ids: Artists that must validate. Those without an image are ignored.
        test_ids: Artists that must test.

    Returns:
        Split ("train", "val" or "test") by artist id.
    """
    fixed = dict.fromkeys(val_ids, "val") | dict.fromkeys(test_ids, "test")
    splits = {artist: fixed[artist] for artist in artist_ids if artist in fixed}
    hashed = sorted((stable_fraction(artist, "split"), artist) for artist in set(artist_ids) - set(splits))
    test_share = 0.0 if test_ids else test_share
    val_share = 0.0 if val_ids else val_share
    enough = len(splits) + len(hashed) >= 3
    least_test, least_val = int(enough and test_share > 0), int(enough and val_share > 0)
    fractions = [fraction for fraction, _ in hashed]
    below_test = sum(fraction < test_share for fraction in fractions)
    below_val = sum(fraction < test_share + val_share for fraction in fractions)
    last = max(len(hashed) - 1, 0)  # one artist is left to train
    end_test = min(max(below_test, least_test), max(last - least_val, 0))
    end_val = min(max(below_val, end_test + least_val), last)
    for position, (_, artist) in enumerate(hashed):
        splits[artist] = "test" if position < end_test else "val" if position < end_val else "train"
    return splits

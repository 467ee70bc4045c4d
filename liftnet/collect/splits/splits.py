"""Division of groups of artists into train, val and test."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from liftnet.core.ids import stable_fraction


def divide_groups(
    group_ids: Collection[str], val_fraction: float, test_fraction: float, fixed: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Give each group a split that depends on the ids alone, not on their order.

    Groups are sorted by a hash in [0, 1): those below `test_fraction` are for testing, the next `val_fraction` for
    validation. With three groups or more, neither is left empty (unless its fraction is 0): the group of the smallest
    hash tests, the next validates. One group at least always trains.

    Args:
        group_ids: Every group that has an image.
        val_fraction: Expected fraction of validation groups among those that are not fixed.
        test_fraction: Expected fraction of test groups among those that are not fixed.
        fixed: Splits that are settled. Groups of it without an image are ignored.

    Returns:
        Split ("train", "val" or "test") by group id.
    """
    fixed = fixed or {}
    splits = {group: fixed[group] for group in group_ids if group in fixed}
    settled = set(splits.values())
    hashed = sorted((stable_fraction(group, "split"), group) for group in set(group_ids) - set(splits))
    enough = len(splits) + len(hashed) >= 3
    least_test = int(enough and test_fraction > 0 and "test" not in settled)
    least_val = int(enough and val_fraction > 0 and "val" not in settled)
    fractions = [fraction for fraction, _ in hashed]
    below_test = sum(fraction < test_fraction for fraction in fractions)
    below_val = sum(fraction < test_fraction + val_fraction for fraction in fractions)
    last = len(hashed) if "train" in settled else max(len(hashed) - 1, 0)  # one group is left to train
    end_test = min(max(below_test, least_test), max(last - least_val, 0))
    end_val = min(max(below_val, end_test + least_val), last)
    for position, (_, group) in enumerate(hashed):
        splits[group] = "test" if position < end_test else "val" if position < end_val else "train"
    return splits

import pytest
from collect_settings import collect_settings
from hypothesis import given
from hypothesis import strategies as st

from liftnet.collect.splits import divide_groups
from liftnet.core.ids import stable_fraction

artists = st.sets(st.text("abcdefgh0123456789-", min_size=1, max_size=8), min_size=1, max_size=30)
shares = st.tuples(st.floats(0.01, 0.6), st.floats(0.01, 0.39))


@given(artists, shares)
def test_every_artist_has_one_split_and_none_is_empty_from_three_on(ids, both):
    splits = divide_groups(ids, *both)
    assert set(splits) == ids
    assert set(splits.values()) <= {"train", "val", "test"}
    assert "train" in splits.values()
    if len(ids) >= 3:
        assert set(splits.values()) == {"train", "val", "test"}


@given(artists, shares, st.randoms(use_true_random=False))
def test_order_does_not_matter(ids, both, random):
    shuffled = sorted(ids)
    random.shuffle(shuffled)
    assert divide_groups(shuffled, *both) == divide_groups(sorted(ids), *both)


@given(artists, shares)
def test_splits_follow_the_hash(ids, both):
    splits = divide_groups(ids, *both)
    in_order = [
        splits[artist] for artist in sorted(ids, key=lambda artist: (stable_fraction(artist, "split"), artist))
    ]
    assert in_order == sorted(in_order, key=["test", "val", "train"].index)


@given(artists, artists, shares)
def test_what_is_fixed_stays_and_the_rest_is_divided(ids, others, both):
    fixed = {group: ["train", "val", "test"][number % 3] for number, group in enumerate(sorted(ids))}
    splits = divide_groups(ids | others, *both, fixed | {"nobody-has-this-id": "test"})
    assert {group: splits[group] for group in ids} == fixed
    assert set(splits) == ids | others
    assert "train" in splits.values()


def test_large_collections_keep_the_shares():
    ids = [f"artist-{number}" for number in range(3000)]
    found = list(divide_groups(ids, 0.1, 0.2).values())
    assert found.count("test") / 3000 == pytest.approx(0.2, abs=0.03)
    assert found.count("val") / 3000 == pytest.approx(0.1, abs=0.02)


def test_a_further_artist_moves_no_other_in_a_large_collection():
    ids = [f"artist-{number}" for number in range(200)]
    before = divide_groups(ids, 0.1, 0.2)
    after = divide_groups([*ids, "newcomer"], 0.1, 0.2)
    assert {artist: after[artist] for artist in ids} == before


def test_a_share_of_nothing_stays_empty():
    splits = divide_groups([f"artist-{number}" for number in range(50)], 0.0, 0.0)
    assert set(splits.values()) == {"train"}


def test_smallest_hash_tests_and_the_next_validates():
    ids = ["a", "b", "c", "d"]
    by_hash = sorted(ids, key=lambda artist: stable_fraction(artist, "split"))
    splits = divide_groups(ids, 1e-9, 1e-9)
    assert [splits[artist] for artist in by_hash] == ["test", "val", "train", "train"]


@pytest.mark.parametrize(
    "wrong",
    [{"val_fraction": 0.5, "test_fraction": 0.5}, {"val_artists": ["A"], "test_artists": ["A"]}, {"max_side": 4096}],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=r"below 1|both|2048"):
        collect_settings(**wrong)

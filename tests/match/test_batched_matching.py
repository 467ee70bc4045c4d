"""The batched matcher gives the very matches of the exact one: sizes, ties, damaged bounds, real-like descriptors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liftnet.match import batched
from liftnet.match.batched import match_pairs_with_ratios
from liftnet.match.descriptors import match_with_ratios

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def sift_like(rng, count):
    """(count, 128) uint8 of norm 512, as RootSIFT in bytes."""
    values = np.sqrt(rng.gamma(0.4, 1, (count, 128)))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return np.minimum(np.rint(512 * values), 255).astype(np.uint8)


def seen_again(rng, descriptors, noise):
    changed = descriptors[rng.permutation(len(descriptors))] + rng.normal(0, noise, descriptors.shape)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def assert_equal(pairs, ratio, mutual, device="cpu", **options):
    found = list(match_pairs_with_ratios(pairs, ratio, mutual, device, **options))
    assert len(found) == len(pairs)
    for (a, b), (matches, ratios) in zip(pairs, found, strict=True):
        expected, expected_ratios = match_with_ratios(a, b, ratio, mutual)
        assert matches.dtype == np.int64
        assert np.array_equal(matches, expected)
        assert np.array_equal(ratios, expected_ratios)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("ratio", "mutual"), [(0.8, True), (0.8, False), (0.95, True), (1.0, True), (1.0, False)])
def test_equal_to_the_exact_matcher(ratio, mutual, device):
    rng = np.random.default_rng(0)
    first = sift_like(rng, 400)
    pairs = [(first, seen_again(rng, first, noise)) for noise in (5, 12, 20)]
    pairs += [(first[:37], pairs[0][1]), (first, pairs[0][1][:3]), (sift_like(rng, 90), sift_like(rng, 110))]
    assert_equal(pairs, ratio, mutual, device)
    matches, _ = next(match_pairs_with_ratios(pairs[:1], ratio, mutual, device))
    assert len(matches) > 300


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 12), m=st.integers(0, 12), width=st.sampled_from([1, 3, 128]), seed=st.integers(0, 99),
    levels=st.sampled_from([2, 256]), ratio=st.sampled_from([0.5, 0.8, 1.0]), mutual=st.booleans(),
)  # fmt: skip
def test_any_size_with_many_ties(n, m, width, seed, levels, ratio, mutual):
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, levels, (count, width)).astype(np.uint8) * (255 // (levels - 1)) for count in (n, m))
    assert_equal([(a, b), (b, a), (a, a)], ratio, mutual)


def test_batches_change_nothing():
    rng = np.random.default_rng(1)
    sets = [sift_like(rng, count) for count in (50, 7, 80, 0, 33)]
    pairs = [(a, seen_again(rng, a, 9) if len(a) else a) for a in sets]
    for size in (1, 20_000, 10**9):
        assert_equal(pairs, 0.8, True, bytes_at_once=size)


def test_most_descriptors_are_discarded_by_halves():
    rng = np.random.default_rng(2)
    first = sift_like(rng, 300)
    second = np.concatenate([seen_again(rng, first[:60], 10), sift_like(rng, 300)])
    a, b = (torch.from_numpy(array)[None] for array in (first, second))
    candidates = batched._may_pass(a, b, [len(second)], 0.8)[0].numpy()
    passing = match_with_ratios(first, second, 0.8, mutual=False)[0][:, 0]
    assert candidates[passing].all()
    assert candidates.sum() < 1.3 * len(passing) + 5


def test_the_bound_is_needed_and_suffices(monkeypatch):
    """Ratios just below the limit: taken at their half-precision values some fail, with the bound none does."""
    rng = np.random.default_rng(3)
    first = sift_like(rng, 200)
    second = np.concatenate([seen_again(rng, first, 25), sift_like(rng, 200)])
    a, b = (torch.from_numpy(array)[None] for array in (first, second))
    matches, ratios = match_with_ratios(first, second, 1.0, mutual=False)
    limits = [
        (row, float(ratio) * (1 + 1e-6)) for row, ratio in zip(matches[:, 0], ratios, strict=True) if ratio < 0.9
    ]

    def lost():
        return sum(not batched._may_pass(a, b, [400], limit)[0, row] for row, limit in limits)

    assert len(limits) > 100
    assert lost() == 0
    monkeypatch.setattr(batched, "_ROUNDING", 0.0)
    assert lost() > 10


@pytest.mark.parametrize(
    ("a", "b", "ratio"),
    [
        (np.zeros((3, 4)), np.zeros((3, 4), np.uint8), 0.8),
        (np.zeros((3, 129), np.uint8), np.zeros((3, 129), np.uint8), 0.8),
        (np.zeros((3, 4), np.uint8), np.zeros((3, 5), np.uint8), 0.8),
        (np.zeros((3, 4), np.uint8), np.zeros((3, 4), np.uint8), 0.0),
    ],
)
def test_what_cannot_be_matched(a, b, ratio):
    with pytest.raises(ValueError, match=r"descriptors|ratio"):
        list(match_pairs_with_ratios([(a, b)], ratio, device="cpu"))


def test_the_settings_of_torch_are_put_back():
    torch.set_float32_matmul_precision("high")
    try:
        list(match_pairs_with_ratios([], device="cpu"))
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")

"""The matcher against brute force in whole numbers and against OpenCV's."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import liftnet.match
from liftnet.match import match_descriptors
from liftnet.match.descriptors import find_neighbours, match_with_ratios, score_matches


def brute_force(a, b, ratio, mutual):
    """The definition, with exact squared distances and the lowest index on a tie."""
    if not len(a) or not len(b):
        return []
    squared = ((a[:, None].astype(np.int64) - b[None].astype(np.int64)) ** 2).sum(-1)
    matches = []
    for i, row in enumerate(squared):
        j = int(row.argmin())
        others = np.delete(row, j)
        if ratio < 1 and not (len(others) and np.sqrt(row[j]) < ratio * np.sqrt(others.min())):
            continue
        if mutual and squared[:, j].argmin() != i:
            continue
        matches.append([i, j])
    return matches


def descriptors(values, rows=12, width=128):
    """Arrays of few different values and repeated rows, so that ties are common."""
    row = arrays(np.uint8, width, elements=st.sampled_from(values), fill=st.just(values[0]))
    return st.integers(1, 4).flatmap(
        lambda kinds: st.tuples(
            st.lists(row, min_size=kinds, max_size=kinds),
            st.lists(st.integers(0, kinds - 1), max_size=rows),
        ).map(lambda drawn: np.array([drawn[0][k] for k in drawn[1]], np.uint8).reshape(-1, width))
    )


@settings(max_examples=150, deadline=None)
@given(
    a=descriptors([0, 1, 255]),
    b=descriptors([0, 1, 255]),
    ratio=st.sampled_from([0.5, 0.8, 0.999, 1.0]),
    mutual=st.booleans(),
)
def test_equals_brute_force_with_ties(a, b, ratio, mutual):
    assert match_descriptors(a, b, ratio, mutual).tolist() == brute_force(a, b, ratio, mutual)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(0, 300),
    m=st.integers(0, 300),
    ratio=st.floats(0.05, 1),
    mutual=st.booleans(),
    largest=st.sampled_from([1, 3, 40, 255]),
)
def test_equals_brute_force_over_several_tiles(seed, n, m, ratio, mutual, largest):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, largest, (n, 16), dtype=np.uint8, endpoint=True)
    b = rng.integers(0, largest, (m, 16), dtype=np.uint8, endpoint=True)
    assert match_descriptors(a, b, ratio, mutual).tolist() == brute_force(a, b, ratio, mutual)


def noisy_copies(count, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 120, (count, 128)).astype(np.uint8)
    b = np.clip(a[rng.permutation(count)].astype(int) + rng.integers(-60, 61, (count, 128)), 0, 255).astype(np.uint8)
    return a, b


@pytest.mark.parametrize("mutual", [False, True])
def test_equals_opencv_brute_force(mutual):
    a, b = noisy_copies(700)
    matcher = cv2.BFMatcher(cv2.NORM_L2)
    back = {m.queryIdx: m.trainIdx for m in matcher.match(b.astype(np.float32), a.astype(np.float32))}
    expected = {
        (best.queryIdx, best.trainIdx)
        for best, second in matcher.knnMatch(a.astype(np.float32), b.astype(np.float32), 2)
        if best.distance < 0.8 * second.distance and (not mutual or back[best.trainIdx] == best.queryIdx)
    }
    assert len(expected) > 300
    assert set(map(tuple, match_descriptors(a, b, 0.8, mutual).tolist())) == expected


def test_crosscheck_equals_opencv():
    a, b = noisy_copies(500, seed=1)
    expected = {
        (m.queryIdx, m.trainIdx)
        for m in cv2.BFMatcher(cv2.NORM_L2, crossCheck=True).match(a.astype(np.float32), b.astype(np.float32))
    }
    assert set(map(tuple, match_descriptors(a, b, ratio=1).tolist())) == expected


def test_floating_point_descriptors_give_the_same_matches():
    a, b = noisy_copies(400, seed=2)
    unit_a, unit_b = (x / np.linalg.norm(x.astype(float), axis=1, keepdims=True) for x in (a, b))
    distance = np.linalg.norm(unit_a[:, None] - unit_b[None], axis=-1)
    nearest, ordered = distance.argmin(1), np.sort(distance, axis=1)
    expected = [
        [i, int(nearest[i])]
        for i in range(len(a))
        if ordered[i, 0] < 0.8 * ordered[i, 1] and distance[:, nearest[i]].argmin() == i
    ]
    assert match_descriptors(unit_a, unit_b).tolist() == expected


def test_equal_floating_point_descriptors_never_pass_the_ratio_test():
    rng = np.random.default_rng(3)
    a = rng.random((50, 128))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    twice = np.concatenate([a, a])
    assert match_descriptors(a, twice).shape == (0, 2)
    assert match_descriptors(twice, a, mutual=False).tolist() == [[i, i % 50] for i in range(100)]


def test_exact_where_single_precision_of_the_distance_is_not():
    """Squared norms near 2^23: the differences are lost unless every partial sum is exact."""
    a = np.full((1, 128), 255, np.uint8)
    b = np.full((3, 128), 255, np.uint8)
    b[0, 0], b[1, 0], b[2, :3] = 254, 253, 253
    found = find_neighbours(a, b)
    assert (found.nearest[0], found.first[0], found.second[0]) == (0, 1.0, 4.0)
    assert match_descriptors(a, b, ratio=0.501).tolist() == [[0, 0]]
    assert match_descriptors(a, b, ratio=0.5).tolist() == []  # the test is strict


@pytest.mark.parametrize("shape", [((0, 128), (5, 128)), ((5, 128), (0, 128)), ((0, 128), (0, 128))])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("mutual", [False, True])
def test_empty(shape, kind, mutual):
    matches, ratios = match_with_ratios(np.zeros(shape[0], kind), np.zeros(shape[1], kind), mutual=mutual)
    assert matches.shape == (0, 2)
    assert matches.dtype == np.int64
    assert ratios.shape == (0,)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_single_descriptor_has_nothing_to_be_compared_with(kind):
    a, b = np.eye(3, 128).astype(kind), np.eye(1, 128).astype(kind)
    assert match_descriptors(a, b).tolist() == []
    assert match_descriptors(a, b, ratio=1).tolist() == [[0, 0]]
    assert match_descriptors(b, a).tolist() == [[0, 0]]


def test_ratios_and_scores():
    a = np.array([[0, 0], [100, 0]], np.uint8)
    b = np.array([[3, 4], [0, 10], [100, 0]], np.uint8)
    matches, ratios = match_with_ratios(a, b, ratio=0.8)
    assert matches.tolist() == [[0, 0], [1, 2]]
    assert ratios == pytest.approx([0.5, 0.0])
    scores = score_matches(a, b, np.array([[0, 0], [1, 2], [0, 1]]))
    assert scores == pytest.approx([0.5, 1.0, 0.0])  # the last is not a nearest neighbour
    assert score_matches(a, b, np.zeros((0, 2), np.int64)).shape == (0,)
    assert score_matches(a, b[:1], np.array([[0, 0]])).tolist() == [0]


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_inputs_are_left_alone_and_results_do_not_depend_on_the_tile(monkeypatch, kind):
    a, b = (array.astype(kind) for array in noisy_copies(300, seed=4))
    kept = a.copy(), b.copy()
    first = match_descriptors(a, b)
    monkeypatch.setattr("liftnet.match.descriptors._ROWS_PER_TILE", 7)
    monkeypatch.setattr("liftnet.match.descriptors._BYTES_PER_TILE", 4 * 300 * 7)
    assert np.array_equal(match_descriptors(a, b), first)
    assert np.array_equal(a, kept[0])
    assert np.array_equal(b, kept[1])
    swapped = match_descriptors(np.asfortranarray(a)[::-1], b[:, :])
    assert {(299 - i, j) for i, j in swapped.tolist()} == set(map(tuple, first.tolist()))


@pytest.mark.parametrize(
    ("a", "b", "ratio", "message"),
    [
        (np.zeros(128), np.zeros((2, 128)), 0.8, "shape"),
        (np.zeros((2, 128)), np.zeros((2, 64)), 0.8, "128 and 64"),
        (np.full((2, 4), np.nan), np.zeros((2, 4)), 0.8, "NaN"),
        (np.zeros((2, 4)), np.zeros((2, 4)), 0.0, "ratio"),
        (np.zeros((2, 4)), np.zeros((2, 4)), 1.1, "ratio"),
    ],
)
def test_bad_arguments(a, b, ratio, message):
    with pytest.raises(ValueError, match=message):
        match_descriptors(a, b, ratio)


def test_the_package_has_no_other_lazy_names():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = liftnet.match.no_such_name

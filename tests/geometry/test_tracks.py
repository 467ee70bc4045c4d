"""Tracks of exact views are found whole; wrong matches that tie points together are cut; order changes nothing."""

import doctest

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftnet.geometry import tracks
from liftnet.geometry.tracks import Joining, MatchedPairs, join_matches, merged_keypoints

VIEWS, POINTS = 6, 60
EXACT = Joining(merge_px=0.01)  # different points of the solid may be nearer than a pixel in a view


def matrix_of(normal, offset):
    """The affine constraint (a, b, c, d) (x', y', x, y) + e = 0 as a fundamental matrix."""
    a, b, c, d = normal
    return np.array([[0, 0, a], [0, 0, b], [c, d, offset]])


def affine_work(seed=0, share=0.7):
    """Points of a solid seen by affine cameras: each pair matches a share of them. (pairs, point of each match)."""
    rng = np.random.default_rng(seed)
    world = rng.normal(size=(POINTS, 3)) * 80
    cameras, offsets = rng.normal(size=(VIEWS, 2, 3)), rng.uniform(300, 700, (VIEWS, 2))
    places = np.einsum("vij,pj->vpi", cameras, world) + offsets[:, None]
    images = np.array([(i, j) for i in range(VIEWS) for j in range(i + 1, VIEWS)])
    models, pair, who = [], [], []
    for number, (i, j) in enumerate(images):
        normal = np.linalg.svd(np.vstack([cameras[j], cameras[i]]).T)[2][-1]
        models.append(matrix_of(normal, -normal @ np.concatenate([offsets[j], offsets[i]])))
        chosen = np.flatnonzero(rng.uniform(size=POINTS) < share)
        pair += [number] * len(chosen)
        who += chosen.tolist()
    pair, who = np.array(pair), np.array(who)
    a, b = places[images[pair, 0], who], places[images[pair, 1], who]
    return MatchedPairs(images, np.array(models), np.ones(len(images)), pair, a, b), who, places


def added(pairs, pair, a, b):
    """The matches with one more."""
    return MatchedPairs(
        pairs.images,
        pairs.models,
        pairs.thresholds,
        np.append(pairs.pair, pair),
        np.vstack([pairs.points_a, a]),
        np.vstack([pairs.points_b, b]),
    )


def without_models(pairs):
    unknown = np.full_like(pairs.models, np.nan)
    return MatchedPairs(pairs.images, unknown, pairs.thresholds, pairs.pair, pairs.points_a, pairs.points_b)


def sets(found):
    """Tracks as sets of (image, x, y)."""
    rows = zip(found.track.tolist(), found.image.tolist(), found.points.tolist(), strict=True)
    groups = {}
    for track, image, place in rows:
        groups.setdefault(track, set()).add((image, *place))
    return sorted(map(sorted, groups.values()))


def test_the_points_of_exact_views_are_the_tracks():
    pairs, _, places = affine_work()
    found = join_matches(pairs, EXACT)
    assert len(found) == found.components == POINTS
    assert found.contradictions == 0
    for track in range(len(found)):
        image, points = (values[found.track == track] for values in (found.image, found.points))
        which = np.linalg.norm(places[image] - points[:, None], axis=2).argmin(axis=1)
        assert len(set(which.tolist())) == 1
    assert found.links.sum() == len(pairs.pair)


@pytest.mark.parametrize("known", [True, False])
def test_a_wrong_match_is_cut_and_the_points_are_kept_apart(known):
    pairs, _, places = affine_work()
    pairs = pairs if known else without_models(pairs)
    clean = sets(join_matches(pairs, EXACT))
    i, j = pairs.images[0]
    both = added(pairs, 0, places[i, 0], places[j, 1])  # point 0 with point 1
    found = join_matches(both, EXACT)
    assert found.contradictions == 1
    assert found.components == POINTS - 1
    assert sets(found) == clean
    assert np.count_nonzero(found.contradicted) == 2


def test_keypoints_off_each_others_epipolar_lines_are_no_track_even_without_two_places_in_an_image():
    pairs, who, places = affine_work(share=1)
    of_two = np.isin(who, [3, 4])
    first = (pairs.images[pairs.pair] < 3).all(axis=1) & (who == 3)  # point 3 in images 0 to 2, point 4 in 3 to 5
    second = (pairs.images[pairs.pair] >= 3).all(axis=1) & (who == 4)
    keep = ~of_two | first | second
    rows = (values[keep] for values in (pairs.pair, pairs.points_a, pairs.points_b))
    pairs = MatchedPairs(pairs.images, pairs.models, pairs.thresholds, *rows)
    number = int(np.flatnonzero((pairs.images == [2, 3]).all(axis=1))[0])
    tied = added(pairs, number, places[2, 3], places[3, 4])
    assert len(join_matches(tied, Joining(0.01, np.inf))) == POINTS - 1
    found = join_matches(tied, EXACT)
    assert sets(found) == sets(join_matches(pairs, EXACT))
    assert found.contradictions == 1


def test_a_match_that_three_images_confirm_wins_over_one_that_lies_nearer_to_its_model():
    images = np.array([[0, 1], [0, 2], [1, 2], [0, 3], [1, 3]])
    a, b, c, d, other = ([float(k), 10.0] for k in (10, 20, 30, 40, 90))
    first = np.array([a, a, b, a, other])
    second = np.array([b, c, c, d, d])
    unknown = np.full((5, 3, 3), np.nan)
    pairs = MatchedPairs(images, unknown, np.ones(5), np.arange(5), first, second)
    found = join_matches(pairs, Joining())  # image 1 has b and `other`; `other` hangs on d alone
    assert sets(found) == [[(0, *a), (1, *b), (2, *c), (3, *d)]]
    assert found.contradictions == 1
    assert found.links.tolist() == [4]


def test_without_geometry_and_merging_tracks_are_the_connected_components():
    pairs, _, _ = affine_work(3, share=0.3)
    graph = nx.Graph()
    for number, a, b in zip(pairs.pair, pairs.points_a, pairs.points_b, strict=True):
        i, j = pairs.images[number].tolist()
        graph.add_edge((i, *a.tolist()), (j, *b.tolist()))
    found = join_matches(pairs, Joining(merge_px=0, tolerance=np.inf))
    assert sets(found) == sorted(sorted(part) for part in nx.connected_components(graph))


@given(st.integers(0, 2**32 - 1), st.floats(0, 4))
@settings(max_examples=30, deadline=None)
def test_whatever_the_matches_no_track_contradicts_itself_and_order_changes_nothing(seed, tolerance):
    """Many wrong matches: every component is torn."""
    pairs, _, _ = affine_work(seed, share=0.4)
    rng = np.random.default_rng(seed)
    wrong = rng.uniform(size=len(pairs.pair)) < 0.2
    b = pairs.points_b.copy()
    b[wrong] = b[rng.permutation(np.flatnonzero(wrong))]
    joining = Joining(1.0, tolerance)
    noisy = MatchedPairs(pairs.images, pairs.models, pairs.thresholds, pairs.pair, pairs.points_a, b)
    found = join_matches(noisy, joining)
    assert all(len({image for image, *_ in part}) == len(part) > 1 for part in sets(found))
    numbers = {tuple(row): k for k, row in enumerate(noisy.images.tolist())}
    for part in sets(found):
        for k, (i, x, y) in enumerate(part):
            for j, u, v in part[k + 1 :]:
                model = noisy.models[numbers[i, j]]
                assert abs(np.array([u, v, 1]) @ model @ np.array([x, y, 1])) <= tolerance + 1e-9
    order = rng.permutation(len(pairs.pair))
    shuffled = (values[order] for values in (noisy.pair, noisy.points_a, noisy.points_b))
    again = join_matches(MatchedPairs(pairs.images, pairs.models, pairs.thresholds, *shuffled), joining)
    for name in ("track", "image", "points", "links", "contradicted"):
        np.testing.assert_array_equal(getattr(found, name), getattr(again, name))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_keypoints_that_stay_are_apart_and_those_that_go_are_near_one_that_stays(seed):
    rng = np.random.default_rng(seed)
    n = 80
    unknown = np.full((1, 3, 3), np.nan)
    a, b = rng.integers(0, 12, (2, n, 2)) * 0.5
    pairs = MatchedPairs(np.array([[0, 1]]), unknown, np.ones(1), np.zeros(n, np.int64), a, b)
    image, points, ends = merged_keypoints(pairs, 1.0)
    for number, given_points in ((0, a), (1, b)):
        own = points[image == number]
        away = np.linalg.norm(own[:, None] - own[None], axis=2) + 9 * np.eye(len(own))
        assert away.min() > 1
        stood_for = points[ends[:, number]]
        distances = np.linalg.norm(given_points[:, None] - own[None], axis=2)
        np.testing.assert_allclose(np.linalg.norm(given_points - stood_for, axis=1), distances.min(axis=1))
        assert distances.min(axis=1).max() <= 1


def test_of_near_keypoints_the_one_with_most_matches_stays():
    pair = np.zeros(4, np.int64)
    a = np.array([[10.0, 10], [10.5, 10], [10.5, 10], [30, 30]])
    b = np.array([[1.0, 1], [40, 1], [80, 1], [99, 9]])
    pairs = MatchedPairs(np.array([[0, 1]]), np.full((1, 3, 3), np.nan), np.ones(1), pair, a, b)
    _, points, ends = merged_keypoints(pairs, 1.0)
    assert points[ends[:, 0]].tolist() == [[10.5, 10], [10.5, 10], [10.5, 10], [30, 30]]


def test_no_matches_give_no_tracks():
    nothing = np.empty((0, 2))
    pairs = MatchedPairs(
        np.empty((0, 2), np.int64), np.empty((0, 3, 3)), np.empty(0), np.empty(0, np.int64), nothing, nothing
    )
    found = join_matches(pairs, Joining())
    assert (len(found), found.components, len(found.track)) == (0, 0, 0)


def test_settings_that_mean_nothing_are_refused():
    for wrong in ({"merge_px": -1}, {"tolerance": -1}, {"tolerance": np.nan}):
        with pytest.raises(ValueError, match="must not be negative"):
            Joining(**wrong)


def test_examples():
    assert doctest.testmod(tracks).failed == 0

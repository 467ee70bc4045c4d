"""Properties that theory promises of the affine estimators, for matches of every kind."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from liftnet.geometry import Search, distinct_locations, estimate_affine_fundamental, estimate_affine_homography
from liftnet.geometry.ransac import find_subspace
from liftnet.geometry.subspaces import fit_subspace, hyperplanes_through, joint_points

QUICK = hypothesis_settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)


def solid_views(rng, n, noise=0.0, mirrored=False):
    """Matches of n random points seen by two affine cameras 20 to 70 degrees apart, and the true (a, b, c, d)."""
    points = rng.normal(size=(n, 3)) * 100
    angle, spin = np.deg2rad(rng.uniform(20, 70)), rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0]])
    in_plane = np.array([[np.cos(spin), -np.sin(spin)], [np.sin(spin), np.cos(spin)]])
    cameras = np.eye(3)[:2] * rng.uniform(0.5, 2), in_plane @ turn * rng.uniform(0.5, 2)
    if mirrored:
        cameras = cameras[0], np.diag([-1, 1]) @ cameras[1]
    a, b = (points @ camera.T + rng.uniform(-500, 500, 2) for camera in cameras)
    truth = np.linalg.svd(np.vstack([cameras[1], cameras[0]]).T)[2][-1]
    return a + rng.normal(size=a.shape) * noise, b + rng.normal(size=b.shape) * noise, truth


def affinity(rng):
    """A random invertible affine map (2, 2), (2,) that stretches at most fourfold."""
    u, v = (np.linalg.qr(rng.normal(size=(2, 2)))[0] for _ in range(2))
    return u * rng.uniform(0.5, 2, 2) @ v, rng.uniform(-300, 300, 2)


def parallel(f, g):
    return abs(f @ g) / np.linalg.norm(f) / np.linalg.norm(g)


@given(SEEDS, st.booleans(), st.booleans())
@QUICK
def test_exact_epipolar_geometry_follows_affine_changes_of_either_image(seed, change_a, change_b):
    """With x -> M x + m in an image, its half of (a, b, c, d) turns into M^-T times itself; inliers stay."""
    rng = np.random.default_rng(seed)
    a, b, _ = solid_views(rng, 30)
    (in_a, shift_a), (in_b, shift_b) = affinity(rng), affinity(rng)
    in_a, in_b = in_a if change_a else np.eye(2), in_b if change_b else np.eye(2)
    before = estimate_affine_fundamental(a, b, 1e-5, np.random.default_rng(0))
    after = estimate_affine_fundamental(a @ in_a.T + shift_a, b @ in_b.T + shift_b, 1e-5, np.random.default_rng(0))
    assert before.inliers.all()
    assert after.inliers.all()
    expected = np.concatenate([np.linalg.solve(in_b.T, before.f[:2]), np.linalg.solve(in_a.T, before.f[2:4])])
    assert parallel(expected, after.f[:4]) == pytest.approx(1, abs=1e-9)


@given(SEEDS, st.floats(0.1, 10), st.floats(-np.pi, np.pi), st.floats(-np.pi, np.pi), st.booleans())
@QUICK
def test_residuals_are_invariant_to_motions_and_scale_with_both_images(seed, scale, turn_a, turn_b, mirror):
    """The fit to a fixed set of matches: rotations, shifts and mirrors of either image change no residual."""
    rng = np.random.default_rng(seed)
    a, b, _ = solid_views(rng, 25, noise=1.0)
    turns = [np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) for t in (turn_a, turn_b)]
    if mirror:
        turns[1][0] *= -1
    moved = a @ turns[0].T * scale + rng.uniform(-99, 99, 2), b @ turns[1].T * scale + rng.uniform(-99, 99, 2)
    for codimension in (1, 2):
        before, after = fit_subspace(joint_points(a, b), codimension), fit_subspace(joint_points(*moved), codimension)
        expected = before.residuals(joint_points(a, b)) * scale
        np.testing.assert_allclose(after.residuals(joint_points(*moved)), expected, atol=1e-7 * scale)


@given(SEEDS, st.integers(5, 60), st.sampled_from([1, 2]))
@QUICK
def test_fit_equals_a_brute_force_singular_value_decomposition(seed, n, codimension):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 4)) * rng.uniform(1, 100, 4) @ np.linalg.qr(rng.normal(size=(4, 4)))[0] + 500
    flat = fit_subspace(points, codimension)
    centred = points - points.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred)
    smallest = directions[4 - codimension :]
    projector = smallest.T @ smallest
    np.testing.assert_allclose(flat.normals.T @ flat.normals, projector, atol=1e-6 * (singular[0] / singular[-1]) ** 2)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", centred, projector, centred).clip(0))
    np.testing.assert_allclose(np.sum(flat.residuals(points) ** 2), np.sum(expected**2), rtol=1e-6)


@given(SEEDS, st.integers(8, 11))
@hypothesis_settings(max_examples=15, deadline=None)
def test_search_reaches_the_best_of_all_minimal_samples(seed, n):
    """No hyperplane through any four of the matches has a lower MSAC cost than the one that is found."""
    rng = np.random.default_rng(seed)
    a, b, _ = solid_views(rng, n, noise=0.5)
    b[: n // 3] = rng.uniform(-300, 300, (n // 3, 2))
    points = joint_points(a, b)
    flat, _ = find_subspace(points, 1, 2.0, rng, Search(1, 4000))
    normals, offsets = hyperplanes_through(points[list(combinations(range(n), 4))])
    residuals = np.abs(normals[:, 0] @ points.T + offsets)
    brute = (np.minimum(residuals, 2) ** 2).sum(axis=1).min()
    assert np.sum(np.minimum(flat.residuals(points), 2) ** 2) <= brute + 1e-3


@given(SEEDS, st.floats(0.1, 0.7), st.booleans())
@QUICK
def test_inliers_are_recovered_among_outliers_also_in_mirrored_images(seed, outliers, mirrored):
    rng = np.random.default_rng(seed)
    a, b, truth = solid_views(rng, 200, noise=0.3, mirrored=mirrored)
    wrong = rng.permutation(200) < 200 * outliers
    b[wrong] = rng.uniform(b.min(0), b.max(0), (wrong.sum(), 2))
    model = estimate_affine_fundamental(a, b, 1.5, rng, Search(0.9999, 5000))
    assert model.inliers[~wrong].mean() > 0.95
    assert model.inliers[wrong].mean() < 0.3
    assert parallel(model.f[:4], truth) > 0.999


@given(SEEDS, st.integers(1, 30))
@QUICK
def test_repeated_matches_change_neither_model_nor_distinct_matches(seed, times):
    rng = np.random.default_rng(seed)
    a, b, _ = solid_views(rng, 20)
    again_a, again_b = np.repeat(a, times, axis=0), np.repeat(b, times, axis=0)
    chosen = distinct_locations(again_a, again_b, np.zeros(20 * times))
    np.testing.assert_array_equal(again_a[chosen], a)
    model = estimate_affine_fundamental(a, b, 1e-5, np.random.default_rng(1))
    again = estimate_affine_fundamental(again_a, again_b, 1e-5, np.random.default_rng(1))
    assert again.inliers.all()
    assert parallel(model.f[:4], again.f[:4]) == pytest.approx(1, abs=1e-9)


@given(SEEDS, st.integers(3, 40), st.booleans())
@QUICK
def test_points_in_line_have_no_model(seed, n, only_one_image):
    """Matches in line in both images say nothing; in one image alone they fix no homography between the images."""
    rng = np.random.default_rng(seed)
    along = rng.uniform(0, 100, (n, 1))
    a = along * rng.normal(size=2) + 100
    b = rng.uniform(0, 100, (n, 2)) if only_one_image else along * rng.normal(size=2) - 20
    if not only_one_image:
        assert not estimate_affine_fundamental(a, b, 1e-3, rng).found
    model = estimate_affine_homography(a, b, 1e-9, rng)
    assert model.n_inliers <= 3


@given(SEEDS, st.integers(0, 5), st.sampled_from(["any", "equal", "in line", "copy"]))
@QUICK
def test_few_matches_give_shaped_results(seed, n, kind):
    rng = np.random.default_rng(seed)
    a = rng.uniform(0, 100, (n, 2))
    if kind == "equal":
        a[:] = 7
    if kind == "in line":
        a[:, 1] = 2 * a[:, 0]
    b = a.copy() if kind in ("copy", "equal", "in line") else rng.uniform(0, 100, (n, 2))
    for estimate, least in ((estimate_affine_fundamental, 4), (estimate_affine_homography, 3)):
        model = estimate(a, b, 1.0, np.random.default_rng(0))
        assert model.inliers.shape == model.residuals.shape == (n,)
        assert not model.found or n >= least
        if kind in ("equal", "in line"):
            assert not model.found
        assert model.found or (np.isinf(model.residuals).all() and not model.inliers.any())
        assert np.array_equal(model.inliers, model.residuals < 1.0)

"""The perspective models against exact pinhole cameras, and under threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.optimize import minimize

import liftnet.geometry
from liftnet.geometry import (
    estimate_affine_fundamental,
    estimate_affine_homography,
    estimate_fundamental,
    estimate_homography,
)
from liftnet.geometry.perspective import fundamental_residuals, homography_residuals
from liftnet.geometry.subspaces import joint_points


def pinhole_views(rng, n, outliers=0.0, noise=0.0, flat=False, distance=4.0):
    """Matched points of a ball (or a plane) of radius 1 seen by two near pinhole cameras, and the true F."""
    points = rng.normal(size=(n, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    if flat:
        points[:, 2] = 0.3 * points[:, 0]
    intrinsics = np.array([[1000, 0, 500], [0, 1000, 400], [0, 0, 1.0]])
    angle = np.deg2rad(15)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    shift = np.array([0.1, 0.05, distance])
    seen_a = points + np.array([0, 0, distance])
    seen_b = points @ turn.T + shift
    a, b = ((seen @ intrinsics.T)[:, :2] / seen[:, 2:] for seen in (seen_a, seen_b))
    t = shift - turn @ [0, 0, distance]
    cross = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]])
    inverse = np.linalg.inv(intrinsics)
    truth = inverse.T @ cross @ turn @ inverse
    a, b = a + rng.normal(size=a.shape) * noise, b + rng.normal(size=b.shape) * noise
    wrong = int(n * outliers)
    b[:wrong] = rng.uniform(b.min(0), b.max(0), (wrong, 2))
    return a, b, truth / np.linalg.norm(truth)


@pytest.mark.parametrize("outliers", [0.1, 0.3, 0.5])
def test_pinhole_cameras_are_recovered_where_affine_ones_fail(outliers):
    recalls, affine = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        a, b, truth = pinhole_views(rng, 300, outliers, noise=0.5)
        model = estimate_fundamental(a, b, 2.0, rng)
        right = slice(int(300 * outliers), None)
        recalls.append(model.inliers[right].mean())
        affine.append(estimate_affine_fundamental(a, b, 2.0, rng).inliers[right].mean())
        assert np.linalg.matrix_rank(model.F, tol=1e-6) == 2
        exact = pinhole_views(np.random.default_rng(99), 50)[:2]
        assert np.median(fundamental_residuals(model.F, joint_points(*exact))) < 0.5
        assert np.median(fundamental_residuals(truth, joint_points(*exact))) < 1e-9
    assert np.mean(np.array(recalls) > 0.95) >= 0.9
    assert np.mean(affine) < 0.75


def test_residuals_are_those_of_the_affine_model_where_the_matrix_is_affine():
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0, 500, (2, 80, 2))
    model = estimate_affine_fundamental(a, b, 5.0, rng)
    np.testing.assert_allclose(fundamental_residuals(model.F, joint_points(a, b)), model.residuals, atol=1e-8)
    flat = estimate_affine_homography(a, a * 0.7 + rng.normal(size=a.shape), 9.0, rng)
    as_projective = np.vstack([flat.matrix, [0, 0, 1]])
    joint = joint_points(a, a * 0.7 + 3)
    expected = homography_residuals(as_projective, joint)
    moved = joint[:, :2] - a @ flat.matrix[:, :2].T - flat.matrix[:, 2]
    spread = np.linalg.inv(np.eye(2) + flat.matrix[:, :2] @ flat.matrix[:, :2].T)
    np.testing.assert_allclose(expected, np.sqrt(np.einsum("ni,ij,nj->n", moved, spread, moved)), atol=1e-9)


def test_residual_is_nearly_the_smallest_movement_that_satisfies_the_model():
    rng = np.random.default_rng(2)
    a, b, truth = pinhole_views(rng, 12, noise=1.0)
    joint = joint_points(a, b)
    for point, residual in zip(joint, fundamental_residuals(truth, joint), strict=True):
        constraint = {
            "type": "eq",
            "fun": lambda x: np.append(x[:2], 1) @ truth @ np.append(x[2:], 1) * 1e3,
        }
        found = minimize(lambda x, p=point: np.sum((x - p) ** 2), point, constraints=constraint, tol=1e-12)
        assert np.sqrt(found.fun) == pytest.approx(residual, rel=0.02, abs=1e-3)


def test_plane_in_perspective_is_a_projective_homography_and_no_affine_one():
    rng = np.random.default_rng(3)
    a, b, _ = pinhole_views(rng, 200, 0.3, noise=0.3, flat=True, distance=2.5)
    projective = estimate_homography(a, b, 2.0, rng)
    assert projective.inliers[60:].mean() > 0.97
    assert projective.inliers[:60].mean() < 0.1
    assert estimate_affine_homography(a, b, 2.0, rng).inliers[60:].mean() < 0.6


def test_same_seed_same_result_in_any_thread():
    pairs = [pinhole_views(np.random.default_rng(seed), 200, 0.5, noise=0.7)[:2] for seed in range(24)]

    def both(index):
        rng = np.random.default_rng(index)
        return estimate_fundamental(*pairs[index], 2.0, rng).F, estimate_homography(*pairs[index], 2.0, rng).H

    alone = [both(index) for index in range(24)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(both, range(24)))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize("estimate", [estimate_fundamental, estimate_homography])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7, 8])
def test_few_points_give_shaped_results(estimate, n):
    a, b = np.random.default_rng(n).uniform(0, 100, (2, n, 2))
    model = estimate(a, b, 1.0, np.random.default_rng(0))
    assert model.inliers.shape == model.residuals.shape == (n,)
    matrix = model.F if hasattr(model, "F") else model.H
    assert matrix.shape == (3, 3)
    assert np.isnan(matrix).all() == (not model.found)
    if n < 4:
        assert not model.found
        assert repr(model) == f"{type(model).__name__}(no model for {n} matches)"


@pytest.mark.parametrize("estimate", [estimate_fundamental, estimate_homography])
def test_degenerate_points_stop_nothing(estimate):
    rng = np.random.default_rng(4)
    line = np.linspace(0, 100, 40)[:, None] * [1.0, 2.0]
    same = np.full((40, 2), 3.0)
    few = np.repeat(rng.uniform(0, 100, (5, 2)), 8, axis=0)
    for seed in range(20):
        for points in (line, same, few, np.zeros((40, 2))):
            model = estimate(points, points + 1, 1.0, np.random.default_rng(seed))
            assert model.inliers.shape == (40,)
            assert not np.isnan(model.residuals).any()
    with pytest.raises(ValueError, match="finite"):
        estimate(np.full((9, 2), np.nan), np.zeros((9, 2)), 1.0, rng)
    with pytest.raises(ValueError, match="threshold"):
        estimate(np.zeros((9, 2)), np.zeros((9, 2)), 0, rng)


def test_small_library_offers_its_names():
    for name in liftnet.geometry.__all__:
        assert getattr(liftnet.geometry, name).__name__ == name
    assert dir(liftnet.geometry) == liftnet.geometry.__all__
    with pytest.raises(AttributeError, match="nonsense"):
        liftnet.geometry.nonsense  # noqa: B018

"""The affine homography, the choice of locations, GRIC and the chance floor."""

import cv2
import numpy as np
import pytest
from scipy.optimize import minimize

from liftnet.geometry.affine import (
    Search,
    distinct_locations,
    estimate_affine_fundamental,
    estimate_affine_homography,
    gric_difference,
)
from liftnet.geometry.subspaces import joint_points, planes_through
from liftnet.geometry.two_view import chance_floor, joint_extent

MAPS = {
    "turned": np.array([[0.8, -0.6, 10], [0.6, 0.8, -5]]),
    "mirrored": np.array([[-1.1, 0.2, 400], [0.1, 0.9, 3]]),
    "sheared": np.array([[1.0, 0.5, 0], [0, 0.4, 20]]),
    "shrunk": np.array([[0.3, 0.0, 0], [0, 0.3, 0]]),
}


@pytest.mark.parametrize("name", MAPS)
def test_exact_maps_are_recovered_among_outliers(name):
    rng = np.random.default_rng(0)
    a = rng.uniform(0, 500, (80, 2))
    b = a @ MAPS[name][:, :2].T + MAPS[name][:, 2]
    b[:40] = rng.uniform(0, 500, (40, 2))
    model = estimate_affine_homography(a, b, 1e-3, rng)
    np.testing.assert_allclose(model.matrix, MAPS[name], atol=1e-9)
    assert np.flatnonzero(model.inliers).tolist() == list(range(40, 80))


def test_agrees_with_opencv():
    rng = np.random.default_rng(1)
    a = rng.uniform(0, 500, (200, 2))
    b = a @ MAPS["turned"][:, :2].T + MAPS["turned"][:, 2] + rng.normal(size=a.shape) * 0.3
    b[:60] = rng.uniform(0, 500, (60, 2))
    reference, inliers = cv2.estimateAffine2D(a, b, method=cv2.RANSAC, ransacReprojThreshold=2.0)
    model = estimate_affine_homography(a, b, 2.0, rng)
    assert np.mean(model.inliers == (inliers[:, 0] > 0)) > 0.98
    np.testing.assert_allclose(model.matrix[:, :2], reference[:, :2], atol=2e-3)


def test_fit_is_the_maximum_likelihood_plane():
    """Residuals are those of a search over all affine maps and true positions."""
    rng = np.random.default_rng(2)
    a = rng.uniform(0, 100, (25, 2))
    b = a @ MAPS["sheared"][:, :2].T + rng.normal(size=a.shape)
    a = a + rng.normal(size=a.shape)
    model = estimate_affine_homography(a, b, 100, rng)

    def cost(numbers):
        matrix = numbers.reshape(2, 3)
        moved = b - a @ matrix[:, :2].T - matrix[:, 2]
        return np.einsum("ni,ij,nj->", moved, np.linalg.inv(np.eye(2) + matrix[:, :2] @ matrix[:, :2].T), moved)

    best = minimize(cost, MAPS["sheared"].ravel(), tol=1e-10)
    assert np.sum(model.residuals**2) == pytest.approx(best.fun, rel=1e-6)
    assert np.sum(model.residuals**2) <= best.fun + 1e-6


def test_closed_form_planes_pass_through_their_samples():
    rng = np.random.default_rng(3)
    samples = rng.normal(size=(100, 3, 4)) * 50
    normals, offsets = planes_through(samples)
    assert len(normals) > 90
    np.testing.assert_allclose(
        normals @ np.swapaxes(normals, 1, 2), np.broadcast_to(np.eye(2), (len(normals), 2, 2)), atol=1e-9
    )
    distances = np.abs(np.einsum("kci,sni->ksnc", normals, samples) + offsets[:, None, None, :]).max(axis=(2, 3))
    assert distances.min(axis=1).max() < 1e-9


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_points_give_a_shaped_result_without_model(n):
    model = estimate_affine_homography(np.zeros((n, 2)), np.zeros((n, 2)), 1.0, np.random.default_rng(0))
    assert not model.found
    assert model.inliers.shape == (n,)
    assert model.matrix.shape == (2, 3)


def test_points_in_line_have_no_model():
    line = np.linspace(0, 100, 30)[:, None] * [1.0, 2.0]
    assert not estimate_affine_homography(line, line, 1.0, np.random.default_rng(0)).found


def test_solid_object_is_not_explained():
    rng = np.random.default_rng(4)
    points = rng.normal(size=(300, 3)) * 100
    angle = np.deg2rad(15)
    b = np.column_stack([points[:, 0] * np.cos(angle) + points[:, 2] * np.sin(angle), points[:, 1]])
    model = estimate_affine_homography(points[:, :2], b, 2.5, rng, Search(max_hypotheses=64))
    assert model.n_inliers < 0.3 * 300


def test_repeated_locations_count_once_and_the_higher_score_wins():
    a = np.array([[1, 1], [1, 1], [2, 2], [3, 3], [4, 4]], float)
    b = np.array([[5, 5], [6, 6], [7, 7], [7, 7], [8, 8]], float)
    assert distinct_locations(a, b, [0.1, 0.9, 0.5, 0.4, 0.2]).tolist() == [1, 2, 4]
    assert distinct_locations(a, b, np.zeros(5)).tolist() == [0, 2, 4]
    assert distinct_locations(np.empty((0, 2)), np.empty((0, 2)), []).tolist() == []


def test_distinct_locations_are_distinct():
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 8, (2, 200, 2)).astype(float)
    chosen = distinct_locations(a, b, rng.uniform(size=200))
    assert len(np.unique(a[chosen], axis=0)) == len(np.unique(b[chosen], axis=0)) == len(chosen) > 10


def test_gric_prefers_the_model_that_made_the_points():
    rng = np.random.default_rng(6)
    solid = rng.normal(size=(200, 3)) * 80
    flat = solid * [1, 1, 0]
    for points, wanted in ((solid, 1), (flat, -1)):
        a = points[:, :2] + rng.normal(size=(200, 2)) * 0.5
        b = points @ rng.normal(size=(3, 2)) + rng.normal(size=(200, 2)) * 0.5
        f = estimate_affine_fundamental(a, b, 2.0, rng)
        h = estimate_affine_homography(a, b, 2.5, rng)
        assert np.sign(gric_difference(f.residuals, h.residuals, 0.5)) == wanted
    assert np.isnan(gric_difference(np.empty(0), np.empty(0), 1.0))


@pytest.mark.parametrize(("n", "share"), [(60, 0.004), (250, 0.002), (250, 0.01), (1000, 0.01)])
def test_random_matches_stay_below_the_chance_floor(n, share):
    found = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        a, b = rng.uniform(0, 1000, (2, n, 2))
        floor = chance_floor(n, share * 1000, joint_extent(a, b))
        found.append(estimate_affine_fundamental(a, b, share * 1000, rng).n_inliers <= floor)
    assert np.mean(found) >= 0.98


def test_chance_floor_is_not_idle():
    """It lies near what chance really reaches, and above a fixed 20 inliers for many matches."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 1000, (2, 1000, 2))
    reached = estimate_affine_fundamental(a, b, 4.0, rng).n_inliers
    assert 20 < reached <= chance_floor(1000, 4.0, 1000) < 1.5 * reached
    assert chance_floor(10, 4.0, 0.0) == 10
    assert chance_floor(0, 4.0, 100.0) == 0


def test_extent_is_the_side_of_a_uniform_square_however_it_is_turned():
    rng = np.random.default_rng(7)
    a, b = rng.uniform(0, 1000, (2, 20000, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert joint_extent(a, b) == pytest.approx(1000, rel=0.02)
    assert joint_extent(a @ turn.T, b + 100) == pytest.approx(joint_extent(a, b))
    assert joint_extent(a, b / 16) == pytest.approx(joint_extent(a, b) / 4)
    assert joint_extent(a[:2], b[:2]) == 0
    assert joint_points(a, b).shape == (20000, 4)

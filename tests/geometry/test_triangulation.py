"""Triangulated points: exact where the views are, the least reprojection error where they are not."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from liftnet.geometry.cameras import Camera, OrthographicCamera
from liftnet.geometry.triangulation import triangulate


def turned(degrees):
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])


PINHOLES = [
    Camera(np.array([[500.0, 0, 200], [0, 500, 150], [0, 0, 1]]), turned(k), np.array([0, 0, 5.0]))
    for k in (-30, -10, 12, 35)
]
PARALLEL = [OrthographicCamera(90.0, np.array([200.0, 150]), turned(k), np.array([0.1, 0, 5])) for k in (-20, 5, 30)]
ALL = [*PINHOLES, *PARALLEL]


def observed(cameras, world, noise=0.0, seed=0):
    """Each point in two or more of the cameras: track, camera, points."""
    rng = np.random.default_rng(seed)
    rows = [
        (track, k)
        for track in range(len(world))
        for k in sorted(rng.permutation(len(cameras))[: rng.integers(2, len(cameras) + 1)].tolist())
    ]
    track, camera = np.array(rows).T
    places = np.stack([cameras[k].project(world)[0] for k in range(len(cameras))])
    return track, camera, places[camera, track] + rng.normal(size=(len(rows), 2)) * noise


@pytest.mark.parametrize("cameras", [PINHOLES, PARALLEL, ALL])
def test_exact_observations_give_the_points_back(cameras):
    world = np.random.default_rng(1).uniform(-1, 1, (40, 3))
    found, residuals = triangulate(cameras, *observed(cameras, world))
    np.testing.assert_allclose(found, world, atol=1e-8)
    assert residuals.max() < 1e-8


@pytest.mark.parametrize("cameras", [PINHOLES, PARALLEL, ALL])
def test_no_other_point_is_nearer_to_what_was_seen(cameras):
    world = np.random.default_rng(2).uniform(-1, 1, (12, 3))
    track, camera, points = observed(cameras, world, noise=2.0)
    found, residuals = triangulate(cameras, track, camera, points)
    for number in range(len(world)):
        own = np.flatnonzero(track == number)

        def distances(x, own=own):
            return np.concatenate([cameras[camera[k]].project(x[None])[0][0] - points[k] for k in own])

        best = least_squares(distances, world[number], xtol=1e-14, ftol=1e-14)
        assert residuals[number] ** 2 * len(own) == pytest.approx(2 * best.cost, rel=1e-6)
        np.testing.assert_allclose(found[number], best.x, atol=1e-4)


def test_two_views_along_one_ray_leave_the_point_free_but_its_residual_finite():
    found, residuals = triangulate(
        PARALLEL[:1] * 2, np.array([0, 0]), np.array([0, 1]), np.array([[10.0, 5], [10, 7]])
    )
    assert np.isfinite(found).all()
    assert residuals[0] == pytest.approx(1.0)


def test_nothing_seen_is_no_point():
    found, residuals = triangulate(PINHOLES, np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2)))
    assert (found.shape, residuals.shape) == ((0, 3), (0,))

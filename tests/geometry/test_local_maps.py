"""Local affine maps say where a point lies in the other image, how it is turned there and how large."""

import numpy as np
import pytest

from liftnet.geometry.local_maps import local_affine_maps


def test_an_affine_map_is_found_from_any_neighbours():
    rng = np.random.default_rng(0)
    matrix, shift = np.array([[0.8, -0.6], [0.9, 1.2]]), np.array([30.0, -7.0])
    a = rng.uniform(0, 100, (40, 2))
    points = rng.uniform(0, 100, (25, 2))
    maps = local_affine_maps(points, a, a @ matrix.T + shift, 6)
    np.testing.assert_allclose(maps.predicted, points @ matrix.T + shift, atol=1e-6)
    np.testing.assert_allclose(maps.linear, np.broadcast_to(matrix, (25, 2, 2)), atol=1e-6)
    np.testing.assert_allclose(maps.log_scales(), 0.5 * np.log(np.linalg.det(matrix)))
    angle = np.full(25, np.deg2rad(90))
    np.testing.assert_allclose(maps.turned(angle), np.arctan2(1.2, -0.6))


def test_a_match_says_nothing_about_its_own_place():
    grid = np.stack(np.meshgrid(np.arange(0, 50, 5.0), np.arange(0, 50, 5.0)), axis=-1).reshape(-1, 2)
    moved = grid + 10
    moved[44] += [25, 0]  # one match is wrong
    predicted = local_affine_maps(grid, grid, moved, 8).predicted
    assert np.abs(predicted[44] - (grid[44] + 10)).max() < 1e-6
    assert np.abs(predicted - (grid + 10)).max() < 2.5  # and it misleads its neighbours little


def test_neighbours_on_one_line_decide_nothing_across_it():
    line = np.column_stack([np.arange(0, 60, 3.0), np.full(20, 10.0)])
    far = np.random.default_rng(1).uniform(200, 300, (40, 2))
    a = np.vstack([line, far])
    maps = local_affine_maps(np.array([[30.0, 14.0]]), a, a * 1.5, 8)
    assert maps.predicted[0] == pytest.approx([45.0, 21.0], abs=0.5)

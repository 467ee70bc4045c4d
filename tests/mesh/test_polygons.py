"""Polygons of any number of corners and what becomes of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftnet.mesh.mesh import TriangleMesh, face_areas, face_normals
from liftnet.mesh.polygons import Polygons, triangulate

U = [(0, 0), (3, 0), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)]
KEYHOLE = [(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (1, 1), (1, 3), (3, 3), (3, 1), (1, 1)]  # a frame, by a bridge


def flat(corners) -> np.ndarray:
    return np.pad(np.array(corners, float), ((0, 0), (0, 1)))


def polygon(count: int) -> Polygons:
    return Polygons(np.arange(count), np.array([count]))


def shoelace(points) -> float:
    x, y = np.array(points, float).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("corners", [U, [(0, 0), (2, 1), (0, 2), (0.5, 1)], KEYHOLE, [(0, 0), (2, 0), (1, 1), (0, 2)]])
def test_the_area_is_that_of_the_polygon_wherever_its_corners_begin(corners, turns):
    points = flat(np.roll(corners, turns % len(corners), axis=0))
    for ring in (points, points[::-1]):
        triangles, crossed = triangulate(ring, polygon(len(ring)))
        assert (crossed, len(triangles)) == (0, len(ring) - 2)
        mesh = TriangleMesh(ring, triangles)
        assert face_areas(mesh).sum() == pytest.approx(abs(shoelace(corners)))
        normals = face_normals(mesh)[face_areas(mesh) > 1e-9]
        np.testing.assert_allclose(normals[:, 2], np.sign(shoelace(ring[:, :2])))


@given(st.integers(5, 40), st.integers(0, 10**6))
def test_any_star_is_divided_in_any_plane_of_space_without_overlap(count, seed):
    generator = np.random.default_rng(seed)
    angles = (np.arange(count) + generator.uniform(0.1, 0.9, count)) * 2 * np.pi / count
    radii = generator.uniform(0.1, 1, count)
    ring = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    turn, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    points = flat(ring) @ turn.T * 50 + generator.normal(size=3) * 1000
    triangles, crossed = triangulate(points, polygon(count))
    assert (crossed, len(triangles)) == (0, count - 2)
    assert face_areas(TriangleMesh(points, triangles)).sum() == pytest.approx(2500 * shoelace(ring), rel=1e-6)


def test_polygons_of_many_sizes_keep_their_order_and_triangles_stay_as_they_are():
    points = flat([*U, (9, 9), (8, 8), (8, 9)])
    corners = np.array([8, 10, 9, *range(8), 0, 1, 2, 3, 8, 9, 10])
    triangles, crossed = triangulate(points, Polygons(corners, np.array([3, 8, 1, 3, 3])))
    assert crossed == 0
    np.testing.assert_array_equal(triangles[[0, -2, -1]], [[8, 10, 9], [1, 2, 3], [8, 9, 10]])
    assert len(triangles) == 9


def test_corners_on_an_edge_stay_corners_so_that_no_gap_opens():
    points = flat([(0, 0), (1, 0), (2, 0), (0, 2)])
    triangles, _ = triangulate(points, polygon(4))
    assert face_areas(TriangleMesh(points, triangles)).min() > 0.5, "no triangle lies on the edge 0 1 2"


def test_repeated_corners_are_one_corner():
    points = flat([(0, 0), (1, 0), (1, 1), (0, 1)])
    corners = np.array([0, 0, 1, 1, 2, 3, 3, 0])
    triangles, crossed = triangulate(points, Polygons(corners, np.array([8])))
    assert (crossed, len(triangles)) == (0, 2)


@pytest.mark.parametrize("order", [(0, 2, 4, 1, 3), (0, 1, 3, 2, 4)])
def test_a_polygon_that_crosses_itself_is_counted_not_guessed(order):
    angles = np.arange(5) * 2 * np.pi / 5
    points = flat(np.stack([np.cos(angles), np.sin(angles)], axis=1)[list(order)])
    triangles, crossed = triangulate(points, polygon(5))
    assert (crossed, len(triangles)) == (1, 0)
    assert triangulate(flat([(0, 0), (1, 1), (1, 0), (0, 1)]), polygon(4))[1] == 1


def test_polygons_without_area_or_with_coordinates_that_are_none_end_at_once():
    for points in (
        np.zeros((6, 3)),
        flat([(i, 0) for i in range(6)]),
        np.full((6, 3), np.nan),
        np.full((6, 3), np.inf),
    ):
        triangles, crossed = triangulate(points, polygon(6))
        assert (crossed, len(triangles)) == (0, 4)

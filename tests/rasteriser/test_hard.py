"""Hard images against geometry, another implementation of points in polygons, and the soft rasteriser."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.path import Path as Polygon
from scipy.spatial import Delaunay

from liftnet.rasteriser import CameraBatch, Softness, look_at, render_nearest, render_silhouettes, render_soft

FORWARD = CameraBatch(torch.eye(3, dtype=torch.float64)[None], torch.zeros(1, 3, dtype=torch.float64), 1.0, True)
"""Sees x and y as they are, y down, from z = 0."""


def centres(size: int) -> np.ndarray:
    """(S, S, 2) x and y of the pixels' centres."""
    along = (2 * np.arange(size) + 1 - size) / size
    return np.stack(np.meshgrid(along, along), -1)


def sphere(subdivisions: int = 3) -> tuple[np.ndarray, np.ndarray]:
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.creation.icosphere(subdivisions)
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """A waving sheet of 2 side^2 faces over [-0.9, 0.9]^2, at depth 3."""
    x, y = np.meshgrid(*[np.linspace(-0.9, 0.9, side + 1)] * 2)
    vertices = np.stack([x, y, 3 + 0.1 * np.sin(9 * x)], -1).reshape(-1, 3)
    corner = (np.arange(side)[:, None] * (side + 1) + np.arange(side)).ravel()
    upper = np.stack([corner, corner + 1, corner + side + 1], 1)
    return vertices, np.concatenate([upper, np.stack([corner + 1, corner + side + 2, corner + side + 1], 1)])


@pytest.mark.parametrize("seed", range(20))
def test_triangles_cover_the_centres_inside(seed: int) -> None:
    corners = np.random.default_rng(seed).uniform(-1.3, 1.3, (3, 2))
    found = render_silhouettes(np.pad(corners, ((0, 0), (0, 1))), [[0, 1, 2]], FORWARD, 64)[0].ravel()
    points = centres(64).reshape(-1, 2)
    polygon = Polygon(corners if np.linalg.det(np.diff(corners, axis=0)) > 0 else corners[::-1])
    snapped = 2 / 64 / 256  # how far a corner may have moved
    inside, outside = (polygon.contains_points(points, radius=sign * 2 * snapped) for sign in (-1, 1))
    assert (found >= inside).all()
    assert (found <= outside).all()
    assert (inside ^ outside).sum() < 12


def test_faces_that_share_edges_own_each_pixel_once() -> None:
    """Corners on centres of pixels and edges through them, where only the rule of top and left edges decides."""
    generator = np.random.default_rng(5)
    inner = np.unique(generator.integers(1, 31, (60, 2)), axis=0)
    corners = np.concatenate([[[0, 0], [0, 31], [31, 0], [31, 31]], inner])
    faces = Delaunay(corners).simplices
    faces[::2] = faces[::2, ::-1]
    vertices = np.pad((2 * corners + 1 - 32) / 32, ((0, 0), (0, 1)))
    each = np.stack([render_silhouettes(vertices, face[None], FORWARD, 32)[0] for face in faces])
    owners = each.sum(0)
    expected = np.zeros((32, 32), int)
    expected[:31, :31] = 1  # the last row and column lie on bottom and right edges
    np.testing.assert_array_equal(owners, expected)
    np.testing.assert_array_equal(render_silhouettes(vertices, faces, FORWARD, 32)[0], owners > 0)


def test_a_square_is_upright_and_where_it_should_be() -> None:
    vertices = [[0, 0, 1], [0.5, 0, 1], [0.5, 1, 1], [0, 1, 1]]
    found = render_silhouettes(vertices, [[0, 1, 2], [0, 2, 3]], FORWARD, 16)[0]
    expected = np.zeros((16, 16), bool)
    expected[8:, 8:12] = True  # x to the right, y down
    np.testing.assert_array_equal(found, expected)
    camera = look_at(torch.tensor([[0.0, 0.0, 5.0]], dtype=torch.float64), half_width=1.0)
    upright = render_silhouettes(vertices, [[0, 1, 2], [0, 2, 3]], camera, 16)[0]
    np.testing.assert_array_equal(upright, expected[::-1])  # up in the world is up in the image


def test_spheres_have_the_area_of_discs() -> None:
    vertices, faces = sphere(4)
    cameras = look_at(torch.tensor([[3.0, 0, 0], [0, 3, 0], [1, 2, 2]], dtype=torch.float64), half_width=1.25)
    areas = render_silhouettes(vertices, faces, cameras).mean((1, 2)) * 2.5**2
    np.testing.assert_allclose(areas, math.pi, rtol=0.003)
    perspective = look_at(torch.tensor([[0.0, 0, 3]], dtype=torch.float64), half_angle=30)
    radius = math.tan(math.asin(1 / 3)) / math.tan(math.radians(30))
    area = float(render_silhouettes(vertices, faces, perspective).mean()) * 4
    assert area == pytest.approx(math.pi * radius**2, rel=0.003)


@pytest.mark.parametrize("orthographic", [True, False])
def test_depth_is_that_of_the_plane(orthographic: bool) -> None:
    camera = CameraBatch(torch.eye(3)[None], torch.zeros(1, 3), 1.0, orthographic)
    corners = np.array([[-4.0, -3], [5, -2], [0, 6]])
    normal, offset = np.array([0.2, -0.3]), 5.0  # z = offset + normal . (x, y)
    vertices = np.column_stack([corners, offset + corners @ normal])
    found = render_nearest(vertices, [[0, 2, 1]], camera, 32)
    x, y = np.moveaxis(centres(32), -1, 0)
    slope = normal[0] * x + normal[1] * y
    expected = offset + slope if orthographic else offset / (1 - slope)
    seen = found.face[0] == 0
    assert seen.mean() > 0.3
    np.testing.assert_allclose(found.depth[0][seen], expected[seen], rtol=2e-4)
    assert np.isinf(found.depth[0][~seen]).all()


def test_the_nearest_face_is_seen_in_any_order() -> None:
    vertices, faces = sphere()
    cameras = look_at(torch.tensor([[0.0, 2, 2]], dtype=torch.float64), half_width=1.5)
    shells = np.concatenate([0.5 * vertices, vertices])
    for order in ([faces, faces + len(vertices)], [faces + len(vertices), faces]):
        found = render_nearest(shells, np.concatenate(order), cameras, 64)
        alone = render_nearest(vertices, faces, cameras, 64)
        np.testing.assert_array_equal(found.depth, alone.depth)
        np.testing.assert_array_equal(found.face >= 0, render_silhouettes(shells, np.concatenate(order), cameras, 64))
        outer = 0 if order[0] is not faces else len(faces)
        np.testing.assert_array_equal(found.face[found.face >= 0] - outer, alone.face[alone.face >= 0])
    normals = np.cross(*(vertices[faces[:, k]] - vertices[faces[:, 0]] for k in (1, 2)))
    assert (normals[np.unique(alone.face[alone.face >= 0])] @ [0, 1, 1] > -1e-9).all()


def test_threads_do_not_matter() -> None:
    vertices, faces = sphere()
    cameras = look_at(torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), half_width=1)
    for render in (render_silhouettes, lambda *a, **k: render_nearest(*a, **k).depth):
        np.testing.assert_array_equal(render(vertices, faces, cameras), render(vertices, faces, cameras, threads=3))


def test_the_soft_rasteriser_agrees_at_small_sigma() -> None:
    vertices, faces = sphere(2)
    vertices = vertices * [1, 0.6, 0.3] + [0.2, 0, 0]
    cameras = look_at(torch.tensor([[2.0, 1, 2], [0, 0.5, 3], [-1, -2, 2]], dtype=torch.float64), half_angle=20)
    shape = torch.from_numpy(vertices), torch.from_numpy(faces)
    soft = render_soft(*shape, cameras, 64, Softness(1e-9, 1e-4), backend="reference")
    hard = render_silhouettes(vertices, faces, cameras, 64)
    agree = (soft.silhouette.numpy() > 0.5) == hard
    assert (~agree).sum() <= 2  # centres nearer to an edge than the 1/256 px to which corners are snapped
    hard &= agree
    depth = render_nearest(vertices, faces, cameras, 64).depth
    np.testing.assert_allclose(soft.depth.numpy()[hard], depth[hard], rtol=0.02)


def test_a_million_faces() -> None:
    vertices, faces = grid(710)
    assert len(faces) > 1_000_000
    inside = np.abs(centres(128)).max(-1) < 0.9
    np.testing.assert_array_equal(render_silhouettes(vertices, faces, FORWARD, 128)[0], inside)


def test_nothing_to_see_is_an_empty_image() -> None:
    vertices = np.array([[0, 0, 1.0], [1, 0, 1], [0.5, 0, 1], [5, 5, 1], [6, 5, 1], [6, 6, 1]])
    for faces in ([[0, 1, 2]], [[1, 1, 2]], [[3, 4, 5]], np.empty((0, 3), int)):  # no area, one edge, outside, none
        assert not render_silhouettes(vertices, faces, FORWARD, 32).any()
        assert (render_nearest(vertices, faces, FORWARD, 32).face == -1).all()
    huge = np.array([[-1e30, -1e30, 1], [1e30, -1e30, 1], [0, 1e30, 1]])
    assert render_silhouettes(huge, [[0, 1, 2]], FORWARD, 32).all()


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (np.zeros((3, 2)), [[0, 1, 2]], r"\(V, 3\)"),
        (np.zeros((3, 3)), [[0, 1, 3]], "from 0 to 2"),
        (np.zeros((3, 3)), [[0, -1, 2]], "from 0 to 2"),
        (np.full((3, 3), np.nan), [[0, 1, 2]], "finite"),
    ],
)
def test_bad_meshes_are_refused(vertices: np.ndarray, faces: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render_silhouettes(vertices, faces, FORWARD)


def test_a_perspective_camera_inside_the_mesh_is_refused() -> None:
    vertices, faces = sphere(1)
    camera = look_at(torch.tensor([[0.0, 0, 0.5]]), half_angle=30)
    with pytest.raises(ValueError, match="in front"):
        render_silhouettes(vertices, faces, camera)

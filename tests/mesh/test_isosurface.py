"""The zero level of grids and fields, against balls whose volume is known."""

import numpy as np
import pytest
import trimesh

from liftnet.mesh.isosurface import isosurface, mesh_field
from liftnet.mesh.mesh import is_closed


def distances(count: int = 40, radius: float = 0.7) -> tuple[np.ndarray, float]:
    axis, spacing = np.linspace(-1, 1, count, retstep=True)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    return np.linalg.norm(grid, axis=-1) - radius, spacing


@pytest.mark.parametrize("inside", ["below", "above"])
def test_faces_look_out_of_the_solid_whichever_side_it_is_on(inside):
    values, spacing = distances()
    vertices, faces = isosurface(values if inside == "below" else -values, spacing, inside)
    solid = trimesh.Trimesh(vertices - 1, faces, process=False)
    assert solid.is_watertight
    assert solid.volume == pytest.approx(4 / 3 * np.pi * 0.7**3, rel=0.01)
    np.testing.assert_allclose(np.linalg.norm(solid.vertices, axis=1), 0.7, atol=0.005)


def test_triangles_without_area_are_kept_where_asked_for():
    values = np.full((5, 5, 5), 1.0)
    values[1:4, 1:4, 1:4] = -1.0
    values[2, 2, 0] = 0.0  # a value on the level: its vertices lie at one place
    kept, dropped = (len(isosurface(values, degenerate=flag)[1]) for flag in (True, False))
    assert kept > dropped


def test_a_field_gives_its_largest_piece_with_normals_and_the_axis_it_was_told():
    def two_balls(points):
        near = np.linalg.norm(points - np.array([[0.3], [0], [0]]), axis=0) - 0.6
        far = np.linalg.norm(points - np.array([[-1.0], [0], [0]]), axis=0) - 0.2
        return np.minimum(near, far).astype(np.float32)

    mesh = mesh_field(two_balls, 40, up="z")
    assert mesh.up == "z"
    assert is_closed(mesh)
    outward = mesh.vertices - np.array([0.3, 0, 0])
    np.testing.assert_allclose(np.linalg.norm(outward, axis=1), 0.6, atol=1e-4)  # the small ball is gone
    assert (mesh.known_normals * outward).sum(1).min() > 0.599

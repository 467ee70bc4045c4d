"""Two shapes laid onto each other, as each way of aligning promises."""

import numpy as np
import pytest
import trimesh

from liftnet.mesh.mesh import Placement, TriangleMesh, sample_surface
from liftnet.shape.alignment import align, placements
from liftnet.shape.distances import chamfer_l1, nearest


def mesh_of(shape: trimesh.Trimesh) -> TriangleMesh:
    return TriangleMesh(np.asarray(shape.vertices, np.float64), np.asarray(shape.faces, np.int64))


def chair() -> TriangleMesh:
    """A seat, a back and one arm: no turn or mirror leaves it as it is."""
    parts = [
        trimesh.creation.box(extents=(1, 0.1, 1)),
        trimesh.creation.box(extents=(1, 1, 0.1)).apply_translation([0, 0.5, -0.45]),
        trimesh.creation.box(extents=(0.1, 0.4, 0.8)).apply_translation([0.45, 0.2, 0.1]),
    ]
    return mesh_of(trimesh.util.concatenate(parts))


def test_what_each_alignment_leaves_of_the_differences():
    target = chair()
    turn = trimesh.transformations.rotation_matrix(np.radians(73), [0, 1, 0])[:3, :3]
    bigger = Placement(1.5, np.eye(3), np.array([0.2, 0, 0])).mesh(target)
    turned = Placement(1.0, turn, np.zeros(3)).mesh(target)

    def difference(mesh, how):
        first, second = align(mesh, target, how, turns=36)
        return np.abs(first.vertices - second.vertices).max()

    np.testing.assert_array_equal(align(bigger, target, "none")[0].vertices, bigger.vertices)
    assert difference(bigger, "target") > 0.2  # size and place count
    assert difference(bigger, "each") < 1e-12
    assert difference(turned, "each") > 0.3
    assert placements(turned, target, "yaw")[0].rotation[0, 0] == pytest.approx(np.cos(np.radians(70)), abs=1e-9)
    assert 0.01 < difference(turned, "yaw") < 0.05  # 3 degrees are left
    assert difference(turned, "icp") < 0.002
    with pytest.raises(ValueError, match="not 'best'"):
        align(turned, target, "best")


def test_alignment_is_the_best_turn_by_chamfer_distance():
    target = chair()
    turned = Placement(1.0, trimesh.transformations.rotation_matrix(2.0, [0, 1, 0])[:3, :3], np.zeros(3)).mesh(target)
    first, second = align(turned, target, "yaw", turns=12)
    points = [sample_surface(mesh, 2000, 0).points for mesh in (first, second)]
    found = chamfer_l1(nearest(*points))
    for step in range(1, 12):
        turn = trimesh.transformations.rotation_matrix(step * np.pi / 6, [0, 1, 0])[:3, :3]
        assert chamfer_l1(nearest(points[0] @ turn.T, points[1])) >= found

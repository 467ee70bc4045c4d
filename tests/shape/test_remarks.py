"""What is said of couples whose scores may not say what they seem to."""

import numpy as np
import pytest
import trimesh

from liftnet.mesh import voxels
from liftnet.mesh.mesh import TriangleMesh
from liftnet.shape.metrics import compare
from liftnet.shape.settings import ComparisonSettings

FEW = ComparisonSettings(points=5000)


def mesh_of(*shapes: trimesh.Trimesh) -> TriangleMesh:
    joined = trimesh.util.concatenate(shapes)
    return TriangleMesh(np.array(joined.vertices, float), np.array(joined.faces))


def box(sides=(1.0, 1.0, 1.0), at=(0.0, 0.0, 0.0)) -> trimesh.Trimesh:
    return trimesh.creation.box(sides).apply_translation(at)


def remarks(shape: TriangleMesh, target: TriangleMesh, settings=FEW) -> str:
    return "; ".join(compare(shape, target, ("iou",), settings).remarks)


def test_units_and_places_are_said_with_their_factor():
    target = mesh_of(box((1, 0.8, 0.6)))
    assert "1,000 times as large as its target, as millimetres instead of metres" in remarks(
        mesh_of(box((1000, 800, 600))), target
    )
    assert "0.01 times as large" in remarks(mesh_of(box((0.01, 0.008, 0.006))), target)
    assert "lies 50 sizes of the target away" in remarks(mesh_of(box((1, 0.8, 0.6), (50, 0, 0))), target)
    assert remarks(mesh_of(box((0.9, 0.8, 0.5))), target) == ""
    each = ComparisonSettings(points=5000, align="each")
    assert remarks(mesh_of(box((1000, 800, 600))), target, each) == "", "sizes do not count there"


def test_parts_that_voxels_cannot_see_are_said():
    solid = box((1, 1, 1))
    leaf = box((1, 0.5, 0.001), (0, 0, 1.0))
    said = remarks(mesh_of(solid, leaf), mesh_of(solid, leaf))
    assert "voxels do not see" in said
    assert "the shape's" in said
    assert "the target's" in said


def test_iou_keeps_its_resolution_where_a_part_lies_far_away():
    """Oracle: volumes. A cube of side 1 against one of 1 x 1 x 2, and a crumb a hundred sides away."""
    crumb = box((0.1, 0.1, 0.1), (100, 0, 0))
    target = mesh_of(box((1, 1, 2)))
    for align in ("target", "none"):
        settings = ComparisonSettings(points=5000, align=align)
        value = compare(mesh_of(box(), crumb), target, ("iou",), settings).values["iou"]
        assert value == pytest.approx(1 / (2 + 0.001), rel=0.03)
    large = box((1, 1, 1), (5, 0, 0))
    settings = ComparisonSettings(points=50_000)
    values = compare(mesh_of(box(), large), target, ("iou", "iou_points"), settings).values
    assert values["iou"] == pytest.approx(1 / 3, rel=0.06)
    assert values["iou_points"] == pytest.approx(1 / 3, rel=0.06)


def test_volume_beyond_the_cube_is_that_of_what_lies_there():
    shape = mesh_of(box((1, 1, 1), (3, 0, 0)), box((2, 0.5, 0.5), (0.5, 0, 0)))
    assert voxels.volume_beyond(shape) == pytest.approx(1 + 0.25, rel=0.05)
    assert voxels.volume_beyond(mesh_of(box((0.9, 0.9, 0.9)))) == 0


def inverted(shape: trimesh.Trimesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(shape.vertices, shape.faces[:, ::-1], process=False)


def test_a_part_wound_inwards_among_overlapping_ones_is_solid_and_a_cavity_stays_one():
    first, second = box((0.5, 0.4, 0.4), (-0.1, 0, 0)), box((0.5, 0.4, 0.4), (0.1, 0, 0))
    good = voxels.voxelise(mesh_of(first, second))
    np.testing.assert_array_equal(voxels.voxelise(mesh_of(first, inverted(second))), good)
    np.testing.assert_array_equal(voxels.voxelise(mesh_of(inverted(first), inverted(second))), good)
    shell = mesh_of(box((0.9, 0.9, 0.9)), inverted(box((0.5, 0.5, 0.5))))
    inside = voxels.contains(shell, np.array([[0.0, 0, 0], [0.35, 0, 0], [0.6, 0, 0]]))
    np.testing.assert_array_equal(inside, [False, True, False])

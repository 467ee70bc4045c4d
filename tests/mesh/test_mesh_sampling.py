"""Checking and cleaning meshes, points from their surfaces, where they are placed."""

import numpy as np
import pytest
import trimesh
from scipy import stats

from liftnet.core.errors import LiftnetError
from liftnet.mesh.mesh import (
    Placement,
    TriangleMesh,
    check_mesh,
    clean_mesh,
    face_areas,
    face_normals,
    normalise,
    normalising,
    sample_surface,
)


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


@pytest.mark.parametrize(
    ("vertices", "faces", "error", "reason"),
    [
        (np.zeros((3, 2)), [[0, 1, 2]], ValueError, "vertices"),
        (np.zeros((3, 3), complex), [[0, 1, 2]], ValueError, "vertices"),
        (np.eye(3), [[0, 1]], ValueError, "faces"),
        (np.eye(3), [[0.0, 1, 2]], ValueError, "faces"),
        (np.zeros((0, 3)), np.zeros((0, 3), int), LiftnetError, "empty"),
        (np.eye(3), np.zeros((0, 3), int), LiftnetError, "no faces"),
        (np.eye(3), [[0, 1, 3]], LiftnetError, "1 corners"),
        (np.eye(3), [[0, 1, -1]], LiftnetError, "1 corners"),
        (np.diag([1, np.nan, 1]), [[0, 1, 2]], LiftnetError, "1 of its 3 vertices"),
    ],
)
def test_arrays_that_are_no_mesh(vertices, faces, error, reason):
    with pytest.raises(error, match=reason):
        check_mesh(vertices, faces)


@pytest.mark.parametrize("scale", [1e-40, 1e40])
def test_sizes_beyond_numbers_are_refused(scale):
    with pytest.raises(LiftnetError, match="longest side"):
        clean_mesh(TriangleMesh(np.eye(3) * scale, np.array([[0, 1, 2]])))


def test_cleaning_a_soup_gives_the_mesh_it_came_from():
    ball = mesh_of(trimesh.creation.icosphere(3))
    order = np.random.default_rng(0).permutation(len(ball.faces))
    soup = TriangleMesh(ball.corners[order].reshape(-1, 3), np.arange(3 * len(ball.faces)).reshape(-1, 3))
    cleaned, dropped = clean_mesh(soup)
    assert (len(cleaned.vertices), len(cleaned.faces)) == (642, 1280)
    assert (dropped.merged, dropped.flat, dropped.doubled, dropped.unused) == (3840 - 642, 0, 0, 0)
    np.testing.assert_array_equal(cleaned.corners, ball.corners[order])  # order and winding are kept
    again, nothing = clean_mesh(cleaned)
    assert str(nothing) == "nothing"
    np.testing.assert_array_equal(again.faces, cleaned.faces)


def test_minus_zero_is_zero():
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [-0.0, 0, -0.0], [1, 0, 0], [0, 0, 1]])
    assert len(clean_mesh(TriangleMesh(corners, np.array([[0, 1, 2], [3, 4, 5]])))[0].vertices) == 4


def test_slivers_of_fine_scans_stay_and_rounding_errors_go():
    far = 1000.0
    sliver = np.array([[far, 0, 0], [far + 1, 0, 0], [far + 0.5, 1e-9, 0]])
    assert len(clean_mesh(TriangleMesh(sliver, np.array([[0, 1, 2]])))[0].faces) == 1
    line = np.array([[0.1, 0.1, 0.1], [0.2, 0.2, 0.2], [0.3, 0.3, 0.3], [0, 0, 1]])
    cleaned, dropped = clean_mesh(TriangleMesh(line, np.array([[0, 1, 2], [0, 1, 3]])))
    assert (len(cleaned.faces), dropped.flat, dropped.unused) == (1, 1, 1)


def test_areas_and_normals_are_those_of_trimesh():
    shape = trimesh.creation.torus(1, 0.3)
    mesh = mesh_of(shape)
    np.testing.assert_allclose(face_areas(mesh), shape.area_faces, atol=1e-12)
    np.testing.assert_allclose(face_normals(mesh), shape.face_normals, atol=1e-9)


def test_points_are_even_and_lie_on_their_faces():
    mesh = mesh_of(trimesh.creation.box(extents=(1, 2, 5)))
    samples = sample_surface(mesh, 40_000, seed=3)
    expected = face_areas(mesh) / 34 * 40_000
    assert stats.chisquare(np.bincount(samples.faces, minlength=12), expected).pvalue > 1e-3
    corners = mesh.corners[samples.faces]
    offset = ((samples.points - corners[:, 0]) * samples.normals).sum(1)
    np.testing.assert_allclose(offset, 0, atol=1e-12)
    # within one triangle the mean is the centre, and every quarter of it (cut at the middles) is as likely
    triangle = TriangleMesh(np.eye(3), np.array([[0, 1, 2]]))
    weights = sample_surface(triangle, 40_000, seed=1).points
    np.testing.assert_allclose(weights.mean(0), 1 / 3, atol=0.005)
    assert stats.chisquare([*(weights > 0.5).sum(0), (weights <= 0.5).all(1).sum()]).pvalue > 1e-3


def test_points_depend_on_the_seed_alone():
    mesh = chair()
    first, again, other = (sample_surface(mesh, 1000, seed).points for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    for count in (0, -1):
        with pytest.raises(ValueError, match="at least one"):
            sample_surface(mesh, count, 0)
    with pytest.raises(ValueError, match="area"):
        sample_surface(TriangleMesh(np.zeros((3, 3)), np.array([[0, 1, 2]])), 5, 0)


def test_normalising():
    mesh = Placement(3.0, np.eye(3), np.array([7.0, -2, 1])).mesh(chair())
    ball, cube = normalise(mesh, "sphere"), normalise(mesh, "side")
    for placed in (ball, cube):
        np.testing.assert_allclose(placed.vertices.min(0) + placed.vertices.max(0), 0, atol=1e-12)
    assert np.linalg.norm(ball.vertices, axis=1).max() == pytest.approx(0.5)
    assert np.ptp(cube.vertices, axis=0).max() == pytest.approx(1)
    with pytest.raises(ValueError, match="extent"):
        normalising(TriangleMesh(np.ones((3, 3)), np.array([[0, 1, 2]])))


def test_one_placement_after_another():
    turn = trimesh.transformations.rotation_matrix(0.7, [1, 2, 3])[:3, :3]
    first = Placement(2.0, turn, np.array([1.0, 2, 3]))
    second = Placement(0.5, turn.T @ turn.T, np.array([-4.0, 0, 1]))
    points = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(first.then(second).points(points), second.points(first.points(points)))

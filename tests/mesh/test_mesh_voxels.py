"""Voxels and inside tests, beside trimesh and known solids."""

import numpy as np
import pytest
import trimesh

from liftnet.mesh import voxels
from liftnet.mesh.mesh import TriangleMesh


def mesh_of(shape: trimesh.Trimesh) -> TriangleMesh:
    return TriangleMesh(np.asarray(shape.vertices, np.float64), np.asarray(shape.faces, np.int64))


def ball(radius: float, at=(0, 0, 0), subdivisions: int = 4) -> TriangleMesh:
    return mesh_of(trimesh.creation.icosphere(subdivisions, radius=radius).apply_translation(at))


def box(side: float, at=(0, 0, 0)) -> TriangleMesh:
    return mesh_of(trimesh.creation.box(extents=(side,) * 3).apply_translation(at))


@pytest.mark.parametrize("resolution", [16, 32, 50])
def test_a_box_fills_exactly_its_voxels(resolution):
    grid = voxels.voxelise(box(0.5), resolution)
    centres = np.abs(voxels.grid_centres(resolution)).reshape(resolution, resolution, resolution, 3)
    surely, surely_not = (centres < 0.25 - 1e-9).all(-1), (centres > 0.25 + 1e-9).any(-1)
    assert grid[surely].all()
    assert not grid[surely_not].any()


def test_volumes_of_known_solids():
    for solid, volume in (
        (ball(0.4), trimesh.creation.icosphere(4, radius=0.4).volume),
        (mesh_of(trimesh.creation.torus(0.3, 0.15)), trimesh.creation.torus(0.3, 0.15).volume),
        (mesh_of(trimesh.creation.annulus(0.2, 0.4, 0.5)), trimesh.creation.annulus(0.2, 0.4, 0.5).volume),
        (mesh_of(trimesh.creation.capsule(0.5, 0.2)), trimesh.creation.capsule(0.5, 0.2).volume),
    ):
        middle = TriangleMesh(solid.vertices - (solid.vertices.max(0) + solid.vertices.min(0)) / 2, solid.faces)
        assert voxels.voxelise(middle, 48).mean() == pytest.approx(volume, rel=0.02)


def test_points_are_inside_as_trimesh_says():
    shape = trimesh.creation.torus(0.3, 0.1).apply_transform(trimesh.transformations.rotation_matrix(0.8, [1, 2, 3]))
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (3000, 3))
    np.testing.assert_array_equal(voxels.contains(mesh_of(shape), points), shape.contains(points))


def test_points_at_a_known_distance_from_the_surface_of_a_ball():
    directions = np.random.default_rng(1).normal(size=(20_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    mesh = ball(1.0)  # its faces lie between .998 and 1
    assert voxels.contains(mesh, directions * 0.997).all()
    assert not voxels.contains(mesh, directions * 1.0001).any()


def test_rays_through_edges_and_corners_meet_one_face():
    shape = trimesh.creation.box(extents=(1, 1, 1)).subdivide().subdivide()
    grid = np.stack(np.meshgrid(*[np.arange(-0.375, 0.5, 0.125)] * 3), -1).reshape(-1, 3)  # on lines of the faces
    assert voxels.contains(mesh_of(shape), grid).all()
    assert not voxels.contains(mesh_of(shape), grid + np.array([0, 1, 0])).any()
    octahedron = mesh_of(trimesh.creation.icosphere(0))
    assert voxels.contains(octahedron, np.zeros((1, 3))).all()


@pytest.mark.parametrize("inside_out", [False, True])
def test_winding_of_a_whole_mesh_does_not_matter(inside_out):
    mesh = ball(0.4, subdivisions=2)
    turned = TriangleMesh(mesh.vertices, mesh.faces[:, ::-1] if inside_out else mesh.faces)
    np.testing.assert_array_equal(voxels.voxelise(turned, 16), voxels.voxelise(mesh, 16))


def test_faces_wound_at_random_are_counted_by_parity():
    mesh = ball(0.4, subdivisions=3)
    flipped = np.random.default_rng(0).random(len(mesh.faces)) < 0.5
    faces = np.where(flipped[:, None], mesh.faces[:, ::-1], mesh.faces)
    assert voxels.miswound_fraction(mesh) == 0
    assert voxels.miswound_fraction(TriangleMesh(mesh.vertices, faces)) > 0.1
    np.testing.assert_array_equal(voxels.voxelise(TriangleMesh(mesh.vertices, faces)), voxels.voxelise(mesh))


def test_overlapping_parts_are_one_solid_and_a_shell_wound_inwards_is_a_hole():
    shapes = [trimesh.creation.box(extents=(0.6, 0.6, 0.6)).apply_translation([x, 0, 0]) for x in (-0.1, 0.1)]
    both = voxels.voxelise(mesh_of(trimesh.util.concatenate(shapes)), 40)
    assert both.mean() == pytest.approx(0.8 * 0.6 * 0.6, rel=1e-9)
    outer, inner = trimesh.creation.icosphere(4, radius=0.45), trimesh.creation.icosphere(4, radius=0.3)
    inner.invert()
    hollow = voxels.voxelise(mesh_of(trimesh.util.concatenate([outer, inner])), 48)
    assert hollow.mean() == pytest.approx(outer.volume + inner.volume, rel=0.01)


def test_a_statue_without_a_bottom_is_solid():
    whole = trimesh.creation.icosphere(4, radius=0.45)
    kept = whole.triangles_center[:, 1] > -0.35
    open_below = TriangleMesh(whole.vertices.view(np.ndarray), whole.faces.view(np.ndarray)[kept])
    grid, full = voxels.voxelise(open_below, 40), voxels.voxelise(mesh_of(whole), 40)
    assert voxels.iou(grid, full) > 0.93
    along_y = voxels.grid_centres(40).reshape(40, 40, 40, 3)[..., 1]
    above = along_y > -0.33  # below the rim nothing is closed
    np.testing.assert_array_equal(grid[above], full[above])


def test_intersection_over_union_of_shifted_cubes():
    grids = [voxels.voxelise(box(0.5, (shift, 0, 0)), 32) for shift in (-0.125, 0.125)]
    assert voxels.iou(*grids) == pytest.approx(1 / 3)  # half of each is shared
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (100_000, 3))
    answers = [voxels.contains(box(0.5, (shift, 0, 0)), points) for shift in (-0.125, 0.125)]
    assert voxels.iou(*answers) == pytest.approx(1 / 3, abs=0.01)
    assert np.isnan(voxels.iou(np.zeros(3, bool), np.zeros(3, bool)))
    with pytest.raises(ValueError, match="N, 3"):
        voxels.contains(box(1), np.zeros((4, 2)))


def test_a_flood_fills_what_a_surface_encloses_and_enters_through_a_missing_side():
    """A box of 16 voxels a side whose faces run through the middle of voxels: with these it is 17 wide."""
    closed = box(0.5, (1 / 64,) * 3)
    corners = closed.corners[:, :, 0]
    opened = TriangleMesh(closed.vertices, closed.faces[np.ptp(corners, axis=1) + (corners.max(1) < 0.2) > 0])
    assert len(opened.faces) == len(closed.faces) - 2
    assert voxels.flooded(closed, 32).sum() == 17**3
    assert voxels.flooded(opened, 32).sum() == 17**3 - 15 * 15 * 16  # the inside, and the middle of the missing side


def test_patches_that_cover_a_shape_flood_as_one_whatever_their_winding():
    """Every triangle by itself, half of them turned: no edge has two faces."""
    whole = ball(0.4, subdivisions=3)
    faces = np.arange(3 * len(whole.faces)).reshape(-1, 3)
    faces[::2] = faces[::2, ::-1]
    grid = voxels.flooded(TriangleMesh(whole.corners.reshape(-1, 3), faces))
    assert (grid == voxels.flooded(whole)).all()
    radius = np.linalg.norm(voxels.grid_centres(32), axis=1).reshape(grid.shape)
    assert grid[radius < 0.39].all()
    assert not grid[radius > 0.4 + 0.5 * 3**0.5 / 32].any()


def test_a_flood_leaves_out_what_lies_beyond_the_cube():
    assert voxels.flooded(box(4.0), 16).sum() == 0
    assert voxels.flooded(box(4.0), 16, (-2.5, 2.5)).sum() > 1000


def test_points_of_the_outside_spare_what_lies_within_another_part():
    apart, radius = 0.3, 0.25
    whole = trimesh.util.concatenate([trimesh.creation.icosphere(4, radius=radius).apply_translation([x, 0, 0])
                                      for x in (-apart / 2, apart / 2)])  # fmt: skip
    outside = voxels.sample_outside(mesh_of(whole), 4000, seed=1)
    distance = np.linalg.norm(outside.points[:, None] - [[-apart / 2, 0, 0], [apart / 2, 0, 0]], axis=2)
    assert (distance.min(1) > radius - 2e-3).all()
    cap = (radius - apart / 2) / (2 * radius)  # share of a ball's surface within the other: 2 pi r h of 4 pi r^2
    assert outside.hidden == pytest.approx(cap, abs=0.02)
    left = (outside.points[:, 0] < 0).mean()
    assert left == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(outside.points, voxels.sample_outside(mesh_of(whole), 4000, seed=1).points)


def test_normals_point_outwards_however_the_surface_is_wound():
    solid = ball(0.4)
    inward = TriangleMesh(solid.vertices, solid.faces[:, ::-1])
    outside = voxels.sample_outside(inward, 500, seed=0)
    assert ((outside.points * outside.normals).sum(1) > 0.39).all()
    sheet = TriangleMesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]]), np.array([[0, 1, 2]]))
    np.testing.assert_allclose(voxels.sample_outside(sheet, 10, seed=0).normals, np.tile([0, 0, 1], (10, 1)))


def test_no_points_are_drawn_of_nothing():
    with pytest.raises(ValueError, match="at least one point"):
        voxels.sample_outside(ball(0.4, subdivisions=1), 0, seed=0)
    flat = TriangleMesh(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match="area of 0"):
        voxels.sample_outside(flat, 10, seed=0)


def test_thin_parts_become_one_voxel_thick_and_connected_and_nothing_else_grows():
    from scipy.ndimage import label

    plate = mesh_of(trimesh.creation.box((0.8, 0.006, 0.6)))  # at y = 0, between two layers of centres
    assert not voxels.voxelise(plate, 32).any()
    filled = voxels.with_thin_parts(voxels.voxelise(plate, 32), plate, seed=0)
    assert label(filled, np.ones((3, 3, 3)))[1] == 1
    seen = filled.any(axis=1)
    centres = np.abs((np.arange(32) + 0.5) / 32 - 0.5)
    assert seen[np.ix_(centres < 0.4, centres < 0.3)].all()
    assert not seen[np.ix_(centres > 0.42, centres > 0.32)].any()
    assert filled.any(axis=(0, 2)).sum() <= 2
    pole = mesh_of(trimesh.creation.cylinder(0.004, 0.9))
    filled = voxels.with_thin_parts(voxels.voxelise(pole, 32), pole, seed=0)
    assert label(filled, np.ones((3, 3, 3)))[1] == 1
    assert filled.any(axis=(0, 1)).sum() == 30  # .9 of 32 voxels, begun ones counted
    for solid in (ball(0.4), box(0.51)):
        whole = voxels.voxelise(solid, 32)
        np.testing.assert_array_equal(voxels.with_thin_parts(whole, solid, seed=0), whole)


@pytest.mark.parametrize("turned", [0.0, 0.3])
def test_voxels_are_those_whose_centres_are_within_whatever_the_winding(turned):
    rng = np.random.default_rng(5)
    block, ring = trimesh.creation.box((0.9, 0.2, 0.25)), trimesh.creation.torus(0.3, 0.1)
    parts = trimesh.util.concatenate([trimesh.creation.icosphere(2, radius=0.3), block, ring])
    whole = mesh_of(parts)
    faces = np.where(rng.random(len(whole.faces))[:, None] < turned, whole.faces[:, ::-1], whole.faces)
    for mesh in (TriangleMesh(whole.vertices, faces), TriangleMesh(whole.vertices, faces[::3])):
        for resolution in (8, 27, 32):  # of 8 and 32, corners of the box lie on lines through centres
            grid = voxels.voxelise(mesh, resolution)
            assert 0 < grid.sum() < grid.size
            within = voxels.contains(mesh, voxels.grid_centres(resolution))
            np.testing.assert_array_equal(grid.ravel(), within)

"""Distances between point sets, voxels and inside tests, beside outside implementations and known solids."""

import numpy as np
import ot
import point_cloud_utils as pcu
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from liftnet.mesh import voxels
from liftnet.mesh.mesh import TriangleMesh
from liftnet.mesh.sampling import sample_surface
from liftnet.shape import distances
from liftnet.shape.differentiable_distances import chamfer, nearest_in_chunks
from liftnet.shape.distances import earth_mover, nearest


def mesh_of(shape: trimesh.Trimesh) -> TriangleMesh:
    return TriangleMesh(np.asarray(shape.vertices, np.float64), np.asarray(shape.faces, np.int64))


def ball(radius: float, at=(0, 0, 0), subdivisions: int = 4) -> TriangleMesh:
    return mesh_of(trimesh.creation.icosphere(subdivisions, radius=radius).apply_translation(at))


def box(side: float, at=(0, 0, 0)) -> TriangleMesh:
    return mesh_of(trimesh.creation.box(extents=(side,) * 3).apply_translation(at))


def clouds(count: int = 3000):
    generator = np.random.default_rng(4)
    return generator.normal(size=(count, 3)), generator.normal(size=(count + 500, 3)) * [1, 2, 0.5] + 0.3


def test_distances_are_those_of_the_definition():
    points, target = (cloud[:400] for cloud in clouds())
    table = np.linalg.norm(points[:, None] - target[None], axis=-1)
    pair = nearest(points, target)
    np.testing.assert_allclose(pair.accuracy, table.min(1))
    np.testing.assert_allclose(pair.completeness, table.min(0))
    np.testing.assert_array_equal(pair.partner, table.argmin(1))
    np.testing.assert_array_equal(pair.target_partner, table.argmin(0))
    assert distances.chamfer_l1(pair) == pytest.approx(0.5 * (table.min(1).mean() + table.min(0).mean()))
    assert distances.chamfer_l2(pair) == pytest.approx((table.min(1) ** 2).mean() + (table.min(0) ** 2).mean())
    assert distances.hausdorff(pair) == pytest.approx(max(table.min(1).max(), table.min(0).max()))
    right, found = (table.min(1) < 0.3).mean(), (table.min(0) < 0.3).mean()
    assert distances.f_score(pair, 0.3) == pytest.approx(2 * right * found / (right + found))
    assert distances.f_score(pair, 1e-6) == 0


def test_chamfer_and_hausdorff_are_those_of_point_cloud_utils():
    points, target = clouds()
    pair = nearest(points, target)
    assert 2 * distances.chamfer_l1(pair) == pytest.approx(pcu.chamfer_distance(points, target))
    assert distances.hausdorff(pair) == pytest.approx(pcu.hausdorff_distance(points, target))
    theirs = pcu.k_nearest_neighbors(points, target, 1)
    np.testing.assert_array_equal(pair.partner, theirs[1])


def test_concentric_spheres_and_shifted_planes():
    inner, outer = (
        sample_surface(ball(radius, subdivisions=5), 20_000, seed).points for seed, radius in enumerate((1, 1.5))
    )
    pair = nearest(inner, outer)
    assert distances.chamfer_l1(pair) == pytest.approx(0.5, abs=0.003)
    assert distances.chamfer_l2(pair) == pytest.approx(0.5, abs=0.006)
    assert distances.f_score(pair, 0.49) == 0
    assert distances.f_score(pair, 0.55) == 1
    grid = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0), [0.0]), -1).reshape(-1, 3)
    moved = nearest(grid + np.array([0, 0, 0.25]), grid)
    assert distances.chamfer_l1(moved) == 0.25
    assert distances.chamfer_l2(moved) == 2 * 0.0625
    assert distances.hausdorff(moved) == 0.25
    assert distances.f_score(moved, 0.25) == 0, "the comparison is strict"
    assert distances.f_score(moved, 0.2500001) == 1
    assert earth_mover(grid + np.array([0, 0, 0.25]), grid) == pytest.approx(0.25)


def test_normals_count_without_their_sign():
    points = np.eye(3)
    normals = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    pair = nearest(points, points)
    assert distances.normal_consistency(pair, normals, -normals) == 1
    turned = np.array([[np.cos(0.4), np.sin(0.4), 0]] * 3)
    expected = (np.cos(0.4) + np.sin(0.4) + 0) / 3
    assert distances.normal_consistency(pair, normals, turned) == pytest.approx(expected)


@pytest.mark.parametrize("function", [nearest, earth_mover])
def test_point_sets_of_the_wrong_shape(function):
    for wrong in (np.zeros((0, 3)), np.zeros((4, 2)), np.zeros(3)):
        with pytest.raises(ValueError, match="N, 3"):
            function(wrong, wrong)


@pytest.mark.parametrize("count", [1, 2, 150])
def test_the_earth_movers_distance_is_that_of_pot(count):
    points, target = (cloud[:count] for cloud in clouds())
    costs = np.linalg.norm(points[:, None] - target[None], axis=-1)
    assert earth_mover(points, target) == pytest.approx(ot.emd2([], [], costs), rel=1e-9)
    assert earth_mover(points, points[::-1]) == pytest.approx(0)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10**6))
def test_torch_and_numpy_agree_on_any_cloud(first, second, seed):
    generator = np.random.default_rng(seed)
    points, target = generator.normal(size=(first, 3)), generator.normal(size=(second, 3))
    pair = nearest(points, target)
    tensors = torch.from_numpy(points), torch.from_numpy(target)
    assert chamfer(*tensors).item() == pytest.approx(distances.chamfer_l2(pair))
    assert chamfer(*tensors, squared=False).item() == pytest.approx(distances.chamfer_l1(pair))
    np.testing.assert_array_equal(nearest_in_chunks(*tensors, chunk=7).numpy(), pair.partner)


def test_gradient_of_the_chamfer_distance():
    points, target = (torch.from_numpy(cloud[:7]).requires_grad_() for cloud in clouds())
    for squared in (True, False):
        assert torch.autograd.gradcheck(lambda a, b, s=squared: chamfer(a, b, s), (points, target))
    batch = torch.stack([points, points + 1]), torch.stack([target, target])
    both = chamfer(*batch)
    assert both.shape == (2,)
    assert both[0].item() == pytest.approx(chamfer(points, target).item())
    same = points.detach().clone().requires_grad_()
    chamfer(same, same.detach(), squared=False).backward()
    assert torch.equal(same.grad, torch.zeros_like(same)), "no NaN where a distance is 0"


def test_gradient_of_the_chamfer_distance_in_single_precision():
    points = torch.randn(50, 3, requires_grad=True)
    chamfer(points, torch.randn(60, 3)).backward()
    assert points.grad is not None
    assert points.grad.dtype == torch.float32
    for wrong in (torch.zeros(0, 3), torch.zeros(4, 2), torch.zeros(2, 4, 3)):
        with pytest.raises(ValueError, match="N, 3"):
            chamfer(points, wrong)


# --- inside and outside -------------------------------------------------------------------------------------------


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
    assert voxels.miswound_share(mesh) == 0
    assert voxels.miswound_share(TriangleMesh(mesh.vertices, faces)) > 0.1
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

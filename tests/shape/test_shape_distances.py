"""Distances between point sets, beside outside implementations and known solids."""

import numpy as np
import ot
import point_cloud_utils as pcu
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from liftnet.mesh.mesh import TriangleMesh, sample_surface
from liftnet.shape import distances
from liftnet.shape.distances import chamfer, earth_mover, nearest, nearest_in_chunks


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

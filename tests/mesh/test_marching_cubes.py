"""Marching cubes: the surface, its closedness, and its gradient to the grid."""

import numpy as np
import pytest
import torch
from skimage.measure import marching_cubes

from liftnet.mesh.marching_cubes import MarchingCubes, extract_surface, keep_apart
from liftnet.shape.distances import chamfer


def coordinates(resolution: int, dtype=torch.float64) -> torch.Tensor:
    along = (torch.arange(resolution, dtype=dtype) + 0.5) / resolution - 0.5
    return torch.stack(torch.meshgrid(along, along, along, indexing="ij"))


def bumpy(resolution: int) -> torch.Tensor:
    """Signed distance of a bumpy ball, negative inside."""
    x = coordinates(resolution)
    return x.norm(dim=0) - 0.3 + 0.05 * torch.sin(10 * x[0]) * torch.cos(7 * x[1] + 1)


def noise(seed: int, side: int = 5) -> torch.Tensor:
    return torch.nn.functional.pad(
        torch.from_numpy(np.random.default_rng(seed).normal(size=(side,) * 3)), (1,) * 6, value=-1.0
    )


def volume(vertices: torch.Tensor, faces: torch.Tensor) -> float:
    return float(torch.linalg.det(vertices[faces].double()).sum() / 6)


def is_closed(faces: torch.Tensor) -> bool:
    """Whether every edge is run through as often one way as the other."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).numpy()
    there = np.unique(edges, axis=0, return_counts=True)
    back = np.unique(edges[:, ::-1], axis=0, return_counts=True)
    return all(np.array_equal(a, b) for a, b in zip(there, back, strict=True))


def test_vertices_and_faces_are_those_of_scikit_image():
    field = bumpy(24)
    vertices, faces = extract_surface(field, 0.02, inside="below")
    theirs, their_faces, _, _ = marching_cubes(field.numpy(), 0.02)
    np.testing.assert_allclose(vertices.numpy(), theirs, atol=1e-5)
    np.testing.assert_array_equal(faces.numpy(), their_faces)


def test_vertices_within_cubes_are_those_of_scikit_image():
    """Noise has the ambiguous cubes in whose middle Lewiner's cases put a vertex."""
    middles = 0
    for seed in range(12):
        field = noise(seed)
        vertices, faces = extract_surface(field, 0.0)
        theirs, _, _, _ = marching_cubes(field.numpy(), 0.0, allow_degenerate=True)
        np.testing.assert_allclose(vertices.numpy(), theirs, atol=1e-4)
        assert is_closed(faces)
        middles += int(((vertices - vertices.round()).abs() > 1e-9).sum(1).gt(1).sum())
    assert middles > 20


@pytest.mark.parametrize("inside", ["above", "below"])
def test_faces_are_wound_outwards_and_the_volume_is_right(inside):
    sign = -1 if inside == "above" else 1
    ball = sign * (coordinates(40).norm(dim=0) - 0.35)
    vertices, faces = extract_surface(ball, 0.0, 1 / 40, -0.5 + 0.5 / 40, inside)
    assert volume(vertices, faces) == pytest.approx(4 / 3 * np.pi * 0.35**3, rel=0.01)
    np.testing.assert_allclose(vertices.norm(dim=1), 0.35, atol=0.002)


def test_spacing_and_origin_place_the_surface_in_the_world():
    field = bumpy(8)
    plain, faces = extract_surface(field, 0.0)
    placed, same = extract_surface(field, 0.0, (0.1, 0.2, 0.3), (5.0, -1.0, 2.0))
    np.testing.assert_allclose(placed.numpy(), plain.numpy() * [0.1, 0.2, 0.3] + [5.0, -1, 2], atol=1e-6)
    assert torch.equal(faces, same)


@pytest.mark.parametrize("make", [lambda: bumpy(6), lambda: noise(3, 4)])
def test_gradient_to_the_grid(make):
    field = make().requires_grad_()
    weights = torch.randn(extract_surface(field, 0.01)[0].shape, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda grid: (extract_surface(grid, 0.01, 0.25, -1.0)[0] * weights).sum(), field, eps=1e-7, atol=1e-5
    )


def test_gradient_of_the_volume_is_that_of_finite_differences():
    """The volume does not know how its surface is cut into triangles: a check through the whole layer."""
    field = (0.3 - coordinates(12).norm(dim=0)).requires_grad_()

    def enclosed(grid):
        vertices, faces = extract_surface(grid, 0.0, 1 / 12)
        return torch.linalg.det(vertices[faces]).sum() / 6

    (gradient,) = torch.autograd.grad(enclosed(field), field)
    direction = torch.randn(field.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    step = 1e-6
    with torch.no_grad():
        difference = (enclosed(field + step * direction) - enclosed(field - step * direction)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(float(difference), rel=1e-5)


def test_values_at_the_level_keep_the_surface_closed_and_the_gradient_finite():
    field = torch.zeros(8, 8, 8, dtype=torch.float64)
    field[2:6, 2:6, 2:6] = 1.0
    field[3:5, 3:5, 6] = 0.5  # exactly at the level, beside values above and below
    field.requires_grad_()
    vertices, faces = extract_surface(field, 0.5)
    assert is_closed(faces)
    vertices.square().sum().backward()
    assert torch.isfinite(field.grad).all()
    exact = extract_surface(torch.round(coordinates(9).norm(dim=0) * 9), 3.0, inside="below")  # many ties
    assert is_closed(exact[1])


def test_values_that_barely_cross_are_interpolated_all_the_same():
    field = torch.full((4, 4, 4), -1.0)
    field[1, 1, 1] = 1e-7
    vertices, faces = extract_surface(field, 0.0)
    assert len(vertices) == 6
    assert is_closed(faces)
    np.testing.assert_allclose(vertices.numpy(), 1, atol=1e-6)


def test_grids_without_a_surface():
    for value, side in ((0.0, "below"), (1.0, "above")):
        with pytest.raises(ValueError, match=f"all 64 values are {side} the level 0.5"):
            extract_surface(torch.full((4, 4, 4), value))
        grid = torch.full((4, 4, 4), value, requires_grad=True)
        vertices, faces = extract_surface(grid, empty="mesh")
        assert vertices.shape == faces.shape == (0, 3)
        vertices.sum().backward()
        assert torch.equal(grid.grad, torch.zeros(4, 4, 4))
    broken = bumpy(4)
    broken[1, 2, 3] = torch.nan
    with pytest.raises(ValueError, match="1 values of the grid are NaN"):
        extract_surface(broken)
    for wrong in (torch.zeros(4, 4), torch.zeros(1, 4, 4), torch.zeros(4, 4, 4, dtype=torch.long)):
        with pytest.raises(ValueError, match="X, Y, Z"):
            extract_surface(wrong)


def test_the_layer_makes_closed_meshes_of_a_batch_of_probabilities():
    full = torch.ones(1, 1, 8, 8, 8)
    layer = MarchingCubes()
    vertices, faces = layer(torch.cat([full, full * 0.75]))
    for corners, triangles in zip(vertices, faces, strict=True):
        assert is_closed(triangles)
        assert corners.dtype == torch.float32
    # at level .5 the surface lies half a voxel beyond the outer centres of ones, a third beyond those of .75
    assert vertices[0].abs().max().item() == pytest.approx(0.5)
    assert vertices[1].abs().max().item() == pytest.approx(0.5 - 0.5 / 8 + 1 / 24)
    with pytest.raises(ValueError, match="no surface"):
        MarchingCubes(pad=False)(full)
    assert len(MarchingCubes(pad=False, empty="mesh")(full)[0][0]) == 0
    with pytest.raises(ValueError, match="below the level"):
        MarchingCubes(level=0.0)
    with pytest.raises(ValueError, match="B, R, R, R"):
        layer(torch.ones(8, 8, 8))
    halves = layer(full.to(torch.bfloat16))[0][0]
    assert halves.dtype == torch.float32


def test_a_grid_is_fitted_to_a_ball_through_the_points_of_its_surface():
    torch.manual_seed(0)
    target = torch.nn.functional.normalize(torch.randn(400, 3), dim=1) * 0.35
    logits = (4 * (0.2 - coordinates(12, torch.float32).abs().amax(0)) / 0.2).requires_grad_()  # a cube
    layer = MarchingCubes(level=0.0, outside=-4.0)
    optimiser = torch.optim.Adam([logits], lr=0.15)
    losses = []
    for _ in range(30):
        (vertices,), _ = layer(logits[None])
        loss = chamfer(vertices, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 8
    assert vertices.norm(dim=1).sub(0.35).abs().mean() < 0.02


def test_values_are_kept_apart_from_the_level_and_their_gradient_passes_as_it_is():
    values = torch.tensor([0.2, 0.499, 0.5, 0.5001, 0.8], dtype=torch.float64, requires_grad=True)
    apart = keep_apart(values, 0.5, 0.01)
    np.testing.assert_allclose(apart.detach(), [0.2, 0.49, 0.51, 0.51, 0.8])
    apart.backward(torch.arange(5.0, dtype=torch.float64))
    assert values.grad.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("apart", [0.0, 1e-3])
def test_values_apart_bound_the_gradient(apart):
    grid = torch.full((1, 4, 4, 4), -1.0)
    grid[0, 1, 1, 1], grid[0, 1, 1, 2] = 1e-6, -1e-6
    grid.requires_grad_()
    vertices, _ = MarchingCubes(0.0, outside=-1.0, apart=apart)(grid)
    vertices[0].sum().backward()
    assert (grid.grad.abs().max() < 500) == (apart > 0)

"""Cameras of the hemisphere, placing, and the light."""

import math

import pytest
import torch
from pydantic import ValidationError

from liftnet.drkfs.settings import MetricSettings
from liftnet.mesh.batch import Meshes
from liftnet.rasteriser import HALF_LAMBERT, hemisphere

BOX = torch.tensor([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
SIDES = torch.tensor([[0, 1, 3], [4, 6, 7], [0, 4, 5], [2, 3, 7], [0, 2, 6], [1, 5, 7]])  # one triangle of each side


def eyes_of(cameras):
    return -torch.einsum("nji,nj->ni", cameras.rotation, cameras.translation)


@pytest.mark.parametrize("count", [1, 25, 400])
def test_cameras_stand_on_the_upper_half_and_see_the_origin_in_the_middle(count):
    cameras = hemisphere(count)
    eyes = eyes_of(cameras)
    torch.testing.assert_close(eyes.norm(dim=1), torch.full((count,), 2.0))
    assert bool((eyes[:, 1] > 0).all())
    middle = cameras.project(torch.zeros(1, 3))[:, 0]
    torch.testing.assert_close(middle, torch.tensor([0.0, 0.0, 2.0]).expand(count, 3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("count", [25, 200])
def test_cameras_are_spread_evenly(count):
    """No two are much nearer than in the densest packing, and no direction is much farther from all of them."""
    eyes = torch.nn.functional.normalize(eyes_of(hemisphere(count)), dim=1)
    packed = math.sqrt(2 / math.sqrt(3) * 2 * math.pi / count)  # distance of neighbours in a hexagonal lattice
    apart = torch.cdist(eyes, eyes).fill_diagonal_(torch.inf).amin(1)
    assert float(apart.min()) > 0.75 * packed
    directions = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0))
    directions = torch.nn.functional.normalize(directions, dim=1)
    directions[:, 1] = directions[:, 1].abs()
    assert float(torch.cdist(directions, eyes).amin(1).max()) < 0.95 * packed  # 0.58 of it in a hexagonal lattice


def test_the_lowest_elevation_is_kept():
    heights = eyes_of(hemisphere(50, lowest_elevation=30))[:, 1] / 2
    assert math.degrees(math.asin(float(heights.min()))) > 30
    with pytest.raises(ValidationError, match="elevation"):
        MetricSettings(lowest_elevation=90)
    with pytest.raises(ValidationError, match="views"):
        MetricSettings(views=0)


def test_a_normalised_shape_is_in_the_image_and_nearly_fills_it():
    generator = torch.Generator().manual_seed(0)
    sphere = torch.nn.functional.normalize(torch.randn(20_000, 3, generator=generator), dim=1) * 0.5
    reach = hemisphere().project(sphere)[..., :2].abs().amax((1, 2))
    margin = 9.2103 * 1e-4  # softness of sigma 1e-4 stays inside, too
    assert float(reach.max()) + math.sqrt(margin) < 1
    assert float(reach.min()) > 0.95


def test_shapes_are_normalised_by_the_vertices_in_use():
    vertices = torch.cat([BOX * torch.tensor([1.0, 2.0, 3.0]) + 5, torch.tensor([[100.0, 0, 0]])])
    (placed,) = Meshes(vertices, SIDES).normalisation().apply(Meshes(vertices, SIDES))
    placed = placed[:8]
    torch.testing.assert_close(placed.amax(0), -placed.amin(0))
    torch.testing.assert_close(placed.norm(dim=1), torch.full((8,), 0.5))
    with pytest.raises(ValueError, match="no size"):
        Meshes(torch.ones(3, 3), torch.tensor([[0, 1, 2]])).normalisation()


def test_placing_is_differentiable():
    def placed(points):
        meshes = Meshes(points, SIDES)
        return meshes.normalisation().apply(meshes)[0]

    points = BOX.double() * (1 + 0.1 * torch.rand(8, 3, generator=torch.Generator().manual_seed(1)).double())
    assert torch.autograd.gradcheck(placed, points.requires_grad_())


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (torch.zeros(4, 2), SIDES, "vertices"),
        (BOX, SIDES.float(), "whole faces"),
        (BOX, SIDES[:0], "without faces"),
        (BOX, SIDES + 2, "name vertices"),
        (BOX * torch.nan, SIDES, "finite"),
    ],
)
def test_what_is_no_mesh_is_refused(vertices, faces, message):
    with pytest.raises(ValueError, match=message):
        Meshes(vertices, faces)


def test_meshes_of_several_sizes_are_placed_one_by_one_or_alike():
    meshes = Meshes([BOX, 3 * BOX[:4] + 1], [SIDES, torch.tensor([[0, 1, 3]])])
    assert (len(meshes), repr(meshes)) == (2, "Meshes(8 vertices, 4 vertices)")
    placed = meshes.normalisation().apply(meshes)
    for number, vertices in enumerate(placed):
        alone = Meshes(meshes.vertices[number], meshes.faces[number])
        assert torch.equal(vertices, alone.normalisation().apply(alone)[0])
    alike = Meshes(BOX, SIDES).normalisation().apply(meshes)
    torch.testing.assert_close(alike[1], (3 * BOX[:4] + 1) * (0.5 / math.sqrt(3)))


def test_all_pairs_of_sides_of_a_box_differ_in_shade():
    """Also those that look away from the light; none is nearly as dark as the background, nor brighter than white."""
    shades = HALF_LAMBERT.shade(BOX[SIDES], hemisphere())
    facing = torch.linalg.cross(BOX[SIDES[:, 1]] - BOX[SIDES[:, 0]], BOX[SIDES[:, 2]] - BOX[SIDES[:, 0]], dim=1)
    outward = (facing * BOX[SIDES].mean(1)).sum(1) > 0
    assert 0.5 <= float(shades.min()) < float(shades.max()) <= 1
    for view, eye in enumerate(eyes_of(hemisphere())):
        normals = torch.where(outward[:, None], facing, -facing)
        seen = shades[view, ((normals @ eye) > 4)]  # sides that face the camera, seen from outside
        assert bool((torch.pdist(seen[:, None]) > 0.05).all())

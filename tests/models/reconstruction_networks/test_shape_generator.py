"""The Shape Generator: what its formula promises."""

import pytest
import torch
import trimesh
from scipy.spatial import cKDTree

from liftnet.mesh.templates import icosphere
from liftnet.models.reconstruction import Views, network_from
from liftnet.models.reconstruction_networks import NetworkSettings

SETTINGS = {size: NetworkSettings(architecture="shape_generator", size=size) for size in ("small", "published")}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return network_from(SETTINGS["small"])


def pictures(count):
    return Views(torch.rand(count, 4, 64, 64), torch.eye(3).expand(count, 3, 3), torch.ones(count), torch.ones(count))


def test_as_published_it_has_as_many_weights():
    with torch.device("meta"):
        published = network_from(SETTINGS["published"])
    assert sum(weight.numel() for weight in published.parameters()) == 25_961_417


@torch.no_grad()
def test_without_bias_it_is_a_sphere_of_radius_a_quarter(network):
    vertices = network.placed(torch.zeros(1, 642, 3), torch.zeros(1, 3))
    assert torch.allclose(vertices[0], icosphere(3, 0.25)[0], atol=1e-6)


@torch.no_grad()
def test_vertices_stay_in_their_octants_and_in_the_cube(network):
    vertices = network.placed(20 * torch.randn(5, 642, 3), torch.zeros(5, 3))
    assert torch.equal(vertices.sign(), icosphere(3)[0].sign().expand(5, 642, 3))
    moved = network.placed(20 * torch.randn(5, 642, 3), 50 * torch.randn(5, 3))
    assert float(moved.abs().max()) <= 0.5


@torch.no_grad()
def test_around_the_centroid_too(network):
    pull = torch.tensor([[3.0, -8.0, 15.0]])
    vertices = network.placed(3 * torch.randn(1, 642, 3), pull)
    middle = 0.5 * torch.tanh(0.1 * pull)
    signs = icosphere(3)[0].sign()
    assert bool(((vertices[0] - middle) * signs >= 0).all())
    assert torch.equal(vertices[0][signs == 0], middle.expand(642, 3)[signs == 0])


@torch.no_grad()
def test_equal_biases_give_a_shape_that_is_symmetric_in_every_plane(network):
    template, bias = icosphere(3)[0], torch.zeros(1, 642, 3)
    bias[0] = template.abs() * torch.tensor([1.0, -2.0, 0.5])
    vertices = network.placed(bias, torch.zeros(1, 3))[0].numpy()
    for signs in ([-1, 1, 1], [1, -1, 1], [1, 1, -1]):
        assert cKDTree(vertices).query(vertices * signs)[0].max() < 1e-6


def test_surfaces_are_closed_and_carry_a_gradient(network):
    surfaces = network.surfaces(network(pictures(2)))
    assert len(surfaces) == 2
    mesh = trimesh.Trimesh(surfaces[0][0].detach().numpy(), surfaces[0][1].numpy(), process=False)
    assert mesh.is_watertight
    assert mesh.volume > 0
    surfaces[1][0].square().sum().backward()
    assert float(network.encoder.layers[0].weight.grad.abs().max()) > 0

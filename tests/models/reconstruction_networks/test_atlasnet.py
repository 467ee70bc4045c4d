"""AtlasNet: its patches as batched products beside a loop over modules, its meshes as trimesh sees them."""

import itertools

import numpy as np
import pytest
import torch
import trimesh
from torch import nn

from liftnet.models.reconstruction import Views, network_from
from liftnet.models.reconstruction_networks import NetworkSettings
from liftnet.models.reconstruction_networks.atlasnet import PatchDecoder

SETTINGS = {size: NetworkSettings(architecture="atlasnet", size=size) for size in ("small", "published")}


def pictures(count):
    return Views(torch.rand(count, 4, 64, 64), torch.eye(3).expand(count, 3, 3), torch.ones(count), torch.ones(count))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return network_from(SETTINGS["small"]).eval()


def module_of(decoder, patch):
    """One patch as PyTorch's own layers, with the code beside the point."""
    sizes = [decoder.weights[0].shape[1], *(weight.shape[2] for weight in decoder.weights)]
    layers = []
    for number, (before, after) in enumerate(itertools.pairwise(sizes)):
        layer = nn.Linear(before, after)
        layer.weight.data, layer.bias.data = decoder.weights[number][patch].T, decoder.biases[number][patch, 0]
        if number == 0:  # adding the code is a layer whose weights of the code are the identity
            layer.weight.data = torch.cat([layer.weight.data, torch.eye(after)], 1)
        layers.append(layer)
        if number < len(decoder.norms):
            norm, whole = nn.BatchNorm1d(after), decoder.norms[number]
            part = slice(patch * after, (patch + 1) * after)
            norm.weight.data, norm.bias.data = whole.weight.data[part], whole.bias.data[part]
            norm.running_mean, norm.running_var = whole.running_mean[part], whole.running_var[part]
            layers += [norm, nn.ReLU()]
    return nn.Sequential(*layers)


def test_as_published_it_has_as_many_weights():
    with torch.device("meta"):
        published = network_from(SETTINGS["published"])
    assert sum(weight.numel() for weight in published.parameters()) == 38_197_899
    assert sum(weight.numel() for weight in published.decoder.parameters()) == 25 * 1_059_843


@pytest.mark.parametrize("training", [True, False])
@torch.no_grad()
def test_batched_patches_are_modules_one_after_the_other(training):
    torch.manual_seed(1)
    decoder = PatchDecoder(6, (8, 5), patches=3).train(training)
    for norm in decoder.norms:
        for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
            tensor.copy_(torch.rand(tensor.shape) + 0.5)
    modules = [module_of(decoder, patch).train(training) for patch in range(3)]
    codes, squares = torch.randn(4, 6), torch.rand(4, 3, 7, 2)
    points = decoder(codes, squares)
    for patch, module in enumerate(modules):
        beside = torch.cat([squares[:, patch], codes[:, None].expand(-1, 7, -1)], 2)
        assert torch.allclose(points[:, patch], module(beside.flatten(0, 1)).view(4, 7, 3), atol=1e-5)


@torch.no_grad()
def test_a_patch_whose_last_weights_are_0_is_a_point(network):
    decoder = PatchDecoder(6, (8,), patches=2)
    decoder.weights[-1][1] = 0
    points = decoder(torch.randn(3, 6), torch.rand(1, 2, 9, 2))
    assert torch.allclose(points[:, 1], decoder.biases[-1][1].expand(3, 9, 3))
    assert float(points[:, 0].std(dim=1).min()) > 1e-3


@torch.no_grad()
def test_its_mesh_is_25_open_sheets(network):
    vertices, faces = network.surfaces(network(pictures(2)))[1]
    assert len(faces) == 4_050
    mesh = trimesh.Trimesh(vertices.numpy(), faces.numpy(), process=False)
    assert mesh.euler_number == 25
    assert len(mesh.split(only_watertight=False)) == 25
    assert [(path.closed, len(path.points)) for path in mesh.outline().entities] == [
        (True, 37)
    ] * 25  # 36 and the first


@torch.no_grad()
def test_meshes_are_points_of_the_patches_at_regular_places(network):
    codes = network(pictures(2))
    along = torch.linspace(0, 1, 10)
    places = torch.stack(torch.meshgrid(along, along, indexing="ij"), -1).view(1, 1, 100, 2).expand(1, 25, -1, -1)
    points = network.decoder(codes, places)
    assert torch.equal(network.surfaces(codes)[1][0], points[1].flatten(0, 1))


@torch.no_grad()
def test_sampled_points_follow_the_generator_alone(network):
    codes = network(pictures(2))
    one, same, other = (network.sampled(codes, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert one.shape == (2, 1000, 3)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not np.allclose(one[0], one[1])

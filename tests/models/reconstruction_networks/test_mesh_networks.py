"""What the three networks of meshes and points have in common."""

from dataclasses import fields
from importlib import import_module

import pytest
import torch

from liftnet.models.folder import SavedModel, load_model, save_model
from liftnet.models.reconstruction import RECONSTRUCTION, Views, network_from
from liftnet.models.reconstruction_networks import NetworkSettings
from liftnet.reconstruct.objectives import ShapeBatch

ARCHITECTURES = ["atlasnet", "pixel2mesh", "shape_generator"]


def views(count, side=64):
    turns = torch.linalg.qr(torch.randn(count, 3, 3))[0]
    return Views(torch.rand(count, 4, side, side), turns, torch.full((count,), 2.0), torch.full((count,), 0.27))


@pytest.fixture(scope="module", params=ARCHITECTURES)
def network(request):
    torch.manual_seed(0)
    return network_from(NetworkSettings(architecture=request.param)).eval()


@torch.no_grad()
def test_a_folder_gives_the_same_meshes_back(network, tmp_path):
    save_model(tmp_path, RECONSTRUCTION, SavedModel(network, network.settings))
    found = load_model(tmp_path, RECONSTRUCTION).network
    seen = views(2)
    for (one, faces), (other, other_faces) in zip(
        network.surfaces(network(seen)), found.surfaces(found(seen)), strict=True
    ):
        assert torch.equal(one, other)
        assert torch.equal(faces, other_faces)


@torch.no_grad()
def test_shapes_of_a_batch_do_not_mix_in_evaluation(network):
    seen = views(3)
    together = network.surfaces(network(seen))
    for number in range(3):
        part = slice(number, number + 1)
        one = Views(seen.images[part], seen.rotation[part], seen.distance[part], seen.half_width[part])
        assert torch.allclose(network.surfaces(network(one))[0][0], together[number][0], atol=1e-5)


@torch.no_grad()
def test_pictures_of_another_size_are_resized(network):
    vertices, faces = network.surfaces(network(views(1, side=128)))[0]
    assert vertices.shape[1] == 3
    assert int(faces.max()) == len(vertices) - 1


def test_its_own_losses_exist_and_need_what_a_batch_has(network):
    assert network.own_losses
    for name in network.own_losses:
        needs = import_module(f"liftnet.reconstruct.objectives.{name}").NEEDS
        assert set(needs) <= {each.name for each in fields(ShapeBatch)}

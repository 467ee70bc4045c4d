import numpy as np
import pytest
import torch
from torch import nn

from liftnet.core.errors import LiftnetError
from liftnet.models.depth_input import inflated_depth
from liftnet.models.depth_networks import InputSettings, NetworkSettings
from liftnet.models.depth_networks.unet import LiftNet
from liftnet.models.liftnet import DepthModel, initial_network, load_model, network_from, save_model


def test_the_network_of_the_paper_has_39_16_million_parameters():
    with torch.device("meta"):
        network = LiftNet(levels=8, width=64)
    assert sum(p.numel() for p in network.parameters()) == 39_155_456


@pytest.mark.parametrize(("size", "levels", "width"), [(64, 6, 8), (32, 3, 4), (64, 4, 16)])
def test_output_has_the_input_s_size_and_lies_between_minus_one_and_one(size, levels, width):
    network = initial_network(NetworkSettings(levels=levels, width=width), 0).eval()
    depth = network(20 * torch.randn(2, 3, size, size))
    assert depth.shape == (2, size, size)
    assert depth.abs().max() <= 1


def test_layers_are_those_of_the_pix2pix_u_net():
    network = LiftNet(levels=5, width=8)
    kinds = [[type(layer) for layer in block] for block in network.down]
    assert kinds[0] == [nn.Conv2d]
    assert kinds[1] == [nn.LeakyReLU, nn.Conv2d, nn.BatchNorm2d]
    assert kinds[-1] == [nn.LeakyReLU, nn.Conv2d]
    assert [type(layer) for layer in network.up[0]] == [nn.ReLU, nn.Upsample, nn.Conv2d, nn.BatchNorm2d]
    assert [type(layer) for layer in network.up[-1]] == [nn.ReLU, nn.Upsample, nn.Conv2d]
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert {c.bias for c in convolutions} == {None}
    assert [c.out_channels for c in convolutions] == [8, 16, 32, 64, 64, 64, 32, 16, 8, 1]
    assert [c.in_channels for c in convolutions] == [3, 8, 16, 32, 64, 64, 128, 64, 32, 16]
    assert {m.negative_slope for m in network.modules() if isinstance(m, nn.LeakyReLU)} == {0.2}
    assert {m.mode for m in network.modules() if isinstance(m, nn.Upsample)} == {"bilinear"}


def test_initial_weights_follow_xavier_and_the_batch_norm_rule():
    network = initial_network(NetworkSettings(levels=6, width=32), 3)
    convolution = network.down[3][1].weight
    fan = 16 * (convolution.shape[0] + convolution.shape[1])
    assert convolution.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.02)
    scales = torch.cat([m.weight for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    assert scales.mean().item() == pytest.approx(1, abs=0.01)
    assert scales.std().item() == pytest.approx(0.02, rel=0.2)


def test_the_seed_alone_decides_the_initial_weights():
    torch.manual_seed(1)
    first = initial_network(NetworkSettings(levels=3, width=4), 7)
    state = torch.random.get_rng_state()
    second = initial_network(NetworkSettings(levels=3, width=4), 7)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(LiftnetError, match="multiple of 8"):
        LiftNet(levels=3, width=4)(torch.zeros(1, 3, 36, 36))


LITE = "tu-tf_efficientnet_lite0"


def pretrained(**others):
    return NetworkSettings(**{"architecture": "encoder_unet", "encoder": LITE, "width": 8, **others})


def test_a_pretrained_encoder_takes_the_place_of_the_u_net_s():
    network = initial_network(pretrained(), 0).eval()
    depth = network(torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)))
    assert depth.shape == (2, 64, 96)
    assert depth.abs().max() <= 1
    again, other = (initial_network(pretrained(), seed) for seed in (0, 1))
    same = {name: torch.equal(value, network.state_dict()[name]) for name, value in other.state_dict().items()}
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), network.parameters(), strict=True))
    assert all(agrees for name, agrees in same.items() if name.startswith("unet.encoder."))
    assert not all(same.values())


def test_the_encoder_sees_what_its_weights_were_trained_on():
    network = initial_network(pretrained(encoder_weights=[]), 0).eval()
    seen = []
    network.unet.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.full((1, 3, 32, 32), -1.0))
    network(torch.full((1, 3, 32, 32), 1.0))
    black, white = (values[0, :, 0, 0] * network.deviation.flatten() + network.mean.flatten() for values in seen)
    torch.testing.assert_close(black, torch.zeros(3))
    torch.testing.assert_close(white, torch.ones(3))


def test_networks_are_rebuilt_from_their_settings():
    unet = NetworkSettings(levels=3, width=4, align_corners=True)
    for settings in (unet, pretrained(encoder="resnet18", width=4, encoder_weights=[])):
        network = initial_network(settings, 0)
        assert network.settings == settings
        network_from(network.settings).load_state_dict(network.state_dict())


def test_an_unknown_encoder_is_refused():
    with pytest.raises(LiftnetError, match="cannot be built"):
        network_from(pretrained(encoder="no-such-net"))


@pytest.mark.parametrize("settings", [NetworkSettings(levels=3, width=4), pretrained(width=4, encoder_weights=[])])
def test_models_of_both_kinds_are_read_back(tmp_path, settings):
    network = initial_network(settings, 0).eval()
    save_model(tmp_path, DepthModel(network, InputSettings(image_size=32, crop="full", margin=0.0)))
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load_model(tmp_path).network(images), network(images))


def test_the_mask_prior_mixes_network_and_inflated_mask_at_equal_spread(tmp_path):
    options = InputSettings(image_size=32)
    network = initial_network(NetworkSettings(levels=3, width=4), 0).eval()
    rows, columns = np.indices((32, 32))
    masks = ((rows - 15.5) ** 2 + (columns - 15.5) ** 2 < 144)[None]
    crops = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)

    def standard(depth):
        return (depth[masks[0]] - depth[masks[0]].mean()) / depth[masks[0]].std()

    alone = DepthModel(network, options, -1).predict(crops, masks)[0]
    rounded = inflated_depth(masks[0])
    for weight in (0.0, 0.25, 1.0):
        save_model(tmp_path, DepthModel(network, options, -1, {}, weight))
        mixed = load_model(tmp_path).predict(crops, masks)[0]
        expected = standard((1 - weight) * standard_map(alone, masks[0]) + weight * standard_map(rounded, masks[0]))
        np.testing.assert_allclose(standard(mixed), expected, atol=1e-4)
        assert np.abs(mixed).max() <= 1
        np.testing.assert_allclose(mixed[masks[0]].mean(), alone[masks[0]].mean(), atol=1e-5)
    np.testing.assert_array_equal(load_model(tmp_path).network_depth(crops)[0], alone)
    empty = np.zeros_like(masks)
    np.testing.assert_array_equal(load_model(tmp_path).predict(crops, empty)[0], alone)


def standard_map(depth, mask):
    return (depth - depth[mask].mean()) / depth[mask].std()

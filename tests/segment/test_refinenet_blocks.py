"""RefineNet's blocks against their definitions in the paper (arXiv 1611.06612, section 3)."""

import numpy as np
import pytest
import torch
from scipy import ndimage, signal

from liftnet.core.errors import LiftnetError
from liftnet.models.segmentation_networks.refinenet import (
    ChainedResidualPooling,
    MultiResolutionFusion,
    RefineNet,
    RefineNetBlock,
    ResidualConvUnit,
    resize,
)


def correlate(x: np.ndarray, convolution: torch.nn.Conv2d) -> np.ndarray:
    """A 3x3 convolution of (C, H, W) with zero padding, by SciPy."""
    weight = convolution.weight.detach().numpy().astype(float)
    planes = [
        sum(signal.correlate2d(plane, kernel, mode="same") for plane, kernel in zip(x, kernels, strict=True))
        for kernels in weight
    ]
    result = np.stack(planes)
    return result if convolution.bias is None else result + convolution.bias.detach().numpy()[:, None, None]


def test_residual_conv_unit_is_two_preactivated_convolutions_and_an_identity():
    unit = ResidualConvUnit(3)
    x = torch.randn(1, 3, 7, 9)
    plain = x[0].numpy().astype(float)
    inner = correlate(np.maximum(plain, 0), unit.first)
    expected = plain + correlate(np.maximum(inner, 0), unit.second)
    np.testing.assert_allclose(unit(x)[0].detach().numpy(), expected, atol=1e-5)


def test_chained_pooling_adds_every_link_of_the_chain():
    block = ChainedResidualPooling(2)
    x = torch.randn(1, 2, 11, 8)
    path = total = np.maximum(x[0].numpy().astype(float), 0)
    for link in block.links:
        pooled = np.stack([ndimage.maximum_filter(plane, size=5, mode="constant", cval=-np.inf) for plane in path])
        path = correlate(pooled, link)
        total = total + path
    np.testing.assert_allclose(block(x)[0].detach().numpy(), total, atol=1e-5)


def test_fusion_takes_the_fewest_channels_and_the_largest_size():
    fusion = MultiResolutionFusion([8, 4])
    large, small = torch.randn(2, 8, 12, 10), torch.randn(2, 4, 6, 5)
    fused = fusion([large, small])
    assert fused.shape == (2, 4, 12, 10)
    expected = fusion.adapt[0](large) + resize(fusion.adapt[1](small), (12, 10))
    torch.testing.assert_close(fused, expected)


def test_fusion_leaves_a_single_path_alone():
    x = torch.randn(1, 8, 4, 4)
    assert torch.equal(MultiResolutionFusion([8])([x]), x)


def test_block_has_two_units_a_path_and_one_at_the_end():
    block = RefineNetBlock([8, 16])
    assert sum(isinstance(module, ResidualConvUnit) for module in block.modules()) == 2 * 2 + 1
    assert block([torch.randn(1, 8, 8, 8), torch.randn(1, 16, 4, 4)]).shape == (1, 8, 8, 8)


@pytest.mark.parametrize("encoder", ["tu-mobilenetv3_small_050", "resnet18"])
@pytest.mark.parametrize("size", [(64, 96), (50, 71)])
def test_logits_have_the_size_of_the_image(encoder, size):
    network = RefineNet(encoder, channels=8).eval()
    assert network(torch.rand(2, 3, *size)).shape == (2, 1, *size)


def test_gradients_reach_every_parameter():
    network = RefineNet("tu-tf_efficientnet_lite0", channels=8).train()
    network(torch.rand(2, 3, 64, 64)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    still = [name for name, parameter in network.named_parameters() if not parameter.grad.any()]
    # a bias or scale that a batch normalisation or a dead channel hides may see none, a convolution must
    assert not [name for name in still if name.endswith("weight") and "bn" not in name]


def test_resize_keeps_pixel_centres_in_place():
    ramp = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 1, 4, 8)
    twice = resize(ramp, (8, 16))[0, 0, 4, 4:12]
    torch.testing.assert_close(twice, (torch.arange(4.0, 12.0) + 0.5) / 2 - 0.5)


@pytest.mark.parametrize("name", ["no-such-net", "tu-no_such_net"])
def test_unknown_encoder_is_named_in_the_error(name):
    with pytest.raises(LiftnetError, match=name):
        RefineNet(name)

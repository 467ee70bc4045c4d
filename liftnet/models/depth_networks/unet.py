"""LiftNet's network: the U-Net of pix2pix with bilinear upsampling and a tanh output.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, with the two changes of
Wiles and Zisserman 2018, section 3.3. What the paper leaves open (3x3 convolutions after the upsampling, no dropout,
Xavier initialisation) follows the U-Net that its first author published in the same year with X2Face.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from liftnet.models.depth_networks import NetworkSettings
from liftnet.models.liftnet import DepthNetwork

CHANNEL_LIMIT = 8  # widths double from level to level up to 8 times the first


class LiftNet(DepthNetwork):
    """Depth from a single image, (B, 3, S, S) in [-1, 1] to (B, S, S) in [-1, 1].

    With 8 levels and width 64, as in the paper, 39.16 million parameters.

    Args:
        levels: Number of halvings; S must be a multiple of 2**levels.
        width: Channels of the first level.
        align_corners: Whether upsampling puts corner pixels on corner pixels, as PyTorch did in 2017.
    """

    def __init__(self, levels: int = 8, width: int = 64, align_corners: bool = False) -> None:
        super().__init__()
        self.levels, self.width, self.align_corners = levels, width, align_corners
        self.side_multiple = 2**levels
        channels = [3, *(width * min(2**k, CHANNEL_LIMIT) for k in range(levels))]
        self.down = nn.ModuleList(
            _down(a, b, outermost=k == 0, innermost=k == levels - 1)
            for k, (a, b) in enumerate(itertools.pairwise(channels))
        )
        self.up = nn.ModuleList(
            _up(channels[k + 1] * (1 if k == levels - 1 else 2), channels[k] if k else 1, k == 0, align_corners)
            for k in reversed(range(levels))
        )
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Predict depth.

        Args:
            images: (B, 3, S, S), values in [-1, 1].

        Returns:
            (B, S, S) depth in [-1, 1], growing away from the camera up to the sign that the loss leaves free.
        """
        self.check_side(*images.shape[-2:])
        features = [images]
        for block in self.down:
            features.append(block(features[-1]))
        x = features.pop()
        for k, block in enumerate(self.up):
            x = block(x if k == 0 else torch.cat([features.pop(), x], dim=1))
        return torch.tanh(x[:, 0])


def _down(before: int, after: int, outermost: bool, innermost: bool) -> nn.Sequential:
    layers: list[nn.Module] = [] if outermost else [nn.LeakyReLU(0.2)]
    layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False))
    if not (outermost or innermost):
        layers.append(nn.BatchNorm2d(after))
    return nn.Sequential(*layers)


def _up(before: int, after: int, outermost: bool, align_corners: bool) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.ReLU(),
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=align_corners),
        nn.Conv2d(before, after, 3, padding=1, bias=False),
    ]
    return nn.Sequential(*layers, *([] if outermost else [nn.BatchNorm2d(after)]))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_normal_(module.weight)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def build(settings: NetworkSettings) -> LiftNet:
    """The network that the settings ask for, with random weights."""
    return LiftNet(settings.levels, settings.width, settings.align_corners)

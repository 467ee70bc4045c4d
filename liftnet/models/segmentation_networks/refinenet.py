"""RefineNet: multi-path refinement for high-resolution segmentation (Lin et al., CVPR 2017, arXiv 1611.06612).

The decoder follows section 3 and figure 3 of the paper; the encoder is any of segmentation-models-pytorch's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from liftnet.models.encoders import build_encoder, encoder_normalisation, start_encoder
from liftnet.models.segmentation_networks import NetworkSettings
from liftnet.models.segmenter import SegmentationNetwork

LEVELS = 4  # the paper's four paths: strides 4, 8, 16 and 32


def _conv3(channels_in: int, channels_out: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=bias)


class ResidualConvUnit(nn.Module):
    """RCU (section 3.2): two pre-activated 3x3 convolutions around an identity, without batch normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv3(channels, channels)
        self.second = _conv3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        residual = self.first(functional.relu(x))
        return x + self.second(functional.relu(residual))


class MultiResolutionFusion(nn.Module):
    """Bring paths of several resolutions to the channels of the narrowest and the size of the largest, and add them.

    A single path passes unchanged (section 3.2).
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = min(channels)
        single = len(channels) == 1
        self.adapt = nn.ModuleList(nn.Identity() if single else _conv3(c, self.channels, bias=False) for c in channels)

    def forward(self, paths: Sequence[Tensor]) -> Tensor:
        """Map tensors (B, C_i, H_i, W_i) to one (B, min C_i, max H_i, max W_i)."""
        size = max(tuple(path.shape[-2:]) for path in paths)
        adapted = [convolve(path) for convolve, path in zip(self.adapt, paths, strict=True)]
        return torch.stack([resize(path, size) for path in adapted]).sum(0) if len(adapted) > 1 else adapted[0]


class ChainedResidualPooling(nn.Module):
    """A chain of 5x5 max pooling (stride 1) and 3x3 convolution whose every link is added to the sum (section 3.2)."""

    def __init__(self, channels: int, links: int = 2) -> None:
        super().__init__()
        self.links = nn.ModuleList(_conv3(channels, channels, bias=False) for _ in range(links))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        path = total = functional.relu(x)
        for convolve in self.links:
            path = convolve(functional.max_pool2d(path, 5, stride=1, padding=2))
            total = total + path
        return total


class RefineNetBlock(nn.Module):
    """Adaptive convolutions (two RCUs a path), fusion, chained residual pooling, output convolution (one RCU)."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.paths = nn.ModuleList(nn.Sequential(ResidualConvUnit(c), ResidualConvUnit(c)) for c in channels)
        self.fuse = MultiResolutionFusion(channels)
        self.pool = ChainedResidualPooling(self.fuse.channels)
        self.output = ResidualConvUnit(self.fuse.channels)

    def forward(self, paths: Sequence[Tensor]) -> Tensor:
        """Map tensors (B, C_i, H_i, W_i) to one (B, min C_i, max H_i, max W_i)."""
        refined: Tensor = self.fuse([units(path) for units, path in zip(self.paths, paths, strict=True)])
        return self.output(self.pool(refined))


class RefineNet(SegmentationNetwork):
    """A four-path cascaded RefineNet that gives one foreground logit a pixel.

    Args:
        encoder: Name of a segmentation-models-pytorch encoder with at least four levels.
        channels: Feature channels of the decoder; the deepest block has twice as many, as in the paper (512 and 256).

    Raises:
        LiftnetError: There is no such encoder.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: str = "tu-tf_efficientnet_lite0", channels: int = 32) -> None:
        super().__init__()
        built = build_encoder(encoder)
        self.encoder, self.encoder_name = built, encoder
        mean, std = encoder_normalisation(encoder)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        widths = [channels] * (LEVELS - 1) + [2 * channels]
        levels = built.out_channels[-LEVELS:]
        self.reduce = nn.ModuleList(
            nn.Conv2d(level, width, 1, bias=False) for level, width in zip(levels, widths, strict=True)
        )
        self.blocks = nn.ModuleList(
            RefineNetBlock([width, *widths[index + 1 : index + 2]]) for index, width in enumerate(widths)
        )
        self.head = nn.Sequential(ResidualConvUnit(channels), ResidualConvUnit(channels), _conv3(channels, 1))

    def pretrained_part(self) -> nn.Module:
        """The encoder."""
        return self.encoder

    def load_pretrained(self, sources: Sequence[str]) -> str:
        """Start the encoder from the first of `sources` that can be had: see `start_encoder`."""
        return start_encoder(self.encoder, self.encoder_name, sources)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the foreground.

        Args:
            images: (B, 3, H, W) float RGB in [0, 1]; H and W best multiples of 32.

        Returns:
            (B, 1, H, W) float; positive means foreground.
        """
        features = self.encoder((images - self.mean) / self.std)[-LEVELS:]
        reduced = [reduce(feature) for reduce, feature in zip(self.reduce, features, strict=True)]
        refined = self.blocks[-1]([reduced[-1]])
        for block, path in zip(reversed(self.blocks[:-1]), reversed(reduced[:-1]), strict=True):
            refined = block([path, refined])
        return resize(self.head(refined), tuple(images.shape[-2:]))


def resize(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bilinear resampling of (B, C, H, W) to `size` (height, width), pixel centres kept in place."""
    return x if x.shape[-2:] == size else functional.interpolate(x, size, mode="bilinear", align_corners=False)


def build(settings: NetworkSettings) -> RefineNet:
    """The network that the settings ask for, with random weights."""
    return RefineNet(settings.encoder, settings.channels)

"""LiftNet's network: the U-Net of pix2pix with bilinear upsampling and a tanh output.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, with the two changes of
Wiles and Zisserman 2018, section 3.3. What the paper leaves open (3x3 convolutions after the upsampling, no dropout,
Xavier initialisation) follows the U-Net that its first author published in the same year with X2Face.

`EncoderLiftNet` goes beyond the paper: a pretrained encoder under a U-Net decoder, with the same input and output.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from liftnet.core.errors import LiftnetError
from liftnet.models.encoders import encoder_normalisation, start_encoder

CHANNEL_LIMIT = 8  # widths double from level to level up to 8 times the first
UNET = "unet"  # the name, as an encoder, of the paper's network


class LiftNet(nn.Module):
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

    @property
    def config(self) -> dict[str, Any]:
        """What rebuilds the network."""
        return {"levels": self.levels, "width": self.width, "align_corners": self.align_corners}

    def forward(self, images: Tensor) -> Tensor:
        """Predict depth.

        Args:
            images: (B, 3, S, S), values in [-1, 1].

        Returns:
            (B, S, S) depth in [-1, 1], growing away from the camera up to the sign that the loss leaves free.
        """
        _check_size(images, self.levels)
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


class EncoderLiftNet(nn.Module):
    """LiftNet with an encoder of segmentation-models-pytorch: a U-Net decoder with bilinear upsampling, and a tanh.

    Ronneberger et al., "U-Net", MICCAI 2015, in the form of segmentation-models-pytorch, with five halvings.

    Args:
        encoder: Its name there; "tu-" and the name of a timm model.
        width: Channels of the decoder's last level; they double from level to level up to 8 times.

    Raises:
        LiftnetError: There is no such encoder.
    """

    LEVELS = 5
    mean: Tensor
    deviation: Tensor

    def __init__(self, encoder: str, width: int = 64) -> None:
        super().__init__()
        self.encoder, self.width = encoder, width
        self.unet = _encoder_unet(encoder, [width * min(2**k, CHANNEL_LIMIT) for k in reversed(range(self.LEVELS))])
        for name, values in zip(("mean", "deviation"), encoder_normalisation(encoder), strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    @property
    def config(self) -> dict[str, Any]:
        """What rebuilds the network."""
        return {"encoder": self.encoder, "width": self.width}

    def forward(self, images: Tensor) -> Tensor:
        """Predict depth; shapes and ranges as in `LiftNet.forward`."""
        _check_size(images, self.LEVELS)
        logits: Tensor = self.unet(((images + 1) / 2 - self.mean) / self.deviation)
        return torch.tanh(logits[:, 0])


def _encoder_unet(encoder: str, channels: list[int]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import segmentation_models_pytorch as smp
    try:
        return smp.Unet(
            encoder, encoder_weights=None, decoder_channels=channels, decoder_interpolation="bilinear", classes=1
        )
    except (KeyError, RuntimeError, ValueError) as error:
        raise LiftnetError(
            f"encoder {encoder!r}",
            f"cannot be built ({str(error).splitlines()[0]})",
            f"Name {UNET}, one of segmentation_models_pytorch.encoders.get_encoder_names(), or tu-<a timm model>",
        ) from error


def _check_size(images: Tensor, levels: int) -> None:
    if images.shape[-1] % 2**levels or images.shape[-2] % 2**levels:
        raise LiftnetError(
            f"image of {images.shape[-1]}x{images.shape[-2]} pixels",
            f"a network of {levels} levels halves it {levels} times",
            f"Use a multiple of {2**levels}, or fewer levels",
        )


DepthNetwork = LiftNet | EncoderLiftNet


def network_from(config: dict[str, Any]) -> DepthNetwork:
    """Rebuild a network from its `config`, with random weights."""
    return EncoderLiftNet(**config) if "encoder" in config else LiftNet(**config)


def initial_network(config: dict[str, Any], seed: int, encoder_weights: Sequence[str] = ()) -> DepthNetwork:
    """A network to train; the global generator is left as it was.

    Args:
        config: What the network is: see `network_from`.
        seed: Seed of the random weights.
        encoder_weights: Where an `EncoderLiftNet`'s encoder starts from: see `liftnet.models.encoders.start_encoder`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = network_from(config)
    if isinstance(network, EncoderLiftNet):
        start_encoder(network.unet.get_submodule("encoder"), network.encoder, encoder_weights)
    return network


def build_network(levels: int, width: int, align_corners: bool, seed: int) -> DepthNetwork:
    """The paper's network to train."""
    return initial_network({"levels": levels, "width": width, "align_corners": align_corners}, seed)

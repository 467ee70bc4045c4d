"""A pretrained encoder under a U-Net decoder, with LiftNet's input and output: beyond the paper.

Ronneberger et al., "U-Net", MICCAI 2015, in the form of segmentation-models-pytorch, with five halvings.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from liftnet.models.depth_networks import NetworkSettings
from liftnet.models.encoders import encoder_normalisation, known_encoder, start_encoder
from liftnet.models.liftnet import DepthNetwork

CHANNEL_LIMIT = 8  # widths double from level to level up to 8 times the last
LEVELS = 5


class EncoderUNet(DepthNetwork):
    """Depth from a single image, (B, 3, S, S) in [-1, 1] to (B, S, S) in [-1, 1].

    Args:
        encoder: Its name there; "tu-" and the name of a timm model.
        width: Channels of the decoder's last level; they double from level to level up to 8 times.

    Raises:
        LiftnetError: There is no such encoder.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, encoder: str, width: int = 64) -> None:
        super().__init__()
        self.encoder, self.width, self.side_multiple = encoder, width, 2**LEVELS
        self.unet = _encoder_unet(encoder, [width * min(2**k, CHANNEL_LIMIT) for k in reversed(range(LEVELS))])
        for name, values in zip(("mean", "deviation"), encoder_normalisation(encoder), strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def load_pretrained(self, sources: Sequence[str]) -> None:
        """Start the encoder from the first of `sources` that can be had: see `start_encoder`."""
        start_encoder(self.unet.get_submodule("encoder"), self.encoder, sources)

    def forward(self, images: Tensor) -> Tensor:
        """Predict depth of (B, 3, S, S) images: (B, S, S)."""
        self.check_side(*images.shape[-2:])
        logits: Tensor = self.unet(((images + 1) / 2 - self.mean) / self.deviation)
        return torch.tanh(logits[:, 0])


def _encoder_unet(encoder: str, channels: list[int]) -> nn.Module:
    with known_encoder(encoder) as smp:
        network: nn.Module = smp.Unet(
            encoder, encoder_weights=None, decoder_channels=channels, decoder_interpolation="bilinear", classes=1
        )
    return network


def build(settings: NetworkSettings) -> EncoderUNet:
    """The network that the settings ask for, with random weights."""
    return EncoderUNet(settings.encoder, settings.width)

"""From a picture to a code: the convolutional encoder that reconstruction networks without one of their own share."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from liftnet.models.reconstruction import resized

STRIDE = 2


class ImageEncoder(nn.Module):
    """Three convolutions 5 x 5, each halving the picture, and three fully connected layers, with ReLU after each.

    It is that of the Shape Generator (Kato et al., Neural 3D Mesh Renderer, CVPR 2018, supplement; Liu et al., Soft
    Rasterizer, ICCV 2019: with batch normalisation). The default widths are half as many: 4,848,672 weights, .05 CPU
    seconds for 16 pictures forth and back.

    Args:
        channels: Of the pictures.
        widths: Channels of the three convolutions.
        hidden: Width of the two inner fully connected layers.
        code: Width of the code.
        image_size: Side of the pictures it sees, px; a multiple of 8, others are resized.
        normalise: Batch normalisation after each convolution.
    """

    def __init__(
        self,
        channels: int = 4,
        widths: tuple[int, int, int] = (32, 64, 128),
        hidden: int = 512,
        code: int = 256,
        image_size: int = 64,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        self.image_size, self.code = image_size, code
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise((channels, *widths)):
            layers.append(nn.Conv2d(before, after, 5, STRIDE, 2))
            layers += [nn.BatchNorm2d(after)] if normalise else []
            layers.append(nn.ReLU())
        side = image_size // STRIDE ** len(widths)
        layers.append(nn.Flatten())
        for wide, narrow in itertools.pairwise((widths[-1] * side**2, hidden, hidden, code)):
            layers += [nn.Linear(wide, narrow), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Codes (B, C), none of them negative, of pictures (B, channels, S, S)."""
        codes: Tensor = self.layers(resized(images, self.image_size))
        return codes

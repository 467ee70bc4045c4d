"""AtlasNet25: a shape as 25 patches, each a square that a network of its own bends into space.

Groueix et al., "A Papier-Mache Approach to Learning 3D Surface Generation", CVPR 2018, in the form of its second
program: 38,197,899 weights as published, a ResNet-18 that starts at random among them.
"""

from __future__ import annotations

import itertools
from types import MappingProxyType

import torch
from torch import Tensor, nn

from liftnet.mesh.templates import copies, grid
from liftnet.models.image_encoder import ImageEncoder
from liftnet.models.reconstruction import ReconstructionNetwork, Surface, Views, resized
from liftnet.models.reconstruction_networks import NetworkSettings

PATCHES = 25
GRID = 10  # points on a side of a patch when a mesh is made of it: 4,050 faces
DIMENSIONS = 2  # of a patch before it is bent
PUBLISHED_POINTS = 100  # of each patch in a step of training: 2,500 in all


class PatchDecoder(nn.Module):
    """All patches at once: each layer is one batched product over the patches.

    A patch is an MLP from a point of the unit square: a layer of the code's width, to which the code is added (the
    same as giving it the point beside the code), then the others, with batch normalisation and ReLU after all but the
    last. Weights start as those of PyTorch's linear layers.

    Args:
        code: Width of the code.
        widths: Of the layers after the first.
        patches: How many.
    """

    def __init__(self, code: int, widths: tuple[int, ...], patches: int = PATCHES) -> None:
        super().__init__()
        sizes = (DIMENSIONS, code, *widths, 3)
        pairs = list(itertools.pairwise(sizes))
        self.weights = nn.ParameterList(_uniform(patches, before, after, fan=before) for before, after in pairs)
        self.biases = nn.ParameterList(_uniform(patches, 1, after, fan=before) for before, after in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm1d(patches * width) for width in sizes[1:-1])

    def forward(self, codes: Tensor, squares: Tensor) -> Tensor:
        """Points (B, P, N, 3) of the patches.

        Args:
            codes: (B, C) of the shapes.
            squares: (B or 1, P, N, 2) points of the unit squares.
        """
        shapes, count = len(codes), squares.shape[2]
        flat = squares.expand(shapes, -1, -1, -1).transpose(0, 1).flatten(1, 2)
        values = torch.baddbmm(self.biases[0], flat, self.weights[0]) + codes.repeat_interleave(count, 0)
        for norm, weight, bias in zip(self.norms, self.weights[1:], self.biases[1:], strict=True):
            values = torch.baddbmm(bias, self._active(norm, values, shapes), weight)
        return values.unflatten(1, (shapes, count)).transpose(0, 1)

    def _active(self, norm: nn.Module, values: Tensor, shapes: int) -> Tensor:
        """Normalised and rectified values (P, B * N, C): every channel of every patch over all shapes and points."""
        patches, rows, width = values.shape
        channels: Tensor = norm(values.transpose(0, 1).reshape(rows, patches * width))
        return channels.relu().view(rows, patches, width).transpose(0, 1)


def _uniform(*shape: int, fan: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape).uniform_(-(fan**-0.5), fan**-0.5))


class AtlasNet(ReconstructionNetwork):
    """Points on 25 patches, and their regular grids as open meshes.

    Args:
        encoder: From pictures (B, `channels`, S, S) to codes.
        channels: How many of the views' four channels the encoder sees.
        image_size: Side of these pictures, px.
        decoder: From codes to points of the patches.
        points: Of each patch that `sampled` gives.
    """

    squares: Tensor
    own_losses = MappingProxyType({"chamfer": 1.0})
    faces: Tensor

    def __init__(self, encoder: nn.Module, channels: int, image_size: int, decoder: PatchDecoder, points: int) -> None:
        super().__init__()
        self.encoder, self.channels, self.image_size = encoder, channels, image_size
        self.decoder, self.points = decoder, points
        squares, faces = grid(GRID)
        self.register_buffer("squares", squares.expand(1, PATCHES, -1, -1), persistent=False)
        self.register_buffer("faces", copies(faces, GRID**2, PATCHES), persistent=False)

    def forward(self, views: Views) -> Tensor:
        """Codes (B, C); `sampled` and `surfaces` make points of them."""
        codes: Tensor = self.encoder(resized(views.images[:, : self.channels], self.image_size))
        return codes

    def sampled(self, prediction: Tensor, generator: torch.Generator) -> Tensor:
        """Points (B, N, 3) at random places of all patches, other places for each shape; what is trained.

        Args:
            prediction: (B, C) codes.
            generator: Where the places come from; on the host.
        """
        places = torch.rand(len(prediction), PATCHES, self.points, DIMENSIONS, generator=generator)
        points: Tensor = self.decoder(prediction, places.to(prediction)).flatten(1, 2)
        return points

    def surfaces(self, prediction: Tensor) -> list[Surface]:
        """The patches as open grids of 10 x 10 points, 2,500 vertices and 4,050 faces; their orientation is open."""
        points = self.decoder(prediction, self.squares).flatten(1, 2)
        return [(vertices, self.faces) for vertices in points]


def build(settings: NetworkSettings) -> AtlasNet:
    """The network that the settings ask for, with random weights."""
    if settings.size == "published":
        from torchvision.models import resnet18

        decoder = PatchDecoder(1024, (512, 512, 512))
        return AtlasNet(resnet18(num_classes=1024), 3, 224, decoder, PUBLISHED_POINTS)
    encoder = ImageEncoder()
    decoder = PatchDecoder(encoder.code, (128, 128, 128))
    return AtlasNet(encoder, 4, encoder.image_size, decoder, 40)

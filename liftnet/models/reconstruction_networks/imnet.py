"""IM-Net (Chen and Zhang, CVPR 2019): a picture to a code, and a decoder that says of any point whether it is inside.

Layers and widths are those of the authors' files (czq142857/IM-NET-pytorch). It is trained by two losses, which
move different weights: decoder and `voxel_encoder` give the shapes' own voxels back (`imnet_shapes`); the encoder of
pictures learns the codes that the shapes have got (`imnet_codes`). The authors train one after the other. As
their sum, the default, both are learnt together, and the codes come to rest as the learning rate falls.
"""

from __future__ import annotations

import itertools
import math
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear

from liftnet.core.devices import channels_last
from liftnet.mesh.marching_cubes import MarchingCubes
from liftnet.models.image_encoder import ImageEncoder
from liftnet.models.reconstruction import Surface, Views, on_background, resized
from liftnet.models.reconstruction_networks import NetworkSettings
from liftnet.models.voxel_network import APART, VoxelNetwork

SLOPE = 0.02  # of the leaky ReLU
PUBLISHED_WIDTH = 128
AT_ONCE = 1 << 15  # points: their published features take 128 MB a layer
FRAME, CELL = 32, 2  # cells a side of the frame, and points along a cell: meshes of 64 points a side
LEAST = 1e-3  # probabilities keep from 0 and 1, where log-odds end


class IMNet(VoxelNetwork):
    """A prediction is the codes (B, Z) of the pictures, in [0, 1].

    With the published widths the decoder has 3,054,593 weights and the encoder of pictures 17,462,976.

    Args:
        resolution: Of the voxels that `voxel_encoder` sees: 4 times a power of two.
        image_encoder: From pictures to codes; the last layer a sigmoid.
        code: Width of the codes.
        width: Channels of the decoder's last hidden layer; the first ones have eight times as many.
        voxel_width: Channels of the first layer of `voxel_encoder`.
        points: How many of a shape the first step of the training looks at.
    """

    own_losses = MappingProxyType({"imnet_shapes": 1.0, "imnet_codes": 1.0})

    def __init__(
        self,
        resolution: int,
        image_encoder: nn.Module,
        image_size: int,
        code: int = 256,
        width: int = PUBLISHED_WIDTH,
        voxel_width: int = 32,
        points: int = 4096,
    ) -> None:
        super().__init__(resolution)
        self.image_encoder, self.image_size, self.points = image_encoder, image_size, points
        self.voxel_encoder = VoxelEncoder(resolution, voxel_width, code)
        self.decoder = Decoder(code, width)
        channels_last(self)

    def forward(self, views: Views) -> Tensor:
        """Codes (B, Z) of the pictures."""
        codes: Tensor = self.image_encoder(views.images)
        return codes

    def occupancy(self, prediction: Tensor) -> Tensor:
        """Log-odds at the voxels' centres; beyond .001 and .999 they stay the same."""
        side = self.voxels
        centres = cell_centres(side, prediction)
        values = torch.stack([self._values(code, centres) for code in prediction])
        return torch.logit(values, LEAST).view(-1, side, side, side)

    def surfaces(self, prediction: Tensor) -> list[Surface]:
        """Closed meshes at the level of the decoder itself, cut out of 64 points a side.

        Only near the surface there are so many: where a cell of a frame half as fine has a neighbour on the other
        side. The gradient goes to the points between which the surface passes.

        Raises:
            ValueError: A prediction is not finite.
        """
        level = float(self.level)
        cubes = MarchingCubes(level, empty="mesh", apart=APART)
        return list(zip(*cubes(torch.stack([self._volume(code, level) for code in prediction])), strict=True))

    def _volume(self, code: Tensor, level: float) -> Tensor:
        """Values (64, 64, 64) of a code (Z,); with a gradient where the surface needs it."""
        side = FRAME * CELL
        centres = cell_centres(side, code)
        with torch.no_grad():
            frame = self._values(code, cell_centres(FRAME, code)).view(FRAME, FRAME, FRAME)
            volume = frame
            for axis in range(3):
                volume = volume.repeat_interleave(CELL, dim=axis)
            volume = volume.reshape(-1)
            near = _beside_the_other_side(frame >= level)
            for axis in range(3):
                near = near.repeat_interleave(CELL, dim=axis)
            fine = near.reshape(-1).nonzero()[:, 0]
            volume = volume.index_copy(0, fine, self._values(code, centres[fine]))
            inside = (volume >= level).view(side, side, side)
            crossed = _beside_the_other_side(inside).reshape(-1).nonzero()[:, 0]
        if torch.is_grad_enabled():
            volume = volume.index_copy(0, crossed, self._values(code, centres[crossed]))
        return volume.view(side, side, side)

    def _values(self, code: Tensor, points: Tensor) -> Tensor:
        parts = [self.decoder(code[None], part[None])[0] for part in points.split(AT_ONCE)]
        return torch.cat(parts) if parts else points[:, 0]


class Decoder(nn.Module):
    """Whether points are inside: seven fully connected layers of a point and the code.

    The authors draw weights from N(0, .02). Narrower layers would fade out: they start from He's variance, and those
    of a point's three coordinates from N(0, 3), or the 256 numbers of the code drown it (no shape was learnt in 60
    steps; so, four in 100).
    """

    def __init__(self, code: int, width: int) -> None:
        super().__init__()
        widths = (3 + code, 8 * width, 8 * width, 8 * width, 4 * width, 2 * width, width, 1)
        self.first = nn.Linear(*widths[:2])
        self.others = nn.ModuleList(nn.Linear(before, after) for before, after in itertools.pairwise(widths[1:]))
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                deviation = 0.02 if width == PUBLISHED_WIDTH else math.sqrt(2 / layer.in_features)
                nn.init.normal_(layer.weight, std=deviation)
                nn.init.zeros_(layer.bias)
        if width != PUBLISHED_WIDTH:
            nn.init.normal_(self.first.weight[:, :3], std=3.0)

    def forward(self, codes: Tensor, points: Tensor) -> Tensor:
        """Values (B, N), 0 outside and 1 inside, of points (B, N, 3) in the cube from -.5 to .5."""
        of_points, of_codes = self.first.weight.split((3, codes.shape[1]), dim=1)
        features = linear(points, of_points) + linear(codes, of_codes, self.first.bias)[:, None]  # codes once a shape
        for layer in self.others:
            features = layer(leaky_relu(features, SLOPE))
        return soft_clamp(features[..., 0])


class VoxelEncoder(nn.Module):
    """Voxels to a code: 3-D convolutions 4 x 4 x 4, each halving the grid, with instance normalisation, down to 4."""

    def __init__(self, resolution: int, width: int, code: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before, after = 1, width
        for _ in range((resolution // 4).bit_length() - 1):
            layers += [nn.Conv3d(before, after, 4, 2, 1, bias=False), nn.InstanceNorm3d(after), nn.LeakyReLU(SLOPE)]
            before, after = after, 2 * after
        self.layers = nn.Sequential(*layers, nn.Conv3d(before, code, 4), nn.Flatten(), nn.Sigmoid())
        self.apply(_initialise)

    def forward(self, voxels: Tensor) -> Tensor:
        """Codes (B, Z) of voxels (B, R, R, R) bool."""
        codes: Tensor = self.layers(voxels[:, None].float())
        return codes


class ResidualImageEncoder(nn.Module):
    """The published encoder of pictures: gray, inverted, 128 px, eight residual blocks of 64 to 512 channels."""

    image_size = 128

    def __init__(self, width: int = 64, code: int = 256) -> None:
        super().__init__()
        widths = [width * times for times in (1, 1, 1, 2, 2, 4, 4, 8, 8)]
        self.start = nn.Sequential(_convolution(1, width, 7, 2, 3), nn.BatchNorm2d(width), nn.LeakyReLU(SLOPE))
        self.blocks = nn.Sequential(*(Residual(before, after) for before, after in itertools.pairwise(widths)))
        last = widths[-1]
        self.end = nn.Sequential(_convolution(last, last, 4, 2, 1), nn.BatchNorm2d(last), nn.LeakyReLU(SLOPE))
        self.code = nn.Sequential(nn.Conv2d(last, code, 4), nn.Flatten(), nn.Sigmoid())
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Codes (B, Z) of pictures (B, 4, S, S)."""
        gray = on_background(resized(images, self.image_size), 1.0).mean(1, keepdim=True)
        codes: Tensor = self.code(self.end(self.blocks(self.start(1 - gray))))
        return codes


class Residual(nn.Module):
    """Two convolutions, and what they are added to; with more channels they halve the size."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        stride = 1 if before == after else 2
        self.first = nn.Sequential(_convolution(before, after, 3, stride, 1), nn.BatchNorm2d(after))
        self.second = nn.Sequential(_convolution(after, after, 3, 1, 1), nn.BatchNorm2d(after))
        mix = nn.Sequential(_convolution(before, after, 1, stride, 0), nn.BatchNorm2d(after))
        self.mix = nn.Identity() if before == after else mix

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, S, S) to (B, C', S, S) or half of S."""
        changed = self.second(leaky_relu(self.first(features), SLOPE))
        return leaky_relu(changed + self.mix(features), SLOPE)


def soft_clamp(values: Tensor) -> Tensor:
    """Values in [0, 1] as they are; beyond, a hundredth of the slope, so that a gradient is left.

    >>> soft_clamp(torch.tensor([-1.0, 0.5, 2.0])).tolist() == torch.tensor([-0.01, 0.5, 1.01]).tolist()
    True
    """
    return torch.maximum(torch.minimum(values, 0.01 * values + 0.99), 0.01 * values)


def cell_centres(side: int, like: Tensor) -> Tensor:
    """Centres (side^3, 3) of the cells of the cube from -.5 to .5, of the type and on the device of another tensor."""
    along = (torch.arange(side, dtype=like.dtype, device=like.device) + 0.5) / side - 0.5
    return torch.cartesian_prod(along, along, along)


def build(settings: NetworkSettings) -> IMNet:
    """The published network, for voxels of 64 a side; or a narrow one, for 32, with the shared small encoder."""
    if settings.size == "published":
        return IMNet(64, ResidualImageEncoder(), ResidualImageEncoder.image_size)
    shared = ImageEncoder()
    encoder = nn.Sequential(shared, nn.Linear(shared.code, shared.code), nn.Sigmoid())
    return IMNet(32, encoder, shared.image_size, shared.code, width=32, voxel_width=16, points=512)


def _beside_the_other_side(inside: Tensor) -> Tensor:
    """Which cells (S, S, S) have one on the other side among their 26 neighbours."""
    cells = inside[None, None].float()
    largest = nn.functional.max_pool3d(cells, 3, 1, 1)
    smallest = -nn.functional.max_pool3d(-cells, 3, 1, 1)
    return (largest != smallest)[0, 0]


def _convolution(before: int, after: int, kernel: int, stride: int, padding: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, stride, padding, bias=False)


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Conv2d, nn.Conv3d)):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)

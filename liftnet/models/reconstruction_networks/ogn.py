"""Octree Generating Networks (Tatarchenko et al., ICCV 2017): a picture to the states of an octree's cells.

Made from the paper's description: octree blocks of an up-convolution and a classification of each cell as empty,
filled or mixed. The authors' layer list for single pictures is not public; the widths here give their number of
weights. Filters of 4 x 4 x 4 reach the cells beside, and each level is normalised: in the steps in which four shapes
were then learnt by heart, smaller filters left some unlearnt, and levels without normalisation most.

Levels are dense grids. The loss leaves out cells that are not in the tree; they are the neighbours that the paper's
convolutions take in as context.
"""

from __future__ import annotations

import itertools
from types import MappingProxyType

from torch import Tensor, nn

from liftnet.core.devices import channels_last
from liftnet.mesh.octree import STATES, soft_occupancy
from liftnet.models.image_encoder import ImageEncoder
from liftnet.models.reconstruction import Views
from liftnet.models.reconstruction_networks import NetworkSettings
from liftnet.models.voxel_network import VoxelNetwork

GRID = 4  # cells a side of the grid that the code becomes


class OGN(VoxelNetwork):
    """A code, a grid of 4 cells a side, and a block for each octree level: 8, 16 and 32 cells a side.

    Meshes follow from the probabilities of all levels, which passes a gradient to each of them; the paper's own way,
    the likeliest state of each cell, is `liftnet.mesh.octree.likeliest_levels`.

    Args:
        encoder: From pictures to codes.
        widths: Channels of the grid and of the levels.
    """

    own_losses = MappingProxyType({"octree": 1.0})

    def __init__(self, encoder: ImageEncoder, widths: tuple[int, int, int, int]) -> None:
        super().__init__(GRID << (len(widths) - 1))
        self.encoder, self.image_size, self.width = encoder, encoder.image_size, widths[0]
        self.grid = nn.Sequential(nn.Linear(encoder.code, widths[0] * GRID**3), nn.ReLU())
        self.levels = nn.ModuleList(_level(before, after) for before, after in itertools.pairwise(widths))
        self.states = nn.ModuleList(nn.Conv3d(channels, STATES, 1) for channels in widths[1:])
        channels_last(self)

    def forward(self, views: Views) -> list[Tensor]:
        """Logits (B, 3, S, S, S) of the states of the cells of each level, coarse to fine."""
        cells = self.grid(self.encoder(views.images)).view(-1, self.width, GRID, GRID, GRID)
        logits = []
        for level, states in zip(self.levels, self.states, strict=True):
            cells = level(cells)
            logits.append(states(cells))
        return logits

    def occupancy(self, prediction: list[Tensor]) -> Tensor:
        """Log-odds by the probabilities of all levels, see `liftnet.mesh.octree.soft_occupancy`."""
        return soft_occupancy([level.float() for level in prediction])


def build(settings: NetworkSettings) -> OGN:
    """The shared encoder, twice as wide in the published size, whose number of weights is about 12.5 million."""
    if settings.size == "published":
        return OGN(ImageEncoder(widths=(64, 128, 256), code=512), (64, 64, 32, 16))
    return OGN(ImageEncoder(), (64, 32, 16, 8))


def _level(before: int, after: int) -> nn.Sequential:
    double = nn.ConvTranspose3d(before, after, 4, stride=2, padding=1)
    return nn.Sequential(double, nn.BatchNorm3d(after), nn.ReLU())

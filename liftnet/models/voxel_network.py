"""What networks have in common that say of each voxel how much it is inside: their meshes, and where these are cut."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from liftnet.core.errors import LiftnetError
from liftnet.mesh.marching_cubes import MarchingCubes
from liftnet.models.reconstruction import ReconstructionNetwork, Surface

LEVELS = tuple(percent / 100 for percent in range(5, 100, 5))
USUAL_LEVEL = 0.5
APART = 1e-3  # of log-odds from the level: gradients of vertices stay below about 500
OUTSIDE = 6.0  # how far below the level the log-odds around the grid are: it may end close to a surface, not within


class VoxelNetwork(ReconstructionNetwork):
    """Base of networks whose output is a volume.

    Its `level` is saved with the weights: the probability at which meshes are cut, the same for all shapes. The rule
    for all of these networks is that of `best_level` on the shapes held out.

    Attributes:
        resolution: Voxels a side.
        level: () probability.
    """

    level: Tensor

    def __init__(self, resolution: int) -> None:
        super().__init__()
        self.voxels = resolution
        self.register_buffer("level", torch.tensor(USUAL_LEVEL))

    @abstractmethod
    def occupancy(self, prediction: Any) -> Tensor:
        """(B, R, R, R) log-odds that the voxels [x, y, z] over the cube from -.5 to .5 are inside."""

    def surfaces(self, prediction: Any) -> list[Surface]:
        """Closed meshes of B predictions; one without faces where all voxels lie on one side of the level.

        Raises:
            ValueError: A prediction is not finite.
        """
        cut = self.cut()
        cubes = MarchingCubes(cut, outside=cut - OUTSIDE, empty="mesh", apart=APART)
        return list(zip(*cubes(self.occupancy(prediction).float()), strict=True))

    def cut(self) -> float:
        """The level as log-odds."""
        level = float(self.level)
        return math.log(level / (1 - level))


def true_voxels(network: VoxelNetwork, voxels: Tensor) -> Tensor:
    """The voxels of a batch (B, R, R, R) bool, if they are as fine as the network's.

    Raises:
        LiftnetError: They are not.
    """
    side = network.voxels
    if voxels.ndim != 4 or voxels.shape[-1] != side:
        raise LiftnetError(
            "the shapes' voxels",
            f"are {voxels.shape[-1] if voxels.ndim == 4 else 'no'} a side and the network's {side}",
            "Write the data with voxels of that resolution",
        )
    return voxels


def ious_at_levels(occupancy: Tensor, voxels: Tensor, levels: Sequence[float] = LEVELS) -> Tensor:
    """Intersection over union (B, L) of what each level calls inside with the true voxels; 1 where both are empty.

    Args:
        occupancy: (B, R, R, R) log-odds.
        voxels: (B, R, R, R) bool.
        levels: L probabilities.
    """
    cuts = torch.logit(torch.tensor(levels, dtype=torch.float64)).tolist()
    found = []
    for cut in cuts:
        inside = occupancy >= cut
        both, either = ((cells).sum((1, 2, 3)) for cells in (inside & voxels, inside | voxels))
        found.append(torch.where(either > 0, both / either.clamp(min=1), 1.0))
    return torch.stack(found, dim=1)


def best_level(ious: Tensor, levels: Sequence[float] = LEVELS) -> float:
    """The level whose intersection over union has the highest mean over the shapes held out; of equal ones the middle.

    Published networks name levels of their own (3D-R2N2 .4, others .5), found in ways that are not told.

    Args:
        ious: (N, L) of `ious_at_levels`, of all N shapes.
        levels: L probabilities.
    """
    means = ious.double().mean(0)
    equal = torch.nonzero(means >= means.max() - 1e-9)[:, 0].tolist()
    return levels[min(equal, key=lambda number: abs(levels[number] - USUAL_LEVEL))]

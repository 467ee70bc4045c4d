"""Cross-entropy of voxels: the loss of 3D-R2N2 (Choy et al., ECCV 2016), and of any network that gives a volume.

The softmax of two logits is the sigmoid of their difference, so that the softmax cross-entropy of 3D-R2N2 and a binary
one are the same. Here it is computed from log-odds, which no size of the logits overflows, as the authors' file does.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from liftnet.models.reconstruction import ReconstructionNetwork
from liftnet.models.voxel_network import VoxelNetwork, true_voxels
from liftnet.reconstruct.objectives import LossTerms, ShapeBatch, only_for

NEEDS = ("voxels",)


def loss(network: ReconstructionNetwork, prediction: Any, batch: ShapeBatch, generator: torch.Generator) -> LossTerms:
    """The mean over a shape's voxels."""
    voxel_network = only_for(VoxelNetwork, network, "voxels")  # type: ignore[type-abstract]
    voxels = true_voxels(voxel_network, batch.voxels)
    return {"loss": voxel_cross_entropy(voxel_network.occupancy(prediction), voxels)}


def voxel_cross_entropy(occupancy: Tensor, voxels: Tensor) -> Tensor:
    """Means (B,) over the voxels of log-odds (B, R, R, R) and the truth (B, R, R, R) bool."""
    occupancy = occupancy.float()
    return binary_cross_entropy_with_logits(occupancy, voxels.to(occupancy), reduction="none").mean((1, 2, 3))

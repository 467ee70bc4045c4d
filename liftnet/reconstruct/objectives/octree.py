"""The loss of Octree Generating Networks (Tatarchenko et al., ICCV 2017, section 4.2): the states of octree cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from liftnet.mesh.octree import OctreeLevel, octree_levels
from liftnet.models.reconstruction import ReconstructionNetwork
from liftnet.models.reconstruction_networks.ogn import OGN
from liftnet.models.voxel_network import true_voxels
from liftnet.reconstruct.objectives import LossTerms, ShapeBatch, only_for

NEEDS = ("voxels",)


def loss(network: ReconstructionNetwork, prediction: Any, batch: ShapeBatch, generator: torch.Generator) -> LossTerms:
    """The sum over levels; that of each level is recorded as `level_<cells a side>`."""
    voxels = true_voxels(only_for(OGN, network, "octree"), batch.voxels)
    levels = octree_cross_entropy(prediction, octree_levels(voxels, prediction[0].shape[-1]))
    recorded = {f"level_{logits.shape[-1]}": level for logits, level in zip(prediction, levels, strict=True)}
    return {"loss": torch.stack(levels).sum(0), **recorded}


def octree_cross_entropy(logits: Sequence[Tensor], levels: Sequence[OctreeLevel]) -> list[Tensor]:
    """Softmax cross-entropy of the three states on each level, over the cells that are in the true octree.

    Args:
        logits: (B, 3, S, S, S) of each level.
        levels: The true octree: cells of a level are those whose parents are mixed in truth, whatever is predicted.

    Returns:
        (B,) each; the mean over the shapes is the mean over all cells of that level.
    """
    means = []
    for states, level in zip(logits, levels, strict=True):
        known = level.known.float()
        cells = cross_entropy(states.float(), level.states, reduction="none") * known
        means.append(cells.sum((1, 2, 3)) * len(cells) / known.sum().clamp(min=1))
    return means

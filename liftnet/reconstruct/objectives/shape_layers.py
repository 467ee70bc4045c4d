"""The loss of Matryoshka Networks (Richter and Roth, CVPR 2018, and the authors' train.py): depth maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from liftnet.mesh.shape_layers import encode_layers
from liftnet.models.reconstruction import ReconstructionNetwork
from liftnet.models.reconstruction_networks.matryoshka import Matryoshka
from liftnet.models.voxel_network import true_voxels
from liftnet.reconstruct.objectives import LossTerms, ShapeBatch, only_for

NEEDS = ("voxels",)


def loss(network: ReconstructionNetwork, prediction: Any, batch: ShapeBatch, generator: torch.Generator) -> LossTerms:
    """`depth_loss` to the maps of the true voxels."""
    matryoshka = only_for(Matryoshka, network, "shape_layers")
    maps = encode_layers(true_voxels(matryoshka, batch.voxels), matryoshka.layers)
    return {"loss": depth_loss(prediction.float(), maps)}


def depth_loss(predicted: Tensor, true: Tensor) -> Tensor:
    """L1 of the depths where there is a shape; where there is none, how far they are above -1.

    Both sums over the maps are divided by the share of such pixels, summed over the maps and averaged over the batch,
    but by no less than 1: a shape that fills less than a sixth of its maps weighs less.

    Args:
        predicted: (B, 6 layers, R, R).
        true: The same, 0 where there is no shape.

    Returns:
        (B,), whose mean is the loss of the batch as published.
    """
    shape = (true > 0).float()
    empty = 1 - shape
    off = ((predicted - true).abs() * shape).mean((2, 3)).sum(1)
    above = ((predicted + 1).relu() * empty).mean((2, 3)).sum(1)
    share, rest = (pixels.mean((0, 2, 3)).sum().clamp(min=1) for pixels in (shape, empty))
    return off / share + above / rest

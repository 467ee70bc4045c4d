"""The second step of IM-Net (Chen and Zhang, CVPR 2019): pictures learn the codes that shapes have got in the first.

Only the encoder of pictures learns from it. A shape's code is that of its voxels as the other encoder gives it at the
time; after `imnet_shapes` alone it is always the same, and nothing need be stored.
"""

from __future__ import annotations

from typing import Any

import torch

from liftnet.models.reconstruction import ReconstructionNetwork
from liftnet.models.reconstruction_networks.imnet import IMNet
from liftnet.models.voxel_network import true_voxels
from liftnet.reconstruct.objectives import LossTerms, ShapeBatch, only_for

NEEDS = ("voxels",)


def loss(network: ReconstructionNetwork, prediction: Any, batch: ShapeBatch, generator: torch.Generator) -> LossTerms:
    """Mean squared error of the codes."""
    imnet = only_for(IMNet, network, "imnet_codes")
    with torch.no_grad():
        codes = imnet.voxel_encoder(true_voxels(imnet, batch.voxels))
    return {"loss": (prediction.float() - codes.float()).square().mean(1)}

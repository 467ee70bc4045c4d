"""The first step of IM-Net (Chen and Zhang, CVPR 2019): shapes are given back from codes of their own voxels.

The encoder of pictures has no part in it. The second step is `imnet_codes`, in a training of its own that goes on from
this one's weights, or in the same, added to this loss.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import max_pool3d

from liftnet.models.reconstruction import ReconstructionNetwork
from liftnet.models.reconstruction_networks.imnet import IMNet, cell_centres
from liftnet.models.voxel_network import true_voxels
from liftnet.reconstruct.objectives import LossTerms, ShapeBatch, only_for

NEEDS = ("voxels",)
NEAR = 0.5  # share of the points that lie beside the surface


def loss(network: ReconstructionNetwork, prediction: Any, batch: ShapeBatch, generator: torch.Generator) -> LossTerms:
    """Mean squared error of the values at voxels' centres, half of them drawn beside the surface."""
    imnet = only_for(IMNet, network, "imnet_shapes")
    voxels = true_voxels(imnet, batch.voxels)
    chosen = choose_voxels(voxels, imnet.points, generator)
    codes = imnet.voxel_encoder(voxels)
    values = imnet.decoder(codes, cell_centres(voxels.shape[-1], codes)[chosen])
    return {"loss": (values.float() - voxels.flatten(1).gather(1, chosen).float()).square().mean(1)}


def choose_voxels(voxels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices (B, count) into the voxels of shapes (B, R, R, R), drawn with replacement.

    Half are drawn from all voxels, half from those with a neighbour on the other side; the authors' samples too are
    denser near the surface.
    """
    inside = voxels[:, None].float()
    beside = (max_pool3d(inside, 3, 1, 1) != -max_pool3d(-inside, 3, 1, 1)).flatten(1).float()
    weights = beside * (NEAR / beside.sum(1, keepdim=True).clamp(min=1)) + (1 - NEAR) / beside.shape[1]
    chosen = torch.multinomial(weights.cpu(), count, replacement=True, generator=generator)
    return chosen.to(voxels.device)

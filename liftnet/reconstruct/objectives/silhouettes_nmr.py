"""Silhouettes as the Neural 3D Mesh Renderer learns from them: intersection over union alone.

Its own gradient, of sharp images and made by hand, is not what this library's rasteriser has: edges here are just soft
enough that a pixel beside an outline feels it. What remains of the difference to SoftRas' loss is the softness and
that nothing keeps the mesh smooth; its weight of smoothness is 0 by default.
"""

from __future__ import annotations

from typing import Any

import torch

from liftnet.models.reconstruction import ReconstructionNetwork
from liftnet.reconstruct.objectives import LossTerms, ShapeBatch
from liftnet.reconstruct.objectives._views import one_minus_iou, rendered

NEEDS = ("cameras", "coverage")
SOFTNESS = 0.16  # px, half of SoftRas'


def loss(network: ReconstructionNetwork, prediction: Any, batch: ShapeBatch, generator: torch.Generator) -> LossTerms:
    """1 - intersection over union of silhouettes (Kato et al., CVPR 2018, equation 11), mean over views."""
    surfaces = network.object_surfaces(prediction, batch.views)
    shown = rendered(surfaces, batch, batch.coverage.shape[-1], SOFTNESS)
    return {"loss": one_minus_iou(shown.coverage, batch.coverage)}

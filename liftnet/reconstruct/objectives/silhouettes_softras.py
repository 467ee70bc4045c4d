"""Silhouettes as SoftRas learns from them: intersection over union, and a mesh that stays smooth."""

from __future__ import annotations

from typing import Any

import torch

from liftnet.models.reconstruction import ReconstructionNetwork
from liftnet.reconstruct.objectives import LossTerms, ShapeBatch
from liftnet.reconstruct.objectives._views import foldedness, one_minus_iou, rendered, roughness

NEEDS = ("cameras", "coverage")
SOFTNESS = 0.32  # px: its sigma of 1e-4 at its 64 px
LAPLACIAN, FLATTEN = 5e-3, 5e-4  # weights of its program


def loss(network: ReconstructionNetwork, prediction: Any, batch: ShapeBatch, generator: torch.Generator) -> LossTerms:
    """1 - intersection over union + .005 Laplacian + .0005 flatten (Liu et al., Soft Rasterizer, 2019, equation 12).

    Returns:
        (B,) each: "loss", and its parts "iou" (1 minus it), "laplacian" and "flatten" without their weights.
    """
    surfaces = network.object_surfaces(prediction, batch.views)
    shown = rendered(surfaces, batch, batch.coverage.shape[-1], SOFTNESS)
    apart, rough, folded = one_minus_iou(shown.coverage, batch.coverage), roughness(surfaces), foldedness(surfaces)
    parts = {"iou": 1 - apart, "laplacian": rough, "flatten": folded}
    return {"loss": apart + LAPLACIAN * rough + FLATTEN * folded} | {n: part.detach() for n, part in parts.items()}

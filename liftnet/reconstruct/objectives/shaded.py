"""Shaded views compared pixel by pixel: the loss that DR-KFS is set against in Table 4 of its paper."""

from __future__ import annotations

from typing import Any

import torch

from liftnet.models.reconstruction import ReconstructionNetwork
from liftnet.reconstruct.objectives import LossTerms, ShapeBatch
from liftnet.reconstruct.objectives._views import rendered, roughness

NEEDS = ("cameras", "shaded")
SOFTNESS = 0.32  # px, as in SoftRas' loss; at .55 a shape 4 to 7 % too small would have the least loss
LAPLACIAN = 5e-3  # SoftRas'; without it single vertices run away along the gradient of few pixels


def loss(network: ReconstructionNetwork, prediction: Any, batch: ShapeBatch, generator: torch.Generator) -> LossTerms:
    """Mean squared difference of gray values over views and pixels, and .005 times the Laplacian of the mesh.

    Returns:
        (B,) each: "loss", and its parts "squared" and "laplacian" without its weight.
    """
    surfaces = network.object_surfaces(prediction, batch.views)
    shown = rendered(surfaces, batch, batch.shaded.shape[-1], SOFTNESS).shaded
    squared = (shown - batch.shaded).square().mean((1, 2, 3))
    rough = roughness(surfaces)
    return {"loss": squared + LAPLACIAN * rough, "squared": squared.detach(), "laplacian": rough.detach()}

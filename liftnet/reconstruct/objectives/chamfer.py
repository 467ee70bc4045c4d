"""Chamfer distance between points of the surface and those on AtlasNet's patches: what it is trained with."""

from __future__ import annotations

import torch
from torch import Tensor

from liftnet.models.reconstruction import ReconstructionNetwork
from liftnet.models.reconstruction_networks.atlasnet import AtlasNet
from liftnet.reconstruct.objectives import LossTerms, ShapeBatch, only_for
from liftnet.shape.distances import chamfer

NEEDS = ("points",)


def loss(
    network: ReconstructionNetwork, prediction: Tensor, batch: ShapeBatch, generator: torch.Generator
) -> LossTerms:
    """Mean squared distance to the nearest point, there and back (Groueix et al., AtlasNet, CVPR 2018, equation 5).

    The patches' points are drawn anew each step; of the known points as many, with replacement.

    Raises:
        LiftnetError: The network is not AtlasNet.
    """
    points = only_for(AtlasNet, network, "chamfer").sampled(prediction, generator)
    return {"loss": chamfer(points, rows(batch.points, drawn(batch.points, points.shape[1], generator)))}


def drawn(values: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Numbers (B, count) of rows of values (B, N, ...), with replacement."""
    return torch.randint(values.shape[1], (len(values), count), generator=generator).to(values.device)


def rows(values: Tensor, chosen: Tensor) -> Tensor:
    """The rows (B, M, C) of values (B, N, C) with these numbers (B, M)."""
    return values.gather(1, chosen[..., None].expand(-1, -1, values.shape[2]))

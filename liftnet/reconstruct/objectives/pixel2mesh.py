"""Pixel2Mesh's five terms on its three meshes (Wang et al., ECCV 2018, section 3.4, with its program's weights)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from liftnet.mesh.regularisers import edge_loss, laplacian_change, move_loss, normal_loss
from liftnet.models.reconstruction import ReconstructionNetwork
from liftnet.models.reconstruction_networks.pixel2mesh import Connectivity, Deformed, Pixel2Mesh
from liftnet.reconstruct.objectives import LossTerms, ShapeBatch, only_for
from liftnet.reconstruct.objectives.chamfer import drawn, rows
from liftnet.shape.distances import partners

NEEDS = ("points", "normals")
SCALE = 0.57  # of its shapes beside ours of diameter 1; its weights hold for lengths of that scale
POINTS_PER_VERTEX = 2  # of the finest mesh: known points that a step sees
CHAMFER, BACK, EDGE, NORMAL, MOVE = 3000.0, 0.55, 300.0, 0.5, 100.0
LAPLACIAN, FIRST = 1500.0, 0.1  # the latter of the first step, which may change the sphere as much as it likes


@dataclass(frozen=True, eq=False)
class Target:
    """Points (B, N, 3) of the surface in the camera's frame and their unit normals (B, N, 3)."""

    points: Tensor
    normals: Tensor


def loss(
    network: ReconstructionNetwork, prediction: Deformed, batch: ShapeBatch, generator: torch.Generator
) -> LossTerms:
    """The sum of the five terms over the three steps; weights of the network are kept small by the optimiser instead.

    Returns:
        (B,) each: "loss", and weighted sums over the steps: "chamfer", "edge", "normal", "laplacian", "move".

    Raises:
        LiftnetError: The network is not Pixel2Mesh.
    """
    network = only_for(Pixel2Mesh, network, "pixel2mesh")
    target = in_view(batch, POINTS_PER_VERTEX * prediction.after[-1].shape[1], generator)
    distant = [distance_terms(after, network.mesh(number), target) for number, after in enumerate(prediction.after)]
    return summed(distant, regularity(network, prediction))


def in_view(batch: ShapeBatch, count: int, generator: torch.Generator) -> Target:
    """So many of the known points at most, drawn anew, turned into the camera's frame with their normals."""
    points, normals, turn = batch.points, batch.normals, batch.views.rotation.transpose(1, 2)
    if count < points.shape[1]:
        chosen = drawn(points, count, generator)
        points, normals = rows(points, chosen), rows(normals, chosen)
    return Target(points @ turn, normals @ turn)


def distance_terms(after: Tensor, mesh: Connectivity, target: Target) -> dict[str, Tensor]:
    """(B,) each: the weighted terms of one step's vertices (B, V, 3) that compare with the true shape."""
    pairs = [partners(own, known) for own, known in zip(after.detach(), target.points, strict=True)]
    known, own = (torch.stack(part).to(after.device) for part in zip(*pairs, strict=True))
    accuracy = (after - rows(target.points, known)).square().sum(-1).mean(1)
    completeness = (target.points - rows(after, own)).square().sum(-1).mean(1)
    squared = SCALE**2
    return {
        "chamfer": CHAMFER * squared * (completeness + BACK * accuracy),
        "normal": NORMAL * normal_loss(after, mesh.edges, rows(target.normals, known)),
    }


def regularity(network: Pixel2Mesh, prediction: Deformed) -> list[dict[str, Tensor]]:
    """Of each step (B,) each: the weighted terms that keep its mesh even, which know nothing of the true shape."""
    steps = enumerate(zip(prediction.before, prediction.after, strict=True))
    each = [regularity_terms(before, after, network.mesh(number)) for number, (before, after) in steps]
    each[0] |= {"laplacian": FIRST * each[0]["laplacian"], "move": 0 * each[0]["move"]}
    return each


def regularity_terms(before: Tensor, after: Tensor, mesh: Connectivity) -> dict[str, Tensor]:
    """(B,) each: the weighted terms of one step that took vertices (B, V, 3) from `before` to `after`."""
    squared = SCALE**2
    return {
        "edge": EDGE * squared * edge_loss(after, mesh.edges),
        "laplacian": LAPLACIAN * squared * laplacian_change(after, before, mesh.means),
        "move": MOVE * squared * move_loss(after, before),
    }


def summed(*kinds: list[dict[str, Tensor]]) -> LossTerms:
    """(B,) each: "loss", and each term over the steps."""
    terms = {name: torch.stack([step[name] for step in each]).sum(0) for each in kinds for name in each[0]}
    total = torch.stack(list(terms.values())).sum(0)
    return {"loss": total} | {name: value.detach() for name, value in terms.items()}

"""Losses of reconstruction networks, each a module of this folder with `NEEDS` and `loss`.

A new loss is a new module: settings and command line know it by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from liftnet.core.errors import LiftnetError
from liftnet.drkfs import DRKFS, Target
from liftnet.models.reconstruction import ReconstructionNetwork, Views
from liftnet.rasteriser import CameraBatch, hemisphere

LossTerms = dict[str, Tensor]
Kind = TypeVar("Kind", bound=ReconstructionNetwork)


@dataclass(frozen=True, eq=False)
class ShapeBatch:
    """What is known of B shapes; a loss finds there what its `NEEDS` names, in the shape's frame.

    Attributes:
        views: The pictures that the network sees.
        points: (B, N, 3) of the outer surface.
        normals: (B, N, 3) of these points, unit length, outwards.
        voxels: (B, R, R, R) bool, [x, y, z] over the cube from -.5 to .5: cells whose centre lies inside, and those of
            parts that no centre lies in.
        cameras: (B, K) numbers of the views of `rig` that `coverage` and `shaded` show and in which DR-KFS compares:
            the same K for all shapes.
        rig: All cameras from which the true shapes were rendered; by default those of DR-KFS.
        coverage: (B, K, S, S) in [0, 1], the true shape's silhouettes.
        shaded: (B, K, S, S) in [0, 1], the true shape in the light of DR-KFS, `HALF_LAMBERT`.
        targets: What DR-KFS compares with, of all its views.
        metric: What compares with them.
    """

    views: Views
    points: Tensor = field(default_factory=lambda: torch.empty(0))
    normals: Tensor = field(default_factory=lambda: torch.empty(0))
    voxels: Tensor = field(default_factory=lambda: torch.empty(0))
    cameras: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    rig: CameraBatch = field(default_factory=hemisphere)
    coverage: Tensor = field(default_factory=lambda: torch.empty(0))
    shaded: Tensor = field(default_factory=lambda: torch.empty(0))
    targets: Target | None = None
    metric: DRKFS | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same batch on another device; cameras and metric stay where they are."""
        held = {each.name: getattr(self, each.name) for each in fields(self)}
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=non_blocking)
            for name, value in held.items()
            if isinstance(value, Tensor | Views | Target)
        }
        return replace(self, **moved)


Loss = Callable[[ReconstructionNetwork, Any, ShapeBatch, torch.Generator], LossTerms]
"""From a network, what its `forward` said and what is known of the shapes to (B,) each: "loss" and what is only
recorded. A module of this folder has one, called `loss`, and `NEEDS`, the names of attributes of `ShapeBatch`."""


def only_for(kind: type[Kind], network: ReconstructionNetwork, loss: str) -> Kind:
    """The network, if it is of the kind whose predictions a loss understands.

    Raises:
        LiftnetError: It is not.
    """
    if not isinstance(network, kind):
        reason = f"is for networks of the kind {kind.__name__}, not {type(network).__name__}"
        raise LiftnetError(f"the loss {loss}", reason, "Choose another loss, or another network")
    return network

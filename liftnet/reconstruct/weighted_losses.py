"""Sums of losses by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, Self

import torch

from liftnet.core.errors import LiftnetError
from liftnet.models.reconstruction import ReconstructionNetwork
from liftnet.reconstruct import objectives
from liftnet.reconstruct.objectives import LossTerms, ShapeBatch

VISUAL, LEFT_OUT = "drkfs", "drkfs_left_out"  # what is empty has no views: the loss, and its term that says so


@dataclass(frozen=True)
class WeightedLosses:
    """A sum of losses.

    Attributes:
        weights: The weight of each loss, by its name.
        instead: Losses, by name with weights, of the shapes that DR-KFS has to leave out: nothing else would tell the
            network about them.
    """

    weights: Mapping[str, float]
    instead: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, network: ReconstructionNetwork, weights: Mapping[str, float]) -> Self:
        """The losses of these names, or those that are a network's own without a name.

        Raises:
            LiftnetError: No name is given and the network has no loss of its own.
        """
        chosen = dict(weights or network.own_losses)
        if not chosen:
            what = network.settings.architecture
            raise LiftnetError(what, "has no loss of its own", "Name one: `--losses '{\"chamfer\": 1}'`")
        others = {name: weight for name, weight in network.own_losses.items() if name not in chosen}
        return cls(chosen, others if VISUAL in chosen else {})

    @property
    def needs(self) -> frozenset[str]:
        """The attributes of `ShapeBatch` that they read."""
        return frozenset(need for name in [*self.weights, *self.instead] for need in loss_module(name).NEEDS)

    def terms(
        self, network: ReconstructionNetwork, prediction: Any, batch: ShapeBatch, generator: torch.Generator
    ) -> LossTerms:
        """Of each shape (B,): "loss", the weighted sum; and by the name of each loss its value and its other terms."""
        device = batch.views.images.device
        total = torch.zeros(len(batch.views.images), device=device)
        recorded: LossTerms = {}
        for name, weight in self.weights.items():
            terms = loss_module(name).loss(network, prediction, batch, generator)
            total = total + weight * terms["loss"]
            recorded |= _named(name, terms)
        left_out = recorded.get(LEFT_OUT, torch.zeros(0))
        if self.instead and bool(left_out.any()):
            for name, weight in self.instead.items():
                terms = loss_module(name).loss(network, prediction, batch, generator)
                total = total + torch.where(left_out > 0, weight * terms["loss"], 0)
        return {"loss": total, **recorded}


def loss_module(name: str) -> ModuleType:
    """The module of a loss."""
    return import_module(f"{objectives.__name__}.{name}")


def _named(name: str, terms: LossTerms) -> LossTerms:
    """The terms of a loss as they are recorded beside those of others."""
    return {name if term == "loss" else f"{name}_{term}": value.detach() for term, value in terms.items()}

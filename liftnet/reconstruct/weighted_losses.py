"""Sums of losses by their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Self

import torch
from torch import Tensor

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
        """Of each shape (B,): "loss", the weighted sum; and by the name of each loss its value and its other terms.

        Of a prediction that is not finite there is only the loss, NaN, which leads back to the weights: losses could
        not extract a surface from it or look for its nearest points.
        """
        count, device = len(batch.views.images), batch.views.images.device
        said = [tensor for tensor in tensors_in(prediction) if tensor.is_floating_point()]
        if not all(bool(tensor.isfinite().all()) for tensor in said):
            return {"loss": torch.nan * torch.stack([tensor.sum() for tensor in said]).sum().expand(count)}
        total = torch.zeros(count, device=device)
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


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in any nesting of dataclasses, mappings and sequences."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from tensors_in(getattr(value, each.name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from tensors_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tensors_in(inner)

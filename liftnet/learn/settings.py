"""Settings of a training that are the same for every network; a stage's group is a subclass with its own defaults."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from liftnet.core.devices import Precision
from liftnet.core.settings import Settings

if TYPE_CHECKING:
    from torch.optim import Optimizer

Schedule = Literal["constant", "linear", "cosine"]


class OptimiserSettings(Settings):
    """How the weights follow the gradient."""

    name: Literal["adam", "adamw", "sgd"] = Field("adam", description="adam, adamw or sgd")
    learning_rate: float = Field(1e-3, gt=0, le=100, description="highest learning rate")
    schedule: Schedule = Field(
        "linear", description="learning rate over the steps: constant, falling linearly, or by half a cosine, to 0"
    )
    warm_up_fraction: float = Field(
        0.0, ge=0, lt=1, description="fraction of the steps in which the learning rate rises to its highest"
    )
    weight_decay: float = Field(0.0, ge=0, le=1, description="weight decay")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    dampening: float = Field(0.0, ge=0, lt=1, description="dampening of sgd's momentum")
    clip_value: float | None = Field(None, gt=0, description="gradient values are clamped to +- this; null: not")
    clip_norm: float | None = Field(
        None, gt=0, description="the gradient of all weights is scaled down to this norm; null: not"
    )


class TrainingSettings(Settings):
    """What decides the weights of a training besides the task itself: its fingerprint is part of a checkpoint's."""

    iterations: int = Field(1000, ge=1, description="steps at most")
    batch_size: int = Field(16, ge=1, le=4096, description="items in a step")
    validate_every: int = Field(100, ge=1, description="steps between two validations")
    patience: int | None = Field(
        None, ge=1, description="stop after so many validations without a better one; null: never early"
    )
    optimiser: OptimiserSettings = Field(OptimiserSettings(), description="how the weights follow the gradient")
    precision: Precision = Field("float32", description="what the network computes in; bfloat16: mixed precision")
    channels_last: bool = Field(True, description="keep the channels of a pixel together in memory: faster")
    compile: bool = Field(False, description="compile the networks with torch.compile; worth it for long runs")
    deterministic: bool = Field(True, description="the same numbers each time on a GPU too, at some cost in speed")


def build_optimiser(groups: list[dict[str, Any]], settings: OptimiserSettings) -> Optimizer:
    """The optimiser of groups of parameters as torch takes them; `rate_factor` in a group scales its learning rate."""
    import torch

    groups = [{"rate_factor": 1.0, **group} for group in groups]
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.name == "sgd":
        return torch.optim.SGD(
            groups, lr=rate, momentum=settings.momentum, dampening=settings.dampening, weight_decay=decay
        )
    if settings.name == "adamw":
        return torch.optim.AdamW(groups, lr=rate, weight_decay=decay)
    return torch.optim.Adam(groups, lr=rate, weight_decay=decay)


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """The learning rate of the step that follows `step` steps; a pure function of it, so that a resumed run agrees."""
    optimiser = settings.optimiser
    return optimiser.learning_rate * rate_factor(
        optimiser.schedule, step, settings.iterations, optimiser.warm_up_fraction
    )


def rate_factor(schedule: Schedule, step: int, steps: int, warm_up_fraction: float = 0.0) -> float:
    """What the highest learning rate is multiplied by in the step that follows `step` steps.

    Args:
        schedule: constant; linear: falling in equal steps towards 0; cosine: half a cosine down to 0 (Loshchilov and
            Hutter, "SGDR", ICLR 2017). Cosine with a warm-up is the one-cycle schedule (Smith and Topin, 2018).
        step: Steps done.
        steps: Steps of the whole training.
        warm_up_fraction: Of the steps, in which the rate rises in equal steps to its highest; at least one step unless
            it is 0. The rest of the steps follows the schedule.

    Returns:
        In (0, 1]; 0 never, since after `steps` steps the training is over.
    """
    rise = max(1, round(warm_up_fraction * steps)) if warm_up_fraction else 0
    if step < rise:
        return (step + 1) / rise
    done, total = step - rise, max(1, steps - rise)
    if schedule == "linear":
        return 1 - done / total
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done / total))
    return 1.0

"""What a network can be trained to do; the loop of `liftnet.learn.loop` is the same for all of it.

A `Task` says what a step sees, what its loss is and how a validation is measured. One that learns from a list of items
(pairs, images, shapes) need not write that itself: it gives two `Objective`s, one to train and one to validate on, and
`ItemTask` does the rest.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn

from liftnet.core.ids import stable_seed
from liftnet.learn.checkpoint import Row

IntArray = npt.NDArray[np.int64]
LossTerms = dict[str, Tensor]
Networks = Mapping[str, nn.Module]
WINDOW = 8  # row groups of items shuffled together


@dataclass(frozen=True)
class Part:
    """Which part of a step is this process's: with several, each takes every so many-th item."""

    rank: int = 0
    processes: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """What this process's random numbers depend on besides seed and step; nothing where it is alone."""
        return () if self.processes == 1 else (str(self.rank),)


@dataclass(frozen=True)
class Validation:
    """What a validation knows of the training.

    Attributes:
        step: Steps done.
        terms: Terms of the loss since the last validation, of all processes, on the host.
        learning_rate: Of the last step.
        seconds: Time spent in the loop.
        cpu_seconds: Of the processor, spent on the steps alone.
        device: Where the networks are.
        part: Which part of the work is this process's.
        gather: From what this process measured to what all measured; for tasks that divide a validation.
    """

    step: int
    terms: Sequence[LossTerms]
    learning_rate: float
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    part: Part = Part()
    gather: Callable[[list[LossTerms]], list[LossTerms]] = list


class Task(ABC):
    """What is learnt.

    Attributes:
        name: What is trained, in words, for progress lines: "the segmenter".
        networks: The networks by name, initialised, on the CPU.
        headline: Column of the metrics that progress lines show.
    """

    name = "the network"
    networks: dict[str, nn.Module]
    headline = "val_loss"

    @abstractmethod
    def batch(self, step: int, part: Part) -> Any:
        """What the step after `step` steps sees: tensors on the host, in any nesting of tuples and dictionaries.

        It is a function of its arguments alone, and is called ahead of time by a thread of its own.
        """

    @abstractmethod
    def terms(self, networks: Networks, batch: Any, generator: torch.Generator) -> LossTerms:
        """Run the networks on a batch, on its device.

        Args:
            networks: Those of the task, perhaps compiled and shared among processes.
            batch: What `batch` gave.
            generator: Where all that is random in the loss comes from; on the host. torch's global generator, as
                dropout uses it, is seeded for the step too.

        Returns:
            Scalars or one number per item: "loss", whose mean is minimised, and others that are only recorded.
        """

    @abstractmethod
    def validate(self, networks: Networks, at: Validation) -> Row:
        """Measure the networks, in evaluation mode and without gradients; returns the row of metrics.csv."""

    def score(self, row: Row) -> tuple[float, ...] | None:
        """How good a validation is, larger is better; None where it does not count and the last weights are kept."""
        return (-float(row["val_loss"]),)

    def kept(self) -> Sequence[str]:
        """Names of the networks whose best weights are kept."""
        return list(self.networks)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters as torch's optimisers take them; `rate_factor` in a group scales its learning rate."""
        return [{"params": [weight for network in self.networks.values() for weight in network.parameters()]}]

    def after_step(self) -> None:  # noqa: B027 - most tasks do nothing here
        """Called after each step of the optimiser: what keeps the weights where they belong."""


class Objective(Protocol):
    """Items to learn from and how well a network does on them."""

    @property
    def items(self) -> Sequence[str]:
        """Name of each item (a pair, an image); with settings and seed they tell one run from another."""
        ...

    @property
    def groups(self) -> Sequence[int]:
        """Row group of each item; items of one group are read together."""
        ...

    @property
    def directions(self) -> int:
        """2 where an item is learnt in both directions (a pair), 1 otherwise."""
        ...

    def batch(self, chosen: IntArray, seed: int) -> Any:
        """Read items on the host.

        Args:
            chosen: (n, 2) item and direction.
            seed: Where all that is random in the batch comes from.

        Returns:
            Tensors, in any nesting of tuples and dictionaries.
        """
        ...

    def terms(self, networks: Networks, batch: Any, generator: torch.Generator) -> LossTerms:
        """Run the networks on a batch, on its device.

        Args:
            networks: Those of the task.
            batch: What `batch` gave.
            generator: Where all that is random in the loss comes from; on the host.

        Returns:
            (B,) each: "loss", whose mean is minimised, and others that are only recorded.
        """
        ...


class ItemTask(Task):
    """A task that learns from a list of items, epoch after epoch, and validates on another list.

    Args:
        networks: The networks by name.
        train: What they learn from.
        val: The same on items held out.
        batch_size: Items in a step.
        seed: The run's seed.
        keep: The network whose best weights are kept; all of them without a name.
        name: What is trained, in words.
    """

    def __init__(
        self,
        networks: dict[str, nn.Module],
        train: Objective,
        val: Objective,
        batch_size: int,
        seed: int,
        keep: str | None = None,
        name: str = "the network",
    ) -> None:
        self.networks, self.train, self.val, self.name = networks, train, val, name
        self.batch_size, self.seed, self.keep = batch_size, seed, keep
        self.order = Order(train.groups, train.directions, batch_size, seed)

    def batch(self, step: int, part: Part) -> Any:
        """The items of the step, read by the objective."""
        seed = stable_seed(self.seed, "batch", str(step), *part.names)
        return self.train.batch(self.order.chosen(step)[part.rank :: part.processes], seed)

    def terms(self, networks: Networks, batch: Any, generator: torch.Generator) -> LossTerms:
        """Those of the objective."""
        return self.train.terms(networks, batch, generator)

    def validate(self, networks: Networks, at: Validation) -> Row:
        """Means of the terms over all held-out items, in each direction, beside those of the training."""
        chosen = in_directions(np.arange(len(self.val.items)), self.val.directions)
        terms = []
        for start in range(self.batch_size * at.part.rank, len(chosen), self.batch_size * at.part.processes):
            seed = stable_seed(self.seed, "validation", str(start))
            batch = send_to_device(self.val.batch(chosen[start : start + self.batch_size], seed), at.device)
            terms.append(on_host(self.val.terms(networks, batch, torch.Generator().manual_seed(seed))))
        held_out, training = mean_terms(at.gather(terms)), mean_terms(at.terms)
        return {
            "iteration": at.step,
            "train_loss": training.pop("loss"),
            "val_loss": held_out["loss"],
            **training,
            **{f"val_{name}": value for name, value in held_out.items() if name != "loss"},
            "learning_rate": at.learning_rate,
            "seconds": round(at.seconds, 2),
        }

    def kept(self) -> Sequence[str]:
        """The network named, or all."""
        return list(self.networks) if self.keep is None else [self.keep]


def mean_terms(terms: Sequence[LossTerms]) -> dict[str, float]:
    """The mean of each term over all items of the steps that have it; a "loss" of NaN where there is no step."""
    if not terms:
        return {"loss": math.nan}
    names = dict.fromkeys(name for step in terms for name in step)
    return {
        name: float(torch.cat([step[name].reshape(-1) for step in terms if name in step]).mean()) for name in names
    }


def on_host(terms: LossTerms) -> LossTerms:
    """The terms on the host, brought there together: each transfer from a GPU waits for it."""
    shapes = {term.shape for term in terms.values()}
    if len(shapes) > 1:
        return {name: term.detach().float().cpu() for name, term in terms.items()}
    stacked = torch.stack([term.detach().float() for term in terms.values()]).cpu()
    return dict(zip(terms, stacked, strict=True))


class Order:
    """The items of each step: a function of the step's number alone, so that a resumed run agrees."""

    def __init__(self, groups: Sequence[int], directions: int, batch_size: int, seed: int) -> None:
        """Lay out the epochs; an epoch's last items that fill no batch wait for the next."""
        self.groups, self.directions, self.seed = list(groups), directions, seed
        total = directions * len(self.groups)
        self.size = min(batch_size, total)
        self.steps = total // self.size
        self.epoch, self.order = -1, np.empty((0, 2), np.int64)

    def chosen(self, step: int) -> IntArray:
        """(n, 2) item and direction of the step after `step` steps."""
        epoch, within = divmod(step, self.steps)
        if epoch != self.epoch:
            self.epoch = epoch
            self.order = epoch_order(self.groups, self.seed, epoch, directions=self.directions)
        return self.order[within * self.size : (within + 1) * self.size]


def epoch_order(groups: Sequence[int], seed: int, epoch: int, window: int = WINDOW, directions: int = 2) -> IntArray:
    """The order of an epoch: row groups shuffled, then the items of `window` groups at a time in each direction.

    It depends on the seed and the number of the epoch alone.

    Args:
        groups: Row group of each item, in any order.
        seed: The run's seed.
        epoch: Number of the epoch.
        window: Row groups shuffled together.
        directions: 2 for pairs, which are seen from a to b and from b to a; 1 for single items.

    Returns:
        (directions n, 2): index of the item, and 0 for a to b or 1 for b to a.
    """
    random = np.random.default_rng(stable_seed(seed, "epoch", str(epoch)))
    group_of = np.asarray(groups, dtype=np.int64)
    numbers = random.permutation(np.unique(group_of))
    parts = [np.empty((0, 2), np.int64)]
    for start in range(0, len(numbers), window):
        members = np.flatnonzero(np.isin(group_of, numbers[start : start + window]))
        parts.append(random.permutation(in_directions(members, directions)))
    return np.concatenate(parts)


def in_directions(items: IntArray, directions: int) -> IntArray:
    """(directions n, 2): each item with each direction."""
    return np.stack([np.repeat(items, directions), np.tile(np.arange(directions), len(items))], axis=1)

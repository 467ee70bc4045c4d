"""Which items a step sees, and reading them before they are needed."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Any

import numpy as np

from liftnet.core.ids import stable_seed
from liftnet.depth.data.pairs import epoch_order
from liftnet.depth.objectives import IntArray, Objective

AHEAD = 3  # batches read before they are needed


class Order:
    """The items of each step: a function of the step's number alone, so that a resumed run goes on where it was."""

    def __init__(self, objective: Objective, batch_size: int, seed: int) -> None:
        """Lay out the epochs; an epoch's last items that fill no batch wait for the next."""
        self.groups, self.directions, self.seed = list(objective.groups), objective.directions, seed
        total = self.directions * len(self.groups)
        self.size = min(batch_size, total)
        self.steps = total // self.size
        self.epoch, self.order = -1, np.empty((0, 2), np.int64)

    def chosen(self, iteration: int) -> IntArray:
        """(n, 2) item and direction of the step after `iteration` steps."""
        epoch, step = divmod(iteration, self.steps)
        if epoch != self.epoch:
            self.epoch = epoch
            self.order = epoch_order(self.groups, self.seed, epoch, directions=self.directions)
        return self.order[step * self.size : (step + 1) * self.size]


def read_ahead(
    objective: Objective, order: Order, start: int, rank: int = 0, processes: int = 1, ahead: int = AHEAD
) -> Generator[Any, None, None]:
    """The batches of the steps from `start` on, read by a thread of its own while the step before computes.

    Args:
        objective: What to read from.
        order: Which items.
        start: Number of steps done.
        rank: Number of this process; with several, each takes every so many-th item of a step.
        processes: Number of processes.
        ahead: Batches held.
    """

    def read(iteration: int) -> Any:
        names = ("batch", str(iteration)) if processes == 1 else ("batch", str(iteration), str(rank))
        return objective.batch(order.chosen(iteration)[rank::processes], stable_seed(order.seed, *names))

    with ThreadPoolExecutor(1, "batches") as reader:
        waiting: list[Future[Any]] = []
        try:
            for iteration in count(start):
                waiting.append(reader.submit(read, iteration))
                if len(waiting) > ahead:
                    yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()

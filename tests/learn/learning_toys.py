"""Small tasks with known answers, and a program that trains one and can be killed."""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from liftnet.core.ids import stable_seed
from liftnet.learn.checkpoint import identity
from liftnet.learn.loop import Run, train
from liftnet.learn.settings import OptimiserSettings, TrainingSettings
from liftnet.learn.task import ItemTask, Task

SLOPE = torch.tensor([[2.0, -1.0, 0.5]])


def settings(**changes):
    optimiser = {"learning_rate": 0.05, **changes.pop("optimiser", {})}
    given = {"iterations": 20, "batch_size": 8, "validate_every": 5, "optimiser": OptimiserSettings(**optimiser)}
    return TrainingSettings(**given | changes)


def run(folder, plan, seed=0, data="toy", **options):
    return Run("toy", Path(folder), seed, identity(plan, seed, [data]), device="cpu", **options)


class Line(Task):
    """Fits a line by drawn points, with dropout before it and draws in its loss."""

    def __init__(self, seed=0, dropout=0.2, noise=0.1):
        self.seed, self.noise = seed, noise
        torch.manual_seed(seed)
        self.networks = {"line": nn.Sequential(nn.Dropout(dropout), nn.Linear(3, 1))}
        self.scores = None  # what validations answer in place of the measure

    def batch(self, step, part):
        rng = np.random.default_rng(stable_seed(self.seed, "points", str(step)))
        points = torch.from_numpy(rng.normal(size=(8, 3)).astype(np.float32))[part.rank :: part.processes]
        return points, points @ SLOPE.T

    def terms(self, networks, batch, generator):
        points, values = batch
        noise = self.noise * torch.randn(values.shape, generator=generator)
        error = (networks["line"](points) - values - noise)[:, 0]
        return {"loss": error**2, "size": error.detach().abs()}

    def validate(self, networks, at):
        (points, values) = self.batch(10_000, at.part)
        loss = float(((networks["line"](points) - values) ** 2).mean())
        if self.scores is not None:
            loss = self.scores.pop(0)
        seen = float(np.mean([float(step["loss"].mean()) for step in at.terms]))
        return {"iteration": at.step, "loss": seen, "val_loss": loss, "learning_rate": at.learning_rate}


class Batch(NamedTuple):
    points: torch.Tensor
    values: torch.Tensor


class Points:
    """An objective of given points."""

    directions = 1

    def __init__(self, count, seed):
        rng = np.random.default_rng(seed)
        self.points = torch.from_numpy(rng.normal(size=(count, 3)).astype(np.float32))
        self.items = [f"point {number}" for number in range(count)]
        self.groups = [number // 4 for number in range(count)]

    def batch(self, chosen, seed):
        points = self.points[chosen[:, 0]]
        return Batch(points, points @ SLOPE.T)

    def terms(self, networks, batch, generator):
        error = (networks["line"](batch.points) - batch.values)[:, 0]
        return {"loss": error**2, "size": error.detach().abs()}


def points_task(seed=0):
    torch.manual_seed(seed)
    return ItemTask({"line": nn.Linear(3, 1), "beside": nn.Linear(1, 1)}, Points(30, 1), Points(9, 2), 8, seed, "line")


def program(kind, folder, iterations):
    """What this file does as a program."""
    plan = settings(iterations=int(iterations), validate_every=1)
    task = Line() if kind == "line" else points_task()
    train(task, plan, run(folder, plan))


if __name__ == "__main__":
    program(*sys.argv[1:])

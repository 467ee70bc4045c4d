"""What an experiment is given: DR-KFS at its size, and the metrics beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from liftnet.drkfs.metric import DRKFS
from liftnet.drkfs.settings import MetricSettings
from liftnet.experiments.drkfs.bars import compare_bars
from liftnet.experiments.drkfs.distances import Measures, with_close_patches
from liftnet.experiments.drkfs.legs import compare_legs
from liftnet.experiments.drkfs.settings import ShapeExperimentSettings
from liftnet.experiments.drkfs.shading import compare_losses
from liftnet.experiments.drkfs.sphere import follow_fit


@dataclass(frozen=True)
class Run:
    """An experiment's surroundings.

    Attributes:
        out: Folder of the results: `tables/`, `figures/`, and `drkfs/` for what is remembered.
        settings: Of DR-KFS.
        experiment: Of the experiments.
        threads: Of torch.
        seed: Of everything random.
    """

    out: Path
    settings: MetricSettings
    experiment: ShapeExperimentSettings
    threads: int = 1
    seed: int = 0

    def metric(self, image_size: int) -> DRKFS:
        """DR-KFS at a size."""
        return DRKFS(self.settings.model_copy(update={"image_size": image_size}))


def run_experiment(name: str, run: Run) -> None:
    """Write the tables and the picture of an experiment.

    A run that was stopped goes on with the cases that are not done.

    Args:
        name: "legs", "bars", "shading" or "sphere".
        run: Its surroundings.

    Raises:
        LiftnetError: Weights or targets cannot be read.
    """
    torch.set_num_threads(run.threads)
    experiment = run.experiment
    metric = run.metric(run.settings.image_size)
    measures = Measures(metric, experiment.metrics)
    if name == "legs":
        dense = with_close_patches(metric, experiment.close_views) if experiment.close_views else None
        compare_legs(run.out, experiment, Measures(metric, experiment.metrics, dense), run.seed)
    elif name == "bars":
        compare_bars(run.out, experiment, metric, run.seed)
    elif name == "shading":
        compare_losses(
            run.out, experiment, with_close_patches(metric, stride=experiment.fit_stride), measures, run.seed
        )
    else:
        follow_fit(run.out, experiment, with_close_patches(metric, stride=experiment.fit_stride), measures, run.seed)

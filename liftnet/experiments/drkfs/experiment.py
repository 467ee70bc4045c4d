"""What every experiment of the DR-KFS paper is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liftnet.drkfs.metric import DRKFS
from liftnet.experiments.drkfs.distances import ShapeDistances, metric_contents, with_close_patches
from liftnet.experiments.plan import DrkfsPlan
from liftnet.experiments.result_cache import ResultCache, digest_of
from liftnet.experiments.settings import DrkfsExperimentSettings


@dataclass(frozen=True)
class Experiment:
    """An experiment: its plan and size, the metric, where results go.

    Attributes:
        out: Folder of the results: `tables/`, `figures/`, and `drkfs/` for the cache of single cases.
        plan: What the experiments consist of.
        settings: How large they are.
        metric: DR-KFS.
        seed: Of everything random.
        points: Drawn from each surface for metrics that need them.
    """

    out: Path
    plan: DrkfsPlan
    settings: DrkfsExperimentSettings
    metric: DRKFS
    seed: int = 0
    points: int = 100_000

    def distances(self, close_views: int = 0) -> ShapeDistances:
        """DR-KFS and the metrics beside it; with `close_views`, DR-KFS with close patches in so many views too."""
        dense = with_close_patches(self.metric, close_views) if close_views else None
        return ShapeDistances(self.metric, self.settings.metrics, dense, self.points)

    def fit_metric(self) -> DRKFS:
        """DR-KFS as meshes are fitted by it."""
        return with_close_patches(self.metric, stride=self.settings.fit.stride)

    def cache(self, name: str, *contents: Any) -> ResultCache:
        """Results of single cases that depend on DR-KFS, the seed and some contents."""
        return ResultCache(self.out / "drkfs" / name, digest_of(metric_contents(self.metric), self.seed, contents))

    def table(self, name: str) -> Path:
        """Path of a table without suffix."""
        return self.out / "tables" / f"drkfs_{name}"

    def picture(self, name: str) -> Path:
        """Path of a picture."""
        return self.out / "figures" / f"drkfs_{name}.png"

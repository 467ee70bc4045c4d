"""All metrics of a shape against its target, as distances: DR-KFS and those of `liftnet.shape`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from liftnet.core.log import get_logger
from liftnet.drkfs.comparison import Target
from liftnet.drkfs.meshes import Meshes
from liftnet.drkfs.metric import DRKFS
from liftnet.drkfs.patches import STRIDE
from liftnet.experiments.result_cache import digest_of
from liftnet.mesh.mesh import TriangleMesh
from liftnet.shape.metrics import METRICS, compare
from liftnet.shape.settings import ComparisonSettings

LOG = get_logger("experiments")
VISUAL = ("lfd", "drkfs", "drkfs_dense")
CLOSE = 4  # px


class ShapeDistances:
    """Every metric of shapes against targets; what a target needs is computed once.

    Args:
        metric: DR-KFS.
        names: Metrics of `liftnet.shape.metrics`.
        dense: DR-KFS with closer patches, see `with_close_patches`, if it is to be measured too.
        points: Drawn from each surface.
    """

    def __init__(self, metric: DRKFS, names: Sequence[str], dense: DRKFS | None = None, points: int = 100_000) -> None:
        self.names = tuple(names)
        self.metrics = {"drkfs": metric} | ({} if dense is None else {"drkfs_dense": dense})
        self.settings = ComparisonSettings(align="none", points=points)
        self._target: tuple[str, dict[str, Target]] | None = None

    @property
    def contents(self) -> dict[str, Any]:
        """What the distances depend on beside the shapes."""
        own = {name: metric_contents(metric) for name, metric in self.metrics.items()}
        return {"metrics": self.names, "settings": self.settings, **own}

    def __call__(self, mesh: TriangleMesh, target: TriangleMesh, name: str) -> dict[str, float]:
        """Distances of a shape to its target, larger for more different shapes; both stay where they are.

        Args:
            mesh: The shape.
            target: The target.
            name: Of the target, for the log.

        Returns:
            Values by name, DR-KFS last; NaN where a metric fails, with a line in the log.
        """
        found = compare(mesh, target, self.names, self.settings)
        for failed, reason in found.reasons.items():
            LOG.warning("%s of %s: %s", title_of(failed), name, reason)
        values = {key: METRICS[key].as_distance(value) for key, value in found.values.items()}
        with torch.no_grad():
            prepared = self._prepared(target)
            for key, metric in self.metrics.items():
                values[key] = float(metric(Meshes.of(mesh), prepared[key]))
        return values

    def _prepared(self, target: TriangleMesh) -> dict[str, Target]:
        """What DR-KFS needs of a target; of one at a time, since views are large."""
        digest = digest_of(target.vertices, target.faces)
        if self._target is None or self._target[0] != digest:
            self._target = digest, {key: metric.prepare(Meshes.of(target)) for key, metric in self.metrics.items()}
        return self._target[1]


def metric_contents(metric: DRKFS) -> dict[str, Any]:
    """What a score of DR-KFS depends on beside the shapes: its settings, the contents of its weights, its cameras."""
    return {
        "settings": metric.settings,
        "networks": digest_of(metric),
        "cameras": metric.cameras,
        "options": metric.options,
    }


def with_close_patches(metric: DRKFS, views: int | None = None, stride: int = CLOSE) -> DRKFS:
    """The same with closer patches, which look for matches as far away, in some or all of its views.

    The paper's patches are 16 px apart. What has moved by up to 8 px then lies differently in the patch that matches
    it, and few descriptors forgive that.
    """
    count = len(metric.cameras)
    chosen = torch.linspace(0, count - 1, min(views or count, count)).round().long()
    near = max(1, round(metric.settings.neighbourhood * STRIDE / stride))
    return DRKFS(
        metric.settings.model_copy(update={"stride": stride, "neighbourhood": near}),
        cameras=metric.cameras[chosen],
        detector=metric.detector,
        descriptor=metric.descriptor,
        options=metric.options,
    )


def title_of(metric: str) -> str:
    """What a metric is called in tables and pictures."""
    if metric in METRICS:
        return METRICS[metric].distance_title
    return {"drkfs": "DR-KFS", "drkfs_dense": "DR-KFS, close patches"}.get(metric, metric)

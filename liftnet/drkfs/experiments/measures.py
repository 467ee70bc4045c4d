"""All metrics of a shape against its target, as distances: DR-KFS and those of `liftnet.shape`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from liftnet.drkfs.experiments.remembering import digest_of
from liftnet.drkfs.metric import DRKFS, Target
from liftnet.io.log import get_logger
from liftnet.shape.mesh import TriangleMesh
from liftnet.shape.metrics import HIGHER_IS_BETTER, compare
from liftnet.shape.settings import MetricSettings

TITLES = {
    "chamfer_l1": "Chamfer (L1)",
    "chamfer_l2": "Chamfer (squared)",
    "emd": "EMD",
    "iou": "1 - IoU",
    "f_score": "1 - F-score",
    "normal_consistency": "1 - normal cons.",
    "lfd": "LFD",
    "shape_google": "Shape Google",
    "mvcnn": "MVCNN",
    "drkfs": "DR-KFS",
}
LOG = get_logger("drkfs")


class Measures:
    """Every metric of shapes against targets; what a target needs is computed once.

    Args:
        metric: DR-KFS.
        names: Metrics of `liftnet.shape.metrics`.
        points: Drawn from each surface.
    """

    def __init__(self, metric: DRKFS, names: Sequence[str], points: int = 100_000) -> None:
        self.metric, self.names = metric, tuple(names)
        self.settings = MetricSettings(align="none", points=points)
        self._target: tuple[str, Target] | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What the distances depend on."""
        metric = self.metric
        chosen = {name: getattr(metric, name) for name in ("image_size", "sigma", "gamma", "neighbourhood", "shaded")}
        views = {"views": len(metric.cameras), "options": str(metric.options), "points": self.settings.points}
        return {"weights": digest_of(metric), "metrics": self.names, **chosen, **views}

    def distances(self, mesh: TriangleMesh, target: TriangleMesh, name: str) -> dict[str, float]:
        """Distances of a shape to its target, larger for more different shapes; both stay where they are.

        Args:
            mesh: The shape.
            target: The target.
            name: Of the target: targets of one name are one target.

        Returns:
            Values by name, DR-KFS last; NaN where a metric fails, with a line in the log.
        """
        found = compare(mesh, target, self.names, self.settings)
        for metric, reason in found.reasons.items():
            LOG.warning("%s of %s: %s", title_of(metric), name, reason)
        values = {key: 1 - value if key in HIGHER_IS_BETTER else value for key, value in found.values.items()}
        if self._target is None or self._target[0] != name:
            self._target = name, self.metric.prepare(*tensors(target))  # one at a time: views are large
        with torch.no_grad():
            values["drkfs"] = float(self.metric(*tensors(mesh), self._target[1]))
        return values


def tensors(mesh: TriangleMesh) -> tuple[torch.Tensor, torch.Tensor]:
    """Vertices and faces of a mesh for torch."""
    return torch.as_tensor(mesh.vertices, dtype=torch.float32), torch.as_tensor(mesh.faces, dtype=torch.int64)


def title_of(metric: str) -> str:
    """What a metric is called in tables and pictures."""
    return TITLES.get(metric, metric)

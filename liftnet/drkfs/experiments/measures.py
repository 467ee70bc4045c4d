"""All metrics of a shape against its target, as distances: DR-KFS and those of `liftnet.shape`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from liftnet.drkfs.experiments.remembering import digest_of
from liftnet.drkfs.metric import DRKFS, Target
from liftnet.shape.mesh import TriangleMesh

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
    "dr_kfs": "DR-KFS",
}
SIMILARITIES = ("iou", "f_score", "normal_consistency")


class Measures:
    """Every metric of shapes against targets; what a target needs is computed once.

    Args:
        metric: DR-KFS.
        names: Metrics of `liftnet.shape.metrics`.
    """

    def __init__(self, metric: DRKFS, names: Sequence[str]) -> None:
        self.metric, self.names = metric, tuple(names)
        self._targets: dict[str, Target] = {}

    @property
    def about(self) -> Mapping[str, Any]:
        """What the distances depend on."""
        metric = self.metric
        chosen = {name: getattr(metric, name) for name in ("image_size", "sigma", "gamma", "neighbourhood", "shaded")}
        views = {"views": len(metric.cameras), "options": str(metric.options)}
        return {"weights": digest_of(metric), "metrics": self.names, **chosen, **views}

    def distances(self, mesh: TriangleMesh, target: TriangleMesh, name: str) -> dict[str, float]:
        """Distances of a shape to its target, larger for more different shapes.

        Args:
            mesh: The shape.
            target: The target.
            name: Of the target: targets of one name are one target.
        """
        if name not in self._targets:
            self._targets = {name: self.metric.prepare(*tensors(target))}  # one at a time: views are large
        with torch.no_grad():
            found = {"dr_kfs": float(self.metric(*tensors(mesh), self._targets[name]))}
        return found


def tensors(mesh: TriangleMesh) -> tuple[torch.Tensor, torch.Tensor]:
    """Vertices and faces of a mesh for torch."""
    return torch.as_tensor(mesh.vertices, dtype=torch.float32), torch.as_tensor(mesh.faces, dtype=torch.int64)


def title_of(metric: str) -> str:
    """What a metric is called in tables and pictures."""
    return TITLES.get(metric, metric)

"""What every experiment of the DR-KFS paper is given: its plan, distances of shapes, a cache of single cases.

Distances are those of DR-KFS and of `liftnet.shape`; the cache lets a stopped experiment resume.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from liftnet.core.files import atomic_path, write_json
from liftnet.core.log import get_logger
from liftnet.core.opening import read_text
from liftnet.core.settings import Settings, fingerprint
from liftnet.core.stored_arrays import open_tensors
from liftnet.drkfs.metric import DRKFS, Target
from liftnet.drkfs.patches import STRIDE
from liftnet.experiments.plan import DrkfsPlan
from liftnet.experiments.settings import DrkfsExperimentSettings
from liftnet.mesh.batch import Meshes
from liftnet.mesh.mesh import TriangleMesh
from liftnet.shape.metrics import METRICS, compare
from liftnet.shape.settings import ComparisonSettings

LOG = get_logger("experiments")
VISUAL = ("lfd", "drkfs", "drkfs_dense")
CLOSE = 4  # px
Arrays = dict[str, npt.NDArray[Any]]


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

    def cache(self, name: str, *contents: Any) -> ResultCache:
        """Results of single cases that depend on DR-KFS, the seed and some contents."""
        return ResultCache(self.out / "drkfs" / name, digest_of(metric_contents(self.metric), self.seed, contents))

    def table(self, name: str) -> Path:
        """Path of a table without suffix."""
        return self.out / "tables" / f"drkfs_{name}"

    def picture(self, name: str) -> Path:
        """Path of a picture."""
        return self.out / "figures" / f"drkfs_{name}.png"


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


@dataclass(frozen=True)
class ResultCache:
    """A folder with a file for each case that is done.

    Attributes:
        folder: Where the files lie.
        key: Digest of all that results depend on beside the name of their case, see `digest_of`. A file that was
            written under another key counts as missing.
    """

    folder: Path
    key: str

    def of(self, *contents: Any) -> ResultCache:
        """The same folder for results that depend on more."""
        return dataclasses.replace(self, key=digest_of(self.key, *contents))

    def row(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row of a case, computed if it is not there. Values are what JSON has: texts and numbers."""
        path = self.folder / f"{name}.json"
        found = _read(path)
        if found is not None and found.get("key") == self.key:
            return dict(found["row"])
        row = compute()
        write_json(path, {"key": self.key, "row": row})
        return row

    def arrays(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """The arrays of a case, computed if they are not there."""
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        path = self.folder / f"{name}.safetensors"
        try:
            with open_tensors(path, "numpy") as file:
                if (file.metadata() or {}).get("key") == self.key:
                    return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
        except (FileNotFoundError, SafetensorError):
            pass
        arrays = {key: np.ascontiguousarray(value) for key, value in compute().items()}
        with atomic_path(path) as temporary:
            save_file(arrays, temporary, {"key": self.key})
        return arrays


def digest_of(*contents: Any) -> str:
    """The first 16 hex digits of the SHA-256 of some contents: other values, another digest.

    Args:
        contents: Texts, numbers, None, arrays and tensors, settings, dataclasses, networks (all their parameters and
            buffers); sequences and mappings of them.

    >>> digest_of("legs", 0, (0.1, 0.2)) == digest_of("legs", 0, [0.1, 0.2]) != digest_of("legs", 1, [0.1, 0.2])
    True
    """
    return hashlib.sha256(json.dumps([_plain(value) for value in contents], sort_keys=True).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """As JSON can hold it; arrays and networks by a digest of their bytes."""
    if isinstance(value, Settings):
        return fingerprint(value)
    if isinstance(value, nn.Module):
        return _plain(value.state_dict())
    if isinstance(value, Tensor):
        return _plain(value.detach().cpu().float().numpy())
    if isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value)
        return [str(data.dtype), list(data.shape), hashlib.sha256(data.tobytes()).hexdigest()]
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _read(path: Path) -> dict[str, Any] | None:
    """What a file says, None where there is none or a broken one, which is then written again."""
    try:
        found = json.loads(read_text(path))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None

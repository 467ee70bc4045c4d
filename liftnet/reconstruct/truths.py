"""The true shapes of a set as evaluations compare with them; what takes long is computed once for all of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import save

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_bytes
from liftnet.core.log import get_logger
from liftnet.core.opening import read_bytes
from liftnet.core.parallel import map_threads
from liftnet.core.settings import fingerprint
from liftnet.core.stored_arrays import open_tensors
from liftnet.data.reconstruction_set import ReconstructionSet, ReconstructionShape
from liftnet.drkfs import DRKFS, Target
from liftnet.mesh.batch import Meshes
from liftnet.mesh.reading import load_mesh
from liftnet.models.folder import SHIPPED, WEIGHTS
from liftnet.reconstruct.settings import EvaluateSettings
from liftnet.shape.described import DESCRIPTORS, Described

LOG = get_logger("reconstruct")
VERSION = 1  # raised when the same shapes and settings give other descriptors
DRKFS_METRIC = "drkfs"
WORST = 4.0  # squared distance of two descriptors of length 1 that point apart
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Truth:
    """A true shape.

    Attributes:
        described: It, points of its outer surface, and its descriptors.
        target: What DR-KFS compares with; None where it is not measured.
    """

    described: Described
    target: Target | None

    @property
    def drkfs_penalty(self) -> float:
        """DR-KFS of a mesh that shows nothing: every patch of the target as far from its match as patches can be.

        An empty picture itself costs half of that, less than many a wrong shape.
        """
        if self.target is None:
            return float("nan")
        return float(self.target.weights.double().sum()) * WORST / self.target.features.shape[-1]


class Truths:
    """The true shapes of a set; their descriptors lie below its folder, in `descriptors/`.

    Args:
        data: The set.
        settings: What is measured, and how.
        seed: Of the points that are drawn for descriptors.
        metric: DR-KFS, if it is measured.
    """

    def __init__(self, data: ReconstructionSet, settings: EvaluateSettings, seed: int, metric: DRKFS | None) -> None:
        self.data, self.settings, self.seed, self.metric = data, settings, seed, metric
        self.names = [name for name in DESCRIPTORS if name in settings.metrics]
        self.recipe = _recipe(settings, self.names, seed)

    def prepare(self, shapes: Sequence[ReconstructionShape], threads: int) -> None:
        """Compute what is not there yet, so that `of` only reads."""
        missing = [shape for shape in shapes if self._stored(shape) is None]
        if missing:
            LOG.info("descriptors of %d true shapes are computed once, below %s", len(missing), self._folder)
            for _ in map_threads(self._compute, missing, threads, "reconstruct", "describing true shapes"):
                pass

    def of(self, shape: ReconstructionShape) -> Truth:
        """A true shape with all that is compared.

        Raises:
            LiftnetError: A file of it is missing or damaged.
        """
        arrays = self._stored(shape)
        arrays = self._compute(shape) if arrays is None else arrays
        target = None
        if self.metric is not None:
            tensors = {name: torch.from_numpy(value) for name, value in _below(arrays, DRKFS_METRIC).items()}
            target = Target.from_tensors(tensors, self.settings.metric.image_size)
        return Truth(self._described(shape, _below(arrays, "shape")), target)

    @property
    def _folder(self) -> Path:
        return self.data.folder / "descriptors" / self.recipe

    def _described(self, shape: ReconstructionShape, known: Arrays) -> Described:
        points, normals = (np.asarray(rows, np.float64) for rows in self.data.surface(shape))
        mesh = load_mesh(self.data.mesh_file(shape))
        return Described(mesh, self.settings.comparison, self.seed, (points, normals), known)

    def _compute(self, shape: ReconstructionShape) -> Arrays:
        described = self._described(shape, {})
        arrays = {f"shape.{name}": value for name, value in described.arrays(self.names).items()}
        if self.metric is not None:
            device = next(self.metric.parameters()).device
            target = self.metric.prepare(Meshes.of(described.mesh, device=device))
            arrays |= {
                f"{DRKFS_METRIC}.{name}": value.cpu().numpy() for name, value in target.compact().tensors().items()
            }
        given = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
        write_bytes(self._path(shape), save(given, {"of": _content(self.data.mesh_file(shape))}))
        return arrays

    def _stored(self, shape: ReconstructionShape) -> Arrays | None:
        """What is known of a shape; None where there is nothing, or of another mesh."""
        try:
            with open_tensors(self._path(shape), "numpy") as file:
                if (file.metadata() or {}).get("of") != _content(self.data.mesh_file(shape)):
                    return None
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except (OSError, SafetensorError):
            return None

    def _path(self, shape: ReconstructionShape) -> Path:
        return self._folder / f"{shape.shape_id}.safetensors"


def _below(arrays: Arrays, prefix: str) -> Arrays:
    """The arrays whose names begin with a prefix, without it."""
    return {name.removeprefix(f"{prefix}."): value for name, value in arrays.items() if name.startswith(f"{prefix}.")}


def _recipe(settings: EvaluateSettings, names: Sequence[str], seed: int) -> str:
    """What descriptors depend on besides the shapes: settings, contents of weights, seed, version."""
    visual = DRKFS_METRIC in settings.metrics
    files = {
        "vocabulary": settings.comparison.vocabulary if "shape_google" in names else None,
        "mvcnn": settings.comparison.mvcnn if "mvcnn" in names else None,
        "detector": settings.metric.detector or str(SHIPPED / "detector") if visual else None,
        "descriptor": settings.metric.descriptor_weights or str(SHIPPED / "hardnet") if visual else None,
    }
    contents = {name: _content(Path(path)) for name, path in files.items() if path}
    about = [names, contents, fingerprint(settings.metric) if visual else "", seed, VERSION]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def _content(path: Path) -> str:
    """16 hex digits of the SHA-256 of a file, or of a model folder's weights.

    Raises:
        LiftnetError: It cannot be read.
    """
    file = path / WEIGHTS if path.is_dir() else path
    try:
        return hashlib.sha256(read_bytes(file)).hexdigest()[:16]
    except OSError as error:
        raise LiftnetError(file, f"cannot be read ({error.strerror})", "Check the path") from error

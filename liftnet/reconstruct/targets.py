"""What losses compare renderings with: of each shape once, kept beside the set of shapes.

A file of a shape holds its DR-KFS target or its views; it is found again by the settings that decide it and by the
mesh, whose SHA-256 it carries. A run that is stopped goes on with the shapes that have none.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from liftnet.core.devices import one_torch_thread
from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_bytes
from liftnet.core.log import get_logger
from liftnet.core.opening import read_bytes
from liftnet.core.parallel import map_threads
from liftnet.core.settings import fingerprint
from liftnet.core.stored_arrays import open_tensors
from liftnet.data.reconstruction_set import ReconstructionSet, ReconstructionShape, mesh_path
from liftnet.drkfs import DRKFS, MetricSettings, Target
from liftnet.mesh.batch import Meshes
from liftnet.mesh.reading import load_mesh
from liftnet.rasteriser import Softness, render_soft
from liftnet.reconstruct.settings import RenderingSettings

LOG = get_logger("reconstruct")
VERSION = "1"  # raised when the same shape and settings give another target
FINER = 4  # views are drawn at so many times their size and averaged
SIGMA = 1e-6  # softness of edges at that size: a tenth of a pixel at 4 x 64 px
REMEDY = "Delete it and run the same command again"


@dataclass(frozen=True, eq=False)
class ShapeTargets:
    """DR-KFS targets and views of the shapes of a set.

    Attributes:
        data: The set.
        folder: Where they are kept.
        settings: How shapes are rendered.
    """

    data: ReconstructionSet
    folder: Path
    settings: RenderingSettings

    @cached_property
    def metric(self) -> DRKFS:
        """DR-KFS with these settings."""
        own = self.settings
        return DRKFS(
            MetricSettings(
                image_size=own.image_size,
                sigma=own.sigma,
                stride=own.stride,
                shaded=own.shaded,
                precision=own.precision,
            )
        )

    def prepare(self, shapes: Sequence[ReconstructionShape], needs: frozenset[str], workers: int) -> None:
        """Make what is missing of what is needed.

        Args:
            shapes: Shapes of the set.
            needs: Attributes of `ShapeBatch`; those that are not rendered do not count.
            workers: Shapes at a time; the files do not depend on it.

        Raises:
            LiftnetError: A mesh cannot be read or drawn, or a file cannot be written.
        """
        if "targets" in needs:
            self._make(shapes, "targets", workers)
        if needs & {"coverage", "shaded"}:
            self._make(shapes, "views", workers)

    def target(self, shape: ReconstructionShape) -> Target:
        """What DR-KFS compares with.

        Raises:
            LiftnetError: It was not prepared, or its file is damaged or holds numbers that are not finite.
        """
        path = self._path("targets", shape)
        tensors = read_tensors(path)
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise LiftnetError(path, "holds numbers that are NaN or infinite", REMEDY)
        try:
            return Target.from_tensors(tensors, self.settings.image_size)
        except (KeyError, IndexError, TypeError) as error:
            raise LiftnetError(path, f"is no target of DR-KFS ({error})", REMEDY) from error

    def views(self, shape: ReconstructionShape, cameras: Sequence[int]) -> dict[str, Tensor]:
        """The "coverage" and "shaded" views, each (K, S, S) in [0, 1], of some cameras; errors as of `target`."""
        path = self._path("views", shape)
        tensors = read_tensors(path)
        if not {"coverage", "shaded"} <= tensors.keys():
            raise LiftnetError(path, "holds no views", REMEDY)
        return {name: tensor[list(cameras)].float() / 255 for name, tensor in tensors.items()}

    def _make(self, shapes: Sequence[ReconstructionShape], kind: str, workers: int) -> None:
        digests = {shape: _sha256(mesh_path(self.data.folder, shape.shape_id)) for shape in shapes}
        missing = [shape for shape in shapes if _digest_in(self._path(kind, shape)) != digests[shape]]
        if not missing:
            return
        draw = self._draw_target if kind == "targets" else self._draw_views
        self.metric  # noqa: B018 (loaded once, before the threads)

        def make(shape: ReconstructionShape) -> None:
            if _digest_in(self._path(kind, shape)) == digests[shape]:
                return  # by a training that began at the same time
            file = mesh_path(self.data.folder, shape.shape_id)
            try:
                meshes = Meshes.of(load_mesh(file))
            except ValueError as error:
                raise LiftnetError(file, f"cannot be drawn: {error}") from error
            tensors = {name: tensor.contiguous() for name, tensor in draw(meshes).items()}
            write_bytes(self._path(kind, shape), save(tensors, {"mesh": digests[shape]}))

        random.shuffle(missing)  # each process in another order: trainings that begin together share the work
        with one_torch_thread():
            for _ in map_threads(make, missing, workers, "reconstruct", f"rendering {kind} of shapes"):
                pass

    def _draw_target(self, meshes: Meshes) -> dict[str, Tensor]:
        return self.metric.prepare(meshes).compact().tensors()

    @torch.no_grad()
    def _draw_views(self, meshes: Meshes) -> dict[str, Tensor]:
        side, light = FINER * self.settings.image_size, self.metric.options.light
        (vertices,), (faces,) = meshes.vertices, meshes.faces
        soft = render_soft(vertices, faces, self.metric.cameras, side, Softness(SIGMA), light)
        drawn = {"coverage": soft.coverage, "shaded": soft.shaded}
        averaged = {name: torch.nn.functional.avg_pool2d(views[:, None], FINER)[:, 0] for name, views in drawn.items()}
        return {name: (255 * views).round().to(torch.uint8) for name, views in averaged.items()}

    def _path(self, kind: str, shape: ReconstructionShape) -> Path:
        decisive = fingerprint(self.metric.settings) if kind == "targets" else str(self.settings.image_size)
        return self.folder / f"{kind}-{decisive}-{VERSION}" / f"{shape.shape_id}.safetensors"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        LiftnetError: It is missing or damaged.
    """
    try:
        with open_tensors(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a file is no mapping)
    except FileNotFoundError as error:
        raise LiftnetError(path, "does not exist", "Run the same command again") from error
    except (OSError, SafetensorError) as error:
        raise LiftnetError(path, f"is damaged ({error})", REMEDY) from error


def _digest_in(path: Path) -> str | None:
    """Which mesh a file was made of; None where it has to be made anew."""
    if not path.exists():
        return None
    try:
        with open_tensors(path, "pt") as file:
            found: str | None = (file.metadata() or {}).get("mesh")
            return found
    except (OSError, SafetensorError) as error:
        LOG.warning("%s is damaged (%s) and made anew", path, error)
        return None


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except OSError as error:
        raise LiftnetError(path, f"cannot be read ({error.strerror})", "Render the set again") from error

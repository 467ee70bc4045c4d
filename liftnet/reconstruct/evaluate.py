"""Measure reconstructions of held-out shapes: a row a picture, in space and by what people see.

A reconstruction that is no mesh (no face, or vertices that are not finite), or on which a metric is not defined, gets
the metric's penalty (`liftnet.shape.metrics.ShapeMetric.penalty`, for DR-KFS `Truth.drkfs_penalty`) and is counted; a
mean over the rows leaves nothing out.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from liftnet.core.devices import choose_device
from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json
from liftnet.core.ids import stable_seed
from liftnet.core.journal import append_entry, read_entries
from liftnet.core.log import duration, get_logger
from liftnet.core.opening import read_bytes
from liftnet.core.parallel import map_threads
from liftnet.core.settings import changed, fingerprint
from liftnet.data.codes import Split
from liftnet.data.reconstruction_set import ReconstructionSet
from liftnet.data.schemas import RECONSTRUCTION_SCORES, write_table
from liftnet.drkfs import DRKFS
from liftnet.mesh.batch import Meshes
from liftnet.mesh.writing import write_mesh
from liftnet.models.folder import CONFIG
from liftnet.models.reconstruction import ReconstructionNetwork, load_model
from liftnet.reconstruct.cases import Case, Reconstruction, Source, cases_of
from liftnet.reconstruct.references import reference
from liftnet.reconstruct.settings import EvaluateSettings
from liftnet.reconstruct.shape_views import read_views
from liftnet.reconstruct.truths import DRKFS_METRIC, Truth, Truths
from liftnet.shape.described import Described
from liftnet.shape.metrics import METRICS, compare

LOG = get_logger("reconstruct")
VERSION = 1  # raised when the same reconstructions and settings give other values
OK, PENALISED, EMPTY = "ok", "penalised", "empty"
SECONDS = {  # of a processor for one reconstruction, measured; of DR-KFS for a million pixels
    "emd": 0.36, "iou_flood": 0.15, "shape_google": 0.33, "lfd": 0.08, "mvcnn": 0.1, "drkfs": 2.4,
}  # fmt: skip
OTHER_SECONDS = 0.01


@dataclass(frozen=True)
class EvaluationRequest:
    """Whose reconstructions are measured, and where.

    Attributes:
        root: Folder of the set.
        out: The Parquet file to write; the meshes go into a folder of its name without suffix.
        model: Folder of a model, or
        reference: the name of a reference.
        name: In the rows; of the model's folder or the reference if None.
        split: Whose shapes are reconstructed.
        threads: Reconstructions that are measured at a time.
        device: "auto", "cpu", "cuda", ...
    """

    root: Path
    out: Path
    model: Path | None = None
    reference: str | None = None
    name: str | None = None
    split: Split = "test"
    threads: int = 1
    device: str = "auto"


def evaluate(
    request: EvaluationRequest, settings: EvaluateSettings, seed: int = 0, source: Source | None = None
) -> pd.DataFrame:
    """Reconstruct and measure; a run that was stopped goes on where it was.

    Args:
        request: Whose reconstructions.
        settings: What is measured, and how.
        seed: Of the points that are drawn from surfaces: the same for all models, so that differences are paired.
        source: What makes the reconstructions, instead of the model or reference of the request; the request's name
            then says what it is.

    Returns:
        Rows of RECONSTRUCTION_SCORES, which are also written.

    Raises:
        LiftnetError: The set or the model cannot be read, a metric or class is not known, or nothing can be written.
    """
    torch.set_num_threads(1)  # as many reconstructions are measured at a time as there are threads
    settings = usable(settings)
    data = ReconstructionSet.open(request.root)
    cases = cases_of(data, request.split, settings)
    device = choose_device(request.device)
    metric = DRKFS(settings.metric).to(device) if DRKFS_METRIC in settings.metrics else None
    truths = Truths(data, settings, seed, metric)
    truths.prepare(list(dict.fromkeys(case.shape for case in cases)), request.threads)
    measuring = Measuring(settings, truths, metric, seed)
    rows = _measured(cases, source or source_of(request, data, settings, device), measuring, request)
    about = _about(request, settings)
    write_table(request.out, [about | row for row in rows], RECONSTRUCTION_SCORES)
    penalised = sum(row["status"] != OK for row in rows)
    LOG.info("%d reconstructions measured, %d of them with a penalty: %s", len(rows), penalised, request.out)
    return pd.DataFrame([about | row for row in rows])


def describe(root: Path, settings: EvaluateSettings, split: Split, threads: int, seed: int = 0) -> None:
    """Compute what evaluations need of the true shapes, so that several can run side by side and find it there."""
    torch.set_num_threads(1)
    settings, data = usable(settings), ReconstructionSet.open(root)
    metric = DRKFS(settings.metric) if DRKFS_METRIC in settings.metrics else None
    shapes = dict.fromkeys(case.shape for case in cases_of(data, split, settings))
    Truths(data, settings, seed, metric).prepare(list(shapes), threads)


def usable(settings: EvaluateSettings) -> EvaluateSettings:
    """The settings without MVCNN where no network is named, which is logged.

    Raises:
        LiftnetError: There is no metric of a given name.
    """
    unknown = [name for name in settings.metrics if name != DRKFS_METRIC and name not in METRICS]
    if unknown:
        raise LiftnetError("metrics", f"there is no {', '.join(unknown)}", f"Use drkfs, {', '.join(METRICS)}")
    if "mvcnn" not in settings.metrics or settings.comparison.mvcnn is not None:
        return settings
    LOG.warning("mvcnn is left out: no trained network is named (setting comparison.mvcnn)")
    return changed(settings, metrics=[name for name in settings.metrics if name != "mvcnn"])


def source_of(
    request: EvaluationRequest, data: ReconstructionSet, settings: EvaluateSettings, device: torch.device
) -> Source:
    """What makes the reconstructions that are asked for."""
    if request.model is not None:
        return NetworkSource(load_model(request.model, str(device)).network, data, device)
    if request.reference is None:
        raise LiftnetError("evaluate", "neither a model nor a reference is named", "Give --model or --reference")
    return reference(request.reference, data, settings.classes, settings.comparison.voxels)


class NetworkSource:
    """Reconstructions by a network.

    Args:
        network: In evaluation mode, on the device.
        data: The set.
        device: Where it computes.
    """

    def __init__(self, network: ReconstructionNetwork, data: ReconstructionSet, device: torch.device) -> None:
        self.network, self.data, self.device = network, data, device

    def __call__(self, cases: Sequence[Case]) -> list[Reconstruction]:
        """The reconstruction of each case, in its shape's own frame."""
        shapes, pictures = [case.shape for case in cases], [case.view for case in cases]
        views = read_views(self.data, shapes, pictures).to(self.device)
        with torch.inference_mode():
            surfaces = self.network.object_surfaces(self.network(views), views)
        return [
            Reconstruction.of_arrays(vertices.double().cpu().numpy(), faces.cpu().numpy())
            for vertices, faces in surfaces
        ]


@dataclass(frozen=True, eq=False)
class Measuring:
    """How reconstructions are measured.

    Attributes:
        settings: What is measured.
        truths: What they are compared with.
        metric: DR-KFS, if it is measured.
        seed: Of the points that are drawn.
    """

    settings: EvaluateSettings
    truths: Truths
    metric: DRKFS | None
    seed: int

    def recipe(self) -> str:
        """What a row depends on beside the reconstruction: settings, truths, seed, version."""
        about = [fingerprint(self.settings), self.truths.recipe, self.seed, VERSION]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]

    def __call__(self, case: Case, made: Reconstruction) -> dict[str, Any]:
        """The row of a reconstruction, but for whose it is."""
        begun = time.thread_time()
        truth = self.truths.of(case.shape)
        values, reasons = self.values(case, made, truth)
        status = EMPTY if made.mesh is None else PENALISED if reasons else OK
        penalties = self.penalties(truth)
        return {
            "class": case.shape.class_name,
            "work_id": case.shape.shape_id,
            "image_id": case.name,
            "status": status,
            "reason": made.reason or "; ".join(f"{name}: {reason}" for name, reason in reasons.items()),
            "n_faces": 0 if made.mesh is None else len(made.mesh.faces),
            **{name: penalties[name] if name in reasons else value for name, value in values.items()},
            "measuring_s": time.thread_time() - begun,
        }

    def values(self, case: Case, made: Reconstruction, truth: Truth) -> tuple[Mapping[str, float], Mapping[str, str]]:
        """The value of each metric, NaN where it has none, and why it has none."""
        names = self.settings.metrics
        if made.mesh is None:
            return dict.fromkeys(names, math.nan), dict.fromkeys(names, made.reason)
        others = [name for name in names if name != DRKFS_METRIC]
        seed, comparison = stable_seed(self.seed, case.name), self.settings.comparison
        shape = Described(made.mesh, comparison, self.seed, made.surface)
        found = compare(shape, truth.described, others, comparison, seed)
        values, reasons = dict(found.values), dict(found.reasons)
        if self.metric is not None and truth.target is not None:
            value, reason = _drkfs(self.metric, made, truth)
            values[DRKFS_METRIC] = value
            reasons |= {DRKFS_METRIC: reason} if reason else {}
        return values, reasons

    def penalties(self, truth: Truth) -> dict[str, float]:
        """What each metric gives a reconstruction on which it is not defined."""
        return {
            name: truth.drkfs_penalty if name == DRKFS_METRIC else METRICS[name].penalty
            for name in self.settings.metrics
        }


def _drkfs(metric: DRKFS, made: Reconstruction, truth: Truth) -> tuple[float, str]:
    assert made.mesh is not None
    assert truth.target is not None
    device = next(metric.parameters()).device
    try:
        with torch.inference_mode():
            value = float(metric(Meshes.of(made.mesh, device=device), truth.target.to(device)))
    except (ValueError, RuntimeError) as error:
        return math.nan, str(error)
    return value, "" if math.isfinite(value) else "it is not defined for these meshes"


@dataclass(frozen=True)
class _Waiting:
    """Reconstructions that are made in batches when somebody asks for them."""

    cases: Sequence[Case]
    source: Source
    batch_size: int

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[tuple[Case, Reconstruction]]:
        for start in range(0, len(self.cases), self.batch_size):
            batch = self.cases[start : start + self.batch_size]
            yield from zip(batch, self.source(batch), strict=True)


def _measured(
    cases: Sequence[Case], source: Source, measuring: Measuring, request: EvaluationRequest
) -> list[dict[str, Any]]:
    """A row a case, in their order: those of the journal, and the others, which go there."""
    journal = request.out.with_name(request.out.name + ".journal.jsonl")
    recipe = f"{measuring.recipe()} {_content(request)}"
    known = {
        entry["image_id"]: entry["row"] for entry in read_entries(journal, "reconstruct") if _is_of(entry, recipe)
    }
    meshes = request.out.with_suffix("")
    missing = [case for case in cases if case.name not in known]
    _tell(len(missing), len(cases), measuring.settings, request.threads)

    def measure(given: tuple[Case, Reconstruction]) -> dict[str, Any]:
        case, made = given
        if made.mesh is not None:
            write_mesh(meshes / f"{case.name}.ply", made.mesh)
        return measuring(case, made)

    waiting = _Waiting(missing, source, measuring.settings.batch_size)
    for row in map_threads(measure, waiting, request.threads, "reconstruct", "measuring reconstructions"):
        append_entry(journal, {"image_id": row["image_id"], "recipe": recipe, "row": row})
        known[row["image_id"]] = row
    return [known[case.name] for case in cases]


def _is_of(entry: Mapping[str, Any], recipe: str) -> bool:
    return entry.get("recipe") == recipe and isinstance(entry.get("row"), dict)


def _tell(missing: int, count: int, settings: EvaluateSettings, threads: int) -> None:
    """How long it is going to take."""
    pixels = settings.metric.image_size**2 * settings.metric.views / 1e6
    each = sum(SECONDS.get(name, OTHER_SECONDS) * (pixels if name == "drkfs" else 1) for name in settings.metrics)
    spent = duration(missing * each / max(1, threads))
    LOG.info("%d of %d reconstructions to measure, %.1f CPU s each: about %s", missing, count, each, spent)


def _content(request: EvaluationRequest) -> str:
    """Whose reconstructions they are: the digest of a model's weights, or a reference with its set."""
    if request.model is None:
        table = request.root / "shapes.parquet"
        return f"{request.reference or request.name} {hashlib.sha256(read_bytes(table)).hexdigest()[:16]}"
    return str(read_json(request.model / CONFIG).get("sha256"))


def _about(request: EvaluationRequest, settings: EvaluateSettings) -> dict[str, Any]:
    """What all rows say: whose they are, and how they were measured."""
    notes = read_json(request.model / CONFIG) if request.model else {}
    training = notes.get("training", {})
    return {
        "run": request.name or (request.model.name if request.model else request.reference),
        "seed": int(notes.get("seed", 0)),
        "set": request.root.resolve().name,
        "split": request.split,
        "steps": training.get("steps"),
        "training_s": training.get("cpu_seconds"),
        "image_size": settings.metric.image_size,
        "views": settings.metric.views,
    }

"""DR-KFS and the metrics of shapes for every couple: a table of scores and pictures of where shapes differ."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from liftnet.core.devices import choose_device
from liftnet.core.errors import LiftnetError
from liftnet.core.files import atomic_path, write_text
from liftnet.core.journal import append_entry, read_entries
from liftnet.core.log import get_logger, meter
from liftnet.core.opening import open_file
from liftnet.core.settings import fingerprint
from liftnet.core.tables import csv_text, markdown_table
from liftnet.core.text import one_line
from liftnet.core.types import FloatArray
from liftnet.drkfs.metric import DRKFS, Differences, Target
from liftnet.drkfs.patches import PATCH, STRIDE
from liftnet.drkfs.settings import ScoreCommandSettings
from liftnet.mesh.batch import Meshes
from liftnet.mesh.mesh import TriangleMesh
from liftnet.mesh.reading import content_of, find_meshes, load_mesh
from liftnet.models.folder import SHIPPED, WEIGHTS
from liftnet.shape.alignment import align
from liftnet.shape.metrics import METRICS, compare

LOG = get_logger("drkfs")
VERSION = 2  # raised when the same files and settings give other values
OK, FAILED, NO_PARTNER = "ok", "failed", "no_partner"
STRONGEST = 0.85  # how much of the strongest colour covers the view beneath
LOW, HIGH = np.array([255, 214, 70]) / 255, np.array([205, 20, 40]) / 255  # from a small difference to the largest
Measure = Callable[[TriangleMesh, TriangleMesh, str], tuple[dict[str, float], str]]
"""From a shape, its target and the couple's name to values and reasons of those that are missing."""


@dataclass(frozen=True)
class ScoreRequest:
    """What is to be compared, and what is to be written.

    Attributes:
        shape: A mesh or a folder of meshes.
        target: A mesh or a folder of meshes.
        out: The CSV to write, if any.
        pictures: For two files the PNG, otherwise a folder, if any.
        up: The axis that points up in the files.
        device: "auto", "cpu", "cuda", ...
        threads: Threads of torch and of the rasteriser.
        seed: Of the points that are drawn from surfaces.
        lenient: Couples that cannot be compared are no failure as long as another one can be.
    """

    shape: Path
    target: Path
    out: Path | None = None
    pictures: Path | None = None
    up: Literal["y", "z"] = "y"
    device: str = "auto"
    threads: int = 1
    seed: int = 0
    lenient: bool = False


def score(request: ScoreRequest, settings: ScoreCommandSettings) -> int:
    """Compare shapes, print the scores or write their table.

    Returns:
        Exit status: 1 if a couple could not be compared, or none was; the table says which, and why.

    Raises:
        LiftnetError: A path does not exist, or nothing can be written.
    """
    couples = find_couples(request.shape, request.target)
    one = request.shape.is_file()
    measure = ShapeMeasure(settings, request, one)
    with meter("drkfs", "comparing shapes", len(couples) * measure.steps) as advance:
        measure.told = Steps(advance, measure.steps)
        scores = score_couples(
            couples, measure, measure.recipe(), request.out, request.up, measure.has_picture, measure.told.end
        )
    if request.out:
        write_scores(scores, request.out)
        LOG.info("%d scores in %s", len(scores), request.out)
    if one or not request.out:
        print(_printed(scores, one))
    failed = sum(score.status == FAILED for score in scores)
    if failed:
        LOG.warning("%d of %d could not be compared; the table says why", failed, len(scores))
    compared = any(score.status == OK for score in scores)
    return 0 if compared and (request.lenient or not failed) else 1


class Steps:
    """The steps of one couple after another: a metric is one, and so is each view of a shape or its target.

    Args:
        advance: Called for each step, with what to say of it.
        each: Steps of a couple.
    """

    def __init__(self, advance: Callable[[str], object], each: int) -> None:
        self.advance, self.each, self.left = advance, each, each

    def take(self, name: str, count: int = 1) -> None:
        """Count steps, of which a couple has no more than it has."""
        for _ in range(min(count, self.left)):
            self.left -= 1
            self.advance(f" ({name})")

    def end(self) -> None:
        """Count those that a couple did not need: its score was known, or it could not be compared."""
        self.take("done", self.left)
        self.left = self.each


class ShapeMeasure:
    """Measures couples of shapes; weights are loaded and targets prepared when first needed.

    Args:
        settings: Which metrics, and how.
        request: Where pictures go, and where to compute.
        one: There is a single couple, whose picture is named by the request itself.
    """

    def __init__(self, settings: ScoreCommandSettings, request: ScoreRequest, one: bool = False) -> None:
        self.settings, self.request, self.one = settings, request, one
        self.told = Steps(lambda extra: None, self.steps)
        self._metric: DRKFS | None = None
        self._target: tuple[str, Target] | None = None

    @property
    def steps(self) -> int:
        """How many steps a couple takes."""
        others = [name for name in self.settings.score.metrics if name != "drkfs"]
        return len(others) + (2 * self.settings.metric.views if self._sees() else 0)

    def _sees(self) -> bool:
        return "drkfs" in self.settings.score.metrics or self.request.pictures is not None

    def recipe(self) -> str:
        """What the values depend on besides the files: settings, seed, contents of the weights, version."""
        metric, score = self.settings.metric, self.settings.score
        weights = {
            "detector": metric.detector or SHIPPED / "detector",
            "descriptor": metric.descriptor_weights or SHIPPED / "hardnet",
        } | {name: getattr(score, name) for shape_metric in METRICS.values() for name in shape_metric.weights}
        digests = {name: _content(Path(path)) for name, path in weights.items() if path}
        about = [fingerprint(self.settings), digests, self.request.up, self.request.seed, VERSION]
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]

    def __call__(self, shape: TriangleMesh, target: TriangleMesh, name: str) -> tuple[dict[str, float], str]:
        """Values of the metrics in the order asked for, and why some have none."""
        chosen, seed = self.settings.score, self.request.seed
        others = [metric for metric in chosen.metrics if metric != "drkfs"]
        compared = compare(shape, target, others, chosen, seed, self.told.take)
        values, reasons, remarks = dict(compared.values), dict(compared.reasons), list(compared.remarks)
        if self._sees():
            placed = align(shape, target, chosen.align, chosen.size, chosen.turns, seed)
            try:
                values["drkfs"], seen = self._drkfs(*placed, name)
                remarks += seen
            except (EmptyPictureError, ValueError) as error:
                values["drkfs"], reasons["drkfs"] = math.nan, str(error)
        missing = [f"{metric}: {reason}" for metric, reason in reasons.items()]
        return {metric: values[metric] for metric in chosen.metrics}, "; ".join([*missing, *remarks])

    def _drkfs(self, shape: TriangleMesh, target: TriangleMesh, name: str) -> tuple[float, list[str]]:
        """The score, and what is odd about the pictures.

        Raises:
            EmptyPictureError: One of the two is in none of the pictures.
        """
        device = choose_device(self.request.device)
        torch.set_num_threads(self.request.threads)  # the rasteriser takes as many
        if self._metric is None:
            self._metric = DRKFS(self.settings.metric).to(device)
            self._metric.detector.register_forward_hook(lambda _, views, __: self.told.take("drkfs", len(views[0])))
        metric = self._metric
        key = hashlib.sha256(target.vertices.tobytes() + target.faces.tobytes()).hexdigest()
        if self._target is None or self._target[0] != key:  # many shapes may have one target
            self._target = key, metric.prepare(Meshes.of(target, device=device))
        given, prepared = Meshes.of(shape, device=device), self._target[1]
        with torch.no_grad():
            views = metric.views(given, prepared)
            remarks = remarks_on_pictures(views[0], prepared.views[0])
            if not self.request.pictures:
                return float(metric.compare_images(views, prepared)), remarks
        differences = metric.differences(given, prepared)
        names = (name, self.request.target.stem) if self.one else (name, "target")
        picture = self._picture(self.request.pictures, name)
        draw_differences(differences, picture, names, stride=self.settings.metric.stride)
        return differences.score, remarks

    def has_picture(self, name: str) -> bool:
        """Whether the picture of a couple is there, or none is asked for."""
        return self.request.pictures is None or self._picture(self.request.pictures, name).is_file()

    def _picture(self, pictures: Path, name: str) -> Path:
        return pictures if self.one else pictures / f"{name}.png"


class EmptyPictureError(ValueError):
    """A shape is seen in none of the pictures that are to be compared."""


def remarks_on_pictures(views: Tensor, target_views: Tensor) -> list[str]:
    """What is odd about the views (V, S, S) of a shape and of its target, in words.

    Raises:
        EmptyPictureError: One of the two is in none of them.
    """
    remarks = []
    for name, pictures in (("shape", views), ("target", target_views)):
        seen = int((pictures.amax((1, 2)) > 0).sum())
        if not seen:
            raise EmptyPictureError(f"the {name} is in none of the {len(pictures)} pictures")
        border = torch.cat([pictures[:, [0, -1]].flatten(1), pictures[:, :, [0, -1]].flatten(1)], 1)
        cut = int((border.amax(1) > 0).sum())
        if seen < len(pictures):
            remarks.append(f"drkfs: the {name} is in {seen} of the {len(pictures)} pictures")
        if cut:
            remarks.append(f"drkfs: the {name} reaches out of {cut} of the {len(pictures)} pictures")
    return remarks


def _printed(scores: list[Score], one: bool) -> str:
    table = score_table(scores)
    if one and scores[0].status != FAILED:
        lines = [f"{name:20s} {value:.6g}" for name, value in scores[0].values.items()]
        return "\n".join(lines + ([one_line(scores[0].reason)] if scores[0].reason else []))
    return markdown_table(table.map(lambda value: f"{value:.5g}" if isinstance(value, float) else value))


@dataclass(frozen=True)
class Couple:
    """A shape and the target that it is measured against; either is None where it has no partner.

    Attributes:
        name: Path below the folder, without suffix.
        shape: File of the shape.
        target: File of the target.
    """

    name: str
    shape: Path | None
    target: Path | None


@dataclass(frozen=True)
class Score:
    """What became of a couple.

    Attributes:
        name: Of the couple.
        status: "ok", "failed" or "no_partner".
        reason: Why it failed, which metrics have no value and why, and what is odd about the couple, such as a shape
            that is far larger than its target or out of the picture; empty if all went well.
        values: A number for each metric; NaN where it has none.
        recipe: What the values depend on: the files' contents and how they were compared.
    """

    name: str
    status: str
    reason: str
    values: Mapping[str, float]
    recipe: str


def find_couples(shape: Path, target: Path) -> list[Couple]:
    """The couples of two files, of two folders (files of one name, whatever their suffix), or of a folder and a file.

    Raises:
        LiftnetError: A path does not exist, or the two folders have no name in common.
    """
    for path in (shape, target):
        if not path.exists():
            raise LiftnetError(path, "is not there", "Check the path")
    if not shape.is_dir():
        if target.is_dir():
            raise LiftnetError(target, "is a folder, but the shape is a file", "Give a file, or two folders")
        return [Couple(shape.stem, shape, target)]
    shapes = find_meshes(shape)
    targets = find_meshes(target) if target.is_dir() else dict.fromkeys(shapes, target)
    if not shapes.keys() & targets.keys():
        raise LiftnetError(
            shape, f"has no file whose name, without suffix, is also in {target}", "Name shapes as their targets"
        )
    return [Couple(name, shapes.get(name), targets.get(name)) for name in sorted(shapes.keys() | targets.keys())]


def score_couples(
    couples: list[Couple],
    measure: Measure,
    recipe: str,
    out: Path | None = None,
    up: Literal["y", "z"] = "y",
    holds: Callable[[str], bool] = lambda name: True,
    after: Callable[[], object] = lambda: None,
) -> list[Score]:
    """Score every couple; one that cannot be read is a row with its reason.

    With `out` each score is kept in a journal beside it as soon as it is there, and a run that was stopped resumes
    from it. Scores of an earlier table hold as long as files and recipe are the same.

    Args:
        couples: What to compare.
        measure: Gives the values of a couple.
        recipe: Names everything but the files that the values depend on.
        out: The CSV that is going to be written.
        up: The axis that points up in the files.
        holds: Whether an earlier score of a couple of this name still holds; False where its picture is gone.
        after: Called after each couple.

    Returns:
        A score a couple, in the same order.

    Raises:
        LiftnetError: The journal cannot be written.
    """
    journal = out.with_name(out.name + ".journal.jsonl") if out else None
    known = _read_journal(journal) if journal else {}
    scores = []
    for couple in couples:
        key = _recipe_of(couple, recipe)
        score = known.get((couple.name, key))
        if score is None or not (holds(couple.name) or score.status != OK):
            score = _score(couple, measure, key, up)
            if journal:
                append_entry(journal, asdict(score))
        scores.append(score)
        after()
    return scores


def score_table(scores: list[Score]) -> pd.DataFrame:
    """A row a couple: name, status, reason, and a column for each metric."""
    columns = list(dict.fromkeys(name for score in scores for name in score.values))
    rows = [
        {"name": s.name, "status": s.status, "reason": s.reason, **{c: s.values.get(c, math.nan) for c in columns}}
        for s in scores
    ]
    return pd.DataFrame(rows, columns=["name", "status", "reason", *columns])


def write_scores(scores: list[Score], out: Path) -> None:
    """Write the CSV. The journal stays beside it, so that the next run compares only what is new or changed."""
    write_text(out, csv_text(score_table(scores)))


def _score(couple: Couple, measure: Measure, recipe: str, up: Literal["y", "z"]) -> Score:
    if couple.shape is None or couple.target is None:
        missing = "target" if couple.target is None else "shape"
        return Score(couple.name, NO_PARTNER, f"no {missing} of this name", {}, recipe)
    try:
        shape, target = load_mesh(couple.shape, up), load_mesh(couple.target, up)
        values, reason = measure(shape, target, couple.name)
    except LiftnetError as error:
        LOG.warning("left out: %s", error)
        return Score(couple.name, FAILED, str(error), {}, recipe)
    except (ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        LOG.warning("left out: %s: %s", couple.shape, error)
        reason = f"{couple.shape}: it cannot be compared with {couple.target} ({error})"
        return Score(couple.name, FAILED, reason, {}, recipe)
    return Score(couple.name, OK, reason, values, recipe)


def _recipe_of(couple: Couple, recipe: str) -> str:
    return " ".join([*(content_of(path) if path else "-" for path in (couple.shape, couple.target)), recipe])


def _content(path: Path) -> str:
    """16 hex digits of the SHA-256 of a file, or of a model folder's weights; the path of what cannot be read."""
    try:
        with open_file(path / WEIGHTS if path.is_dir() else path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError:
        return str(path)


def _read_journal(journal: Path) -> dict[tuple[str, str], Score]:
    """The scores of a journal by name and recipe."""
    known: dict[tuple[str, str], Score] = {}
    for entry in read_entries(journal, "drkfs"):
        try:
            score = Score(**entry)
        except TypeError:
            LOG.info("%s: a line of another version is passed over", journal)
        else:
            known[score.name, score.recipe] = score
    return known


def spread_patches(values: FloatArray, size: int, stride: int = STRIDE) -> FloatArray:
    """Values of overlapping patches as an image: each patch counts most in its middle and nothing beyond its border.

    Args:
        values: (R, C) a value for each patch.
        size: Side of the image, px.
        stride: Distance of neighbouring patches, px.

    Returns:
        (size, size), between the least and the largest value; 0 where no patch reaches.
    """
    rising = 1 - np.abs(np.arange(PATCH) + 0.5 - PATCH / 2) / (PATCH / 2)
    window = np.outer(rising, rising)
    total, covers = np.zeros((size, size)), np.zeros((size, size))
    for row, column in np.ndindex(values.shape):
        place = np.s_[row * stride : row * stride + PATCH, column * stride : column * stride + PATCH]
        total[place] += values[row, column] * window
        covers[place] += window
    return np.divide(total, covers, out=total, where=covers > 0)


def painted(view: FloatArray, heat: FloatArray) -> FloatArray:
    """A gray view with heat in colour over it.

    Args:
        view: (S, S) gray in [0, 1].
        heat: (S, S) in [0, 1]; 0 leaves the view as it is.

    Returns:
        (S, S, 3) colours in [0, 1].
    """
    colour = LOW + heat[..., None] * (HIGH - LOW)
    cover = STRONGEST * heat[..., None]
    return (1 - cover) * np.clip(view, 0, 1)[..., None] + cover * colour


def draw_differences(
    differences: Differences, path: Path, names: tuple[str, str], columns: int = 5, stride: int = STRIDE
) -> None:
    """Draw the views that differ most, each shape in its own row, and how far each is from the other.

    The colour of a pixel is the weighted distance of the patches around it, so that all colour together is the score.
    One scale holds for the whole picture: red is the patch that differs most.

    Args:
        differences: Of `DRKFS.differences`.
        path: PNG to write.
        names: Of the shape and its target, for the labels.
        columns: Views to show.
        stride: Distance of neighbouring patches, px.
    """
    worst = differences.by_view().argsort(descending=True)[:columns].tolist()
    size = differences.views.shape[-1]
    heats = [
        np.stack([spread_patches(part[view].cpu().numpy(), size, stride) for view in worst])
        for part in differences.contributions()
    ]
    strongest = max(float(heat.max()) for heat in heats) or 1.0
    figure = Figure(figsize=(2 * len(worst) + 1.1, 4.9), dpi=130, layout="constrained")
    axes = np.asarray(figure.subplots(2, len(worst), squeeze=False))
    rows = zip(names, (differences.views, differences.target_views), heats, strict=True)
    for row, (name, views, heat) in enumerate(rows):
        for column, view in enumerate(worst):
            axis = axes[row, column]
            axis.imshow(painted(views[view].cpu().numpy(), heat[column] / strongest), interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            if row == 0:
                axis.set_title(f"view {view}: {float(differences.by_view()[view]):.2g}", fontsize=9)
        axes[row, 0].set_ylabel(name if len(name) < 32 else f"{name[:14]} ... {name[-14:]}", fontsize=9)
    figure.suptitle(f"DR-KFS {differences.score:.4g}: the views that differ most, red where they differ", fontsize=11)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")

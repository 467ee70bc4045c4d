"""Scores of shapes against their targets, a file against a file or a folder against a folder."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_text, writing_error
from liftnet.core.log import get_logger, progress
from liftnet.mesh.mesh import TriangleMesh
from liftnet.mesh.reading import find_meshes, load_mesh

LOG = get_logger("drkfs")
OK, FAILED, NO_PARTNER = "ok", "failed", "no_partner"


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
        reason: Why it failed, or which metrics have no value and why; empty if all went well.
        values: A number for each metric; NaN where it has none.
        recipe: What the values depend on: the files' contents and how they were compared.
    """

    name: str
    status: str
    reason: str
    values: Mapping[str, float]
    recipe: str


Measure = Callable[[TriangleMesh, TriangleMesh, str], tuple[dict[str, float], str]]
"""From a shape, its target and the couple's name to values and reasons of those that are missing."""


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

    Returns:
        A score a couple, in the same order.

    Raises:
        LiftnetError: The journal cannot be written.
    """
    journal = out.with_name(out.name + ".journal.jsonl") if out else None
    known = _read_journal(journal) if journal else {}
    scores = []
    for couple in progress(couples, "drkfs", "comparing shapes"):
        key = _recipe_of(couple, recipe)
        score = known.get((couple.name, key))
        if score is None or not (holds(couple.name) or score.status != OK):
            score = _score(couple, measure, key, up)
            if journal:
                _append(journal, score)
        scores.append(score)
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
    write_text(out, score_table(scores).to_csv(index=False, lineterminator="\n"))


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
    return Score(couple.name, OK, reason, values, recipe)


def _recipe_of(couple: Couple, recipe: str) -> str:
    return " ".join([*(_content(path) if path else "-" for path in (couple.shape, couple.target)), recipe])


def _content(path: Path) -> str:
    """16 hex digits of the file's SHA-256; of one that cannot be read its path, since reading it again will tell."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError:
        return str(path)


def _append(journal: Path, score: Score) -> None:
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        with journal.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(asdict(score)))  # a line that a kill cut off stays a line of its own
    except OSError as error:
        raise writing_error(journal, error) from error


def _read_journal(journal: Path) -> dict[tuple[str, str], Score]:
    return {(score.name, score.recipe): score for score in _whole_lines(journal)}


def _whole_lines(journal: Path) -> Iterator[Score]:
    """The scores of a journal; a last line that was cut off by a kill is passed over."""
    if not journal.exists():
        return
    for line in journal.read_text(encoding="utf-8", errors="replace").split("\n"):
        if not line:
            continue
        try:
            yield Score(**json.loads(line))
        except (ValueError, TypeError):
            LOG.info("%s: a line that is not whole is passed over", journal)

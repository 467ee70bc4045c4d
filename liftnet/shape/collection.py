"""Folders of meshes with classes and splits, and how well a distance finds shapes of the same class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_fraction
from liftnet.core.log import get_logger
from liftnet.core.types import FloatArray
from liftnet.data.codes import split_in
from liftnet.data.csv_lines import table_rows
from liftnet.mesh.mesh import TriangleMesh
from liftnet.mesh.reading import find_meshes, read_mesh

FRACTIONS = (0.1, 0.2)  # of val and test where no table says


@dataclass(frozen=True)
class LabelledMesh:
    """A mesh of a collection.

    Attributes:
        label: Its class, the name of its folder.
        name: Its file without suffix.
        split: train, val or test.
        path: Its file.
    """

    label: str
    name: str
    split: str
    path: Path


def labelled_meshes(folder: Path | str) -> list[LabelledMesh]:
    """The meshes `<class>/<name>.<suffix>` below a folder, sorted.

    A table shapes.csv in the folder (class, name, split), as `render shapes` writes it, says which split each belongs
    to, and only what it lists is used. Without it a stable hash of class and name decides: 10 % val, 20 % test.

    Raises:
        LiftnetError: No folder, no mesh in a folder of its class, or a table that lacks columns, names an unknown
            split or a mesh that is not there.
    """
    folder = Path(folder)
    found = {tuple(name.rsplit("/", 1)): path for name, path in find_meshes(folder).items() if "/" in name}
    if not found:
        raise LiftnetError(folder, "has no meshes in folders of classes", "Put them as <class>/<name>.ply")
    table = folder / "shapes.csv"
    splits: dict[tuple[str, ...], str]
    splits = _splits(table) if table.is_file() else {key: _split_of(*key) for key in found}
    missing = sorted(set(splits) - set(found))
    if missing:
        raise LiftnetError(table, f"lists {'/'.join(missing[0])}, which is not there", "Run `render shapes` again")
    return [LabelledMesh(key[0], key[1], split, found[key]) for key, split in sorted(splits.items())]


def read_or_none(shape: LabelledMesh) -> TriangleMesh | None:
    """The mesh of a shape; None where it cannot be read, which is logged: one bad file does not end a training."""
    try:
        return read_mesh(shape.path).mesh
    except LiftnetError as error:
        get_logger("shape").warning("left out: %s", error)
        return None


def _split_of(label: str, name: str) -> str:
    at = stable_fraction(f"{label}/{name}", "split")
    return "test" if at < FRACTIONS[1] else "val" if at < sum(FRACTIONS) else "train"


def _splits(table: Path) -> dict[tuple[str, ...], str]:
    rows = table_rows(table, ("class", "name", "split"))
    return {(row["class"], row["name"]): split_in(table, row["split"]) for row in rows}


@dataclass(frozen=True)
class Retrieval:
    """Scores of a distance, means over the queries.

    Attributes:
        mean_average_precision: Mean over the queries of the mean precision at each shape of the query's class.
        nearest: Share of the queries whose nearest shape has their class.
        first_tier: Share of the query's class among its first C answers, C the number of shapes that are right.
        queries: Number of queries.
    """

    mean_average_precision: float
    nearest: float
    first_tier: float
    queries: int


def retrieval(distances: FloatArray, labels: Sequence[str], queries: Sequence[str] | None = None) -> Retrieval:
    """Query shapes by their distances.

    Args:
        distances: (Q, N) of each query from each shape.
        labels: N classes of the shapes.
        queries: Q classes of the queries; without it the shapes query each other (Q = N), none finds itself.

    Returns:
        Means over those queries whose class has another shape.

    Raises:
        ValueError: The numbers do not fit, a distance is not a number, or nothing can be found.
    """
    names, asked = np.asarray(labels), np.asarray(labels if queries is None else queries)
    if distances.shape != (len(asked), len(names)) or np.isnan(distances).any():
        raise ValueError(f"{len(asked)} queries of {len(names)} labels need as many distances, all numbers")
    others = ~np.eye(len(names), dtype=bool) if queries is None else np.ones(distances.shape, bool)
    same = (asked[:, None] == names) & others
    usable = np.flatnonzero(same.any(axis=1))
    if not len(usable):
        raise ValueError("no query has another shape of its class, so nothing can be found")
    order = np.argsort(np.where(others, distances.astype(float), np.inf), axis=1, kind="stable")[usable]
    last = int(others.sum(axis=1).min())  # the query itself comes last
    hits = np.take_along_axis(same[usable], order, axis=1)[:, :last]
    relevant = hits.sum(axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, last + 1)
    tier = hits & (np.arange(last) < relevant[:, None])
    return Retrieval(
        float(((precision * hits).sum(axis=1) / relevant).mean()),
        float(hits[:, 0].mean()),
        float((tier.sum(axis=1) / relevant).mean()),
        len(usable),
    )

"""Checking the rows of pairs and of tracks: of which images they are made, and whether all points lie inside these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from liftnet.data.dataset import coordinate_scale
from liftnet.data.parquet_limits import open_parquet
from liftnet.data.shards import COORDINATES, list_lengths
from liftnet.shard.check_files import Fault, split_of, told_as_fault
from liftnet.shard.check_groups import Known, check_groups, read_columns

Each = Callable[[npt.NDArray[np.bool_], str], Iterator[Fault]]


def check_pairs(paths: list[Path], known: Known, threads: int) -> list[Fault]:
    """Check that pairs are made of images of their split, with their sizes, and that coordinates lie inside them.

    Args:
        paths: The shards of pairs, or of pairs that only tracks link.
        known: The images of the dataset.
        threads: Worker threads.
    """
    return check_groups(paths, lambda table, path: _pairs(table, path, known), threads, "checking pairs")


def _faults_of(path: Path, kind: str, ids: list[str | None]) -> Each:
    """What makes the faults of some rows of a shard, which are named by their kind and id."""

    def each(wrong: npt.NDArray[np.bool_], reason: str) -> Iterator[Fault]:
        return (Fault(path.name, f"{kind} {ids[row]}", reason) for row in np.flatnonzero(wrong))

    return each


def _pairs(table: pa.Table, path: Path, known: Known) -> Iterator[Fault]:
    ids = table.column("pair_id").to_pylist()
    each = _faults_of(path, "pair", ids)
    first, second = (table.column(name).to_numpy(zero_copy_only=False) for name in ("image_a", "image_b"))
    joined = np.array([f"{a}-{b}" for a, b in zip(first, second, strict=True)], dtype=object)
    yield from each(joined != np.array(ids, dtype=object), "is not named after its images")
    yield from each(first >= second, "its images are not in order")
    for side in ("a", "b"):
        positions = known.positions(table.column(f"image_{side}"))
        yield from each(positions < 0, f"its image_{side} is not in the dataset")
        there = positions >= 0
        if not len(known.rows):
            continue
        stated = {"width": f"width_{side}", "height": f"height_{side}", "artist_id": "artist_id", "work_id": "work_id"}
        for theirs, mine in stated.items():
            values = table.column(mine).to_numpy(zero_copy_only=False)
            unlike = there & (values != known.values(theirs, positions))
            yield from each(unlike, f"its {mine} is not that of its image_{side}")
        elsewhere = there & (known.values("split", positions) != split_of(path))
        yield from each(elsewhere, f"its image_{side} is of another split")
    yield from _coordinates(table, path, each)


def _coordinates(table: pa.Table, path: Path, each: Each) -> Iterator[Fault]:
    with open_parquet(path) as file:
        scale = coordinate_scale(path, file)
    counts = table.column("n").to_numpy(zero_copy_only=False)
    for name in (name for name in (*COORDINATES, "score") if name in table.column_names):
        lengths = list_lengths(table.column(name))
        yield from each(lengths != counts, f"has another number of {name} than n says")
    if "guided" in table.column_names:
        stated = pc.is_valid(table.column("guided")).to_numpy()
        unlike = stated & (list_lengths(table.column("guided")) != counts)
        yield from each(unlike, "has another number of guided than n says")
    for name, side in COORDINATES.items():
        lengths = list_lengths(table.column(name))
        values = pc.list_flatten(table.column(name)).to_numpy()
        limits = np.repeat(table.column(side).to_numpy(zero_copy_only=False), lengths)
        outside = values / scale > limits - 0.5  # to the edge of the last pixel
        rows = np.repeat(np.arange(len(table)), lengths)[outside]
        yield from each(np.isin(np.arange(len(table)), rows), f"has {name} outside its image")


def check_linked(paths: list[Path], pairs: list[Path]) -> list[Fault]:
    """Check that no pair that only tracks link is among the pairs that were verified.

    Args:
        paths: The shards of linked pairs.
        pairs: The shards of pairs.
    """
    found: list[Fault] = []
    verified: list[pa.ChunkedArray] = []
    for path in pairs:
        with told_as_fault(found, path.name):
            verified.append(read_columns(path, ["pair_id"]).column("pair_id").cast(pa.string()))
    ids = pa.concat_arrays([chunk for column in verified for chunk in column.chunks] or [pa.array([], pa.string())])
    for path in paths:
        with told_as_fault(found, path.name):
            own = read_columns(path, ["pair_id"]).column("pair_id").cast(pa.string())
            both = own.filter(pc.is_in(own, value_set=ids)).to_pylist()
            found += [Fault(path.name, f"pair {pair}", "is verified too, and stands among the pairs") for pair in both]
    return found


def check_tracks(paths: list[Path], known: Known, threads: int) -> list[Fault]:
    """Check that tracks are made of images of their work, each once, and that all points lie inside them.

    Args:
        paths: The shards of tracks.
        known: The images of the dataset.
        threads: Worker threads.
    """
    return check_groups(paths, lambda table, path: _tracks(table, path, known), threads, "checking tracks")


def _tracks(table: pa.Table, path: Path, known: Known) -> Iterator[Fault]:
    ids = table.column("track_id").to_pylist()
    each = _faults_of(path, "track", ids)
    works = pc.fill_null(table.column("work_id"), "").to_pylist()
    named = [str(name).startswith(f"{work}-") for name, work in zip(ids, works, strict=True)]
    yield from each(~np.array(named, np.bool_), "is not named after its work")
    counts = table.column("n").to_numpy(zero_copy_only=False)
    yield from each(~(counts >= 2), "is seen in fewer than two images")
    yield from each(~(table.column("links").to_numpy(zero_copy_only=False) >= counts - 1), "has too few links")
    unlike = [name for name in ("images", "x", "y") if (list_lengths(table.column(name)) != counts).any()]
    for name in unlike:
        yield from each(list_lengths(table.column(name)) != counts, f"has another number of {name} than n says")
    if not unlike and len(known.rows):
        yield from _observations(table, path, known, each)


def _observations(table: pa.Table, path: Path, known: Known, each: Each) -> Iterator[Fault]:
    """Of rows whose lists are as long as they say."""
    counts = list_lengths(table.column("images"))
    rows = np.repeat(np.arange(len(table)), counts)

    def of(wrong: npt.NDArray[np.bool_], reason: str) -> Iterator[Fault]:
        """The faults of tracks with an observation that is wrong."""
        return each(np.bincount(rows[wrong], minlength=len(table)) > 0, reason)

    images = pc.fill_null(pc.list_flatten(table.column("images")), "")
    names = images.to_numpy(zero_copy_only=False).astype(object)
    fallen = np.zeros(len(rows), np.bool_)
    fallen[1:] = (names[1:] <= names[:-1]).astype(np.bool_) & (rows[1:] == rows[:-1])
    yield from of(fallen, "its images are not in order, or one stands there twice")
    positions = known.positions(pa.chunked_array([images]) if isinstance(images, pa.Array) else images)
    there = positions >= 0
    yield from of(~there, "an image of it is not in the dataset")
    for name in ("work_id", "artist_id"):
        own = table.column(name).to_numpy(zero_copy_only=False)[rows]
        yield from of(there & (own != known.values(name, positions)), f"its {name} is not that of its images")
    yield from of(there & (known.values("split", positions) != split_of(path)), "an image of it is of another split")
    with open_parquet(path) as file:
        scale = coordinate_scale(path, file)
    for name, side in (("x", "width"), ("y", "height")):
        values = pc.list_flatten(table.column(name)).to_numpy() / scale
        outside = values > known.values(side, positions).astype(float) - 0.5  # to the edge of the last pixel
        yield from of(there & outside, f"has {name} outside its image")

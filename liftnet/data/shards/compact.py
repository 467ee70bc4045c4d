"""Kept pairs in the compact form of the dataset: fixed-point coordinates, 8-bit scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from liftnet.core.errors import LiftnetError
from liftnet.data.codes import SPLITS
from liftnet.data.row_groups import read_batches
from liftnet.data.schemas import COORDINATE_SCALE, DATASET, PAIRS
from liftnet.data.shards.pair_outcomes import Lookup, left_out_reasons

MAX_UNITS = 2**16 - 1
MAX_SIDE = (MAX_UNITS + 1) // COORDINATE_SCALE  # 2048 px: pixel centres up to 2047, as uint16 reaches 2047.97
COLUMNS = [name for name in DATASET.names if name in PAIRS.names]  # what a row of the dataset is made of
COORDINATES = {"x1": "width_a", "y1": "height_a", "x2": "width_b", "y2": "height_b"}


def kept_pairs(path: Path, columns: Sequence[str], left_out: Lookup) -> Iterator[tuple[str, pa.Table]]:
    """The kept pairs of one work, piece by piece: a split, and some rows of PAIRS that belong to it.

    Args:
        path: The table of the work's pairs.
        columns: The columns wanted.
        left_out: Images whose pairs are passed over.

    Raises:
        LiftnetError: The table cannot be read, or a pair has no known split.
    """
    for batch in read_batches(path, PAIRS, list(dict.fromkeys([*columns, "image_a", "image_b", "kept", "split"]))):
        kept = pa.table(batch.filter(pc.equal(batch.column("kept"), True)))
        kept = kept.filter(pc.is_null(left_out_reasons(kept, left_out)))
        for split in kept.column("split").unique().to_pylist():
            if split not in SPLITS:
                raise LiftnetError(path, f"has pairs of the split {split!r}", "Run `collect` and `verify` again")
            yield split, kept.filter(pc.equal(kept.column("split"), split)).select(columns).combine_chunks()


def compact_table(pairs: pa.Table) -> pa.Table:
    """Rows of the PAIRS schema as rows of the DATASET schema; coordinates rounded to 1/COORDINATE_SCALE px.

    A coordinate between the edge of the image (-0.5 px) and the first pixel centre is stored as 0.

    Raises:
        LiftnetError: An image is too large for the fixed-point coordinates, or a coordinate lies outside its image.
    """
    _check_sizes(pairs)
    counts = list_lengths(pairs.column("x1"))
    columns = {name: pairs.column(name) for name in DATASET.names if name in pairs.schema.names}
    columns["n"] = pa.array(counts, pa.int32())
    for name, side in COORDINATES.items():
        columns[name] = _as_lists(_fixed_point(pairs, name, side, counts), counts)
    scores = np.rint(np.clip(np.nan_to_num(_values(pairs, "score", counts)), 0, 1) * 255).astype(np.uint8)
    columns["score"] = _as_lists(scores, counts)
    columns |= {field.name: pa.nulls(len(pairs), field.type) for field in DATASET if field.name not in columns}
    return pa.table([columns[name] for name in DATASET.names], schema=DATASET)


def _fixed_point(pairs: pa.Table, name: str, side: str, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
    values = _values(pairs, name, counts)
    limits = np.repeat(pairs.column(side).to_numpy(), counts)
    outside = ~((values >= -0.5) & (values <= limits - 0.5))  # also true of NaN
    if outside.any():
        first = int(np.argmax(outside))
        row = int(np.searchsorted(np.cumsum(counts), first, side="right"))
        raise LiftnetError(
            f"pair {pairs.column('pair_id')[row].as_py()}",
            f"has {name} = {values[first]:g} px in an image of {side.split('_')[0]} {limits[first]} px",
            "Run `match` and `verify` of its work again",
        )
    return np.clip(np.rint(values * COORDINATE_SCALE), 0, MAX_UNITS).astype(np.uint16)


def _check_sizes(pairs: pa.Table) -> None:
    for image, width, height in (("image_a", "width_a", "height_a"), ("image_b", "width_b", "height_b")):
        sides = np.maximum(pairs.column(width).to_numpy(), pairs.column(height).to_numpy())
        too_large = np.flatnonzero(sides > MAX_SIDE)
        if len(too_large):
            row = int(too_large[0])
            raise LiftnetError(
                f"image {pairs.column(image)[row].as_py()}",
                f"has a side of {sides[row]} px; the dataset's coordinates reach {MAX_SIDE} px",
                f"Set collect.max_side to {MAX_SIDE} or less and run `collect` again",
            )


def list_lengths(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The number of values in each row of a list column; 0 where the row is null."""
    return pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)


def _values(pairs: pa.Table, name: str, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    lengths = list_lengths(pairs.column(name))
    if not np.array_equal(lengths, counts):
        row = int(np.argmax(lengths != counts))
        raise LiftnetError(
            f"pair {pairs.column('pair_id')[row].as_py()}",
            f"has another number of {name} than of x1",
            "Run `verify` of its work again",
        )
    flat = pc.list_flatten(pairs.column(name)).to_numpy()
    return np.asarray(flat, dtype=np.float64)


def _as_lists(values: npt.NDArray[np.generic], counts: npt.NDArray[np.int64]) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(values))

"""What statistics are made of: sums of whole numbers that add up over the files of a dataset, in any order.

A `Sums` is a table of keys and whole numbers; adding two of them adds the numbers of equal keys. That is a commutative
monoid (associative, with an empty element), so files may be counted in any order, one in memory at a time, or in
parallel, and the result is the same to the last digit. A `Tally` is several of them side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

IntArray = npt.NDArray[np.int64]
NUMBERS = {  # of each part of a tally: keys, numbers
    "histogram": (("quantity", "split", "value"), ("count",)),
    "clusters": (("quantity", "split", "work_id"), ("total", "count")),
    "works": (("split", "artist_id", "work_id"), ("pairs", "correspondences")),
    "views": (("split", "work_id", "image_id"), ("pairs",)),
    "images": (("split", "artist_id", "work_id", "group_id"), ("images",)),
    "licences": (("split", "licence"), ("images",)),
    "asked": (("source", "status"), ("count",)),
    "stored": (("image_id", "source", "work_id", "status"), ("count",)),
    "tried": (("source", "reason", "kept"), ("pairs", "n_putative", "n_masked", "n_inliers", "n")),
    "tried_images": (("image_id", "source"), ("tried", "kept")),
}
GATHERED = 64  # tallies that are added at once
_TYPES = {"value": pa.int64(), "kept": pa.bool_()}  # of keys that are no names


@dataclass(frozen=True, eq=False)
class Sums:
    """Whole numbers by keys.

    Attributes:
        keys: Names of the key columns.
        table: The keys, each combination once and in ascending order, and the numbers (int64).
    """

    keys: tuple[str, ...]
    table: pa.Table

    @classmethod
    def of(cls, part: str, columns: Mapping[str, object]) -> Sums:
        """Sum columns (all of one length; a text stands for a column of it) as the named part of a tally."""
        keys, numbers = NUMBERS[part]
        length = next(len(column) for column in columns.values() if not isinstance(column, str))  # type: ignore[arg-type]
        arrays = [
            pa.array([columns[name]] * length if isinstance(columns[name], str) else columns[name], kind)
            if not isinstance(columns[name], (pa.Array, pa.ChunkedArray))
            else columns[name].cast(kind)  # type: ignore[attr-defined]
            for name, kind in _kinds(keys, numbers)
        ]
        return cls(keys, _summed(pa.table(arrays, [*keys, *numbers]), keys))

    @classmethod
    def empty(cls, part: str) -> Sums:
        """Nothing counted."""
        keys, numbers = NUMBERS[part]
        return cls(keys, pa.schema(_kinds(keys, numbers)).empty_table())

    def __add__(self, other: Sums) -> Sums:
        return _sum_of([self, other])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sums) and self.keys == other.keys and self.table.equals(other.table)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Tally:
    """Sums by the names of `NUMBERS`; what is missing counts as empty."""

    parts: Mapping[str, Sums]

    def __add__(self, other: Tally) -> Tally:
        return _added([self, other])

    def __getitem__(self, part: str) -> Sums:
        return self.parts.get(part) or Sums.empty(part)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and all(self[part] == other[part] for part in NUMBERS)

    __hash__ = None  # type: ignore[assignment]


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies; a few are gathered and then added at once, which is quicker than one by one."""
    waiting: list[Tally] = []
    for tally in tallies:
        waiting.append(tally)
        if len(waiting) == GATHERED:
            waiting = [_added(waiting)]
    return _added(waiting)


def _added(tallies: list[Tally]) -> Tally:
    names = {name: None for tally in tallies for name in tally.parts}
    return Tally({name: _sum_of([tally.parts[name] for tally in tallies if name in tally.parts]) for name in names})


def _sum_of(sums: list[Sums]) -> Sums:
    filled = [part for part in sums if len(part.table)]
    if len(filled) < 2:
        return filled[0] if filled else sums[0]
    return Sums(filled[0].keys, _summed(pa.concat_tables([part.table for part in filled]), filled[0].keys))


def measured(quantity: str, split: object, work_id: object, values: IntArray) -> Tally:
    """Values (N,) of a quantity: how often each occurs, and their sums by work.

    Args:
        quantity: Its name.
        split: One text for all, or (N,).
        work_id: (N,).
        values: Whole numbers.
    """
    ones = np.ones(len(values), np.int64)
    if not len(values):
        return Tally({})
    histogram = {"quantity": quantity, "split": split, "value": values, "count": ones}
    clusters = {"quantity": quantity, "split": split, "work_id": work_id, "total": values, "count": ones}
    return Tally({"histogram": Sums.of("histogram", histogram), "clusters": Sums.of("clusters", clusters)})


def _kinds(keys: Sequence[str], numbers: Sequence[str]) -> list[tuple[str, pa.DataType]]:
    return [*((key, _TYPES.get(key, pa.string())) for key in keys), *((number, pa.int64()) for number in numbers)]


def _summed(table: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    numbers = [name for name in table.column_names if name not in keys]
    grouped = table.group_by(list(keys), use_threads=False).aggregate([(name, "sum") for name in numbers])
    grouped = grouped.select([*keys, *(f"{name}_sum" for name in numbers)]).rename_columns(table.column_names)
    return grouped.sort_by([(key, "ascending") for key in keys]).combine_chunks()

"""What the checks of all shards share: the images that a dataset lists, row groups side by side, rows in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from liftnet.core.parallel import map_threads
from liftnet.data.codes import SPLITS
from liftnet.data.parquet_limits import open_parquet, parquet_metadata
from liftnet.data.schemas import MANIFEST, read_table
from liftnet.shard.check_files import Fault, split_of, told_as_fault
from liftnet.shard.images import stored_rows
from liftnet.shard.statistics import COLLECTED_FILE


@dataclass(frozen=True)
class Known:
    """The images of a dataset as collected.parquet lists them, sorted by image_id."""

    rows: pa.Table

    @classmethod
    def of(cls, dataset: Path) -> Known:
        """Those of a dataset.

        Raises:
            LiftnetError: collected.parquet cannot be read.
        """
        return cls(stored_rows(read_table(dataset / COLLECTED_FILE, MANIFEST)).combine_chunks())

    def positions(self, ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """(N,) the row of each id, -1 where there is none."""
        known = self.rows.column("image_id").combine_chunks()
        return np.asarray(pc.fill_null(pc.index_in(ids.cast(pa.string()), value_set=known), -1), dtype=np.int64)

    def values(self, name: str, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.generic]:
        """(N,) a column's values at some rows; position -1 gives that of the last row."""
        return self.rows.column(name).to_numpy(zero_copy_only=False)[positions]


def check_groups(
    paths: list[Path], check: Callable[[pa.Table, Path], Iterator[Fault]], threads: int, doing: str
) -> list[Fault]:
    """Check all row groups of some files, in parallel."""

    def checked(item: tuple[Path, int]) -> list[Fault]:
        path, group = item
        found: list[Fault] = []
        with told_as_fault(found, path.name, f"row group {group}"), open_parquet(path) as file:
            found += check(file.read_row_group(group, use_threads=False), path)
        return found

    groups = [(path, group) for path in paths for group in range(parquet_metadata(path).num_row_groups)]
    return [fault for faults in map_threads(checked, groups, threads, "shard", doing) for fault in faults]


def read_columns(path: Path, names: Sequence[str]) -> pa.Table:
    """Some columns of a whole shard."""
    with open_parquet(path) as file:
        return file.read(columns=list(names))


def check_order(paths: Sequence[Path], keys: Sequence[str], what: str) -> list[Fault]:
    """Check that the rows of each split are sorted by some columns of texts, and no two are alike.

    Args:
        paths: The shards, those of a split in their order.
        keys: The columns; the last one names a row.
        what: What a row is.
    """
    found: list[Fault] = []
    for split in SPLITS:
        last = {key: np.array([], object) for key in keys}
        for path in (path for path in paths if split_of(path) == split):
            with told_as_fault(found, path.name):
                rows = read_columns(path, keys)
                values = {key: np.append(last[key], _texts(rows, key)) for key in keys}
                before, after = ({key: column[part] for key, column in values.items()} for part in (_FIRST, _NEXT))
                for row in np.flatnonzero(~_precedes(before, after, keys)):
                    reason = f"does not follow {before[keys[-1]][row]}: not sorted, or twice"
                    found.append(Fault(path.name, f"{what} {after[keys[-1]][row]}", reason))
                last = {key: column[-1:] for key, column in values.items()}
    return found


_FIRST, _NEXT = slice(None, -1), slice(1, None)


def _texts(rows: pa.Table, key: str) -> npt.NDArray[np.object_]:
    return pc.fill_null(rows.column(key), "").to_numpy(zero_copy_only=False).astype(object)


def _precedes(
    before: dict[str, npt.NDArray[np.object_]], after: dict[str, npt.NDArray[np.object_]], keys: Sequence[str]
) -> npt.NDArray[np.bool_]:
    """Whether each row stands before the next one by the first column in which they differ."""
    result = np.zeros(len(after[keys[0]]), np.bool_)
    alike = ~result
    for key in keys:
        result |= alike & (before[key] < after[key]).astype(np.bool_)
        alike &= (before[key] == after[key]).astype(np.bool_)
    return result

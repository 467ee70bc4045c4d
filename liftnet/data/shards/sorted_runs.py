"""Sorting more pairs than memory holds: sorted runs on disk, from which the shards are gathered one at a time.

The textbook external sort (Knuth, The Art of Computer Programming, vol. 3, section 5.4). Since the first id of every
shard is known beforehand, a run is cut where the shards will be, and no merge is needed: a shard is the same part of
every run, sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from liftnet.data.schemas import DATASET

RUN_BYTES = 64_000_000  # rows held in memory before they are written as a run


class SortedRuns:
    """Rows of the dataset on their way into the shards of one split."""

    def __init__(self, folder: Path, firsts: Sequence[str]) -> None:
        """Prepare for shards that begin with the given ids.

        Args:
            folder: Where the runs are written; it is made.
            firsts: The pair_id each shard begins with, ascending.
        """
        folder.mkdir(parents=True)
        self._folder = folder
        self._firsts = np.array(firsts, dtype=np.str_)
        self._waiting: list[pa.Table] = []
        self._bytes = 0
        self._runs: list[Path] = []

    def add(self, rows: pa.Table) -> None:
        """Take rows of the schema DATASET, in any order."""
        self._waiting.append(rows)
        self._bytes += rows.nbytes
        if self._bytes >= RUN_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait as a run: one record batch for each shard."""
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting).sort_by("pair_id")
        self._waiting, self._bytes = [], 0
        ids = table.column("pair_id").to_numpy(zero_copy_only=False).astype(np.str_)
        starts = [0, *np.searchsorted(ids, self._firsts[1:]).tolist(), len(ids)]
        path = self._folder / f"{len(self._runs):06d}.arrow"
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_file(path, DATASET, options=options) as writer:
            for start, stop in pairwise(starts):
                writer.write_batch(_one_batch(table.slice(start, stop - start)))
        self._runs.append(path)

    def shard(self, number: int) -> pa.Table:
        """All rows of a shard, sorted by pair_id; to be called after `flush`."""
        batches = []
        for path in self._runs:
            with pa.ipc.open_file(path) as reader:
                batches.append(reader.get_batch(number))
        return pa.Table.from_batches(batches, DATASET).sort_by("pair_id").combine_chunks()


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    """The rows of a table as a single record batch, also if there are none."""
    columns = [
        pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type) for column in table.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=DATASET)

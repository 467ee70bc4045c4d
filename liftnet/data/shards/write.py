"""Tables of pairs become the shards of a dataset: sorted by id, whatever their number, and cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from liftnet.core.errors import LiftnetError
from liftnet.core.log import progress
from liftnet.data.codes import SPLITS
from liftnet.data.dataset import SCALE_KEY
from liftnet.data.row_groups import read_batches
from liftnet.data.schemas import COORDINATE_SCALE, DATASET, PAIRS, TRIED, table_writer
from liftnet.data.shards.camera_angles import Focals, rotation_column
from liftnet.data.shards.compact import COLUMNS, COORDINATES, compact_table, kept_pairs, list_lengths
from liftnet.data.shards.pair_outcomes import COLUMNS as TRIED_COLUMNS
from liftnet.data.shards.pair_outcomes import Lookup, tried_rows
from liftnet.data.shards.sorted_runs import SortedRuns

LISTS = (*COORDINATES, "score")
ROW_BYTES = 200  # ids and counts of a pair, before compression
POINT_BYTES = 4 * 2 + 1  # four uint16 coordinates and a uint8 score


@dataclass(frozen=True)
class Cutting:
    """How the pairs of a split are cut into files.

    Attributes:
        shard_mb: Largest size of a shard before compression, MB.
        rows_per_group: Pairs in a row group, the unit of reading.
    """

    shard_mb: int = 128
    rows_per_group: int = 1024


TRIED_FILE = "tried.parquet"


def write_pairs(
    folder: Path,
    files: Sequence[Path],
    cutting: Cutting,
    stage: str,
    left_out: Mapping[str, str] | None = None,
    manifest: pa.Table | None = None,
) -> None:
    """Write the kept pairs of all works as shards of train, val and test, and all that were tried as `tried.parquet`.

    Memory holds the ids of all pairs (about 100 bytes each) and one shard: the pairs themselves are sorted on disk,
    in a hidden folder of `folder` that takes as much room as the shards and is gone at the end.

    Args:
        folder: Where the shards are written.
        files: The tables of pairs.
        cutting: How the shards are cut.
        stage: The stage that writes, for its log.
        left_out: Images whose pairs are left out, image_id to reason; the reason becomes the pair's in TRIED.
        manifest: Rows of MANIFEST, for the source and the focal length of each image; without it both are unknown.

    Raises:
        LiftnetError: A table is unreadable, a pair stands in two of them or cannot be stored.
    """
    refused = Lookup.of(left_out or {})
    focals = Focals.of_manifest(manifest)
    plans = plan_shards(files, cutting, stage, refused)
    _write_tried(folder / TRIED_FILE, files, refused, Lookup.of_sources(manifest))
    with TemporaryDirectory(dir=folder, prefix=".runs-") as scratch:
        runs = {split: SortedRuns(Path(scratch) / split, plan.firsts) for split, plan in plans.items()}
        for path in progress(files, stage, "sorting pairs"):
            for split, rows in kept_pairs(path, [*COLUMNS, "f_perspective"], refused):
                compact = compact_table(rows)  # first: it checks that the points can be stored
                place = DATASET.get_field_index("rotation_deg")
                runs[split].add(compact.set_column(place, DATASET.field(place), rotation_column(rows, focals)))
        for sorted_runs in runs.values():
            sorted_runs.flush()
        for split, sorted_runs in runs.items():
            for number, (path, _) in enumerate(shard_files(folder, split, plans[split].parts)):
                write_shard(path, split, sorted_runs.shard(number), cutting)


@dataclass(frozen=True)
class Plan:
    """How the pairs of a split, sorted by their ids, are cut into shards.

    Attributes:
        parts: The rows of each shard; without pairs one empty shard, so that readers find the split.
        firsts: The pair_id that each shard begins with.
    """

    parts: list[range]
    firsts: list[str]


def plan_shards(files: Sequence[Path], cutting: Cutting, stage: str, left_out: Lookup) -> dict[str, Plan]:
    """Decide from ids and numbers of correspondences alone which pairs each shard will hold.

    Args:
        files: The tables of pairs.
        cutting: How the shards are cut.
        stage: The stage that writes, for its log.
        left_out: Images whose pairs are left out.

    Raises:
        LiftnetError: A table is unreadable, or a pair stands in two of them.
    """
    ids: dict[str, list[pa.ChunkedArray]] = {split: [] for split in SPLITS}
    counts: dict[str, list[npt.NDArray[np.int64]]] = {split: [] for split in SPLITS}
    for path in progress(files, stage, "listing pairs"):
        for split, rows in kept_pairs(path, ["pair_id", "x1"], left_out):
            ids[split].append(rows.column("pair_id").cast(pa.large_string()))
            counts[split].append(list_lengths(rows.column("x1")))
    return {split: _plan(ids[split], counts[split], cutting) for split in SPLITS}


def _plan(ids: list[pa.ChunkedArray], counts: list[npt.NDArray[np.int64]], cutting: Cutting) -> Plan:
    if not ids:
        return Plan([range(0)], [""])
    unsorted = pa.concat_arrays([chunk for column in ids for chunk in column.chunks])
    order = pc.sort_indices(unsorted)
    names = unsorted.take(order)
    twice = pc.index(pc.equal(names[1:], names[:-1]), True).as_py()
    if twice >= 0:
        raise LiftnetError(
            f"pair {names[twice]}", "stands in two tables of pairs", "Delete pairs/ and run `verify` again"
        )
    parts = cut(np.concatenate(counts)[order] * POINT_BYTES + ROW_BYTES, cutting.shard_mb)
    return Plan(parts, [names[part.start].as_py() for part in parts])


def _write_tried(path: Path, files: Sequence[Path], left_out: Lookup, sources: Lookup) -> None:
    with table_writer(path, TRIED) as write:
        for file in files:
            batches = [pa.table(batch) for batch in read_batches(file, PAIRS, list(TRIED_COLUMNS))]
            if batches:
                write(tried_rows(pa.concat_tables(batches), left_out, sources))


def write_shard(path: Path, split: str, rows: pa.Table, cutting: Cutting) -> None:
    """Write one shard of pairs.

    Args:
        path: Its file.
        split: The split it belongs to, for its metadata.
        rows: Of the schema DATASET, sorted by pair_id.
        cutting: For the length of its row groups.
    """
    metadata = {**DATASET.metadata, SCALE_KEY: str(COORDINATE_SCALE), b"liftnet.split": split}
    pq.write_table(
        rows.cast(DATASET.with_metadata(metadata)),
        path,
        row_group_size=cutting.rows_per_group,
        compression="zstd",
        compression_level=3,
        use_dictionary=["work_id", "artist_id", "image_a", "image_b"],
        # encodings are per leaf; the name of the list itself would be ignored without a word
        column_encoding={f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in LISTS},
        write_page_index=True,
    )


def cut(sizes: npt.NDArray[np.int64], shard_mb: int) -> list[range]:
    """Cut rows of the given sizes (bytes) into consecutive ranges of about `shard_mb` MB; always at least one."""
    if not len(sizes):
        return [range(0)]
    before = np.cumsum(sizes) - sizes
    shards = before // (shard_mb * 1_000_000)
    starts = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(sizes)]
    return [range(start, stop) for start, stop in pairwise(starts)]


def shard_files(folder: Path, name: str, parts: list[range]) -> Iterator[tuple[Path, range]]:
    """The file of each part, `<name>-00000-of-000NN.parquet`."""
    for number, rows in enumerate(parts):
        yield folder / f"{name}-{number:05d}-of-{len(parts):05d}.parquet", rows

"""Tables of pairs become the shards of a dataset: sorted by id, whatever their number, and cut.

More pairs are sorted than memory holds, by the textbook external sort (Knuth, The Art of Computer Programming, vol. 3,
section 5.4): sorted runs on disk. Since the first id of every shard is known beforehand, a run is cut where the shards
will be, and no merge is needed: a shard is the same part of every run, sorted. What a shard holds is compact:
coordinates in fixed point, scores in 8 bits. Every pair that was tried, kept or not, stands in `tried.parquet`.
"""

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
from liftnet.data.camera_angles import Focals, rotation_column
from liftnet.data.codes import SPLITS, PairReason
from liftnet.data.dataset import SCALE_KEY
from liftnet.data.schemas import COORDINATE_SCALE, DATASET, PAIRS, TRIED, read_batches, table_writer

MAX_UNITS = 2**16 - 1
MAX_SIDE = (MAX_UNITS + 1) // COORDINATE_SCALE  # 2048 px: pixel centres up to 2047, as uint16 reaches 2047.97
PAIR_COLUMNS = [name for name in DATASET.names if name in PAIRS.names]  # what a row of the dataset is made of
TRIED_COLUMNS = (  # of PAIRS, that a row of TRIED is made of
    *("pair_id", "work_id", "split", "image_a", "image_b", "kept", "reason"),
    *("n_putative", "n_masked", "n_inliers", "n_guided", "x1"),
)
COORDINATES = {"x1": "width_a", "y1": "height_a", "x2": "width_b", "y2": "height_b"}
_REPEATED = ("work_id", "artist_id", "image_a", "image_b", "reason", "images")  # texts that stand in many rows
ROW_BYTES = 200  # ids and counts of a pair, before compression
POINT_BYTES = 4 * 2 + 1  # four uint16 coordinates and a uint8 score
RUN_BYTES = 64_000_000  # rows held in memory before they are written as a run
TRIED_FILE = "tried.parquet"


@dataclass(frozen=True)
class Cutting:
    """How the pairs of a split are cut into files.

    Attributes:
        shard_mb: Largest size of a shard before compression, MB.
        rows_per_group: Pairs in a row group, the unit of reading.
    """

    shard_mb: int = 128
    rows_per_group: int = 1024


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
            for split, rows in kept_pairs(path, [*PAIR_COLUMNS, "f_perspective"], refused):
                compact = compact_table(rows)  # first: it checks that the points can be stored
                place = DATASET.get_field_index("rotation_deg")
                runs[split].add(compact.set_column(place, DATASET.field(place), rotation_column(rows, focals)))
        for sorted_runs in runs.values():
            sorted_runs.flush()
        for split, sorted_runs in runs.items():
            for number, (path, _) in enumerate(shard_files(folder, split, plans[split].parts)):
                write_shard(path, split, sorted_runs.shard(number), cutting.rows_per_group)


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


def write_shard(
    path: Path,
    split: str,
    rows: pa.Table,
    rows_per_group: int,
    schema: pa.Schema = DATASET,
    notes: Mapping[bytes, str] | None = None,
) -> None:
    """Write one shard, of pairs unless another table is named.

    Args:
        path: Its file.
        split: The split it belongs to, for its metadata.
        rows: Of the schema, sorted.
        rows_per_group: The length of its row groups.
        schema: DATASET, TRACKS or LINKED.
        notes: More of its metadata.
    """
    metadata = {**schema.metadata, SCALE_KEY: str(COORDINATE_SCALE), b"liftnet.split": split, **(notes or {})}
    # encodings are per leaf; the name of the list itself would be ignored without a word
    lists = {f.name: f"{f.name}.list.element" for f in schema if pa.types.is_list(f.type)}
    repeated = [name for name in _REPEATED if name in schema.names]
    numbers = [name for name in lists if pa.types.is_integer(schema.field(name).type.value_type)]
    pq.write_table(
        rows.cast(schema.with_metadata(metadata)),
        path,
        row_group_size=rows_per_group,
        compression="zstd",
        compression_level=3,
        use_dictionary=[lists.get(name, name) for name in repeated],
        column_encoding={lists[name]: "BYTE_STREAM_SPLIT" for name in numbers},
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


# Compact rows


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
        columns[name] = as_lists(_fixed_point(pairs, name, side, counts), counts)
    scores = np.rint(np.clip(np.nan_to_num(_values(pairs, "score", counts)), 0, 1) * 255).astype(np.uint8)
    columns["score"] = as_lists(scores, counts)
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


def as_lists(values: npt.NDArray[np.generic] | pa.Array, counts: npt.NDArray[np.int64]) -> pa.ListArray:
    """(R,) lists of so many of the values each, one after the other."""
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values if isinstance(values, pa.Array) else pa.array(values))


# Pairs that were tried


@dataclass(frozen=True, eq=False)
class Lookup:
    """Strings by image_id, looked up for whole columns at once."""

    ids: pa.Array
    values: pa.Array

    @classmethod
    def of(cls, mapping: Mapping[str, str | None]) -> Lookup:
        """The lookup of a mapping."""
        return cls(pa.array(mapping.keys(), pa.string()), pa.array(mapping.values(), pa.string()))

    @classmethod
    def of_sources(cls, manifest: pa.Table | None) -> Lookup:
        """The source of each stored image of a manifest; empty without one."""
        if manifest is None:
            return cls.of({})
        stored = manifest.filter(pc.equal(manifest.column("status"), "ok"))
        return cls(*(stored.column(name).combine_chunks().cast(pa.string()) for name in ("image_id", "source")))

    def __call__(self, column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
        """The value of each id of the column; null where there is none."""
        return self.values.take(pc.index_in(column.cast(pa.string()), value_set=self.ids))


def left_out_reasons(pairs: pa.Table, left_out: Lookup) -> pa.ChunkedArray:
    """Why the dataset leaves each pair out: the reason of its first image, else of its second; null if it does not."""
    return pc.coalesce(*(left_out(pairs.column(name).combine_chunks()) for name in ("image_a", "image_b")))


def tried_rows(pairs: pa.Table, left_out: Lookup, sources: Lookup) -> pa.Table:
    """Rows of PAIRS (its TRIED_COLUMNS) as rows of TRIED.

    Args:
        pairs: The pairs that were tried.
        left_out: Reasons for which the dataset leaves images out.
        sources: The source of each image.
    """
    verified = pc.fill_null(pairs.column("kept"), False)
    refused = left_out_reasons(pairs, left_out)
    kept = pc.and_(verified, pc.is_null(refused))
    reason = pc.if_else(
        verified, pc.coalesce(refused, PairReason.KEPT), pc.coalesce(pairs.column("reason"), PairReason.NOT_STATED)
    )
    lengths = pc.fill_null(pc.list_value_length(pairs.column("x1")), 0)
    columns = {
        **{name: pairs.column(name) for name in TRIED.names if name in pairs.column_names},
        "source_a": sources(pairs.column("image_a").combine_chunks()),
        "source_b": sources(pairs.column("image_b").combine_chunks()),
        "kept": kept,
        "reason": reason,
        "n_guided": pc.if_else(kept, pc.fill_null(pairs.column("n_guided"), 0), 0).cast(pa.int32()),
        "n": pc.if_else(kept, lengths, 0).cast(pa.int32()),
    }
    return pa.table([columns[name] for name in TRIED.names], schema=TRIED)


# Sorting on disk


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

"""Writing the dataset: kept pairs of all works, sorted, cut into shards, replaced as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from liftnet.io.dataset import SCALE_KEY, SPLITS
from liftnet.io.errors import LiftnetError
from liftnet.io.log import get_logger, progress
from liftnet.io.schemas import COORDINATE_SCALE, DATASET, MANIFEST, read_table
from liftnet.shard.card import write_card
from liftnet.shard.compact import COLUMNS, COORDINATES, compact_table, kept_pairs, list_lengths
from liftnet.shard.cut import cut, shard_files
from liftnet.shard.folder import replaced_folder
from liftnet.shard.images import write_image_shards
from liftnet.shard.runs import SortedRuns
from liftnet.shard.settings import ShardSettings
from liftnet.shard.statistics import tally_dataset

LISTS = (*COORDINATES, "score")
ROW_BYTES = 200  # ids and counts of a pair, before compression
POINT_BYTES = 4 * 2 + 1  # four uint16 coordinates and a uint8 score


def write_dataset(root: Path, out: Path, settings: ShardSettings) -> None:
    """Write all kept pairs below `root/pairs` as the dataset `out`.

    The same input gives the same bytes.

    Args:
        root: Folder with manifest.parquet, images/ and pairs/.
        out: Folder of the dataset; an older dataset there is replaced once the new one is whole.
        settings: How it is cut.

    Raises:
        LiftnetError: There are no tables of pairs, one is unreadable, a pair cannot be stored (too large an image,
            a coordinate outside it), or `out` cannot be written.
    """
    logger = get_logger("shard")
    manifest = read_table(root / "manifest.parquet", MANIFEST)
    files = sorted((root / "pairs").glob("*.parquet"))
    if not files:
        raise LiftnetError(root / "pairs", "holds no tables of pairs", "Run `verify run` for each work first")
    with replaced_folder(out) as folder:
        write_pairs(folder, files, settings)
        missing = write_image_shards(folder, root, manifest, settings) if settings.images else []
        tallies = tally_dataset(folder)
        write_card(folder, tallies, manifest, settings.images, missing)
    counts = ", ".join(f"{tallies[split].pairs} {split}" for split in SPLITS)
    if missing:
        logger.warning("%d images of the manifest have no file and are not in the image shards", len(missing))
    if not tallies["all"].pairs:
        logger.warning("no pair was kept; the report's funnel says where they were lost")
    logger.info(
        "wrote %d pairs (%s) with %d correspondences to %s",
        tallies["all"].pairs,
        counts,
        tallies["all"].correspondences,
        out,
    )


def write_pairs(folder: Path, files: Sequence[Path], settings: ShardSettings) -> None:
    """Write the kept pairs of all works as shards of train, val and test.

    Memory holds the ids of all pairs (about 100 bytes each) and one shard: the pairs themselves are sorted on disk,
    in a hidden folder of `folder` that takes as much room as the shards and is gone at the end.

    Args:
        folder: Where the shards are written.
        files: The tables of pairs.
        settings: How the shards are cut.

    Raises:
        LiftnetError: A table is unreadable, a pair stands in two of them or cannot be stored.
    """
    plans = plan_shards(files, settings)
    with TemporaryDirectory(dir=folder, prefix=".runs-") as scratch:
        runs = {split: SortedRuns(Path(scratch) / split, plan.firsts) for split, plan in plans.items()}
        for path in progress(files, "shard", "sorting pairs"):
            for split, rows in kept_pairs(path, COLUMNS):
                runs[split].add(compact_table(rows))
        for sorted_runs in runs.values():
            sorted_runs.flush()
        for split, sorted_runs in runs.items():
            for number, (path, _) in enumerate(shard_files(folder, split, plans[split].parts)):
                _write_shard(path, split, sorted_runs.shard(number), settings)


@dataclass(frozen=True)
class Plan:
    """How the pairs of a split, sorted by their ids, are cut into shards.

    Attributes:
        parts: The rows of each shard; without pairs one empty shard, so that readers find the split.
        firsts: The pair_id that each shard begins with.
    """

    parts: list[range]
    firsts: list[str]


def plan_shards(files: Sequence[Path], settings: ShardSettings) -> dict[str, Plan]:
    """Decide from ids and numbers of correspondences alone which pairs each shard will hold.

    Raises:
        LiftnetError: A table is unreadable, or a pair stands in two of them.
    """
    ids: dict[str, list[pa.ChunkedArray]] = {split: [] for split in SPLITS}
    counts: dict[str, list[npt.NDArray[np.int64]]] = {split: [] for split in SPLITS}
    for path in progress(files, "shard", "listing pairs"):
        for split, rows in kept_pairs(path, ["pair_id", "x1"]):
            ids[split].append(rows.column("pair_id").cast(pa.large_string()))
            counts[split].append(list_lengths(rows.column("x1")))
    return {split: _plan(ids[split], counts[split], settings) for split in SPLITS}


def _plan(ids: list[pa.ChunkedArray], counts: list[npt.NDArray[np.int64]], settings: ShardSettings) -> Plan:
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
    parts = cut(np.concatenate(counts)[order] * POINT_BYTES + ROW_BYTES, settings.shard_mb)
    return Plan(parts, [names[part.start].as_py() for part in parts])


def _write_shard(path: Path, split: str, rows: pa.Table, settings: ShardSettings) -> None:
    metadata = {**DATASET.metadata, SCALE_KEY: str(COORDINATE_SCALE), b"liftnet.split": split}
    pq.write_table(
        rows.cast(DATASET.with_metadata(metadata)),
        path,
        row_group_size=settings.rows_per_group,
        compression="zstd",
        compression_level=3,
        use_dictionary=["work_id", "artist_id", "image_a", "image_b"],
        # encodings are per leaf; the name of the list itself would be ignored without a word
        column_encoding={f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in LISTS},
        write_page_index=True,
    )

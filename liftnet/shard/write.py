"""Writing the dataset: kept pairs of all works, sorted, cut into shards, replaced as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from liftnet.io.dataset import SCALE_KEY, SPLITS
from liftnet.io.errors import LiftnetError
from liftnet.io.log import get_logger, progress
from liftnet.io.schemas import COORDINATE_SCALE, DATASET, MANIFEST, read_table
from liftnet.shard.card import write_card
from liftnet.shard.compact import COORDINATES, kept_pairs
from liftnet.shard.cut import cut, shard_files
from liftnet.shard.folder import replaced_folder
from liftnet.shard.images import write_image_shards
from liftnet.shard.settings import ShardSettings
from liftnet.shard.statistics import tally_dataset

LISTS = (*COORDINATES, "score")
ROW_BYTES = 200  # ids and counts of a pair, before compression
POINT_BYTES = 4 * 2 + 1  # four uint16 coordinates and a uint8 score


def write_dataset(root: Path, out: Path, settings: ShardSettings) -> None:
    """Write all kept pairs below `root/pairs` as the dataset `out`.

    The same input gives the same bytes. The compact pairs of the whole dataset are held in memory: 9 bytes a
    correspondence.

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
    pairs = _sorted_pairs(root)
    with replaced_folder(out) as folder:
        for split in SPLITS:
            write_pair_shards(folder, split, pairs[split], settings)
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


def write_pair_shards(folder: Path, split: str, table: pa.Table, settings: ShardSettings) -> None:
    """Write one split; without pairs, one empty shard, so that readers find the split."""
    counts = table.column("n").to_numpy().astype(np.int64)
    parts = cut(counts * POINT_BYTES + ROW_BYTES, settings.shard_mb)
    metadata = {**DATASET.metadata, SCALE_KEY: str(COORDINATE_SCALE), b"liftnet.split": split}
    schema = DATASET.with_metadata(metadata)
    for path, rows in shard_files(folder, split, parts):
        pq.write_table(
            table.slice(rows.start, len(rows)).cast(schema),
            path,
            row_group_size=settings.rows_per_group,
            compression="zstd",
            compression_level=3,
            use_dictionary=["work_id", "artist_id", "image_a", "image_b"],
            # encodings are per leaf; the name of the list itself would be ignored without a word
            column_encoding={f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in LISTS},
            write_page_index=True,
        )


def _sorted_pairs(root: Path) -> dict[str, pa.Table]:
    files = sorted((root / "pairs").glob("*.parquet"))
    if not files:
        raise LiftnetError(root / "pairs", "holds no tables of pairs", "Run `verify run` for each work first")
    works = [kept_pairs(path) for path in progress(files, "shard", "reading pairs")]
    return {split: _sort(work[split] for work in works if split in work) for split in SPLITS}


def _sort(tables: Iterable[pa.Table]) -> pa.Table:
    table = pa.concat_tables([DATASET.empty_table(), *tables]).combine_chunks()
    ids = table.column("pair_id")
    if pc.count_distinct(ids).as_py() != len(ids):
        twice = next(entry["values"] for entry in pc.value_counts(ids).to_pylist() if entry["counts"] > 1)
        raise LiftnetError(f"pair {twice}", "stands in two tables of pairs", "Delete pairs/ and run `verify` again")
    return table.sort_by("pair_id")

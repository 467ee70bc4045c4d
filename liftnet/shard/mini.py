"""A small dataset of the same layout: some whole works of every split, for a first look and for tests."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from liftnet.core.ids import stable_fraction
from liftnet.core.log import get_logger
from liftnet.data.codes import SPLITS
from liftnet.data.dataset import open_shard, shard_paths
from liftnet.data.schemas import DATASET, TRIED, read_table, table_writer
from liftnet.data.shards.write import POINT_BYTES, ROW_BYTES, TRIED_FILE, Cutting, write_shard
from liftnet.shard.selection import in_works

LOG = get_logger("shard")

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}  # of the room, as far as the works allow
LARGEST_SHARE = 0.25  # of a split's works, so that the small dataset of a small one is small too
SALT = "mini"
OTHER_BYTES = 1500  # rows of an image in the tables beside its shard
REST_BYTES = 2_000_000  # cards, lists and the ends of files


def draw_works(dataset: Path, stored: pa.Table, images: Path | None, room_mb: int) -> set[str]:
    """Draw whole works that together take at most `room_mb` MB.

    The order is by a hash of the work's id, so that a work drawn today is drawn tomorrow as far as there is room. A
    split whose every work is too large has none.

    Args:
        dataset: The dataset as far as it is written: the shards of pairs.
        stored: Its rows of MANIFEST.
        images: The folder of the stored files; None if the images themselves are not to be written.
        room_mb: Largest size, MB.

    Returns:
        The work_ids: of each split at least one, if it has a work with a pair that fits its share of the room.
    """
    works = _sizes(dataset, stored, images)
    room = room_mb * 1_000_000 - REST_BYTES
    drawn: set[str] = set()
    for split in SPLITS:
        left = room * SHARES[split]
        candidates = works[works["split"] == split]
        most = max(1, int(len(candidates) * LARGEST_SHARE))
        ordered = sorted(candidates.index, key=lambda work: stable_fraction(str(work), SALT))
        taken: list[str] = []
        for work in ordered:
            if len(taken) < most and candidates.loc[work, "bytes"] <= left:
                taken.append(str(work))
                left -= candidates.loc[work, "bytes"]
        if len(candidates) and not taken:
            LOG.warning("no work of %s fits into mini/; raise shard.mini_mb", split)
        drawn.update(taken)
    return drawn


def _sizes(dataset: Path, stored: pa.Table, images: Path | None) -> pd.DataFrame:
    """Bytes and split of every work that has a pair; index work_id."""
    parts = []
    for split in SPLITS:
        for path in shard_paths(dataset, split):
            table = open_shard(path).read(columns=["work_id", "n"])
            parts.append(table.to_pandas().assign(split=split))
    pairs = pd.concat(parts).astype({"work_id": object})
    pairs["bytes"] = pairs["n"] * POINT_BYTES + ROW_BYTES
    works = pairs.groupby("work_id").agg({"split": "first", "bytes": "sum"})
    views = stored.select(["work_id", "file"]).to_pandas()
    views["bytes"] = [OTHER_BYTES + ((images / name).stat().st_size if images else 0) for name in views["file"]]
    return works.assign(bytes=works["bytes"] + views.groupby("work_id")["bytes"].sum().reindex(works.index).fillna(0))


def copy_pairs(dataset: Path, folder: Path, works: set[str], cutting: Cutting) -> None:
    """Write the pairs of some works, and the rows of tried.parquet about them, as a dataset in `folder`."""
    for split in SPLITS:
        parts = [in_works(open_shard(path).read(), works) for path in shard_paths(dataset, split)]
        rows = pa.concat_tables(parts).replace_schema_metadata(None)
        write_shard(folder / f"{split}-00000-of-00001.parquet", split, rows.cast(DATASET), cutting)
    with table_writer(folder / TRIED_FILE, TRIED) as write:
        write(in_works(read_table(dataset / TRIED_FILE, TRIED), works))

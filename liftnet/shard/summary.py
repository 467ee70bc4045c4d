"""What the card, croissant.json and `shard verify` say of a dataset, counted from its files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from liftnet.data.codes import LEFT_OUT, NOT_STATED, SPLITS, ImageStatus
from liftnet.data.dataset import shard_paths
from liftnet.data.schemas import MANIFEST, read_table
from liftnet.shard.images import WITH_EXIF, WITH_POSITION, stored_rows
from liftnet.shard.statistics import SplitSize, count_splits
from liftnet.shard.tally import COLLECTED_FILE

HUB_SPLITS = {"train": "train", "val": "validation", "test": "test"}  # as dataset hubs call them
UNDIVIDED = {"artists": "artist_id", "works": "work_id", "groups": "group_id", "images": "sha256"}


@dataclass(frozen=True)
class DatasetSummary:
    """Numbers about a dataset.

    Attributes:
        splits: Artists, works, pairs and correspondences of each split and of `all`.
        sizes: Their bytes before compression, by split.
        rows: Rows of the tables `pairs` and, if the images are in it, `images`, by split.
        images: One row an image of the dataset, the columns of MANIFEST.
        statuses: How many of the rows asked for had each status.
        with_exif: Stored files that carry EXIF.
        with_position: Of these, those that say where the photograph was taken.
        shared: How many artists, works, groups and identical images stand in more than one split.
    """

    splits: dict[str, SplitSize]
    rows: dict[str, dict[str, int]]
    sizes: dict[str, dict[str, int]]
    images: pd.DataFrame
    statuses: Counter[str]
    with_exif: int
    with_position: int
    shared: dict[str, int]

    @property
    def with_images(self) -> bool:
        """Whether the images themselves are in the dataset."""
        return "images" in self.rows

    @property
    def licences(self) -> Counter[str]:
        """Images by SPDX identifier; where the licence is not understood, by what its source says."""
        columns = (self.images[name] for name in ("license_spdx", "license"))
        return Counter(
            known if isinstance(known, str) else f"{plain(said)} (not understood)" if plain(said) else NOT_STATED
            for known, said in zip(*columns, strict=True)
        )

    @property
    def unknown_licences(self) -> int:
        """Images whose licence is not stated or not understood."""
        return int(self.images["license_spdx"].isna().sum())

    @property
    def sources(self) -> Counter[str]:
        """Images by source."""
        return Counter(plain(source) or NOT_STATED for source in self.images["source"])

    @property
    def left_out(self) -> dict[ImageStatus, int]:
        """Images that were stored and are not in the dataset, by what kept them out."""
        return {status: self.statuses[status] for status in LEFT_OUT if self.statuses[status]}

    @property
    def fetched(self) -> tuple[str, str] | None:
        """The first and the last day on which an image was fetched, as 2026-11-21."""
        times = self.images["fetched_at"].dropna()
        return None if times.empty else (f"{times.min():%Y-%m-%d}", f"{times.max():%Y-%m-%d}")


def summarise_dataset(dataset: Path) -> DatasetSummary:
    """Count what a dataset holds, from its files alone.

    Raises:
        LiftnetError: A file is missing or unreadable.
    """
    collected = read_table(dataset / COLLECTED_FILE, MANIFEST)
    images = stored_rows(collected).to_pandas()
    prefixes = {"pairs": "", "images": "images-"} if any(dataset.glob("images-*.parquet")) else {"pairs": ""}
    shards = {
        table: {split: [pq.read_metadata(path) for path in shard_paths(dataset, split, prefix)] for split in SPLITS}
        for table, prefix in prefixes.items()
    }
    notes = [shard.metadata or {} for of_split in shards.get("images", {}).values() for shard in of_split]
    return DatasetSummary(
        splits=count_splits(dataset),
        rows=_summed(shards, lambda shard: shard.num_rows),
        sizes=_summed(
            shards, lambda shard: sum(shard.row_group(k).total_byte_size for k in range(shard.num_row_groups))
        ),
        images=images,
        statuses=Counter(collected.column("status").to_pylist()),
        with_exif=sum(int(note.get(WITH_EXIF, 0)) for note in notes),
        with_position=sum(int(note.get(WITH_POSITION, 0)) for note in notes),
        shared={name: int((images.groupby(key)["split"].nunique() > 1).sum()) for name, key in UNDIVIDED.items()},
    )


def _summed(
    shards: dict[str, dict[str, list[pq.FileMetaData]]], number: Callable[[pq.FileMetaData], int]
) -> dict[str, dict[str, int]]:
    """The sum of a number of the shards, by table and split."""
    return {table: {split: sum(map(number, of)) for split, of in splits.items()} for table, splits in shards.items()}


def plain(text: object) -> str:
    """A text from the web, fit for one cell of a Markdown table; "" for what is no text."""
    words = " ".join(text.split()) if isinstance(text, str) else ""
    return "".join(c for c in words if c.isalnum() or c in " .,-+/():_")[:80]


def type_name(kind: pa.DataType) -> str:
    """The type of a column as the card names it."""
    return "struct(bytes, path)" if pa.types.is_struct(kind) else re.sub(r"(item|element): ", "", str(kind))

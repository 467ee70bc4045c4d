"""The numbers of a dataset, counted from its files alone: its statistics, and what its card and checks say of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from liftnet.core.log import get_logger, progress
from liftnet.core.tables import write_tables
from liftnet.data.codes import LEFT_OUT, NOT_STATED, SPLITS, ImageStatus
from liftnet.data.dataset import LINKED_PREFIX, PREFIXES, TRACKS_PREFIX, shard_paths
from liftnet.data.parquet_limits import parquet_metadata
from liftnet.data.schemas import MANIFEST, read_table
from liftnet.data.shards import TRIED_FILE
from liftnet.data.truth import load_camera, truth_files
from liftnet.shard.figures import write_figures
from liftnet.shard.images import WITH_EXIF, WITH_POSITION, stored_rows
from liftnet.shard.tables import TABLES, dataset_tables, funnel
from liftnet.shard.tally import (
    COLLECTED_FILE,
    Cameras,
    Tally,
    tally_collected,
    tally_linked,
    tally_pairs,
    tally_tracks,
    tally_tried,
    tally_works,
    total,
)

LOG = get_logger("shard")

CAPTION = (
    "The dataset: artists, works and matching pairs of images, and the average number of point correspondences "
    "per pair, by split. Artists and works count if at least one of their pairs was kept."
)
HUB_SPLITS = {"train": "train", "val": "validation", "test": "test"}  # as dataset hubs call them
UNDIVIDED = {"artists": "artist_id", "works": "work_id", "groups": "group_id", "images": "sha256"}


@dataclass(frozen=True)
class SplitSize:
    """What a split holds of kept pairs.

    Attributes:
        artists: Artists with a pair.
        works: Works with a pair.
        pairs: Pairs.
        correspondences: Of all pairs together.
    """

    artists: int
    works: int
    pairs: int
    correspondences: int

    @property
    def average(self) -> float | None:
        """Correspondences per pair; None without pairs."""
        return self.correspondences / self.pairs if self.pairs else None


def count_splits(dataset: Path) -> dict[str, SplitSize]:
    """The size of each split and of `all`, from ids and counts of the shards alone.

    Raises:
        LiftnetError: A shard is missing or unreadable.
    """
    return sizes_of(total(tally_works(path, split) for split in SPLITS for path in shard_paths(dataset, split)))


def sizes_of(tally: Tally) -> dict[str, SplitSize]:
    """The size of each split and of `all`."""
    works = tally["works"].table.to_pandas()
    sizes = {}
    for split in (*SPLITS, "all"):
        part = works if split == "all" else works[works["split"] == split]
        sums = part[["pairs", "correspondences"]].sum()
        ids = part["artist_id"].nunique(), part["work_id"].nunique()
        sizes[split] = SplitSize(*ids, int(sums["pairs"]), int(sums["correspondences"]))
    return sizes


def statistics_table(sizes: dict[str, SplitSize]) -> pd.DataFrame:
    """Rows artists, works, matching pairs, average correspondences per pair; one column a split, and all.

    The layout is that of Table 1 of Wiles and Zisserman, "3D Surface Reconstruction by Pointillism" (ECCV Workshops
    2018, arXiv 1809.02002).
    """
    rows: dict[str, list[int | float | None]] = {
        "artists": [size.artists for size in sizes.values()],
        "works": [size.works for size in sizes.values()],
        "matching pairs": [size.pairs for size in sizes.values()],
        "average correspondences per pair": [size.average for size in sizes.values()],
    }
    return pd.DataFrame([[name, *cells] for name, cells in rows.items()], columns=["quantity", *sizes], dtype=object)


def write_statistics(dataset: Path, tables: Path, museum: Path | None = None) -> pd.DataFrame:
    """Write all tables and figures of `dataset`, from its files alone, and return Table 1.

    Tables are `tables/<name>.{csv,md,tex}`: statistics (Table 1), split_sizes, images_per_work, matches_per_pair,
    baseline_angles, tracks, resolution, licences, sources, funnel_by_source. Figures are
    `tables/figures/<name>.{svg,csv}`. What the dataset has no files for (a rendered set has no list of images asked
    for) is left out; what an older dataset left there is removed.

    Args:
        dataset: The folder that `shard write` made.
        tables: Where the tables are written.
        museum: A museum, or a rendered set, whose true cameras give the true angles of its pairs and the residuals of
            its tracks as well.

    Raises:
        LiftnetError: A file of the dataset is missing or unreadable.
    """
    tally = tally_files(dataset, _true_cameras(dataset, museum) if museum else {})
    frame = statistics_table(sizes_of(tally))
    write_tables(frame, tables / "statistics", CAPTION, decimals=1)
    written = dataset_tables(tally)
    if (dataset / TRIED_FILE).exists():
        written.append(funnel(tally))
    for table in written:
        write_tables(table.frame, tables / table.name, table.caption, shown=table.shown)
    for name in TABLES - {table.name for table in written}:
        for suffix in (".csv", ".md", ".tex"):
            (tables / f"{name}{suffix}").unlink(missing_ok=True)
    write_figures(tally, tables / "figures")
    for row in frame.to_dict("records"):
        LOG.info("%s: %s", row["quantity"], "none" if row["all"] is None else row["all"])
    LOG.info("%d tables and their figures are in %s", len(written) + 1, tables)
    return frame


def tally_files(dataset: Path, cameras: Cameras | None = None) -> Tally:
    """Count all files of a dataset, one in memory at a time.

    Args:
        dataset: The folder that `shard write` made.
        cameras: True cameras by image_id, where they are known.
    """
    shards = [(path, split) for split in SPLITS for path in shard_paths(dataset, split)]
    tallies = [tally_pairs(path, split, cameras) for path, split in progress(shards, "shard", "counting shards")]
    if any(dataset.glob(f"{TRACKS_PREFIX}*.parquet")):
        for split in SPLITS:
            tallies += [tally_tracks(path, split, cameras) for path in shard_paths(dataset, split, TRACKS_PREFIX)]
            tallies += [tally_linked(path, split) for path in shard_paths(dataset, split, LINKED_PREFIX)]
    for name, count in ((COLLECTED_FILE, tally_collected), (TRIED_FILE, tally_tried)):
        if (dataset / name).exists():
            tallies.append(count(dataset / name))
    return total(tallies)


def _true_cameras(dataset: Path, museum: Path) -> Cameras:
    """The cameras of a museum's views, by image_id."""
    columns = read_table(dataset / COLLECTED_FILE, MANIFEST).select(["image_id", "image_url", "status"]).to_pylist()
    files = truth_files(museum)
    known = {row["image_id"]: _truth_of(row["image_url"], files) for row in columns if row["status"] == "ok"}
    return {image: load_camera(path) for image, path in known.items() if path is not None}


def _truth_of(url: str | None, files: Mapping[str, Path]) -> Path | None:
    """The truth of an image asked for at `url`: its path below the museum is how the URL ends."""
    parts = (url or "").split("/")
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((files[end] for end in ends if end in files), None)


@dataclass(frozen=True)
class DatasetSummary:
    """Numbers about a dataset.

    Attributes:
        splits: Artists, works, pairs and correspondences of each split and of `all`.
        sizes: Their bytes before compression, by split.
        rows: Rows of the tables `pairs` and, as far as they are in it, `images`, `tracks` and `linked`, by split.
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
    def with_tracks(self) -> bool:
        """Whether tracks, and the pairs that only they link, are in the dataset."""
        return "tracks" in self.rows

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
    prefixes = {
        table: prefix
        for table, prefix in PREFIXES.items()
        if table == "pairs" or any(dataset.glob(f"{prefix}*.parquet"))
    }
    shards = {
        table: {split: [parquet_metadata(path) for path in shard_paths(dataset, split, prefix)] for split in SPLITS}
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

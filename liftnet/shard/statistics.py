"""Statistics of a dataset, counted from its shards alone and merged over them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc

from liftnet.io.dataset import SPLITS, open_shard, shard_paths
from liftnet.io.log import get_logger
from liftnet.io.tables import write_tables

CAPTION = (
    "The dataset: artists, works and matching pairs of images, and the average number of point correspondences "
    "per pair, by split. Artists and works count if at least one of their pairs was kept."
)


@dataclass(frozen=True)
class Tally:
    """What a shard holds. Tallies add up: `a + b` is the tally of both shards together."""

    artists: frozenset[str] = frozenset()
    works: frozenset[str] = frozenset()
    pairs: int = 0
    correspondences: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.artists | other.artists,
            self.works | other.works,
            self.pairs + other.pairs,
            self.correspondences + other.correspondences,
        )

    @property
    def average(self) -> float | None:
        """Correspondences per pair; None without pairs."""
        return self.correspondences / self.pairs if self.pairs else None


def tally_shard(path: Path) -> Tally:
    """Count one shard, reading its ids and counts but no coordinates."""
    table = open_shard(path).read(columns=["artist_id", "work_id", "n"])
    return Tally(
        frozenset(table.column("artist_id").unique().to_pylist()),
        frozenset(table.column("work_id").unique().to_pylist()),
        table.num_rows,
        pc.sum(table.column("n")).as_py() or 0,
    )


def tally_dataset(dataset: Path) -> dict[str, Tally]:
    """The tally of each split and of `all`.

    Raises:
        LiftnetError: A shard is missing or unreadable.
    """
    tallies = {
        split: sum((tally_shard(path) for path in shard_paths(dataset, split)), start=Tally()) for split in SPLITS
    }
    return tallies | {"all": sum(tallies.values(), start=Tally())}


def statistics_table(tallies: dict[str, Tally]) -> pd.DataFrame:
    """Rows artists, works, matching pairs, average correspondences per pair; one column a split, and all.

    The layout is that of Table 1 of Wiles and Zisserman, "3D Surface Reconstruction by Pointillism" (ECCV Workshops
    2018, arXiv 1809.02002).
    """
    rows: dict[str, list[int | float | None]] = {
        "artists": [len(tally.artists) for tally in tallies.values()],
        "works": [len(tally.works) for tally in tallies.values()],
        "matching pairs": [tally.pairs for tally in tallies.values()],
        "average correspondences per pair": [tally.average for tally in tallies.values()],
    }
    return pd.DataFrame([[name, *cells] for name, cells in rows.items()], columns=["quantity", *tallies], dtype=object)


def write_statistics(dataset: Path, tables: Path) -> pd.DataFrame:
    """Write `tables/statistics.{csv,md,tex}` from the shards of `dataset`, and return the table."""
    tallies = tally_dataset(dataset)
    frame = statistics_table(tallies)
    write_tables(frame, tables / "statistics", CAPTION, decimals=1)
    total = tallies["all"]
    get_logger("shard").info(
        "%d artists, %d works, %d pairs, %d correspondences; the table is %s",
        len(total.artists),
        len(total.works),
        total.pairs,
        total.correspondences,
        tables / "statistics.csv",
    )
    return frame

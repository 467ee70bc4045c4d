"""The tables of a dataset, from its tally."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from liftnet.data.codes import LEFT_OUT, SPLITS
from liftnet.shard.statistics.counting import ANGLE, LONG_SIDE, PER_PAIR, PIXELS, SCALES, SCORE, SHORT_SIDE, TRUE_ANGLE
from liftnet.shard.statistics.distributions import COLUMNS, distribution_rows, shown_distribution
from liftnet.shard.statistics.funnel import CAPTION, funnel_by_source
from liftnet.shard.statistics.tally import Tally

ANGLE_RULE = (
    "An angle is known where EXIF gives both focal lengths for 35 mm film, and the points determine it: affine "
    "views, and reliefs with two answers, have none."
)
INTERVAL = "Mean with its 95 % interval by bootstrap over works"


@dataclass(frozen=True, eq=False)
class Table:
    """A table to write.

    Attributes:
        name: Of its files.
        frame: For the CSV, with full precision.
        caption: What is counted.
        shown: What Markdown and LaTeX hold; the frame itself if None.
    """

    name: str
    frame: pd.DataFrame
    caption: str
    shown: pd.DataFrame | None = None


def dataset_tables(tally: Tally) -> list[Table]:
    """All tables of a dataset but Table 1 and the funnel; those without any row are left out."""
    tables = [
        split_sizes(tally),
        _distributions(
            "images_per_work",
            units(tally),
            "Images of the dataset per artist and per work, views per work (images in a kept pair) and kept pairs per "
            "work, by split. Mean with its 95 % interval by bootstrap over artists or works.",
        ),
        _measured(
            tally,
            "matches_per_pair",
            [*PER_PAIR.values(), SCORE],
            f"What is left of the matches of a kept pair after each step, and the score of the correspondences (1 "
            f"minus the ratio of descriptor distances), by split. {INTERVAL}.",
            1,
        ),
        _measured(
            tally,
            "baseline_angles",
            [ANGLE, TRUE_ANGLE],
            "Degrees between the two cameras of a kept pair, by split; n is the number of pairs whose angle is known. "
            f"{ANGLE_RULE} True angles are those of a museum's cameras. {INTERVAL}.",
            1,
        ),
        _measured(
            tally,
            "resolution",
            [LONG_SIDE, SHORT_SIDE, PIXELS],
            f"Sides of the images of the dataset in pixels, and their area in megapixels, by split. {INTERVAL}.",
            2,
        ),
        licences(tally),
        sources(tally),
    ]
    return [table for table in tables if len(table.frame)]


TABLES = frozenset(
    {
        *("split_sizes", "images_per_work", "matches_per_pair", "baseline_angles", "resolution", "licences"),
        *("sources", "funnel_by_source"),
    }
)  # all that there may be, beside Table 1


def funnel_table(tally: Tally) -> Table:
    """The funnel by source and reason."""
    frame = funnel_by_source(tally)
    shown = frame.assign(reason=frame["reason"].str.replace("_", " "))
    return Table("funnel_by_source", frame, CAPTION, shown)


def split_sizes(tally: Tally) -> Table:
    """What each split holds, and its share of the whole; without a list of images, pairs alone."""
    works, images, views = (tally[part].table.to_pandas() for part in ("works", "images", "views"))
    columns: dict[str, dict[str, int | float | None]] = {}
    for split in (*SPLITS, "all"):
        work, image, view = (
            part if split == "all" else part[part["split"] == split] for part in (works, images, views)
        )
        held = {f"{name}s": int(image[f"{name}_id"].nunique()) for name in ("artist", "work", "group")}
        paired = work[work["pairs"] > 0]
        columns[split] = {
            **(held | {"images": int(image["images"].sum())} if len(images) else {}),
            "artists with a pair": int(paired["artist_id"].nunique()),
            "works with a pair": int(paired["work_id"].nunique()),
            "images in a pair": len(view),
            "pairs": int(work["pairs"].sum()),
            "correspondences": int(work["correspondences"].sum()),
        }
    for column in columns.values():
        for name in ("images", "pairs", "correspondences"):
            whole = columns["all"].get(name)
            if whole:
                column[f"share of {name}"] = (column[name] or 0) / whole
    rows = [[name, *(column[name] for column in columns.values())] for name in columns["all"]]
    caption = (
        "Size of each split: artists, works, groups (what must not be divided), images, those with a kept pair, kept "
        "pairs and correspondences, and shares of the whole."
    )
    return Table("split_sizes", pd.DataFrame(rows, columns=["quantity", *columns], dtype=object), caption)


def licences(tally: Tally) -> Table:
    """Images by licence and split."""
    counts = tally["licences"].table.to_pandas()
    wide = counts.pivot_table(index="licence", columns="split", values="images", aggfunc="sum", fill_value=0)
    wide = wide.reindex(columns=[*SPLITS, *(name for name in wide.columns if name not in SPLITS)], fill_value=0)
    wide = wide.assign(all=wide.sum(axis=1))
    wide = wide.sort_index().sort_values("all", ascending=False, kind="stable")
    frame = wide.assign(share=wide["all"] / max(wide["all"].sum(), 1)).reset_index()
    caption = (
        "Images of the dataset by licence (SPDX identifier; where it is not understood, what the source says) and "
        "split. The sculptures themselves may be protected too."
    )
    return Table("licences", _plain_columns(frame), caption)


def sources(tally: Tally) -> Table:
    """What was asked for, stored and used, by source."""
    asked, stored = (tally[part].table.to_pandas() for part in ("asked", "stored"))
    tried, pairs = (tally[part].table.to_pandas() for part in ("tried_images", "tried"))
    rows = []
    for source in sorted(set(asked["source"])):
        of_source = asked[asked["source"] == source]
        held = stored[(stored["source"] == source) & (stored["status"] == "ok")]
        paired = tried[(tried["source"] == source) & (tried["kept"] > 0)]
        own = pairs[pairs["source"] == source]
        rows.append(
            {
                "source": source,
                "asked for": int(of_source["count"].sum()),
                "stored": int(of_source[of_source["status"].isin(["ok", *LEFT_OUT])]["count"].sum()),
                "in the dataset": int(held["count"].sum()),
                "works": held["work_id"].nunique(),
                "images in a kept pair": paired["image_id"].nunique(),
                "pairs tried": int(own["pairs"].sum()),
                "pairs kept": int(own[own["kept"]]["pairs"].sum()),
                "correspondences": int(own["n"].sum()),
            }
        )
    caption = (
        "URLs and files asked for, images stored and in the dataset, their works, and the pairs of two images of that "
        "source, by source."
    )
    return Table("sources", pd.DataFrame(rows), caption)


def units(tally: Tally) -> dict[str, pd.DataFrame]:
    """Columns split and count, a row a unit: images per artist and work, views and pairs per work."""
    images, views, works = (tally[part].table.to_pandas() for part in ("images", "views", "works"))
    per_artist = images.groupby(["split", "artist_id"], as_index=False)["images"].sum()
    per_work = images.groupby(["split", "work_id"], as_index=False)["images"].sum()
    per_view = views.groupby(["split", "work_id"], as_index=False).size()
    per_pair = works.groupby(["split", "work_id"], as_index=False)["pairs"].sum()
    counted = {
        "images per artist": per_artist.rename(columns={"images": "count"}),
        "images per work": per_work.rename(columns={"images": "count"}),
        "views per work": per_view.rename(columns={"size": "count"}),
        "pairs per work": per_pair.rename(columns={"pairs": "count"}),
    }
    return {name: unit for name, unit in counted.items() if len(unit)}


def _distributions(name: str, counted: dict[str, pd.DataFrame], caption: str) -> Table:
    rows = []
    for quantity, unit in counted.items():
        histogram = unit.rename(columns={"count": "value"}).assign(count=1)
        clusters = unit.rename(columns={"count": "total"}).assign(count=1)
        rows += distribution_rows(histogram, clusters, quantity, SPLITS, 1)
    return _table(name, rows, caption, 1)


def _measured(tally: Tally, name: str, quantities: list[str], caption: str, decimals: int) -> Table:
    histogram, clusters = (tally[part].table.to_pandas() for part in ("histogram", "clusters"))
    rows = []
    for quantity in quantities:
        counted = histogram[histogram["quantity"] == quantity]
        if len(counted):
            sums = clusters[clusters["quantity"] == quantity]
            rows += distribution_rows(counted, sums, quantity, SPLITS, SCALES.get(quantity, 1))
    return _table(name, rows, caption, decimals)


def _table(name: str, rows: list[dict[str, object]], caption: str, decimals: int) -> Table:
    frame = pd.DataFrame(rows, columns=["quantity", "split", *COLUMNS])
    return Table(name, frame, caption, shown_distribution(frame, decimals) if rows else None)


def _plain_columns(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename_axis(columns=None)

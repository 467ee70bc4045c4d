"""The tables of a dataset's statistics, from its tally: sizes, distributions, licences, sources and the funnel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pandas as pd

from liftnet.core.ids import stable_seed
from liftnet.core.intervals import mean_interval
from liftnet.data.codes import LEFT_OUT, SPLITS
from liftnet.data.funnel import NOT_AGAIN, SECOND_SEARCH, Chain, funnel_table
from liftnet.shard.tally import (
    ANGLE,
    CUT,
    LINKED_POINTS,
    LONG_RESIDUAL,
    LONG_SIDE,
    PER_PAIR,
    PIXELS,
    RESIDUAL,
    SCALES,
    SCORE,
    SHORT_SIDE,
    TRACK_LENGTH,
    TRACK_LINKS,
    TRUE_ANGLE,
    Tally,
)

IntArray = npt.NDArray[np.int64]
QUANTILES = {"min": 0.0, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}


COLUMNS = ["n", "mean", "mean_low", "mean_high", "sd", *QUANTILES, "iqr"]
ALL = "all"
_MATCHES = {
    "n_masked": ("on the foreground of both images", "on the background"),
    "n_inliers": ("inliers of the fundamental matrix", "no inlier of the fundamental matrix"),
}


ANGLE_RULE = (
    "An angle is known where EXIF gives both focal lengths for 35 mm film, and the points determine it: affine "
    "views, and reliefs with two answers, have none."
)
CUT_RULE = (
    "A contradiction is a set of joined correspondences with two places in one image, or with keypoints off each "
    "other's epipolar lines."
)
TABLES = frozenset(  # all that there may be, beside Table 1
    [
        *("split_sizes", "images_per_work", "matches_per_pair", "baseline_angles", "tracks", "resolution"),
        *("licences", "sources", "funnel_by_source"),
    ]
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
            "tracks",
            [TRACK_LENGTH, TRACK_LINKS, CUT, RESIDUAL, LONG_RESIDUAL, LINKED_POINTS],
            f"Tracks, points that several images show, and pairs that only tracks link, by split. {CUT_RULE} "
            "The residual of a track is the root mean square distance between where its images show it and its "
            "triangulated point, by a museum's true cameras; of two images it says less, since a point meets two rays "
            f"more easily. {INTERVAL}.",
            2,
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
    return Table("licences", frame.rename_axis(columns=None), caption)


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


def funnel(tally: Tally) -> Table:
    """What was asked for, tried and kept, and why the rest went, of each source and of all together.

    Within a source and a unit, what a step leaves and what it loses add up to what the step before left. Counts of
    different files are compared on the way; where they disagree, a row says by how much. The columns are those of
    `funnel_table`; codes of reasons stand as they are.
    """
    asked, stored, tried, images = (
        tally[part].table.to_pandas() for part in ("asked", "stored", "tried", "tried_images")
    )
    in_shards = tally["works"].table.to_pandas()[["pairs", "correspondences"]].sum()
    chains = []
    sources = sorted(set(asked["source"]))
    for source in [*sources, ALL] if len(sources) != 1 else [ALL]:
        chains.append(_images(source, _of(asked, source), _of(stored, source), _of(images, source), stored))
    possible = _possible(stored)
    combinations = sorted({*tried["source"], *possible})
    for source in [*combinations, ALL] if len(combinations) != 1 else [ALL]:
        of_source = _of(tried, source)
        shards = in_shards if source == ALL else None
        could = sum(possible.values()) if source == ALL else possible.get(source, 0)
        chains += [
            _pairs(source, of_source, could if len(stored) else None, shards),
            _matches(source, of_source, shards),
        ]
    frame = funnel_table(chains, ["unit", "source"])
    order = {unit: place for place, unit in enumerate(("images", "image pairs", "matches"))}
    frame = frame.sort_values("unit", key=lambda units: units.map(order), kind="stable").reset_index(drop=True)
    caption = (
        "What each step left and lost, and why, by source: images (from the list of all that was asked for), image "
        "pairs and their matches (from the pairs that were tried). Within a unit and source the rows of a step add up "
        "to what the step before left. A pair of images of two sources counts for both together."
    )
    return Table("funnel_by_source", frame, caption, frame.assign(reason=frame["reason"].str.replace("_", " ")))


def _of(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    return frame if source == ALL else frame[frame["source"] == source]


def _images(
    source: str, asked: pd.DataFrame, stored: pd.DataFrame, tried: pd.DataFrame, everywhere: pd.DataFrame
) -> Chain:
    chain = Chain(unit="images", source=source)
    chain.step("URLs and files asked for", asked["count"].sum())
    by_status = asked.groupby("status")["count"].sum()
    left_out = {str(status): int(count) for status, count in by_status.items() if status in LEFT_OUT}
    held = int(by_status.get("ok", 0))
    failed = {str(status): int(count) for status, count in by_status.items() if status not in {"ok", *LEFT_OUT}}
    chain.step("images stored", held + sum(left_out.values()), failed)
    chain.step("images in the dataset", held, left_out)
    if not len(tried):
        return chain
    of_dataset = stored[stored["status"] == "ok"]
    elsewhere = set(everywhere["image_id"]) - set(everywhere.loc[everywhere["status"] == "ok", "image_id"])
    counted = tried[~tried["image_id"].isin(elsewhere)].groupby("image_id")["kept"].sum()
    untried = of_dataset[~of_dataset["image_id"].isin(counted.index)]
    companions = everywhere.groupby("work_id")["image_id"].size()
    alone = int((untried["work_id"].map(companions) == 1).sum())
    lost = {"only_image_of_its_work": alone, "in_no_pair_that_was_tried": len(untried) - alone}
    chain.step("images in a pair that was tried", len(counted), lost)
    useful = int((counted > 0).sum())
    chain.step("images in a kept pair", useful, {"none_of_its_pairs_kept": len(counted) - useful})
    return chain


def _pairs(source: str, tried: pd.DataFrame, possible: int | None, in_shards: pd.Series | None) -> Chain:
    chain = Chain(unit="image pairs", source=source)
    number = int(tried["pairs"].sum())
    if possible is not None:
        chain.step("pairs of stored images of one work", possible)
    chain.step("pairs tried", number, {} if possible is None else {"not_tried": max(possible - number, 0)})
    by_reason = tried[~tried["kept"]].groupby("reason")["pairs"].sum()
    left_out = {str(reason): int(count) for reason, count in by_reason.items() if reason in LEFT_OUT}
    kept = int(tried[tried["kept"]]["pairs"].sum())
    rejected = {str(reason): int(count) for reason, count in by_reason.items() if reason not in LEFT_OUT}
    chain.step("pairs verified", kept + sum(left_out.values()), rejected)
    chain.step("pairs kept", kept, left_out)
    if in_shards is not None:
        chain.step("pairs in the shards", in_shards["pairs"])
    return chain


def _matches(source: str, tried: pd.DataFrame, in_shards: pd.Series | None) -> Chain:
    chain = Chain(unit="matches", source=source)
    kept = tried[tried["kept"]]
    chain.step("putative matches", tried["n_putative"].sum())
    rejected = tried[~tried["kept"]].groupby("reason")["n_putative"].sum()
    lost = {f"pair not kept: {reason}": int(count) for reason, count in rejected.items()}
    chain.step("of kept pairs", kept["n_putative"].sum(), lost)
    before = "n_putative"
    for column, (step, reason) in _MATCHES.items():
        chain.step(step, kept[column].sum(), {reason: kept[before].sum() - kept[column].sum()})
        before = column
    again, guided = kept["n"].sum() - kept["n_guided"].sum(), kept["n_guided"].sum()
    lost = {NOT_AGAIN: int(kept[before].sum() - again)}
    chain.step("correspondences in the dataset", kept["n"].sum(), lost, {SECOND_SEARCH: guided})
    if in_shards is not None:
        chain.step("correspondences in the shards", in_shards["correspondences"])
    return chain


def _possible(stored: pd.DataFrame) -> dict[str, int]:
    """Pairs of stored images of one work, by the source or sources of the two images."""
    counts = stored.groupby(["work_id", "source"])["count"].sum().rename("n").reset_index()
    own = (counts["n"] * (counts["n"] - 1) // 2).groupby(counts["source"]).sum()
    pairs = {str(source): int(number) for source, number in own.items()}
    both = counts.merge(counts, on="work_id")
    both = both[both["source_x"] < both["source_y"]]
    names = both["source_x"] + " and " + both["source_y"]
    pairs |= {str(name): int(number) for name, number in (both["n_x"] * both["n_y"]).groupby(names).sum().items()}
    return {source: number for source, number in pairs.items() if number}


@dataclass(frozen=True, eq=False)
class Counted:
    """Whole numbers and how often each occurs.

    Attributes:
        values: (K,) ascending, each once.
        times: (K,) positive.
    """

    values: IntArray
    times: IntArray

    @property
    def n(self) -> int:
        """How many."""
        return int(self.times.sum())

    def mean(self) -> float:
        """Their mean."""
        return float(Fraction(self._sum(1), self.n))

    def deviation(self) -> float | None:
        """Their standard deviation, with n - 1 in the denominator; None for fewer than two."""
        if self.n < 2:
            return None
        first, second = self._sum(1), self._sum(2)
        return math.sqrt(Fraction(second * self.n - first * first, self.n * (self.n - 1)))

    def quantile(self, share: float) -> float:
        """The quantile by linear interpolation between order statistics (type 7 of Hyndman & Fan, 1996)."""
        place = share * (self.n - 1)
        below = math.floor(place)
        ends = np.cumsum(self.times)
        low, high = (
            int(self.values[np.searchsorted(ends, rank, side="right")]) for rank in (below, min(below + 1, self.n - 1))
        )
        return low + (place - below) * (high - low)

    def _sum(self, power: int) -> int:
        """Of their powers, exactly."""
        return sum(int(v) ** power * int(t) for v, t in zip(self.values.tolist(), self.times.tolist(), strict=True))


def _summary(counted: Counted, totals: IntArray, counts: IntArray, scale: int, seed: int) -> dict[str, object]:
    """What a row says of values in units of 1/scale, whose (W,) sums and numbers by cluster are `totals`, `counts`."""
    if not counted.n:
        return {"n": 0}
    low, high = mean_interval(totals, counts, seed)
    deviation = counted.deviation()
    row: dict[str, object] = {
        "n": counted.n,
        "mean": counted.mean() / scale,
        "mean_low": low / scale,
        "mean_high": high / scale,
        "sd": None if deviation is None else deviation / scale,
    }
    row |= {name: counted.quantile(share) / scale for name, share in QUANTILES.items()}
    return row | {"iqr": (counted.quantile(0.75) - counted.quantile(0.25)) / scale}


def distribution_rows(
    histogram: pd.DataFrame, clusters: pd.DataFrame, quantity: str, splits: Sequence[str], scale: int
) -> list[dict[str, object]]:
    """A row for each split and for all of them together.

    Args:
        histogram: Columns split, value, count of the quantity.
        clusters: Columns split, total, count of the quantity: a row a cluster.
        quantity: Its name.
        splits: The splits.
        scale: Units of `value` and `total` in one.
    """
    rows = []
    for split in (*splits, "all"):
        of_split = histogram if split == "all" else histogram[histogram["split"] == split]
        sums = clusters if split == "all" else clusters[clusters["split"] == split]
        times = of_split.groupby("value")["count"].sum()
        counted = Counted(times.index.to_numpy(np.int64), times.to_numpy(np.int64))
        seed = stable_seed(0, "interval", split)  # the same for all quantities: equal values, equal intervals
        ends = sums["total"].to_numpy(np.int64), sums["count"].to_numpy(np.int64)
        rows.append({"quantity": quantity, "split": split} | _summary(counted, *ends, scale, seed))
    return rows


def shown_distribution(frame: pd.DataFrame, decimals: int) -> pd.DataFrame:
    """The columns a person reads: count, mean with interval, deviation, median with quartiles, range."""
    rows = []
    for row in frame.to_dict("records"):
        number, whole = _formats(3 if row["max"] <= 1 else decimals)
        between = "" if pd.isna(row["mean_low"]) else f" [{number(row['mean_low'])}, {number(row['mean_high'])}]"
        quartiles = "" if pd.isna(row["q25"]) else f" ({whole(row['q25'])} to {whole(row['q75'])})"
        limits = "" if pd.isna(row["min"]) else f"{whole(row['min'])} to {whole(row['max'])}"
        rows.append(
            {
                "quantity": row["quantity"],
                "split": row["split"],
                "n": int(row["n"]),
                "mean [95 %]": number(row["mean"]) + between,
                "sd": number(row["sd"]),
                "median (quartiles)": whole(row["median"]) + quartiles,
                "range": limits,
            }
        )
    return pd.DataFrame(rows)


def _formats(decimals: int) -> tuple[Callable[[float | None], str], Callable[[float | None], str]]:
    """How numbers are written: with so many decimals, and without them where they are zero; "" where missing."""

    def number(value: float | None) -> str:
        return "" if value is None or pd.isna(value) else f"{value:,.{decimals}f}"

    return number, lambda value: number(value).removesuffix("." + "0" * decimals)

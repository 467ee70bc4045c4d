"""The funnel of a dataset by source and reason: what was asked for, tried and kept, and why the rest went.

Within a source and a unit, what a step leaves and what it loses add up to what the step before left. Counts of
different files are compared on the way; where they disagree, a row says by how much.
"""

from __future__ import annotations

import pandas as pd

from liftnet.data.codes import LEFT_OUT
from liftnet.data.funnel import Chain, funnel_table
from liftnet.shard.statistics.tally import Tally

CAPTION = (
    "What each step left and lost, and why, by source: images (from the list of all that was asked for), image pairs "
    "and their matches (from the pairs that were tried). Within a unit and source the rows of a step add up to what "
    "the step before left. A pair of images of two sources counts for both together."
)
ALL = "all"
_MATCHES = {
    "n_masked": ("on the foreground of both images", "on the background"),
    "n_inliers": ("inliers of the fundamental matrix", "no inlier of the fundamental matrix"),
    "n": ("correspondences in the dataset", "dropped from a kept pair"),
}


def funnel_by_source(tally: Tally) -> pd.DataFrame:
    """The funnel of each source and of all together, as `funnel_table` gives it; codes of reasons as they stand."""
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
    return frame.sort_values("unit", key=lambda units: units.map(order), kind="stable").reset_index(drop=True)


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

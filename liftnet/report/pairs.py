"""Sample pairs, kept and rejected, with their correspondences drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from liftnet.core.errors import BadImageError
from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger
from liftnet.data.codes import words_of
from liftnet.data.drawing import data_uri, shrunk
from liftnet.report.photographs import Photograph, ordered, photograph_of, photograph_pixels
from liftnet.report.results import RunResults
from liftnet.report.settings import ReportSettings

LOG = get_logger("report")

PAIR_HEIGHT = 300.0  # of both photographs in a drawn pair, in units of the drawing
GAP = 8.0


@dataclass(frozen=True)
class Lines:
    """Line ends (x1, y1, x2, y2) in units of the drawing."""

    ends: list[tuple[float, float, float, float]]


@dataclass(frozen=True)
class DrawnPair:
    """Two photographs side by side and their correspondences."""

    photograph: Photograph
    verdict: str
    counts: str
    width: float
    height: float
    pictures: list[tuple[str, float, float]]  # data URI, x, width
    kept: Lines
    rejected: Lines
    images: tuple[str, str]


def chosen_kept(pairs: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """`count` kept pairs, of as many works as there are."""
    kept = ordered(pairs[pairs["kept"]], seed, "pair_id")
    turn = kept.groupby("work_id").cumcount()
    return kept.assign(_turn=turn).sort_values("_turn", kind="stable").head(count)


def chosen_rejected(pairs: pd.DataFrame, per_reason: int, seed: int) -> pd.DataFrame:
    """Rejected pairs of every reason, those with something to draw first."""
    rejected = ordered(pairs[~pairs["kept"]], seed, "pair_id")
    rejected = rejected.assign(_bare=rejected["n_rejected"].eq(0) & rejected["n_kept"].eq(0))
    rejected = rejected.sort_values(["reason", "_bare"], kind="stable")
    return rejected.groupby("reason", sort=True).head(per_reason)


def drawn_pairs(run: RunResults, chosen: pd.DataFrame, settings: ReportSettings, seed: int) -> list[DrawnPair]:
    """Draw the chosen pairs; one whose image is unreadable is left out, with a line in the log."""
    drawings = []
    for row in chosen.to_dict("records"):
        points = pq.read_table(row["file"]).slice(row["row"], 1).to_pylist()[0]
        try:
            drawings.append(_draw(run, points, settings, seed))
        except BadImageError as error:
            LOG.warning("pair %s is not shown: %s", row["pair_id"], error)
    return drawings


def _draw(run: RunResults, row: dict[str, Any], settings: ReportSettings, seed: int) -> DrawnPair:
    pictures, scales, left = [], [], 0.0
    for image in (row["image_a"], row["image_b"]):
        pixels = photograph_pixels(run, image)
        factor = PAIR_HEIGHT / pixels.shape[0]
        pictures.append((data_uri(shrunk(pixels, settings.picture_px)), left, pixels.shape[1] * factor))
        scales.append((factor, left))
        left += pixels.shape[1] * factor + GAP
    rng = np.random.default_rng(stable_seed(seed, "report lines", row["pair_id"]))
    kept = _lines(row, "", scales, settings.pairs.max_matches, rng)
    rejected = _lines(row, "rejected_", scales, settings.pairs.max_matches, rng)
    numbers = [f"{row[name] or 0} {words}" for name, words in _COUNTS]
    return DrawnPair(
        photograph_of(run, row["image_a"]),
        "kept" if row["kept"] else words_of(row["reason"]),
        ", ".join(numbers),
        left - GAP,
        PAIR_HEIGHT,
        pictures,
        kept,
        rejected,
        (row["image_a"], row["image_b"]),
    )


_COUNTS = (
    ("n_putative", "putative"),
    ("n_masked", "on the foreground"),
    ("n_inliers", "agree with F"),
    ("n_h", "with H"),
)


def _lines(
    row: dict[str, Any],
    prefix: str,
    scales: list[tuple[float, float]],
    most: int,
    rng: np.random.Generator,
) -> Lines:
    ends = np.array([row[prefix + name] or [] for name in ("x1", "y1", "x2", "y2")], dtype=float).T
    if len(ends) > most:
        ends = ends[np.sort(rng.choice(len(ends), most, replace=False))]
    (factor_a, left_a), (factor_b, left_b) = scales
    # pixel centres are at whole numbers, edges of the drawing at the pixels' edges
    ends = (ends + 0.5) * [factor_a, factor_a, factor_b, factor_b] + [left_a, 0, left_b, 0]
    return Lines([tuple(line) for line in np.round(ends, 1).tolist()])

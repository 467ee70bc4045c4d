"""`verify cuts`: what other thresholds would keep, from the numbers stored of every pair. Nothing is fitted again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.core.settings import changed
from liftnet.core.tables import write_tables
from liftnet.data.codes import SPLITS, PairReason
from liftnet.data.manifest import stored_images
from liftnet.data.schemas import PAIRS, ROWS_PER_GROUP, read_batches
from liftnet.verify.decide import DECIDING, reasons
from liftnet.verify.inputs import list_values
from liftnet.verify.settings import ThresholdSettings, VerifySettings
from liftnet.verify.truth import CORRECT_PX, TrueViews, transfer_errors

LOG = get_logger("verify")
GRID = {
    "min_inliers": (10, 20, 30, 50),
    "max_planar_fraction": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "min_inlier_ratio_over_chance": (1.0, 1.5, 2.0),
}
COLUMNS = ("min_inliers", "max_rho", "floor_factor")  # of the table, for the thresholds of the grid


def write_sweep(root: Path, museum: Path | None, tables: Path, settings: VerifySettings, threads: int = 1) -> None:
    """Write `cuts` as CSV, Markdown and LaTeX: a row for each combination of thresholds, and one for those of the run.

    Args:
        root: Folder with manifest.parquet and pairs/.
        museum: Museum with the truth of the images, for the precision.
        tables: Folder to write to.
        settings: Those of the run; thresholds that the grid does not vary hold in all rows.
        threads: Worker threads, parallel over works.

    Raises:
        LiftnetError: A table cannot be read, was made with another model, or the tables cannot be written.
    """
    files = sorted((root / "pairs").glob("*.parquet"))
    if not files:
        raise LiftnetError(root / "pairs", "holds no table of pairs", "Run `verify run` for each work first")
    truth = None if museum is None else TrueViews(museum, stored_images(root).values())

    def numbers(file: Path) -> pd.DataFrame:
        return read_numbers(file, settings, truth)

    pairs = pd.concat(map_threads(numbers, files, threads, "verify", "reading pairs"), ignore_index=True)
    table = sweep(pairs, settings.thresholds)
    caption = (
        "Pairs and correspondences that each combination of cuts keeps, counted from the stored numbers of all pairs. "
        "min_inliers: least inliers; floor_factor: least inliers over what random matches reach; max_rho: largest "
        "share that one affine homography may explain; this_run: the cuts of this run."
    )
    if museum is not None:
        caption += f" within_{CORRECT_PX:g}_px: share of the correspondences that near the true and visible position."
    write_tables(table, tables / "cuts", caption)
    own = table[table["this_run"]].iloc[0]
    LOG.info(
        "%d combinations of thresholds on %d pairs, this run's keeps %d with %d correspondences; table written to %s",
        len(table),
        len(pairs),
        own["pairs"],
        own["correspondences"],
        tables,
    )


def sweep(pairs: pd.DataFrame, thresholds: ThresholdSettings) -> pd.DataFrame:
    """Pairs and correspondences that are left at each combination of the thresholds of GRID.

    Args:
        pairs: The columns DECIDING, `split` and, with a truth, `correct` and `measured` (correspondences
            within CORRECT_PX, and those with a truth).
        thresholds: Those of the run.

    Returns:
        One row for each combination, the run's own included once: COLUMNS, `this_run`, `pairs` and `correspondences`
        of all and by split, and with a truth `within_2_px`.
    """
    numbers = {name: pairs[name].to_numpy() for name in DECIDING}
    own = tuple(getattr(thresholds, name) for name in GRID)
    grid = sorted({*product(*GRID.values()), own})
    rows = []
    for values in grid:
        moved = changed(thresholds, **dict(zip(GRID, values, strict=True)))
        kept = pairs[reasons(numbers, moved) == PairReason.KEPT]
        rows.append({**dict(zip(COLUMNS, values, strict=True)), "this_run": values == own, **_counts(kept)})
    return pd.DataFrame(rows)


def read_numbers(path: Path, settings: VerifySettings, truth: TrueViews | None = None) -> pd.DataFrame:
    """The numbers of every pair of a table from which a decision can be taken, and how many matches are correct.

    Raises:
        LiftnetError: The file is not a table of pairs, or was made with another model than `settings.fit.model`.
    """
    columns = ["split", "image_a", "image_b", *DECIDING, *(("x1", "y1", "x2", "y2") if truth else ())]
    frames = [_no_pairs(columns)]
    for batch in read_batches(path, PAIRS, columns, ROWS_PER_GROUP):
        table = pa.Table.from_batches([batch])
        frame = table.select(["split", *DECIDING]).to_pandas()
        if truth is not None:
            counts = list(count_correct(table, truth))
            frame["correct"], frame["measured"] = zip(*counts, strict=True) if counts else ((), ())
        frames.append(frame)
    pairs = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    others = set(pairs["model"].dropna()) - {settings.fit.model}
    if others:
        remedy = "Run `verify run` again, or give the settings it ran with"
        raise LiftnetError(path, f"was made with the {others.pop()} model, not the {settings.fit.model} one", remedy)
    return pairs


def count_correct(table: pa.Table, truth: TrueViews) -> Iterator[tuple[int, int]]:
    """For each pair of a table the correspondences within CORRECT_PX of the truth, and those that have a truth."""
    lists = (list_values(table.column(name)) for name in ("x1", "y1", "x2", "y2"))
    for a, b, x1, y1, x2, y2 in zip(
        table.column("image_a").to_pylist(), table.column("image_b").to_pylist(), *lists, strict=True
    ):
        if not len(x1) or a not in truth or b not in truth:
            yield 0, 0
            continue
        points = np.column_stack([x1, y1]), np.column_stack([x2, y2])
        distance, visible = transfer_errors(truth[a], truth[b], *points)
        yield int(np.count_nonzero(visible & (distance <= CORRECT_PX))), len(x1)


def _no_pairs(columns: list[str]) -> pd.DataFrame:
    empty = pa.schema([PAIRS.field(name) for name in columns]).empty_table().to_pandas()
    return empty.assign(correct=0, measured=0)


def _counts(kept: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = {"pairs": len(kept), "correspondences": int(kept["n_inliers"].sum())}
    for split in SPLITS:
        part = kept[kept["split"] == split]
        row |= {f"pairs_{split}": len(part), f"correspondences_{split}": int(part["n_inliers"].sum())}
    if "measured" in kept:
        measured = int(kept["measured"].sum())
        row[f"within_{CORRECT_PX:g}_px"] = float(kept["correct"].sum() / measured) if measured else float("nan")
    return row

"""What was decided, against the truth and under other thresholds: `verify evaluate` and `verify cuts`.

The first counts pairs by reason and measures precision and recall of the matches after each step; the second counts
what other thresholds would keep, from the numbers stored of every pair, without fitting again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.core.settings import changed
from liftnet.core.tables import write_tables
from liftnet.data.codes import SPLITS, PairReason
from liftnet.data.manifest import StoredImage, stored_images, tables_of_works
from liftnet.data.schemas import PAIRS, ROWS_PER_GROUP, read_batches, read_table
from liftnet.verify.inputs import MaskFolder, list_values, read_matches
from liftnet.verify.settings import ThresholdSettings, VerifySettings
from liftnet.verify.truth import (
    CORRECT_PX,
    NEARBY_FRACTION,
    KeypointFolder,
    Oracle,
    Recall,
    TrueViews,
    transfer_errors,
)
from liftnet.verify.verify import DECIDING, reasons

FloatArray = npt.NDArray[np.floating]
LOG = get_logger("verify")
STEPS = {
    "putative": "putative",
    "foreground": "on the foreground",
    "epipolar": "agree with F",
    "kept": "of kept pairs",
}
TOO_FEW = (PairReason.FEW_PUTATIVE, PairReason.FEW_MASKED)
WITHIN_PX = (1, 2, 4)
TRUTH_CAPTION = (
    "Matches against the true geometry of the views: share within 1, 2 and 4 px of the true and visible position in "
    "the other image, median distance (px) of those on the object, and share off the object. Matching recall: of the "
    f"keypoints whose true position can be seen in the other image and has a keypoint within {CORRECT_PX:g} px, the "
    "share that was matched there; empty without cached features. Surface recall: of the surface seen in both images, "
    f"the share with a match within {CORRECT_PX:g} px of the truth no further away than {NEARBY_FRACTION:.0%} of the "
    "image's long side. Both over all pairs of images of a work."
)
ImagePair = tuple[str, str]
Points = tuple[FloatArray, FloatArray]  # (N, 2) px in image a and in image b
StepMatches = dict[str, dict[ImagePair, Points]]  # by step; without the steps that are not known
GRID = {
    "min_inliers": (10, 20, 30, 50),
    "max_planar_fraction": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "min_inlier_ratio_over_chance": (1.0, 1.5, 2.0),
}
COLUMNS = ("min_inliers", "max_rho", "floor_factor")  # of the table, for the thresholds of the grid


@dataclass(frozen=True, eq=False)
class Measured:
    """The matches of one pair after one step, against the truth.

    Attributes:
        distance: (N,) px from the true position, infinite off the object.
        visible: (N,) bool, whether the true position can be seen.
        recall: How much of what could have been found they are.
    """

    distance: FloatArray
    visible: npt.NDArray[np.bool_]
    recall: Recall


MeasuredSteps = dict[tuple[str, str], list[Measured]]  # by split and step


def evaluate(root: Path, museum: Path | None, tables: Path, threads: int = 1) -> None:
    """Write `pairs_by_reason` and, with a museum, `correspondences_truth` as CSV, Markdown and LaTeX.

    Args:
        root: Folder with manifest.parquet, pairs/, matches/ and masks/.
        museum: Museum with the truth of the images; images it does not know are left out.
        tables: Folder to write to.
        threads: Worker threads, parallel over works.

    Raises:
        LiftnetError: A table cannot be read or the tables cannot be written.
    """
    files = tables_of_works(root, "pairs")
    if not files:
        raise LiftnetError(root / "pairs", "holds no table of pairs", "Run `verify run` for each work first")
    light = ["split", "kept", "reason", "n_correspondences"]
    pairs = pa.concat_tables([read_table(file, PAIRS).select(light) for file in files]).to_pandas()
    by_reason = count_by_reason(pairs)
    write_tables(by_reason, tables / "pairs_by_reason", "Pairs of images by what was decided on them.")
    kept = pairs[pairs["kept"]]
    text = f"{len(pairs)} pairs: {len(kept)} kept with {kept['n_correspondences'].sum()} correspondences"
    if museum is not None:
        truth = _against_truth(root, museum, files, threads)
        write_tables(truth, tables / "correspondences_truth", TRUTH_CAPTION)
        last = truth.iloc[-1]
        text += f", {last['within_2_px']:.1%} within 2 px of the truth ({last['pairs']} pairs with a truth)"
    LOG.info("%s; tables written to %s", text, tables)


def count_by_reason(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs for each reason and split, in the order in which the reasons are asked, and their sum.

    Args:
        pairs: Columns `split` (null where no image is known) and `reason`.

    Returns:
        Columns reason, meaning, train, val, test, unknown (only where a split is null) and all.
    """
    split = pairs["split"].where(pairs["split"].isin(SPLITS), "unknown")
    names = [*SPLITS, *(["unknown"] if (split == "unknown").any() else [])]
    table = pd.crosstab(pairs["reason"], split).reindex(columns=names, fill_value=0)
    meanings = {str(reason): reason.words for reason in PairReason} | {"all": ""}
    known = [str(reason) for reason in PairReason if reason in table.index]
    table = table.reindex(known + sorted(set(table.index) - set(known)))
    table.loc["all"] = table.sum()
    table["all"] = table.sum(axis=1)
    meaning = [meanings.get(reason, "not matched") for reason in table.index]
    table.insert(0, "meaning", meaning)
    return table.astype(dict.fromkeys([*names, "all"], "int64")).rename_axis("reason").reset_index()


def _against_truth(root: Path, museum: Path, files: list[Path], threads: int) -> pd.DataFrame:
    images = stored_images(root)
    truth = TrueViews(museum, images.values())
    masks = MaskFolder(root / "masks") if (root / "masks").is_dir() else None

    def measure(file: Path) -> MeasuredSteps:
        steps = _steps(file, root / "matches" / file.name, images, masks)
        return _measure_work(file.stem, steps, images, truth, root / "features")

    measured: MeasuredSteps = defaultdict(list)
    for found in map_threads(measure, files, threads, "verify", "measuring works"):
        for (split, step), pairs in found.items():
            measured[split, step] += pairs
            measured["all", step] += pairs
    if not any(pair.recall.matchable is not None for pairs in measured.values() for pair in pairs):
        LOG.info("%s does not hold the matched keypoints: matching recall is not measured", root / "features")
    return pd.DataFrame(_row(split, step, measured[split, step]) for split in (*SPLITS, "all") for step in STEPS)


def _measure_work(
    work: str, steps: StepMatches, images: dict[str, StoredImage], truth: TrueViews, features: Path
) -> MeasuredSteps:
    """Every pair of a work's images with a truth, by split and step; a pair without matches has found nothing."""
    known = sorted(name for name, image in images.items() if image.work_id == work and name in truth)
    keypoints = KeypointFolder(features, _some_points(steps))
    measured: MeasuredSteps = defaultdict(list)
    nothing = np.empty((0, 2))
    for a, b in combinations(known, 2):
        views = truth[a], truth[b]
        oracle = Oracle(*views, keypoints.keypoints(a)[0], keypoints.keypoints(b)[1])
        for step, matches in steps.items():
            points_a, points_b = matches.get((a, b), (nothing, nothing))
            distance, visible = transfer_errors(*views, points_a, points_b)
            recall = oracle.recall(points_a, visible & (distance <= CORRECT_PX))
            measured[images[a].split, step].append(Measured(distance, visible, recall))
    return measured


def _some_points(steps: StepMatches) -> dict[str, FloatArray]:
    """Matched points of the first pair that has any, by image: they tell which keypoints were used."""
    pairs = (item for matches in steps.values() for item in matches.items() if len(item[1][0]))
    return next(({a: points_a, b: points_b} for (a, b), (points_a, points_b) in pairs), {})


def _steps(pairs: Path, matches: Path, images: dict[str, StoredImage], masks: MaskFolder | None) -> StepMatches:
    """The matched points that are left after each step, by pair of images."""
    steps: StepMatches = {"epipolar": {}, "kept": {}}
    table = read_table(pairs, PAIRS).combine_chunks()
    lists = [list_values(table.column(name)) for name in ("x1", "y1", "x2", "y2", "guided")]
    plain = (table.column(name).to_pylist() for name in ("kept", "reason", "image_a", "image_b"))
    for kept, reason, image_a, image_b, x1, y1, x2, y2, guided in zip(*plain, *lists, strict=True):
        points = np.column_stack([x1, y1]), np.column_stack([x2, y2])
        if reason not in TOO_FEW:  # their models are stored too, but were not asked
            first = ~guided.astype(np.bool_)
            steps["epipolar"][image_a, image_b] = points[0][first], points[1][first]
        if kept:
            steps["kept"][image_a, image_b] = points
    if not matches.is_file():
        LOG.warning("%s is not there any more: its putative matches are not measured", matches)
        return steps
    steps["putative"] = {}
    for pair in read_matches(matches):
        a, b = images.get(pair.image_a), images.get(pair.image_b)
        if a is None or b is None or not pair.is_consistent:
            continue
        steps["putative"][pair.image_a, pair.image_b] = pair.points_a, pair.points_b
        on = masks.both_on_foreground(pair, a, b) if masks else None
        if on is not None:
            steps.setdefault("foreground", {})[pair.image_a, pair.image_b] = pair.points_a[on], pair.points_b[on]
    return steps


def _row(split: str, step: str, measured: list[Measured]) -> dict[str, Any]:
    distance = np.concatenate([np.empty(0), *(pair.distance for pair in measured)])
    visible = np.concatenate([np.empty(0, np.bool_), *(pair.visible for pair in measured)])
    on_object, n = np.isfinite(distance), len(distance)
    pairs = sum(len(pair.distance) > 0 for pair in measured)
    row: dict[str, Any] = {"split": split, "matches": STEPS[step], "pairs": pairs, "correspondences": n}
    for limit in WITHIN_PX:
        row[f"within_{limit}_px"] = float((visible & (distance <= limit)).mean()) if n else float("nan")
    row["median_error_px"] = float(np.median(distance[on_object])) if on_object.any() else float("nan")
    row["off_object"] = float((~on_object).mean()) if n else float("nan")
    recalls = [pair.recall for pair in measured]
    known = [recall for recall in recalls if recall.matchable is not None]
    row["matching_recall"] = _fraction(sum(r.matched for r in known), sum(r.matchable or 0 for r in known))
    row["surface_recall"] = _fraction(sum(r.covered for r in recalls), sum(r.surface for r in recalls))
    return row


def _fraction(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


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
    files = tables_of_works(root, "pairs")
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
    row: dict[str, Any] = {"pairs": len(kept), "correspondences": int(kept["n_correspondences"].sum())}
    for split in SPLITS:
        part = kept[kept["split"] == split]
        row |= {f"pairs_{split}": len(part), f"correspondences_{split}": int(part["n_correspondences"].sum())}
    if "measured" in kept:
        measured = int(kept["measured"].sum())
        row[f"within_{CORRECT_PX:g}_px"] = float(kept["correct"].sum() / measured) if measured else float("nan")
    return row

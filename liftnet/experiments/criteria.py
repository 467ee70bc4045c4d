"""Acceptance criteria: which claims of the papers hold, by the score files, metrics and tables that a run left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from liftnet.core.tables import markdown_table, read_csv_table
from liftnet.experiments.drkfs.legs import REMOVED, equal_strength
from liftnet.experiments.estimates import Estimate, difference, estimate, mean_of_classes
from liftnet.experiments.plan import (
    BetterLoss,
    ClassesWon,
    CorrespondencesPerPair,
    Criterion,
    DeletionCosts,
    DepthPlan,
    DepthTest,
    DrkfsTest,
    LowerError,
    ScoreFalls,
    Segmentation,
    SimilarError,
    StructureOverEdits,
    ValidationLoss,
    WorksFailed,
)

CriterionType = TypeVar("CriterionType", bound=Criterion)
HOLDS, IN_PART, FAILS = "holds", "in part", "does not hold"
FALLEN = 0.95  # a validation loss below this fraction of the first has fallen


@dataclass(frozen=True)
class Finding:
    """What a criterion came to.

    Attributes:
        ours: Our figures in words.
        verdict: Whether the claim holds.
        data: On what data; empty where the page says it elsewhere.
    """

    ours: str
    verdict: str
    data: str = ""


NOT_RUN = Finding("not run", "")


def verdict_of_all(parts: Sequence[bool]) -> str:
    """Whether something holds in all parts, in some or in none."""
    return HOLDS if all(parts) else IN_PART if any(parts) else FAILS


def criteria_table(criteria: Sequence[CriterionType], find: Callable[[CriterionType], Finding], data: bool) -> str:
    """The criteria as Markdown, one row each.

    Args:
        criteria: Of a plan.
        find: What each came to.
        data: Whether a column says on what data.
    """
    rows = []
    for criterion in criteria:
        found = find(criterion)
        on = {"on": found.data} if data else {}
        ours = {"claim": criterion.claim, "paper": criterion.paper, "ours": found.ours}
        rows.append(ours | on | {"holds?": found.verdict, "why": criterion.why})
    return markdown_table(pd.DataFrame(rows), marked_up=["claim", "why"])


def read_table_of(folder: Path, name: str) -> pd.DataFrame | None:
    """`tables/<name>.csv` below a folder of results, None where what makes it was not run."""
    path = folder / "tables" / f"{name}.csv"
    return read_csv_table(path) if path.exists() else None


@dataclass(frozen=True)
class DepthResults:
    """What a run left.

    Attributes:
        folder: Of the results.
        plan: What was run.
        scores: Rows of SCORES with status ok.
    """

    folder: Path
    plan: DepthPlan
    scores: pd.DataFrame

    def pair(self, test: LowerError | SimilarError | ClassesWon) -> tuple[pd.DataFrame, pd.DataFrame] | None:
        """The scores of the two runs of a test on its set, None where one has none."""
        here = self.scores[self.scores["set"] == test.set]
        ours, theirs = here[here["run"] == test.run], here[here["run"] == test.than]
        return (ours, theirs) if len(ours) and len(theirs) else None

    def data(self, scores: pd.DataFrame, set_name: str) -> str:
        """On what data scores were measured, in words."""
        shapes, images = scores["work_id"].nunique(), scores["image_id"].nunique()
        return f"{images} views of {shapes} shapes, {self.plan.sets[set_name].title}"


def find_depth(test: DepthTest, results: DepthResults) -> Finding:
    """What a test comes to on the results; NOT_RUN where they lack what it needs."""
    match test:
        case LowerError():
            return lower_error(test, results)
        case SimilarError():
            return similar_error(test, results)
        case ClassesWon():
            return classes_won(test, results)
        case WorksFailed():
            return works_failed(results)
        case ValidationLoss():
            return validation_loss(test, results)
        case Segmentation():
            return segmentation(results)
        case CorrespondencesPerPair():
            return correspondences_per_pair(results)


def lower_error(test: LowerError, results: DepthResults) -> Finding:
    """Whether the paired difference of RMSE is negative, beyond its interval and the spread over seeds."""
    pair = results.pair(test)
    if pair is None:
        return NOT_RUN
    found = difference(*pair, "rmse", of_classes=test.mean_of_classes)
    beyond_seeds = pd.isna(found.spread) or abs(found.mean) > found.spread
    sure = beyond_seeds and (found.low > 0 or found.high < 0)
    if found.mean < 0:
        verdict = HOLDS if sure else "same direction, within chance"
    else:
        verdict = FAILS if sure else "opposite direction, within chance"
    mean = mean_of_classes if test.mean_of_classes else estimate
    left, right = (mean(scores, "rmse") for scores in pair)
    return Finding(_figures(left, right, found, test.decimals), verdict, results.data(pair[0], test.set))


def similar_error(test: SimilarError, results: DepthResults) -> Finding:
    """Whether the paired difference of RMSE is a small fraction of the error."""
    pair = results.pair(test)
    if pair is None:
        return NOT_RUN
    found, (left, right) = difference(*pair, "rmse"), (estimate(scores, "rmse") for scores in pair)
    fraction = found.mean / right.mean
    verdict = f"{HOLDS} ({fraction:+.1%})" if abs(fraction) <= test.within else f"{FAILS} ({fraction:+.1%})"
    if found.low <= 0 <= found.high and abs(fraction) > test.within:
        verdict = f"undecided ({fraction:+.1%}, within chance)"
    return Finding(_figures(left, right, found, test.decimals), verdict, results.data(pair[0], test.set))


def classes_won(test: ClassesWon, results: DepthResults) -> Finding:
    """In how many classes the RMSE is lower."""
    pair = results.pair(test)
    if pair is None:
        return NOT_RUN
    ours, theirs = pair
    gaps = {name: difference(rows, theirs[theirs["class"] == name], "rmse") for name, rows in ours.groupby("class")}
    won = sum(gap.mean < 0 for gap in gaps.values())
    sure = [gap.mean for gap in gaps.values() if gap.low > 0 or gap.high < 0]
    text = f"{won} of {len(gaps)}; beyond chance {sum(m < 0 for m in sure)} won, {sum(m > 0 for m in sure)} lost"
    return Finding(text, HOLDS if won > len(gaps) / 2 else FAILS, results.data(ours, test.set))


def works_failed(results: DepthResults) -> Finding:
    """How many works COLMAP fails to reconstruct."""
    table = read_table_of(results.folder, "sfm")
    if table is None:
        return NOT_RUN
    row = table.iloc[-1]
    text = f"{row['failed_share']:.0%}; with under half of the images registered {row['below_half_share']:.0%}"
    return Finding(text, "depends on the photographs", f"{row['works']} works of the museum")


def validation_loss(test: ValidationLoss, results: DepthResults) -> Finding:
    """How the validation loss falls."""
    path = results.folder / "models" / test.model / "metrics.csv"
    if not path.exists():
        return NOT_RUN
    metrics = read_csv_table(path)
    losses, steps = metrics["val_loss"], metrics["iteration"].astype(int)
    first, best = losses.iloc[0], losses.min()
    reached = steps.iloc[int(losses.argmin())]
    text = f"{first:.3f} at step {steps.iloc[0]}, {best:.3f} at step {reached} of {steps.iloc[-1]} (px²)"
    return Finding(text, HOLDS if best < FALLEN * first else FAILS, "the museum's pairs, 64 px input")


def segmentation(results: DepthResults) -> Finding:
    """IoU and accuracy of the segmenter."""
    table = read_table_of(results.folder, "segmentation_truth")
    if table is None:
        return NOT_RUN
    row = table.set_index("split").loc["test"]
    return Finding(f"{row['iou']:.2f} / {row['accuracy']:.2f}", HOLDS, f"{row['n']:.0f} test views of the museum")


def correspondences_per_pair(results: DepthResults) -> Finding:
    """Correspondences per pair."""
    table = read_table_of(results.folder, "statistics")
    if table is None:
        return NOT_RUN
    total = table.set_index("quantity")["all"].astype(float)
    pairs, average = total["matching pairs"], total["average correspondences per pair"]
    return Finding(f"{average:.0f} in each of {pairs:,.0f} pairs", "depends on the photographs", "the museum")


def _figures(left: Estimate, right: Estimate, gap: Estimate, decimals: int) -> str:
    return (
        f"{left.mean:.{decimals}f} beside {right.mean:.{decimals}f}; difference {gap.mean:+.{decimals + 1}f}"
        f" [{gap.low:+.{decimals + 1}f}, {gap.high:+.{decimals + 1}f}], seeds ± {gap.spread:.{decimals + 1}f}"
    )


def find_drkfs(test: DrkfsTest, folder: Path) -> Finding:
    """What a test comes to on the tables below a folder of results; NOT_RUN where they lack what it needs."""
    match test:
        case StructureOverEdits():
            return structure_over_edits(test, folder)
        case DeletionCosts():
            return deletion_costs(test, folder)
        case BetterLoss():
            return better_loss(test, folder)
        case ScoreFalls():
            return score_falls(folder)


def structure_over_edits(test: StructureOverEdits, folder: Path) -> Finding:
    """On how many chairs an edit reaches a lost leg earlier by the metric in space than by the visual one."""
    frame = read_table_of(folder, "drkfs_legs_chairs")
    if frame is None or test.spatial not in frame or test.visual not in frame:
        return NOT_RUN
    fractions, strengths = [], []
    for edit in test.edits:
        spatial, visual = (equal_strengths(frame, metric, edit) for metric in (test.spatial, test.visual))
        fractions.append(float((spatial < visual).mean()))
        strengths.append(f"{edit}: {_percent(spatial)} beside {_percent(visual)}, {fractions[-1]:.0%} of chairs")
    return Finding("; ".join(strengths), _verdict(min(fractions), max(fractions)))


def equal_strengths(frame: pd.DataFrame, metric: str, edit: str) -> np.ndarray:
    """(chairs,) the strength at which an edit is as far as a lost leg; inf if none that was measured is."""
    removed = frame[frame["edit"] == REMOVED].set_index("chair")[metric]
    mine = frame[frame["edit"] == edit].pivot(index="chair", columns="strength", values=metric)
    ratios = mine.div(removed, axis=0)
    return np.array([equal_strength(ratios.columns.to_numpy(), row) for row in ratios.to_numpy()])


def deletion_costs(test: DeletionCosts, folder: Path) -> Finding:
    """The ratio of deletion to the mean of both shifts, and in how many cases it is on the right side of 1."""
    frame = read_table_of(folder, "drkfs_bars")
    if frame is None or test.loss not in set(frame["loss"]):
        return NOT_RUN
    row = frame.set_index("loss").loc[test.loss].to_dict()
    fraction = float(row["deletion costs more"] if test.more else 1 - row["deletion costs more"])
    spread = f"{row['ratio']:.2f} [{row['ratio low']:.2f}, {row['ratio high']:.2f}]"
    is_right = (row["ratio"] > 1) == test.more
    text = f"{spread}; in {fraction:.0%} of {row['n']:.0f} cases"
    return Finding(text, _verdict(fraction, fraction) if is_right else FAILS)


def better_loss(test: BetterLoss, folder: Path) -> Finding:
    """The mean distances of what two losses lead to."""
    frame = read_table_of(folder, "drkfs_shading")
    if frame is None:
        return NOT_RUN
    means, losses = frame.set_index("loss"), [test.loss, test.than]
    known = [name for name in test.metrics if name in means and means.loc[losses, name].notna().all()]
    if not known:
        return NOT_RUN
    ours, theirs = (means.loc[loss, known].to_numpy(np.float64).tolist() for loss in losses)
    pairs = list(zip(ours, theirs, strict=True))
    text = "; ".join(f"{name} {_short(a)} beside {_short(b)}" for name, (a, b) in zip(known, pairs, strict=True))
    return Finding(text, verdict_of_all([a < b for a, b in pairs]))


def score_falls(folder: Path) -> Finding:
    """How far the score of each fit falls."""
    frame = read_table_of(folder, "drkfs_sphere")
    if frame is None:
        return NOT_RUN
    texts, falls = [], []
    for loss, mine in frame.groupby("loss", sort=False):
        first, last = mine.iloc[0], mine.iloc[-1]
        text = f"{loss}: {first['drkfs']:.3g} to {last['drkfs']:.3g} in {last['step']:.0f} steps"
        texts.append(text + (f", IoU {1 - first['iou']:.2f} to {1 - last['iou']:.2f}" if "iou" in frame else ""))
        falls.append(bool(last["drkfs"] < first["drkfs"]))
    return Finding("; ".join(texts), verdict_of_all(falls))


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _percent(strengths: np.ndarray) -> str:
    middle = float(np.median(strengths))
    return f"{middle:.0%}" if np.isfinite(middle) else "more than measured"


def _verdict(least: float, most: float) -> str:
    """Of fractions of cases: all beyond half, some, or none."""
    if least > 0.5:
        return HOLDS
    return IN_PART if most > 0 else FAILS

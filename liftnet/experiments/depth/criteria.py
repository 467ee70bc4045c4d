"""What of the LiftNet paper holds, from score files, metrics and tables of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from liftnet.experiments.criteria import FAILS, HOLDS, NOT_RUN, Finding
from liftnet.experiments.estimates import Estimate, difference, estimate, mean_of_classes
from liftnet.experiments.plan import (
    ClassesWon,
    CorrespondencesPerPair,
    DepthPlan,
    DepthTest,
    LowerError,
    Segmentation,
    SimilarError,
    ValidationLoss,
    WorksFailed,
)

FALLEN = 0.95  # a validation loss below this fraction of the first has fallen


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

    def table(self, name: str) -> pd.DataFrame | None:
        """A table, None where it is missing."""
        path = self.folder / "tables" / f"{name}.csv"
        return pd.read_csv(path) if path.exists() else None

    def data(self, scores: pd.DataFrame, set_name: str) -> str:
        """On what data scores were measured, in words."""
        shapes, images = scores["work_id"].nunique(), scores["image_id"].nunique()
        return f"{images} views of {shapes} shapes, {self.plan.sets[set_name].title}"


def find(test: DepthTest, results: DepthResults) -> Finding:
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
    table = results.table("sfm")
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
    metrics = pd.read_csv(path)
    losses, steps = metrics["val_loss"], metrics["iteration"].astype(int)
    first, best = losses.iloc[0], losses.min()
    reached = steps.iloc[int(losses.argmin())]
    text = f"{first:.3f} at step {steps.iloc[0]}, {best:.3f} at step {reached} of {steps.iloc[-1]} (px²)"
    return Finding(text, HOLDS if best < FALLEN * first else FAILS, "the museum's pairs, 64 px input")


def segmentation(results: DepthResults) -> Finding:
    """IoU and accuracy of the segmenter."""
    table = results.table("segmentation_truth")
    if table is None:
        return NOT_RUN
    row = table.set_index("split").loc["test"]
    return Finding(f"{row['iou']:.2f} / {row['accuracy']:.2f}", HOLDS, f"{row['n']:.0f} test views of the museum")


def correspondences_per_pair(results: DepthResults) -> Finding:
    """Correspondences per pair."""
    table = results.table("statistics")
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

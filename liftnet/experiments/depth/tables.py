"""Tables 2 to 5 and our own, from score files and the plan of the experiments.

A mean stands with what chance there is in it: its interval over shapes, since views of one shape resemble each other
(`core.intervals`), and its spread over seeds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from liftnet.core.errors import LiftnetError
from liftnet.core.intervals import NONE, percentile_interval, resampled_means
from liftnet.core.log import get_logger
from liftnet.core.tables import write_tables
from liftnet.data.schemas import SCORES, read_table
from liftnet.depth.score import ALIGNMENT
from liftnet.experiments.plan import METRICS, DepthPlan, RowPlan, TablePlan, read_plan

LOG = get_logger("experiments")
MASK = "true foreground"
RESAMPLES = 10_000
MEAN = "mean of the classes"
HEADS = {"l1": "L1", "rmse": "RMSE", "rel_l1": "rel. L1", "rel_sq": "rel. sq.", "rmse_affine": "RMSE affine"}
HOW = (
    "Depth is aligned by {alignment} ({affine} for RMSE affine) on the {mask}; means over images, then seeds; in"
    " brackets the 95 % bootstrap interval over shapes, after ± the standard deviation over seeds."
)


def write_table_of(name: str, plan_file: Path, score_files: Sequence[Path], out: Path, seed: int) -> None:
    """Compile the table `name` of the plan into `<out>.csv` (all numbers), `.md` and `.tex` (for reading).

    A row whose run has no scores is left out, with a word in the log.

    Raises:
        LiftnetError: The plan or a score file cannot be read, or there is nothing to compile.
    """
    plan = read_plan(plan_file, DepthPlan)
    table = plan.table(name)
    scores = read_scores(score_files)
    make = class_table if table.layout == "classes" else method_table
    full, shown = make(table, plan, scores, seed)
    if not len(full):
        raise LiftnetError(out, "would be empty: no run of the table has scores", "Run `depth score` first")
    write_tables(full, out, f"{table.caption} {_how(scores)}{_against(table)}", shown=shown)
    LOG.info("table %s: %d rows; %s", name, len(full), out.with_suffix(".csv"))


def read_scores(files: Sequence[Path]) -> pd.DataFrame:
    """All rows of the files whose status is ok; rows that have no errors are counted in the log.

    Raises:
        LiftnetError: A file cannot be read.
    """
    tables = [read_table(path, SCORES).to_pandas() for path in files]
    rows = pd.concat(tables, ignore_index=True) if tables else SCORES.empty_table().to_pandas()
    failed = int((rows["status"] != "ok").sum())
    if failed:
        LOG.warning("%d of %d images have no errors; the score files say why", failed, len(rows))
    return rows[rows["status"] == "ok"].reset_index(drop=True)


def method_table(
    table: TablePlan, plan: DepthPlan, scores: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row per method and set, as Tables 3, 4 and 5 are: all numbers, and what a reader is shown."""
    full, shown = [], []
    for set_name in table.sets:
        here = scores[scores["set"] == set_name]
        reference = here[here["run"] == table.reference]
        for row in table.rows:
            mine = _of_run(here, row, set_name)
            if not len(mine):
                continue
            about = {
                "set": plan.sets[set_name].title,
                "method": row.method,
                "trained with": row.supervision,
                "trained on": row.trained_on,
            }
            found = {metric: estimate(mine, metric, seed).times(table.factor) for metric in METRICS}
            compared = _compared(mine, reference, table, seed)
            paper = _paper_of(row, set_name)
            full.append(about | _all_numbers(found, compared, paper) | _conditions(mine, found["rmse"]))
            shown.append(about | _shown(found, compared, paper, mine["unit"].iloc[0]))
    return pd.DataFrame(full), pd.DataFrame(shown)


def class_table(
    table: TablePlan, plan: DepthPlan, scores: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row per class and the mean of all classes, as Table 2 is (there a class is a column)."""
    here = scores[scores["set"] == table.sets[0]]
    runs = [(row, mine) for row in table.rows if len(mine := _of_run(here, row, table.sets[0]))]
    if not runs:
        return pd.DataFrame(), pd.DataFrame()
    common = set.intersection(*(set(mine["class"]) for _, mine in runs))
    in_paper = [name for name in table.rows[0].paper if name in common]
    classes = [*in_paper, *sorted(common - {*in_paper})]
    priors = {row.method for row, _ in runs if plan.runs[row.run].prior is not None}
    rows = [_class_row(name, classes, runs, table, priors, seed) for name in [*classes, MEAN]]
    return pd.DataFrame([full for full, _ in rows]), pd.DataFrame([shown for _, shown in rows])


def _class_row(
    name: str,
    classes: list[str],
    runs: list[tuple[RowPlan, pd.DataFrame]],
    table: TablePlan,
    priors: set[str],
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All numbers of a class (or of their mean), and what a reader is shown."""
    of_classes = name == MEAN
    parts = {row.method: mine[mine["class"].isin(classes if of_classes else [name])] for row, mine in runs}
    summarise = mean_of_classes if of_classes else estimate
    found = {method: summarise(part, table.metric, seed).times(table.factor) for method, part in parts.items()}
    full: dict[str, Any] = {"class": name}
    shown: dict[str, Any] = {"class": name}
    for method, value in found.items():
        full |= _named(method, value)
        shown[method] = _cell(value, 2)
    reference = next((row.method for row, _ in runs if row.run == table.reference), None)
    for method, part in parts.items():
        if reference is not None and method != reference:
            gap = difference(part, parts[reference], table.metric, seed, of_classes).times(table.factor)
            full |= _named(f"{method} - {reference}", gap)
            if method not in priors:  # which are there for orientation
                shown[f"{method} - {reference}"] = _cell(gap, 2)
    printed = {f"{row.method} (paper)": row.paper.get(name) for row, _ in runs if row.paper}
    one = next(iter(found.values()))
    lowest = min(found, key=lambda method: found[method].mean)
    counts = {"lowest": lowest, "n": one.n_images, "shapes": one.n_shapes, "seeds": one.n_seeds}
    how = _conditions(runs[0][1], one, counted=False) | {"metric": table.metric}
    return full | printed | counts | how, shown | printed | counts


def _of_run(scores: pd.DataFrame, row: RowPlan, set_name: str) -> pd.DataFrame:
    mine = scores[scores["run"] == row.run]
    if not len(mine):
        LOG.warning("%s has no scores on %s; its row is left out", row.run, set_name)
    elif mine["unit"].nunique() > 1 or mine["resolution"].nunique() > 1:
        raise LiftnetError(row.run, f"has scores of several units or resolutions on {set_name}", "Score it again")
    return mine


def _compared(mine: pd.DataFrame, reference: pd.DataFrame, table: TablePlan, seed: int) -> Estimate | None:
    """The difference of the table's metric from the reference's, where the table has one and this is another run."""
    if table.reference is None or not len(reference) or mine["run"].iloc[0] == table.reference:
        return None
    return difference(mine, reference, table.metric, seed).times(table.factor)


def _all_numbers(found: dict[str, Estimate], compared: Estimate | None, paper: dict[str, float]) -> dict[str, Any]:
    line: dict[str, Any] = {}
    for metric, value in found.items():
        line |= _named(metric, value)
    line |= _named("difference", compared) if compared else dict.fromkeys(_names("difference"))
    return line | {f"{metric} (paper)": paper.get(metric) for metric in METRICS[:-1]}


def _shown(
    found: dict[str, Estimate], compared: Estimate | None, paper: dict[str, float], unit: str
) -> dict[str, Any]:
    length = " (cm)" if unit == "cm" else ""
    text: dict[str, Any] = {}
    for metric, value in found.items():
        relative = metric.startswith("rel")
        decimals = 4 if relative else 2 if unit == "cm" else 3
        text[HEADS[metric] + ("" if relative else length)] = _cell(value, decimals)
    if compared:
        text["difference"] = _cell(compared, 2 if unit == "cm" else 4)
    else:
        text["difference"] = ""
    text["RMSE (paper)"] = paper.get("rmse")
    one = found["rmse"]
    return text | {"n": one.n_images, "shapes": one.n_shapes, "seeds": one.n_seeds}


def _conditions(mine: pd.DataFrame, found: Estimate, counted: bool = True) -> dict[str, Any]:
    """What every row of a metric says: how it was aligned, where, at what resolution, in what unit."""
    counts = {"n": found.n_images, "shapes": found.n_shapes, "seeds": found.n_seeds} if counted else {}
    return counts | {
        "split": mine["split"].iloc[0],
        "alignment": ALIGNMENT,
        "mask": MASK,
        "resolution": int(mine["resolution"].iloc[0]),
        "unit": mine["unit"].iloc[0],
    }


def _names(name: str) -> list[str]:
    return [name, f"{name} low", f"{name} high", f"{name} seeds"]


def _named(name: str, found: Estimate) -> dict[str, float]:
    return dict(zip(_names(name), dataclasses.astuple(found)[:4], strict=True))


def _cell(found: Estimate, decimals: int) -> str:
    """`.254 [.240, .270] ± .003`."""
    text = f"{found.mean:.{decimals}f}"
    if not pd.isna(found.low):
        text += f" [{found.low:.{decimals}f}, {found.high:.{decimals}f}]"
    return text if pd.isna(found.spread) else f"{text} ± {found.spread:.{decimals}f}"


def _paper_of(row: RowPlan, set_name: str) -> dict[str, float]:
    value = row.paper.get(set_name, {})
    return {str(name): number for name, number in value.items()} if isinstance(value, dict) else {}


def _against(table: TablePlan) -> str:
    """What the differences of a table are taken from, in words."""
    reference = next((row for row in table.rows if row.run == table.reference), None)
    if reference is None or table.layout == "classes":
        return ""
    name = ", ".join(filter(None, (reference.method, reference.supervision, reference.trained_on)))
    return f" Difference: {HEADS[table.metric]} less that of the row {name}, image by image."


def _how(scores: pd.DataFrame) -> str:
    sizes = ", ".join(f"{size} px" for size in sorted(scores["resolution"].unique()))
    how = HOW.format(alignment=ALIGNMENT, affine="the best a d + b x + c y + e", mask=MASK)
    return f"{how} Network input and errors at {sizes}."


@dataclass(frozen=True)
class Estimate:
    """A mean over images and its uncertainty.

    Attributes:
        mean: Mean over images of the mean over seeds.
        low: Lower end of the 95 % percentile interval over shapes; NaN with fewer than two shapes.
        high: Upper end.
        spread: Standard deviation (n - 1) of the seeds' means; NaN with one seed.
        n_images: Images.
        n_shapes: Shapes they show.
        n_seeds: Trained models.
    """

    mean: float
    low: float
    high: float
    spread: float
    n_images: int
    n_shapes: int
    n_seeds: int

    def times(self, factor: float) -> Estimate:
        """All lengths multiplied."""
        lengths = {name: factor * getattr(self, name) for name in ("mean", "low", "high", "spread")}
        return dataclasses.replace(self, **lengths)


def estimate(scores: pd.DataFrame, metric: str, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Summarise the scores of one run on one set.

    Args:
        scores: Rows of SCORES with status ok; columns seed, work_id, image_id and `metric` at least.
        metric: The column.
        seed: Seed of the resampling.
        resamples: Resamples of the shapes.
    """
    shapes = by_shape(scores, metric)
    low, high = NONE
    if len(shapes) > 1:
        low, high = percentile_interval(resampled_means(shapes["sum"], shapes["count"], seed, resamples))
    seeds = _seed_means(scores, metric, of_classes=False)
    return Estimate(
        mean=overall_mean(shapes),
        low=low,
        high=high,
        spread=float(seeds.std(ddof=1)),
        n_images=int(shapes["count"].sum()),
        n_shapes=len(shapes),
        n_seeds=len(seeds),
    )


def by_shape(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Sum over images (of their mean over seeds) and count of images, one row per shape, in the order of their ids."""
    images = scores.groupby(["work_id", "image_id"])[metric].mean()
    return images.groupby("work_id").agg(["sum", "count"])


def overall_mean(shapes: pd.DataFrame) -> float:
    """The mean over images; NaN without any."""
    return float(shapes["sum"].sum() / shapes["count"].sum()) if len(shapes) else float("nan")


def mean_of_classes(scores: pd.DataFrame, metric: str, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """The mean of the classes' means, each class of equal weight; shapes are drawn again within their class.

    Args:
        scores: As for `estimate`, with the column class.
        metric: The column.
        seed: Seed of the resampling.
        resamples: Resamples of the shapes.
    """
    shapes = {name: by_shape(rows, metric) for name, rows in scores.groupby("class")}
    drawn = [
        resampled_means(members["sum"], members["count"], seed + k, resamples)
        for k, members in enumerate(shapes.values())
    ]
    repeated = any(len(members) > 1 for members in shapes.values())
    low, high = percentile_interval(np.mean(drawn, axis=0)) if repeated else NONE
    seeds = _seed_means(scores, metric, of_classes=True)
    return Estimate(
        mean=float(np.mean([overall_mean(members) for members in shapes.values()])),
        low=low,
        high=high,
        spread=float(seeds.std(ddof=1)),
        n_images=sum(int(members["count"].sum()) for members in shapes.values()),
        n_shapes=sum(map(len, shapes.values())),
        n_seeds=len(seeds),
    )


def difference(
    scores: pd.DataFrame, reference: pd.DataFrame, metric: str, seed: int = 0, of_classes: bool = False
) -> Estimate:
    """How much larger the errors of a run are than those of another one on the same images.

    Differences are taken image by image, so that what makes a shape hard for both does not count. The spread is that
    of the difference between one seed of each: the root of the sum of both variances, where that of a run with a
    single seed (a prior) counts as 0; NaN if both have one.

    Args:
        scores: As for `estimate`, of one run.
        reference: Of the other one.
        metric: The column.
        seed: Seed of the resampling.
        of_classes: Take the mean of the classes' means, as `mean_of_classes`, in place of that over images.
    """
    keys = ["class", "work_id", "image_id"] if of_classes else ["work_id", "image_id"]
    per_image = [run.groupby(keys)[metric].mean() for run in (scores, reference)]
    both = (per_image[0] - per_image[1]).dropna().rename(metric).reset_index().assign(seed=0)
    found = mean_of_classes(both, metric, seed) if of_classes else estimate(both, metric, seed)
    spreads = [_seed_means(run, metric, of_classes).var(ddof=1) for run in (scores, reference)]
    return dataclasses.replace(
        found,
        spread=float("nan") if np.isnan(spreads).all() else float(np.sqrt(np.nansum(spreads))),
        n_seeds=min(scores["seed"].nunique(), reference["seed"].nunique()),
    )


def _seed_means(scores: pd.DataFrame, metric: str, of_classes: bool) -> pd.Series:
    if of_classes:
        return scores.groupby(["seed", "class"])[metric].mean().groupby("seed").mean()
    return scores.groupby("seed")[metric].mean()

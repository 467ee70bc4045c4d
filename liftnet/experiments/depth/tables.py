"""Tables 2 to 5 and our own, from score files and the plan of the experiments.

A mean stands with what chance there is in it: its interval over shapes, since views of one shape resemble each other
(`core.intervals`), and its spread over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.tables import write_tables
from liftnet.data.schemas import SCORES, read_table
from liftnet.depth.score import ALIGNMENT
from liftnet.experiments.estimates import (
    Estimate,
    cell,
    difference,
    estimate,
    mean_of_classes,
    named,
    names_of,
)
from liftnet.experiments.plan import METRICS, DepthPlan, RowPlan, TablePlan, read_plan

LOG = get_logger("experiments")
MASK = "true foreground"
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
        full |= named(method, value)
        shown[method] = cell(value, 2)
    reference = next((row.method for row, _ in runs if row.run == table.reference), None)
    for method, part in parts.items():
        if reference is not None and method != reference:
            gap = difference(part, parts[reference], table.metric, seed, of_classes).times(table.factor)
            full |= named(f"{method} - {reference}", gap)
            if method not in priors:  # which are there for orientation
                shown[f"{method} - {reference}"] = cell(gap, 2)
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
        line |= named(metric, value)
    line |= named("difference", compared) if compared else dict.fromkeys(names_of("difference"))
    return line | {f"{metric} (paper)": paper.get(metric) for metric in METRICS[:-1]}


def _shown(
    found: dict[str, Estimate], compared: Estimate | None, paper: dict[str, float], unit: str
) -> dict[str, Any]:
    length = " (cm)" if unit == "cm" else ""
    text: dict[str, Any] = {}
    for metric, value in found.items():
        relative = metric.startswith("rel")
        decimals = 4 if relative else 2 if unit == "cm" else 3
        text[HEADS[metric] + ("" if relative else length)] = cell(value, decimals)
    if compared:
        text["difference"] = cell(compared, 2 if unit == "cm" else 4)
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

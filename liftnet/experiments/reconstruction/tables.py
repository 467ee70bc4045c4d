"""Tables 3 and 4 of the DR-KFS paper and one of equal times, from score files and the plan of the experiments.

A row is a run. Its figures are means over held-out shapes, then over seeds; of the classes' means, each of equal
weight, in the first part of a table, and of one class in each of the others. A reconstruction that is no mesh counts
with its penalties (`liftnet.reconstruct.evaluate`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.tables import write_tables
from liftnet.data.schemas import RECONSTRUCTION_SCORES, read_table
from liftnet.experiments.estimates import Estimate, cell, difference, estimate, mean_of_classes, named
from liftnet.experiments.plan import read_plan
from liftnet.experiments.reconstruction.plan import ReconstructionPlan, RowPlan, TablePlan
from liftnet.shape.metrics import METRICS

LOG = get_logger("experiments")
AVERAGE = "average"
OK, EMPTY = "ok", "empty"
HOW = (
    "Means over held-out shapes and seeds, the average over classes of equal weight; in brackets the 95 % bootstrap"
    " interval over shapes, after ± the standard deviation over seeds. Reconstructions without a surface, or on which"
    " a metric is not defined, count with a penalty: CD {cd:g} x 1000, IoU and FS 0, NC -1, EMD {diagonal:.3f}, Shape"
    " Google and MVCNN 2, LFD {lfd:,.0f}, DR-KFS all patches of the target unmatched. DR-KFS at {size} px from {views}"
    " views."
)


@dataclass(frozen=True)
class Column:
    """How a table shows a metric.

    Attributes:
        head: In the paper's words.
        factor: Values are multiplied by this.
        decimals: Of what is shown.
        higher_is_better: Whether larger values say that shapes are more alike.
    """

    head: str
    factor: float = 1.0
    decimals: int = 3
    higher_is_better: bool = False


COLUMNS = {
    "chamfer_l2": Column("CD x 1000", 1000, 2),
    "chamfer_l1": Column("CD (L1) x 100", 100, 2),
    "emd": Column("EMD x 100", 100, 2),
    "iou": Column("IoU %", 100, 1, True),
    "iou_flood": Column("IoU by flood %", 100, 1, True),
    "shape_google": Column("Shape Google"),
    "f_score": Column("FS 1 %", 100, 1, True),
    "f_score_2": Column("FS 2 %", 100, 1, True),
    "normal_consistency": Column("NC", higher_is_better=True),
    "lfd": Column("LFD", decimals=0),
    "mvcnn": Column("MVCNN"),
    "drkfs": Column("DR-KFS"),
}
"""Metrics that tables show, by name."""


def write_reconstruction_table(
    name: str, plan_file: Path, score_files: Sequence[Path], out: Path, seeds: Sequence[int], seed: int = 0
) -> None:
    """Compile the table `name` of the plan into `<out>.csv` (all numbers), `.md` and `.tex` (for reading).

    Args:
        name: Of the table in the plan.
        plan_file: The plan.
        score_files: What `reconstruct evaluate` wrote.
        out: Path without suffix.
        seeds: Of the trainings that a row is made of; a row that lacks some says so.
        seed: Of the resampling.

    Raises:
        LiftnetError: The plan or a score file cannot be read, or there is nothing to compile.
    """
    plan = read_plan(plan_file, ReconstructionPlan)
    if name not in plan.tables:
        raise LiftnetError(f"--table {name}", "is not in the plan", f"Choose one of {', '.join(plan.tables)}")
    table, scores = plan.tables[name], read_scores(score_files)
    full, shown = reconstruction_table(table, scores, seeds, seed)
    if not len(full):
        raise LiftnetError(out, "would be empty: no run of the table has scores", "Run `reconstruct evaluate` first")
    write_tables(full, out, f"{table.caption} {how(scores)}", shown=shown)
    LOG.info("table %s: %d rows; %s", name, len(full), out.with_suffix(".csv"))


def read_scores(files: Sequence[Path]) -> pd.DataFrame:
    """All rows of score files.

    Raises:
        LiftnetError: A file cannot be read.
    """
    tables = [read_table(path, RECONSTRUCTION_SCORES).to_pandas() for path in files]
    if not tables:
        return RECONSTRUCTION_SCORES.empty_table().to_pandas()
    return pd.concat(tables, ignore_index=True)


def how(scores: pd.DataFrame) -> str:
    """How the figures were made, in words."""
    size, views = scores[["image_size", "views"]].max()
    return HOW.format(cd=6000, diagonal=3**0.5, lfd=METRICS["lfd"].penalty, size=size, views=views)


def reconstruction_table(
    table: TablePlan, scores: pd.DataFrame, seeds: Sequence[int], seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row a run in each part: all numbers, and what a reader is shown.

    Raises:
        LiftnetError: Runs were measured on different pictures or with other settings.
    """
    by_run = {str(name): rows for name, rows in scores.groupby("run")}
    _check_pictures({name: by_run[name] for name in _runs_of(table) if name in by_run})
    full, shown = [], []
    for part in [AVERAGE, *(sorted(scores["class"].unique()) if table.by_class else [])]:
        for row in table.rows:
            if row.run not in by_run:
                if part == AVERAGE:
                    LOG.warning("%s has no scores; its row is left out", row.run)
                continue
            line = TableLine(row, part, table, by_run[row.run], by_run.get(row.than or ""), seed)
            full.append(line.numbers(seeds))
            shown += line.shown(seeds)
    return pd.DataFrame(full), in_order(pd.DataFrame(shown), table.metrics)


def in_order(shown: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """What a reader is shown with its columns in the order of the metrics, empty where there is nothing."""
    heads = [COLUMNS[metric].head for metric in metrics if COLUMNS[metric].head in shown]
    others = [name for name in shown if name not in heads]
    return shown[[*others[:3], *heads, *others[3:]]].astype(object).fillna("")


@dataclass(frozen=True, eq=False)
class TableLine:
    """A row of a part of a table.

    Attributes:
        row: As the plan has it.
        part: AVERAGE or a class.
        table: It is a row of.
        scores: Of the run, all classes.
        others: Of the run that it is compared with, if any.
        seed: Of the resampling.
    """

    row: RowPlan
    part: str
    table: TablePlan
    scores: pd.DataFrame
    others: pd.DataFrame | None
    seed: int

    def numbers(self, seeds: Sequence[int]) -> dict[str, Any]:
        """All numbers: the metrics as they were measured, differences from the other run, the paper's figures."""
        line: dict[str, Any] = {"part": self.part, "network": self.row.network, "training": self.row.training}
        line |= {"run": self.row.run, "than": self.row.than}
        for metric, found in self.found():
            line |= named(metric, found)
        for metric, gap in self.gaps():
            line |= named(f"{metric} difference", gap)
        if self.part == AVERAGE:
            line |= {f"{metric} (paper)": value for metric, value in self.row.paper.items()}
        return line | self._counts(seeds)

    def shown(self, seeds: Sequence[int]) -> list[dict[str, Any]]:
        """The lines that a reader is shown: the run's, that of its difference, that of the paper."""
        about = {"part": self.part, "network": self.row.network}
        values = {COLUMNS[metric].head: _shown(metric, found) for metric, found in self.found()}
        counts = self._counts(seeds)
        seconds = {} if pd.isna(counts["training s"]) else {"CPU min": f"{counts['training s'] / 60:.1f}"}
        ends = {"no mesh": str(counts["empty"]), **seconds, "n": str(counts["n"]), "seeds": counts["seeds"]}
        lines = [about | {"training": self.row.training} | values | ends]
        gaps = {COLUMNS[metric].head: _shown(metric, gap, signed=True) for metric, gap in self.gaps()}
        if gaps:
            other = next((row.training for row in self.table.rows if row.run == self.row.than), self.row.than)
            lines.append(about | {"training": f"difference to: {other}"} | gaps)
        if self.row.paper and self.part == AVERAGE:
            paper = {COLUMNS[metric].head: f"{value:g}" for metric, value in self.row.paper.items()}
            lines.append(about | {"training": f"{self.row.training} (paper)"} | paper)
        return lines

    def found(self) -> Iterator[tuple[str, Estimate]]:
        """The estimate of each metric that was measured."""
        for metric in self._measured(self.scores):
            summarise = mean_of_classes if self.part == AVERAGE else estimate
            yield metric, summarise(self._part(self.scores), metric, self.seed)

    def gaps(self) -> Iterator[tuple[str, Estimate]]:
        """How much larger each metric is than of the other run, shape by shape, over the seeds that both have."""
        if self.others is None:
            return
        ours, theirs = of_common_seeds(self._part(self.scores), self._part(self.others))
        for metric in self._measured(self.scores):
            if theirs[metric].notna().any():
                yield metric, difference(ours, theirs, metric, self.seed, of_classes=self.part == AVERAGE)

    def _part(self, scores: pd.DataFrame) -> pd.DataFrame:
        return scores if self.part == AVERAGE else scores[scores["class"] == self.part]

    def _measured(self, scores: pd.DataFrame) -> list[str]:
        return [metric for metric in self.table.metrics if scores[metric].notna().any()]

    def _counts(self, seeds: Sequence[int]) -> dict[str, Any]:
        mine = self._part(self.scores)
        trainings = self.scores.drop_duplicates("seed")["training_s"]
        return {
            "empty": int((mine["status"] == EMPTY).sum()),
            "penalised": int((mine["status"] != OK).sum()),
            "training s": float(trainings.mean()),
            "n": len(mine),
            "shapes": mine["work_id"].nunique(),
            "seeds": seeds_in_words(self.scores, seeds),
        }


def of_common_seeds(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of two runs of the seeds that both have; all of them where one of the two is no training."""
    if not (is_trained(ours) and is_trained(theirs)):
        return ours, theirs
    common = {*ours["seed"]} & {*theirs["seed"]}
    return ours[ours["seed"].isin(common)], theirs[theirs["seed"].isin(common)]


def is_trained(scores: pd.DataFrame) -> bool:
    """Whether rows are of a training, which has steps, and not of a reference."""
    return bool(scores["steps"].notna().any())


def seeds_in_words(scores: pd.DataFrame, seeds: Sequence[int]) -> str:
    """How many seeds there are, and which of those that there should be are missing.

    A run without a training, such as a reference, has no seeds.
    """
    if not is_trained(scores):
        return "-"
    there = {*scores["seed"]}
    missing = [str(seed) for seed in seeds if seed not in there]
    return (
        f"{len(there)}"
        if not missing
        else f"{len(there)} of {len({*seeds} | there)}, unfinished: {', '.join(missing)}"
    )


def _shown(metric: str, found: Estimate, signed: bool = False) -> str:
    column = COLUMNS[metric]
    text = cell(found.times(column.factor), column.decimals)
    return f"+{text}" if signed and found.mean > 0 else text


def _runs_of(table: TablePlan) -> list[str]:
    return list(dict.fromkeys(name for row in table.rows for name in (row.run, row.than) if name))


def _check_pictures(by_run: Mapping[str, pd.DataFrame]) -> None:
    """Refuse runs that were measured on different pictures, or with other views of DR-KFS."""
    expected: tuple[str, Any] | None = None
    for name, rows in by_run.items():
        for seed, mine in rows.groupby("seed"):
            found = (sorted(mine["image_id"]), mine["image_size"].iloc[0], mine["views"].iloc[0])
            if expected is None:
                expected = name, found
            elif found != expected[1]:
                reason = f"was measured (seed {seed}) on other pictures or by other views than {expected[0]}"
                raise LiftnetError(name, reason, "Run `reconstruct evaluate` again with the same settings")

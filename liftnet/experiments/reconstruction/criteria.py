"""Which of the DR-KFS paper's claims on reconstruction networks hold, by the score files that a run left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from liftnet.core.ids import stable_seed
from liftnet.core.intervals import percentile_interval
from liftnet.experiments.criteria import FAILS, HOLDS, IN_PART, NOT_RUN, Finding, verdict_of_all
from liftnet.experiments.estimates import Estimate, difference, mean_of_classes
from liftnet.experiments.reconstruction.plan import (
    ClassesPassed,
    FiguresWon,
    InOrder,
    PairPlan,
    ReconstructionPlan,
    ReconstructionTest,
)
from liftnet.experiments.reconstruction.tables import COLUMNS, of_common_seeds

RESAMPLES = 2000


@dataclass(frozen=True)
class ReconstructionResults:
    """What a run left.

    Attributes:
        plan: What was run.
        scores: Rows of RECONSTRUCTION_SCORES.
    """

    plan: ReconstructionPlan
    scores: pd.DataFrame

    def of_run(self, name: str) -> pd.DataFrame | None:
        """The scores of a run; None without any."""
        rows = self.scores[self.scores["run"] == name]
        return rows if len(rows) else None

    def title(self, name: str) -> str:
        """What tables call the network of a run."""
        rows = (row for table in self.plan.tables.values() for row in table.rows)
        return next((row.network for row in rows if row.run == name), name)

    def data(self) -> str:
        """On what data scores were measured, in words."""
        seeds = self.scores[self.scores["steps"].notna()]["seed"].nunique()
        shapes, classes = self.scores["work_id"].nunique(), self.scores["class"].nunique()
        return f"{shapes} shapes of {classes} classes, seeds: {seeds}"


def find_reconstruction(test: ReconstructionTest, results: ReconstructionResults) -> Finding:
    """What a test comes to on the results; NOT_RUN where they lack what it needs."""
    match test:
        case FiguresWon():
            return figures_won(test, results)
        case InOrder():
            return in_order(test, results)
        case ClassesPassed():
            return classes_passed(test, results)


@dataclass(frozen=True, eq=False)
class Figure:
    """A metric of two runs: how much worse the first is, in the mean of the classes.

    Attributes:
        name: Network and metric.
        worse: The paired difference, positive where the first run is worse.
        shapes: (S, 2): the class and the difference of each shape.
    """

    name: str
    worse: Estimate
    shapes: pd.DataFrame

    @property
    def is_sure(self) -> bool:
        """Whether the difference is beyond chance: its interval leaves out 0, and the seeds' spread is less."""
        beyond = pd.isna(self.worse.spread) or abs(self.worse.mean) > self.worse.spread
        return beyond and (self.worse.low > 0 or self.worse.high < 0)


def figures_won(test: FiguresWon, results: ReconstructionResults) -> Finding:
    """In how many figures the first run of a pair is better, with the interval over shapes of their number."""
    pairs = [figures_of(pair, test.metrics, results) for pair in test.pairs]
    figures = [figure for found in pairs for figure in found]
    if not figures:
        return NOT_RUN
    won = [figure.worse.mean < 0 for figure in figures]
    low, high = interval_of_wins(figures)
    sure = [figure.worse.mean < 0 for figure in figures if figure.is_sure]
    lost = ", ".join(figure.name for figure, is_won in zip(figures, won, strict=True) if not is_won)
    text = f"{sum(won)} of {len(won)} [{low:.0f}, {high:.0f}]"
    text += f"; beyond chance {sum(sure)} won, {len(sure) - sum(sure)} lost"
    text += f"; lost: {lost}" if lost else ""
    wanted = len(test.pairs) * len(test.metrics)
    if len(figures) < wanted:
        return Finding(f"{text}; {wanted - len(figures)} figures not run", "unfinished", results.data())
    return Finding(text, _verdict(sum(won), test.at_least, wanted), results.data())


def figures_of(pair: PairPlan, metrics: Sequence[str], results: ReconstructionResults) -> list[Figure]:
    """The figures of two runs by each metric that both have."""
    ours, theirs = results.of_run(pair.run), results.of_run(pair.than)
    if ours is None or theirs is None:
        return []
    ours, theirs = of_common_seeds(ours, theirs)
    measured = [metric for metric in metrics if ours[metric].notna().any() and theirs[metric].notna().any()]
    return [
        Figure(
            f"{results.title(pair.run)} {COLUMNS[metric].head}",
            difference(ours, theirs, metric, of_classes=True).times(_sign(metric)),
            _by_shape(ours, theirs, metric),
        )
        for metric in measured
    ]


def _by_shape(ours: pd.DataFrame, theirs: pd.DataFrame, metric: str) -> pd.DataFrame:
    keys = ["class", "work_id"]
    gap = ours.groupby(keys)[metric].mean() - theirs.groupby(keys)[metric].mean()
    return (_sign(metric) * gap).dropna().rename("worse").reset_index()


def interval_of_wins(figures: Sequence[Figure], resamples: int = RESAMPLES) -> tuple[float, float]:
    """The 95 % interval of how many figures are won, by drawing shapes again within their classes, once for all."""
    table = pd.concat(
        {n: figure.shapes.set_index(["class", "work_id"])["worse"] for n, figure in enumerate(figures)}, axis=1
    )
    means = np.zeros((resamples, len(figures)))
    classes = list(table.groupby(level="class"))
    for name, rows in classes:
        generator = np.random.default_rng(stable_seed(0, str(name)))
        drawn = generator.integers(len(rows), size=(resamples, len(rows)))
        means += np.nanmean(rows.to_numpy()[drawn], axis=1) / len(classes)
    return percentile_interval((means < 0).sum(1).astype(float))


def in_order(test: InOrder, results: ReconstructionResults) -> Finding:
    """Whether the means of runs are in an order, and which neighbours are beyond chance."""
    found = {name: results.of_run(name) for name in test.runs}
    rows = {name: mine for name, mine in found.items() if mine is not None}
    metrics = [m for m in test.metrics if len(rows) == len(found) and all(r[m].notna().any() for r in rows.values())]
    if not metrics:
        return NOT_RUN
    neighbours = [PairPlan(run=one, than=other) for one, other in zip(test.runs, test.runs[1:], strict=False)]
    texts, right = [], []
    for metric in metrics:
        means = [mean_of_classes(rows[name], metric).times(COLUMNS[metric].factor).mean for name in test.runs]
        figures = [figure for pair in neighbours for figure in figures_of(pair, [metric], results)]
        right += [figure.worse.mean < 0 for figure in figures]
        sure = sum(figure.is_sure for figure in figures)
        values = ", ".join(f"{mean:,.{COLUMNS[metric].decimals}f}" for mean in means)
        texts.append(f"{COLUMNS[metric].head} {values} ({sure} of {len(figures)} steps beyond chance)")
    return Finding("; ".join(texts), verdict_of_all(right), results.data())


def classes_passed(test: ClassesPassed, results: ReconstructionResults) -> Finding:
    """In how many classes runs are better than a reference."""
    theirs = results.of_run(test.than)
    rows = {name: mine for name in test.runs if (mine := results.of_run(name)) is not None}
    if theirs is None or not rows:
        return NOT_RUN
    passed, missed = 0, []
    for name, mine in rows.items():
        means = _class_means(mine, test.metric) - _class_means(theirs, test.metric)
        better = means * _sign(test.metric) < 0
        passed += int(better.sum())
        missed += [f"{results.title(name)}: {', '.join(better.index[~better])}"] if not better.all() else []
    count = passed + sum(len(words.split(", ")) for words in missed)
    text = f"{passed} of {count} by {COLUMNS[test.metric].head}" + (f"; not {'; '.join(missed)}" if missed else "")
    unfinished = len(rows) < len(test.runs)
    return Finding(text, "unfinished" if unfinished else _verdict(passed, count, count), results.data())


def _class_means(scores: pd.DataFrame, metric: str) -> pd.Series:
    return scores.groupby("class")[metric].mean()


def _sign(metric: str) -> float:
    return -1.0 if COLUMNS[metric].higher_is_better else 1.0


def _verdict(won: int, at_least: int, count: int) -> str:
    if won >= at_least:
        return HOLDS
    return IN_PART if won > count / 2 else FAILS

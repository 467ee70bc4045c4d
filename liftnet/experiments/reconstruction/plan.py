"""The plan of the reconstruction networks: workflow/experiments/reconstruction.yaml, checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from liftnet.core.settings import Settings
from liftnet.experiments.plan import Criterion
from liftnet.reconstruct.references import REFERENCES
from liftnet.reconstruct.settings import EvaluateSettings, TrainSettings
from liftnet.shape.metrics import METRICS

MEASURES = (*METRICS, "drkfs")


class PacePlan(Settings):
    """How many steps a run takes: as many as fit into the time of a processor that another run took."""

    as_long_as: str = Field(description="run whose time it may take")
    by: str = Field(description="run of the same losses whose steps say how long one takes")


class RunPlan(Settings):
    """A network to train, or a reference."""

    network: str | None = Field(None, description="architecture")
    start: str | None = Field(None, description="run whose weights it goes on from, with the same seed")
    losses: dict[str, float] = Field({}, description="losses with their weights; {}: the network's own")
    settings: dict[str, Any] = Field({}, description="settings of `reconstruct.train` that differ in this run")
    pace: PacePlan | None = Field(None, description="steps by time; without it those of the settings")
    reference: str | None = Field(None, description="a reference in place of a network")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> RunPlan:
        if (self.network is None) == (self.reference is None):
            raise ValueError("a run has either a network or a reference")
        if self.reference is not None and self.reference not in REFERENCES:
            raise ValueError(f"there is no reference {self.reference!r}; use {', '.join(REFERENCES)}")
        if self.network is not None:
            TrainSettings(**{**self.settings, "network": {"architecture": self.network}, "losses": self.losses})
        return self


class RowPlan(Settings):
    """A row of a table."""

    run: str = Field(description="name of the run")
    network: str = Field(description="what the table calls the network")
    training: str = Field(description="what the table calls its training")
    than: str | None = Field(None, description="run that it is compared with, shape by shape")
    paper: dict[str, float] = Field({}, description="the paper's figures, by metric")


class TablePlan(Settings):
    """A table: a row a run, first for the mean of the classes, then for each class."""

    caption: str = Field(min_length=1, description="what it shows")
    metrics: list[str] = Field(min_length=1, description="its columns")
    by_class: bool = Field(True, description="also a part for each class")
    rows: list[RowPlan] = Field(min_length=1, description="its rows")


class FigurePlan(Settings):
    """A figure: pictures with their true shape and what runs made of them, from two sides."""

    caption: str = Field(min_length=1, description="what it shows")
    runs: dict[str, list[str]] = Field(min_length=1, description="runs side by side, by the title of their row")
    shapes: int = Field(1, ge=1, description="shapes of each class")


class PairPlan(Settings):
    """Two runs that are compared."""

    run: str
    than: str


class FiguresWon(Settings):
    """In how many figures runs are better than others: each pair by each metric, in the mean of the classes."""

    kind: Literal["figures won"]
    pairs: list[PairPlan] = Field(min_length=1)
    metrics: list[str] = Field(min_length=1)
    at_least: int = Field(ge=1, description="figures won, so that the claim holds")


class InOrder(Settings):
    """Runs are in an order, the best first, by each metric."""

    kind: Literal["in order"]
    runs: list[str] = Field(min_length=2)
    metrics: list[str] = Field(min_length=1)


class ClassesPassed(Settings):
    """Runs are better than a reference in every class."""

    kind: Literal["classes passed"]
    runs: list[str] = Field(min_length=1)
    than: str
    metric: str


ReconstructionTest = Annotated[FiguresWon | InOrder | ClassesPassed, Field(discriminator="kind")]


class ReconstructionCriterion(Criterion):
    """A claim of the DR-KFS paper on reconstruction networks."""

    test: ReconstructionTest


class DemoPlan(Settings):
    """What the demo runs of the plan: the same with fewer shapes, steps, runs and views."""

    networks: list[str] = Field(min_length=1, description="architectures; other runs are left out")
    rendering: dict[str, Any] = Field({}, description="settings of `render.reconstruction` that differ")
    training: dict[str, Any] = Field({}, description="settings of `reconstruct.train` that differ, in all runs")
    evaluation: dict[str, Any] = Field({}, description="settings of `reconstruct.evaluate` that differ")

    @model_validator(mode="after")
    def _settings_are_known(self) -> DemoPlan:
        TrainSettings(**self.training)
        EvaluateSettings(**self.evaluation)
        return self


class ReconstructionPlan(Settings):
    """The reconstruction networks of the DR-KFS paper: all runs, tables, figures and claims."""

    settings: dict[str, Any] = Field({}, description="settings of `reconstruct.train` in all runs")
    further: dict[str, Any] = Field({}, description="settings besides, in runs that go on from another one")
    evaluation: dict[str, Any] = Field({}, description="settings of `reconstruct.evaluate` that differ")
    runs: dict[str, RunPlan]
    tables: dict[str, TablePlan]
    figures: dict[str, FigurePlan] = Field({}, description="figures by number")
    demo: DemoPlan
    criteria: list[ReconstructionCriterion] = Field([], description="acceptance criteria, in the order of the page")

    @model_validator(mode="after")
    def _names_are_known(self) -> ReconstructionPlan:
        TrainSettings(**self.settings)
        TrainSettings(**self.further)
        EvaluateSettings(**self.evaluation)
        for name, run in self.runs.items():
            others = [run.start] if run.start else []
            others += [run.pace.as_long_as, run.pace.by] if run.pace else []
            self._check(f"run {name}", others)
            if run.start and self.runs[run.start].network != run.network:
                raise ValueError(f"run {name}: it cannot go on from {run.start}, which is another network")
        for name, table in self.tables.items():
            runs = [other for row in table.rows for other in (row.run, row.than) if other]
            self._check(f"table {name}", runs, table.metrics)
        for name, figure in self.figures.items():
            self._check(f"figure {name}", [run for runs in figure.runs.values() for run in runs])
        for criterion in self.criteria:
            self._check(f"criterion {criterion.claim!r}", *_named_in(criterion.test))
        return self

    def _check(self, where: str, runs: Iterable[str], metrics: Iterable[str] = ()) -> None:
        unknown = {*runs} - {*self.runs} | {*metrics} - {*MEASURES}
        if unknown:
            raise ValueError(f"{where}: not known are {', '.join(sorted(unknown))}")


def _named_in(test: FiguresWon | InOrder | ClassesPassed) -> tuple[list[str], list[str]]:
    """The runs and the metrics that a test names."""
    match test:
        case FiguresWon():
            return [name for pair in test.pairs for name in (pair.run, pair.than)], test.metrics
        case InOrder():
            return test.runs, test.metrics
        case ClassesPassed():
            return [*test.runs, test.than], [test.metric]

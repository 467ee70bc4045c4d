"""The plan of the experiments: workflow/experiments.yaml, checked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import Settings
from liftnet.data.codes import Split
from liftnet.depth.settings import TrainSettings

METRICS = ("l1", "rmse", "rel_l1", "rel_sq", "rmse_affine")
Metric = Literal["l1", "rmse", "rel_l1", "rel_sq", "rmse_affine"]


class SetPlan(Settings):
    """A set of images with true depth."""

    title: str = Field(min_length=1, description="what tables call it")
    folder: str = Field(description="where it lies below the results")
    truth: str | None = Field(None, description="folder of its true depth below the results; the set's own if null")
    split: Split = Field("test", description="images on which it is measured")
    unit: Literal["half width", "cm"] = Field("half width", description="of its errors")


class RunPlan(Settings):
    """A model to train, or a prior."""

    train: str | None = Field(None, description="set it is trained on")
    method: str = Field("correspondences", description="`depth train --method`")
    targets: str | None = Field(None, description="folder of depth to regress, below the results")
    prior: str | None = Field(None, description="a prior in place of a trained model")
    settings: dict[str, Any] = Field({}, description="settings of `depth.train` that differ in this run")

    @model_validator(mode="after")
    def _one_of_both(self) -> RunPlan:
        if (self.train is None) == (self.prior is None):
            raise ValueError("a run has either a set it is trained on (train) or a prior")
        TrainSettings(**self.settings)
        return self


class RowPlan(Settings):
    """A row of a table, or a column of a table by class."""

    run: str = Field(description="name of the run")
    method: str = Field(description="what the table calls it")
    supervision: str = Field("", description="trained with")
    trained_on: str = Field("", description="training set in words")
    paper: dict[str, float | dict[Metric, float]] = Field(
        {}, description="the paper's figures: by set and metric, or by class"
    )


class TablePlan(Settings):
    """A table."""

    caption: str = Field(min_length=1, description="what it shows")
    layout: Literal["methods", "classes"] = Field("methods", description="a row a method, or a row a class")
    sets: list[str] = Field(min_length=1, description="sets it is measured on")
    metric: Metric = Field("rmse", description="the metric of a table by class")
    factor: float = Field(1.0, gt=0, description="errors are multiplied by this")
    reference: str | None = Field(None, description="run that the others are compared with, shape by shape")
    rows: list[RowPlan] = Field(min_length=1, description="its rows")


class FigurePlan(Settings):
    """A figure."""

    models: list[str] = Field(min_length=1, description="runs, best first")
    sets: list[str] = Field(min_length=1, description="sets whose images it shows")
    images: int = Field(1, ge=1, description="images of each set")


class Experiments(Settings):
    """All runs, tables and figures."""

    settings: dict[str, Any] = Field({}, description="settings of `depth.train` in all runs that do not say otherwise")
    sets: dict[str, SetPlan]
    runs: dict[str, RunPlan]
    tables: dict[str, TablePlan]
    figures: dict[str, FigurePlan] = Field({}, description="figures by number")

    @model_validator(mode="after")
    def _names_are_known(self) -> Experiments:
        TrainSettings(**self.settings)
        for name, run in self.runs.items():
            if run.train is not None and run.train not in self.sets:
                raise ValueError(f"run {name}: there is no set {run.train!r}")
        for name, table in self.tables.items():
            rows = {row.run for row in table.rows}
            self._check(f"table {name}", rows, table.sets)
            if table.reference not in {None, *rows}:
                raise ValueError(f"table {name}: its reference {table.reference!r} is no row of it")
        for name, figure in self.figures.items():
            self._check(f"figure {name}", figure.models, figure.sets)
        return self

    def _check(self, where: str, runs: Iterable[str], sets: Iterable[str]) -> None:
        unknown = {*runs} - {*self.runs} | {*sets} - {*self.sets}
        if unknown:
            raise ValueError(f"{where}: not known are {', '.join(sorted(unknown))}")

    def table(self, name: str) -> TablePlan:
        """The table of that name.

        Raises:
            LiftnetError: There is none.
        """
        if name not in self.tables:
            raise LiftnetError(f"--table {name}", "is not in the plan", f"Choose one of {', '.join(self.tables)}")
        return self.tables[name]


def read_plan(path: Path) -> Experiments:
    """Read and check the plan.

    Raises:
        LiftnetError: It is missing, is not YAML, or names what does not exist.
    """
    try:
        return Experiments(**yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise LiftnetError(path, "does not exist", "Name the plan of the experiments with --experiments") from error
    except (yaml.YAMLError, TypeError, ValidationError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise LiftnetError(path, f"is not a plan of experiments ({'; '.join(lines[:4])})", "Correct it") from error

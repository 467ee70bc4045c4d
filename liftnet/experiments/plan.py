"""The plans of the experiments of both papers: workflow/experiments/depth.yaml and drkfs.yaml, checked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from liftnet.core.documents import parse_own_yaml
from liftnet.core.errors import LiftnetError
from liftnet.core.opening import read_text
from liftnet.core.settings import Settings
from liftnet.data.codes import Split, split_or_itself
from liftnet.depth.settings import TrainSettings

METRICS = ("l1", "rmse", "rel_l1", "rel_sq", "rmse_affine")
Metric = Literal["l1", "rmse", "rel_l1", "rel_sq", "rmse_affine"]
Unit = Literal["half width", "cm"]


class SetPlan(Settings):
    """A set of images with true depth."""

    title: str = Field(min_length=1, description="what tables call it")
    folder: str = Field(description="where it lies below the results")
    truth: str | None = Field(None, description="folder of its true depth below the results; the set's own if null")
    split: Annotated[Split, BeforeValidator(split_or_itself)] = Field(
        "test", description="images on which it is measured"
    )
    unit: Unit = Field("half width", description="of its errors")


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
    layout: Literal["methods", "classes"] = Field("methods", description="one row per method, or one per class")
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


class LowerError(Settings):
    """A run has a lower RMSE than another one on a set."""

    kind: Literal["lower error"]
    run: str
    than: str
    set: str
    mean_of_classes: bool = Field(False, description="in the mean of the classes, not over images")
    decimals: int = 3


class SimilarError(Settings):
    """Two runs have about the same RMSE on a set."""

    kind: Literal["similar error"]
    run: str
    than: str
    set: str
    within: float = Field(0.03, gt=0, description="fraction of the error of `than`")
    decimals: int = 3


class ClassesWon(Settings):
    """A run has a lower RMSE than another one in most classes of a set."""

    kind: Literal["classes won"]
    run: str
    than: str
    set: str


class WorksFailed(Settings):
    """COLMAP fails for a fraction of the works: tables/sfm.csv."""

    kind: Literal["works failed"]


class ValidationLoss(Settings):
    """The validation loss of a model falls."""

    kind: Literal["validation loss"]
    model: str = Field(description="its folder below models/")


class Segmentation(Settings):
    """IoU and accuracy of the segmenter: tables/segmentation_truth.csv."""

    kind: Literal["segmentation"]


class CorrespondencesPerPair(Settings):
    """Correspondences per pair: tables/statistics.csv."""

    kind: Literal["correspondences per pair"]


class StructureOverEdits(Settings):
    """An edit of a chair is more than a lost leg to one metric, at the same strength less to another."""

    kind: Literal["structure over edits"]
    spatial: str
    visual: str
    edits: list[str] = Field(min_length=1)


class DeletionCosts(Settings):
    """Deleting bars costs a loss more, or less, than moving them."""

    kind: Literal["deletion costs"]
    loss: str
    more: bool


class BetterLoss(Settings):
    """A mesh fitted by one loss is nearer to its target than by another, in the mean over targets."""

    kind: Literal["better loss"]
    loss: str
    than: str
    metrics: list[str] = Field(min_length=1)


class ScoreFalls(Settings):
    """The score of a fit falls."""

    kind: Literal["score falls"]


DepthTest = Annotated[
    LowerError | SimilarError | ClassesWon | WorksFailed | ValidationLoss | Segmentation | CorrespondencesPerPair,
    Field(discriminator="kind"),
]
DrkfsTest = Annotated[
    StructureOverEdits | DeletionCosts | BetterLoss | ScoreFalls,
    Field(discriminator="kind"),
]


class Criterion(Settings):
    """An acceptance criterion: a claim of the paper, its figure, how ours is found, what there is to say."""

    claim: str = Field(min_length=1, description="the claim in words")
    paper: str = Field(min_length=1, description="the paper's figure")
    why: str = Field("", description="what there is to say")


class DepthCriterion(Criterion):
    """A claim of the LiftNet paper."""

    test: DepthTest


class DrkfsCriterion(Criterion):
    """A claim of the DR-KFS paper."""

    test: DrkfsTest


class DepthPlan(Settings):
    """The LiftNet paper: all runs, tables, figures and claims."""

    settings: dict[str, Any] = Field({}, description="settings of `depth.train` in all runs that do not say otherwise")
    sets: dict[str, SetPlan]
    runs: dict[str, RunPlan]
    tables: dict[str, TablePlan]
    figures: dict[str, FigurePlan] = Field({}, description="figures by number")
    criteria: list[DepthCriterion] = Field([], description="acceptance criteria, in the order of the page")

    @model_validator(mode="after")
    def _names_are_known(self) -> DepthPlan:
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
        for criterion in self.criteria:
            test = criterion.test
            if isinstance(test, LowerError | SimilarError | ClassesWon):
                self._check(f"criterion {criterion.claim!r}", [test.run, test.than], [test.set])
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


class EditedRow(Settings):
    """A row of Figure 2: edited chairs, and the distances in space whose bars stand beside those of visual metrics."""

    edits: list[str] = Field(min_length=2, max_length=2)
    spatial: list[str] = Field(min_length=1, max_length=2)


class LegsPlan(Settings):
    """Figure 2: legs of a chair edited, and one removed."""

    figure: list[EditedRow] = Field(min_length=1, description="its rows")


class BarsPlan(Settings):
    """Figure 6 and Table 5: bars of a chair moved and deleted."""

    widths: list[float] = Field(min_length=1, description="of the bars, of about the chair's height")
    views: list[tuple[float, float]] = Field(min_length=1, description="azimuth and elevation, degrees")
    sizes: list[int] = Field(min_length=1, description="of the images, px")
    paper: dict[str, tuple[float, float, float]] = Field(description="its rows: shift up, shift down, deletion")
    rows: dict[str, str] = Field(description="our losses, by the paper's row that each stands for")


class LossPlan(Settings):
    """A loss on the views of a mesh."""

    images: Literal["silhouettes", "shaded"] = Field(description="what is rendered")
    compared_by: Literal["similarity", "pixels"] = Field(description="DR-KFS, or mean squared error of pixels")
    paper_lfd: int | None = Field(None, description="LFD of the paper's shape generator trained by it (Table 4)")
    paper_shape_google: float | None = Field(None, description="its distance by Shape Google")


class FitsPlan(Settings):
    """Table 4 and a sequence: a sphere turned into targets by losses on its views."""

    losses: dict[str, LossPlan] = Field(min_length=1, description="losses by title, in the order of the table")
    followed: list[str] = Field(min_length=1, description="losses whose fit to the first target is shown step by step")


class DrkfsPlan(Settings):
    """The DR-KFS paper, as far as it needs no reconstruction network."""

    experiments: list[Literal["legs", "bars", "shading", "sphere"]] = Field(description="what is run")
    legs: LegsPlan
    bars: BarsPlan
    fits: FitsPlan
    criteria: list[DrkfsCriterion] = Field([], description="acceptance criteria, in the order of the page")

    @model_validator(mode="after")
    def _names_are_known(self) -> DrkfsPlan:
        unknown = {*self.bars.rows.values()} - {*self.bars.paper} | {*self.fits.followed} - {*self.fits.losses}
        if unknown:
            raise ValueError(f"not known are {', '.join(sorted(unknown))}")
        return self


Plan = TypeVar("Plan", bound=Settings)


def read_plan(path: Path, kind: type[Plan]) -> Plan:
    """Read and check a plan.

    Raises:
        LiftnetError: It is missing, is not YAML, or names what does not exist.
    """
    try:
        return kind(**parse_own_yaml(read_text(path)))
    except FileNotFoundError as error:
        raise LiftnetError(path, "does not exist", "Name the plan of the experiments with --plan") from error
    except (OSError, UnicodeError, yaml.YAMLError, TypeError, ValidationError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise LiftnetError(path, f"is not a plan of experiments ({'; '.join(lines[:4])})", "Correct it") from error

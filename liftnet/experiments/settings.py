"""Settings of the papers' experiments: how often, how large; what they consist of stands in their plans."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from liftnet.core.settings import OneOf, Settings, UserPath
from liftnet.drkfs.settings import MetricSettings
from liftnet.shape.settings import METRIC_NAMES


class DepthExperimentSettings(Settings):
    """How often and with what settings the experiments of the LiftNet paper are run."""

    seeds: int = Field(3, ge=1, le=100, description="trainings of each run, with the seeds seed, seed + 1, ...")
    overrides: dict[str, dict[str, Any]] = Field(
        {},
        description="settings of `depth.train` that differ, by training set or run: {sketchfab: {optimiser: "
        "{learning_rate: 0.001}}}",
    )
    scans: UserPath | None = Field(
        None, description="folder of a rendered set of real meshes on which Table 4 is measured as well"
    )


class EditSettings(Settings):
    """Chairs of which legs and backs are edited."""

    strengths: list[float] = Field(
        [0.05, 0.1, 0.2, 0.4],
        min_length=1,
        description="how much legs and backs are changed, fractions of their size; the second least is drawn",
    )
    close_views: int = Field(
        3, ge=0, le=1000, description="views in which DR-KFS is also computed with patches 4 px apart; 0: none"
    )


class TargetSettings(Settings):
    """What meshes are fitted to."""

    path: UserPath | None = Field(None, description="a mesh, or a folder of meshes; null: generated shapes")
    up: Literal["y", "z"] = Field("y", description="the axis that points up in them")
    count: int = Field(3, ge=1, le=1000, description="max. number of targets")


class FitSettings(Settings):
    """How a sphere is turned into a target."""

    sizes: list[int] = Field(
        [64, 64, 96], min_length=1, description="side of the views, px, in stages: coarse to fine"
    )
    sigmas: list[float] = Field(
        [1e-3, 3e-4, 1e-4], min_length=1, description="softness of edges in these stages, which are equally long"
    )
    stride: int = Field(
        8, ge=1, le=32, description="distance of patches, px (paper: 16); a coarse one gives no direction"
    )
    steps: int = Field(120, ge=1, le=1_000_000, description="steps of a fit")
    views: int = Field(6, ge=1, le=1000, description="views in a step, drawn in rotation")
    frequency: int = Field(11, ge=1, le=20, description="fineness n of the sphere: 20 n^2 faces")
    rate: float = Field(0.04, gt=0, le=100, description="longest step of the smooth coordinates at first")
    smoothness: float = Field(15.0, ge=0, le=10_000, description="weight of the Laplacian in these coordinates")

    @model_validator(mode="after")
    def _stages_have_size_and_sigma(self) -> Self:
        if len(self.sizes) != len(self.sigmas):
            raise ValueError(
                f"{len(self.sizes)} sizes and {len(self.sigmas)} sigmas were given; give one of each per stage"
            )
        return self


class DrkfsExperimentSettings(Settings):
    """The experiments of the DR-KFS paper that need no reconstruction network."""

    metrics: list[Annotated[str, OneOf(METRIC_NAMES)]] = Field(
        ["chamfer_l1", "chamfer_l2", "iou", "f_score", "normal_consistency", "lfd", "shape_google"],
        description="metrics beside DR-KFS, by their names in liftnet.shape.metrics",
    )
    chairs: int = Field(4, ge=1, le=1000, description="generated chairs in legs and bars")
    shift_px: int = Field(5, ge=1, le=100, description="bars: how far the bars move up and down, px (paper: 5)")
    legs: EditSettings = Field(EditSettings(), description="edits of chairs")
    targets: TargetSettings = Field(TargetSettings(), description="shading and sphere: what meshes are fitted to")
    fit: FitSettings = Field(FitSettings(), description="shading and sphere: how meshes are fitted")


class ReconstructionExperimentSettings(Settings):
    """How often and with what settings the reconstruction networks of the DR-KFS paper are trained."""

    seeds: int = Field(1, ge=1, le=100, description="trainings of each run, with the seeds seed, seed + 1, ...")
    overrides: dict[str, dict[str, Any]] = Field(
        {},
        description="settings of `reconstruct.train` that differ, by network or run: {ogn: {optimiser: "
        "{learning_rate: 0.001}}}",
    )


class ExperimentsSettings(Settings):
    """The experiments of both papers."""

    plans: str = Field(
        "workflow/experiments",
        min_length=1,
        description="folder of the plans (runs, tables, figures): depth.yaml, drkfs.yaml, reconstruction.yaml",
    )
    depth: DepthExperimentSettings = Field(DepthExperimentSettings(), description="of the LiftNet paper")
    drkfs: DrkfsExperimentSettings = Field(DrkfsExperimentSettings(), description="of the DR-KFS paper")
    reconstruction: ReconstructionExperimentSettings = Field(
        ReconstructionExperimentSettings(), description="reconstruction networks of the DR-KFS paper"
    )


class DrkfsCommandSettings(Settings):
    """What an experiment of the DR-KFS paper depends on."""

    metric: MetricSettings = Field(MetricSettings(), description="how two shapes are compared")
    drkfs: DrkfsExperimentSettings = Field(DrkfsExperimentSettings(), description="the experiments")

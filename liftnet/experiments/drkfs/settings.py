"""Settings of the experiments of the DR-KFS paper."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.core.settings import Settings
from liftnet.drkfs.settings import MetricSettings
from liftnet.shape.settings import STANDARD_METRICS


class ShapeExperimentSettings(Settings):
    """The experiments of the DR-KFS paper that need no reconstruction network."""

    metrics: list[str] = Field(
        [*STANDARD_METRICS, "shape_google"],
        description="metrics beside DR-KFS, by their names in liftnet.shape.metrics",
    )
    chairs: int = Field(4, ge=1, le=1000, description="generated chairs in legs and bars")
    strengths: list[float] = Field(
        [0.05, 0.1, 0.2, 0.4],
        min_length=1,
        description="legs: how much legs and backs are changed, shares of their size; the second least is drawn",
    )
    close_views: int = Field(
        3, ge=0, le=1000, description="legs: views in which DR-KFS is also computed with patches 4 px apart; 0: none"
    )
    shift_px: int = Field(5, ge=1, le=100, description="bars: how far the bars move up and down, px (paper: 5)")
    targets: str | None = Field(
        None, description="shading and sphere: a mesh, or a folder of meshes, to aim for; null: generated shapes"
    )
    targets_up: Literal["y", "z"] = Field("y", description="shading and sphere: the axis that points up in targets")
    target_count: int = Field(3, ge=1, le=1000, description="shading: at most so many targets")
    fit_sizes: list[int] = Field(
        [64, 64, 96],
        min_length=1,
        description="side of the views that a mesh is fitted to, px, in stages: coarse to fine",
    )
    fit_sigmas: list[float] = Field(
        [1e-3, 3e-4, 1e-4], min_length=1, description="softness of edges in these stages, which are equally long"
    )
    fit_stride: int = Field(
        8, ge=1, le=32, description="distance of patches in a fit, px (paper: 16); a coarse one gives no direction"
    )
    fit_steps: int = Field(120, ge=1, le=1_000_000, description="steps of a fit")
    fit_views: int = Field(6, ge=1, le=1000, description="views in a step of a fit, drawn in rotation")
    fit_frequency: int = Field(11, ge=1, le=20, description="fineness n of the sphere: 20 n^2 faces")
    fit_rate: float = Field(0.04, gt=0, le=100, description="longest step of the smooth coordinates at first")
    fit_smoothness: float = Field(15.0, ge=0, le=10_000, description="weight of the Laplacian in these coordinates")


class ExperimentCommandSettings(Settings):
    """What `drkfs experiment` is told."""

    metric: MetricSettings = Field(MetricSettings(), description="DR-KFS")
    drkfs: ShapeExperimentSettings = Field(ShapeExperimentSettings(), description="the experiments")

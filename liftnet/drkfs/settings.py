"""Settings of the drkfs stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.io.settings import Settings


class DrkfsSettings(Settings):
    """How two shapes are rendered and compared."""

    image_size: int = Field(256, ge=32, le=2048, multiple_of=16, description="side of the rendered views, px")
    views: int = Field(25, ge=1, le=1000, description="cameras on the half sphere")
    sigma: float = Field(
        1e-5, gt=0, le=1, description="softness of edges: squared image distance, image spans [-1, 1]"
    )
    gamma: float = Field(1e-4, gt=0, le=1, description="softness of depth, share of the distance from near to far")
    neighbourhood: int = Field(1, ge=0, le=7, description="patches that a match may lie away, in strides of 16 px")


METRIC = tuple(DrkfsSettings.model_fields)


class LearningSettings(Settings):
    """How the detector of points of interest and the patch descriptor are trained."""

    patch_scale: float = Field(
        20.0, gt=1, le=200, description="side of a descriptor's patch, standard deviations of the point's blur"
    )
    descriptor_steps: int = Field(1200, ge=1, description="steps of HardNet (published: about 49,000)")
    descriptor_batch: int = Field(512, ge=2, le=8192, description="points in a step of HardNet (published: 1,024)")
    descriptor_learning_rate: float = Field(
        10.0, gt=0, le=100, description="HardNet's learning rate at first; it falls linearly to 0 (published: 10)"
    )
    descriptor_precision: Literal["float32", "bfloat16"] = Field(
        "bfloat16",
        description="of HardNet's convolutions in training: bfloat16 is 1.8 times faster where it is built in",
    )
    descriptor_validate_every: int = Field(100, ge=1, description="steps of HardNet between two validations")


class ShapeExperimentSettings(Settings):
    """The experiments of the DR-KFS paper that need no reconstruction network."""

    experiment_size: int = Field(
        128,
        ge=32,
        le=2048,
        multiple_of=16,
        description="side of views where many shapes are compared, px (paper: 256)",
    )
    chairs: int = Field(6, ge=1, le=1000, description="generated chairs in legs and bars")
    strengths: list[float] = Field(
        [0.1, 0.2, 0.3, 0.5],
        min_length=1,
        description="legs: how much legs and backs are changed, shares of their size; the third or last is drawn",
    )
    shift_px: int = Field(5, ge=1, le=100, description="bars: how far the bars move up and down, px (paper: 5)")
    targets: str | None = Field(
        None, description="shading and sphere: a mesh, or a folder of meshes, to aim for; null: generated shapes"
    )
    targets_up: Literal["y", "z"] = Field("y", description="shading and sphere: the axis that points up in targets")
    target_count: int = Field(3, ge=1, le=1000, description="shading: at most so many targets")
    target_faces: int = Field(5000, ge=100, description="shading and sphere: targets are reduced to so many faces")
    fit_size: int = Field(
        128, ge=32, le=2048, multiple_of=16, description="side of views that a mesh is fitted to, px"
    )
    fit_steps: int = Field(120, ge=1, le=1_000_000, description="steps of a fit")
    fit_views: int = Field(3, ge=1, le=1000, description="views in a step of a fit, drawn in rotation")
    fit_frequency: int = Field(11, ge=1, le=20, description="fineness n of the sphere: 20 n^2 faces")
    fit_rate: float = Field(0.2, gt=0, le=100, description="longest step of the smooth coordinates at first")
    fit_smoothness: float = Field(15.0, ge=0, le=10_000, description="weight of the Laplacian in these coordinates")
    fit_sigmas: list[float] = Field(
        [3e-4, 4e-5], min_length=1, description="softness of edges, in stages of equal length: coarse to fine"
    )


EXPERIMENTS = tuple(ShapeExperimentSettings.model_fields)

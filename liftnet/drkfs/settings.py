"""Settings of the drkfs stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.core.settings import Settings
from liftnet.shape.mvcnn.settings import MvcnnSettings
from liftnet.shape.settings import ComparisonSettings
from liftnet.shape.shape_google.settings import GoogleSettings


class DrkfsSettings(Settings):
    """How two shapes are rendered and compared."""

    image_size: int = Field(256, ge=32, le=2048, multiple_of=16, description="side of the rendered views, px")
    views: int = Field(25, ge=1, le=1000, description="cameras on the hemisphere")
    camera_distance: float = Field(
        2.0, gt=1.5, le=50, description="of the cameras from the middle of a shape, whose radius is 0.5"
    )
    half_angle: float = Field(15.0, gt=0, lt=90, description="half the viewing angle, degrees")
    lowest_elevation: float = Field(
        0.0, ge=-90, lt=90, description="degrees above the ground of the lower edge of the band that cameras fill"
    )
    sigma: float = Field(
        1e-5, gt=0, le=1, description="softness of edges: squared image distance, image spans [-1, 1]"
    )
    gamma: float = Field(1e-4, gt=0, le=1, description="softness of depth, share of the distance from near to far")
    stride: int = Field(16, ge=1, le=32, description="distance of neighbouring patches of 32 px, px (paper: 16)")
    neighbourhood: int = Field(1, ge=0, le=32, description="rows and columns of patches that a match may lie away")
    detector: str | None = Field(
        None, description="weights of the detector of points (.safetensors, .pth); null: those of the package"
    )
    descriptor: Literal["hardnet", "hardtfeat"] = Field("hardnet", description="what describes patches")
    descriptor_weights: str | None = Field(
        None, description="its weights (.safetensors, .pth); null: HardNet's of the package"
    )
    descriptor_sha256: str | None = Field(
        None, pattern="^[0-9a-fA-F]{64}$", description="SHA-256 that this file must have; null: not checked"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the descriptor; bfloat16 is faster where it is built in, and the score less exact"
    )
    shaded: bool = Field(True, description="compare shaded views; otherwise silhouettes")


METRIC = tuple(DrkfsSettings.model_fields)


class ShapeScoreSettings(ComparisonSettings):
    """What `drkfs score` measures besides DR-KFS, and how."""

    metrics: list[str] = Field(
        ["drkfs", "chamfer_l1", "chamfer_l2", "f_score", "normal_consistency", "iou", "lfd"],
        min_length=1,
        description="what is measured, in this order: drkfs, and the metrics of liftnet.shape.metrics",
    )


class ScoreSettings(DrkfsSettings, ShapeScoreSettings):
    """How `drkfs score` compares shapes."""


class ScoreRunSettings(ShapeScoreSettings):
    """The same in a configuration, with the shapes to compare."""

    shapes: str | None = Field(None, description="meshes to score: a file or a folder; null: none are")
    shape_targets: str | None = Field(
        None, description="what they should look like: a file, or a folder of their names"
    )
    shapes_up: Literal["y", "z"] = Field("y", description="the axis that points up in both")


class LearningSettings(Settings):
    """How the detector of points of interest and the patch descriptor are trained."""

    patch_scale: float = Field(
        20.0, gt=1, le=200, description="side of a descriptor's patch, standard deviations of the point's blur"
    )
    descriptor_steps: int = Field(320, ge=1, description="steps of HardNet (published: about 49,000)")
    descriptor_batch: int = Field(512, ge=2, le=8192, description="points in a step of HardNet (published: 1,024)")
    descriptor_learning_rate: float = Field(
        5.0, gt=0, le=100, description="HardNet's learning rate at first, falling linearly to 0 (published: 10)"
    )
    descriptor_precision: Literal["float32", "bfloat16"] = Field(
        "bfloat16",
        description="of HardNet's convolutions in training: bfloat16 is about twice as fast where it is built in",
    )
    descriptor_validate_every: int = Field(40, ge=1, description="steps of HardNet between two validations")
    point_scale: float = Field(
        24.0, gt=1, le=200, description="side of a detector's patch of 48 px, standard deviations of the point's blur"
    )
    detector_points: int = Field(12_000, ge=4, description="points at most that the detector learns from")
    detector_steps: int = Field(1000, ge=1, description="steps of the detector")
    detector_batch: int = Field(64, ge=1, le=4096, description="quadruplets of patches in a step of the detector")
    detector_learning_rate: float = Field(
        0.003, gt=0, le=1, description="the detector's learning rate (Adam) at first, falling linearly to 0"
    )
    detector_position_weight: float = Field(
        1.0, ge=0, le=1000, description="weight of the detector firing at one place of a point in both its patches"
    )
    detector_validate_every: int = Field(200, ge=1, description="steps of the detector between two validations")


DETECTOR_LEARNING = tuple(name for name in LearningSettings.model_fields if name.startswith(("detector", "point")))
DESCRIPTOR_LEARNING = tuple(name for name in LearningSettings.model_fields if name not in DETECTOR_LEARNING)


class ShapeExperimentSettings(Settings):
    """The experiments of the DR-KFS paper that need no reconstruction network."""

    metrics: list[str] = Field(
        ["chamfer_l1", "chamfer_l2", "iou", "f_score", "normal_consistency", "lfd", "shape_google"],
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


EXPERIMENTS = tuple(ShapeExperimentSettings.model_fields)


class ShapeDescriptorSettings(GoogleSettings, MvcnnSettings):
    """The learnt descriptors of shapes that DR-KFS is compared with."""

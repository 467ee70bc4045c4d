"""Settings of the drkfs stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.core.settings import Settings, UserPath
from liftnet.learn.settings import OptimiserSettings, TrainingSettings
from liftnet.shape.settings import STANDARD_METRICS, ComparisonSettings, Metric, MvcnnSettings, ShapeGoogleSettings


class MetricSettings(Settings):
    """How DR-KFS renders and compares two shapes."""

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
    gamma: float = Field(1e-4, gt=0, le=1, description="softness of depth, fraction of the distance from near to far")
    stride: int = Field(16, ge=1, le=32, description="distance of neighbouring patches of 32 px, px (paper: 16)")
    neighbourhood: int = Field(1, ge=0, le=32, description="rows and columns of patches that a match may lie away")
    detector: UserPath | None = Field(
        None, description="weights of the detector of points (.safetensors, .pth); null: those of the package"
    )
    descriptor: Literal["hardnet", "hardtfeat"] = Field("hardnet", description="what describes patches")
    descriptor_weights: UserPath | None = Field(
        None, description="its weights (.safetensors, .pth); null: HardNet's of the package"
    )
    descriptor_sha256: str | None = Field(
        None, pattern="^[0-9a-fA-F]{64}$", description="SHA-256 that this file must have; null: not checked"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the descriptor; bfloat16 is faster where it is built in, and the score less exact"
    )
    shaded: bool = Field(True, description="compare shaded views; otherwise silhouettes")


class ScoreSettings(ComparisonSettings):
    """What is measured of two shapes, and how."""

    metrics: list[Metric] = Field(
        ["drkfs", *STANDARD_METRICS],
        min_length=1,
        description="what is measured, in this order: drkfs, and the metrics of liftnet.shape.metrics",
    )


class ScoreCommandSettings(Settings):
    """What `drkfs score` is told."""

    metric: MetricSettings = Field(MetricSettings(), description="DR-KFS")
    score: ScoreSettings = Field(ScoreSettings(), description="what is measured besides, and how")


class DetectorOptimiserSettings(OptimiserSettings, defaults={"learning_rate": 0.003}):
    """How the detector's weights follow the gradient."""


class DetectorTrainSettings(
    TrainingSettings, defaults={"batch_size": 64, "validate_every": 200, "channels_last": False}
):
    """How long the detector is trained; a batch holds quadruplets of patches."""

    optimiser: DetectorOptimiserSettings = Field(
        DetectorOptimiserSettings(), description="how the weights follow the gradient"
    )


class DetectorSettings(Settings):
    """What the detector of points of interest learns from, and how."""

    points: int = Field(12_000, ge=4, description="points at most that it learns from")
    patch_scale: float = Field(
        24.0, gt=1, le=200, description="side of its patches of 48 px, standard deviations of the point's blur"
    )
    position_weight: float = Field(
        1.0, ge=0, le=1000, description="weight of firing at one place of a point in both its patches"
    )
    train: DetectorTrainSettings = Field(DetectorTrainSettings(), description="its training")


class DescriptorOptimiserSettings(
    OptimiserSettings,
    defaults={"name": "sgd", "learning_rate": 5.0, "dampening": 0.9, "weight_decay": 1e-4},
):
    """How HardNet's weights follow the gradient (published: the same from a learning rate of 10)."""


class DescriptorTrainSettings(
    TrainingSettings,
    defaults={
        "iterations": 320,
        "batch_size": 512,
        "validate_every": 40,
        "precision": "bfloat16",
        "channels_last": False,
    },
):
    """How long HardNet is trained (published: about 49,000 steps of 1,024 points)."""

    optimiser: DescriptorOptimiserSettings = Field(
        DescriptorOptimiserSettings(), description="how the weights follow the gradient"
    )


class DescriptorSettings(Settings):
    """What the patch descriptor HardNet learns from, and how."""

    patch_scale: float = Field(
        20.0, gt=1, le=200, description="side of its patches, standard deviations of the point's blur"
    )
    train: DescriptorTrainSettings = Field(DescriptorTrainSettings(), description="its training")


class DrkfsSettings(Settings):
    """Everything about DR-KFS."""

    shapes: UserPath | None = Field(None, description="meshes to score: a file or a folder; null: none are")
    shape_targets: UserPath | None = Field(
        None, description="what they should look like: a file, or a folder of their names"
    )
    shapes_up: Literal["y", "z"] = Field("y", description="the axis that points up in both")
    metric: MetricSettings = Field(MetricSettings(), description="the similarity itself")
    score: ScoreSettings = Field(ScoreSettings(), description="what is measured of shapes and their targets")
    detector: DetectorSettings = Field(DetectorSettings(), description="training of the detector of points")
    descriptor: DescriptorSettings = Field(DescriptorSettings(), description="training of HardNet")
    mvcnn: MvcnnSettings = Field(MvcnnSettings(), description="training of MVCNN")
    shape_google: ShapeGoogleSettings = Field(ShapeGoogleSettings(), description="the words of Shape Google")

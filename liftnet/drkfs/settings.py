"""Settings of the drkfs stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.core.settings import Settings
from liftnet.shape.mvcnn.settings import MvcnnSettings
from liftnet.shape.settings import STANDARD_METRICS, ComparisonSettings
from liftnet.shape.shape_google.settings import ShapeGoogleSettings


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


class ScoreSettings(ComparisonSettings):
    """What is measured of two shapes, and how."""

    metrics: list[str] = Field(
        ["drkfs", *STANDARD_METRICS],
        min_length=1,
        description="what is measured, in this order: drkfs, and the metrics of liftnet.shape.metrics",
    )


class ScoreCommandSettings(Settings):
    """What `drkfs score` is told."""

    metric: MetricSettings = Field(MetricSettings(), description="DR-KFS")
    score: ScoreSettings = Field(ScoreSettings(), description="what is measured besides, and how")


class DetectorTrainingSettings(Settings):
    """What decides the detector's weights, beside the patches it is shown."""

    steps: int = Field(1000, ge=1, description="steps")
    batch: int = Field(64, ge=1, le=4096, description="quadruplets of patches in a step")
    learning_rate: float = Field(0.003, gt=0, le=1, description="learning rate (Adam) at first, falling linearly to 0")
    position_weight: float = Field(
        1.0, ge=0, le=1000, description="weight of firing at one place of a point in both its patches"
    )


class DetectorSettings(Settings):
    """How the detector of points of interest is trained."""

    points: int = Field(12_000, ge=4, description="points at most that it learns from")
    patch_scale: float = Field(
        24.0, gt=1, le=200, description="side of its patches of 48 px, standard deviations of the point's blur"
    )
    training: DetectorTrainingSettings = Field(DetectorTrainingSettings(), description="what decides its weights")
    validate_every: int = Field(200, ge=1, description="steps between two validations")


class DescriptorTrainingSettings(Settings):
    """What decides HardNet's weights, beside the patches it is shown."""

    steps: int = Field(320, ge=1, description="steps (published: about 49,000)")
    batch: int = Field(512, ge=2, le=8192, description="points in a step (published: 1,024)")
    learning_rate: float = Field(
        5.0, gt=0, le=100, description="learning rate at first, falling linearly to 0 (published: 10)"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="of the convolutions: bfloat16 is about twice as fast where it is built in"
    )


class DescriptorSettings(Settings):
    """How the patch descriptor HardNet is trained."""

    patch_scale: float = Field(
        20.0, gt=1, le=200, description="side of its patches, standard deviations of the point's blur"
    )
    training: DescriptorTrainingSettings = Field(DescriptorTrainingSettings(), description="what decides its weights")
    validate_every: int = Field(40, ge=1, description="steps between two validations")


class DrkfsSettings(Settings):
    """Everything about DR-KFS."""

    shapes: str | None = Field(None, description="meshes to score: a file or a folder; null: none are")
    shape_targets: str | None = Field(
        None, description="what they should look like: a file, or a folder of their names"
    )
    shapes_up: Literal["y", "z"] = Field("y", description="the axis that points up in both")
    metric: MetricSettings = Field(MetricSettings(), description="the similarity itself")
    score: ScoreSettings = Field(ScoreSettings(), description="what is measured of shapes and their targets")
    detector: DetectorSettings = Field(DetectorSettings(), description="training of the detector of points")
    descriptor: DescriptorSettings = Field(DescriptorSettings(), description="training of HardNet")
    mvcnn: MvcnnSettings = Field(MvcnnSettings(), description="training of MVCNN")
    shape_google: ShapeGoogleSettings = Field(ShapeGoogleSettings(), description="the words of Shape Google")

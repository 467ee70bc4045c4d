"""Settings of the metrics between shapes and of the descriptors of whole shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from liftnet.core.settings import OneOf, Settings, UserPath, names_given_to

STANDARD_METRICS = ("chamfer_l1", "chamfer_l2", "f_score", "normal_consistency", "iou", "lfd")
"""What is measured where nobody chooses."""
METRIC_NAMES = names_given_to("shape_metric", Path(__file__).with_name("metrics.py"))
Metric = Annotated[str, OneOf(("drkfs", *METRIC_NAMES))]
"""What can be measured of two shapes: a metric of `liftnet.shape.metrics`, or DR-KFS."""


class ComparisonSettings(Settings):
    """How two shapes are placed, sampled and compared."""

    align: Literal["none", "target", "each", "yaw", "icp"] = Field(
        "target", description="how a shape is laid onto its target (liftnet.shape.alignment)"
    )
    size: Literal["side", "sphere"] = Field(
        "side", description="what is normalised: the longest side to 1, or the farthest vertex to .5 from the middle"
    )
    turns: int = Field(36, ge=1, le=3600, description="turns about the upright axis that `yaw` and `icp` try")
    points: int = Field(100_000, ge=1, le=10_000_000, description="points drawn from each surface")
    emd_points: int = Field(1024, ge=1, le=10_000, description="points of the earth mover's distance")
    f_threshold: float = Field(
        0.01, gt=0, description="distance below which a point is right, after placing; f_score_2: twice this"
    )
    voxels: int = Field(32, ge=1, le=512, description="voxels a side of the cube for intersection over union")
    vocabulary: UserPath | None = Field(
        None, description="geometric words of Shape Google (vocabulary.safetensors); null: those of the package"
    )
    mvcnn: UserPath | None = Field(None, description="trained MVCNN, its folder or file; null leaves the metric out")


class ViewSettings(Settings):
    """What MVCNN sees of a shape, and with what."""

    backbone: Literal["efficientnet_lite0", "vgg11"] = Field(
        "efficientnet_lite0", description="network that sees each view (paper: a VGG)"
    )
    views: int = Field(12, ge=1, le=100, description="views around a shape (paper: 12)")
    elevation: float = Field(30.0, ge=-89, le=89, description="elevation of these views, degrees (paper: 30)")
    image_size: int = Field(112, ge=32, le=1024, multiple_of=16, description="side of a view, px (paper: 224)")


class MvcnnNetworkSettings(ViewSettings):
    """What a trained MVCNN is."""

    classes: list[str] = Field(["none"], min_length=1, description="names of its classes")


class MvcnnSettings(ViewSettings):
    """Which network sees which views, and how it is trained."""

    init_from: list[UserPath] = Field(
        ["imagenet"],
        description="weights that the network starts from, the first that can be had: imagenet, or a file; [] is "
        "random",
    )
    single_epochs: int = Field(
        5, ge=0, le=1000, description="epochs of the first stage, views one by one (published code: 30)"
    )
    multi_epochs: int = Field(
        5, ge=0, le=1000, description="epochs of the second stage, views together (published code: 30)"
    )
    batch_size: int = Field(8, ge=2, le=1024, description="shapes in a step (published code: 8)")
    step_views: int = Field(
        4, ge=1, le=100, description="views of a shape in a step, drawn at random (published code: all)"
    )
    learning_rate: float = Field(
        3e-4, gt=0, le=1, description="Adam's rate at first; a cosine takes it to 0 (published code: 5e-5)"
    )
    weight_decay: float = Field(1e-3, ge=0, le=1, description="weight decay (published code: 1e-3)")


class ShapeGoogleSettings(Settings):
    """How signatures are computed and geometric words are learnt."""

    words: int = Field(48, ge=2, le=10_000, description="geometric words (paper: 48)")
    surface: Literal["points", "mesh"] = Field(
        "points", description="where heat flows: between points drawn from the surface, or along the mesh (paper)"
    )
    points: int = Field(2000, ge=100, le=100_000, description="points drawn from a surface")
    eigenpairs: int = Field(200, ge=8, le=2000, description="eigenfunctions of the Laplacian (paper: 200)")
    times: int = Field(6, ge=1, le=100, description="times of the heat kernel signature (paper: 6)")
    first_time: float = Field(0.015, gt=0, le=1, description="first of these times, in units of the area")
    last_time: float = Field(0.06, gt=0, le=10, description="last of them (paper: 4 times the first)")
    softness: float = Field(
        2.0, gt=0, le=100, description="width of a word, in median radii of the clusters (paper: 2)"
    )

"""Settings of the reconstruct stage: those that decide a trained model are the one group `TrainSettings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from liftnet.core.devices import Precision
from liftnet.core.settings import OneOf, Settings, UserPath, module_names
from liftnet.drkfs import MetricSettings
from liftnet.learn.settings import OptimiserSettings, TrainingSettings
from liftnet.models.reconstruction_networks import NetworkSettings
from liftnet.reconstruct.study.settings import StudySettings
from liftnet.shape.settings import ComparisonSettings, Metric

LOSSES = module_names(Path(__file__).parent / "objectives")
LossName = Annotated[str, OneOf(LOSSES)]
Weight = Annotated[float, Field(gt=0, le=1e6)]


class RenderingSettings(Settings):
    """How losses that compare renderings see shapes: from the 25 views of DR-KFS's hemisphere."""

    image_size: int = Field(64, ge=32, le=1024, multiple_of=16, description="side of the rendered views, px")
    views: int = Field(
        2,
        ge=1,
        le=25,
        description="views drawn at random in each step, the same for all its shapes; the sum is scaled",
    )
    sigma: float = Field(
        3e-4, gt=0, le=1, description="DR-KFS: softness of edges, squared image distance; grows with the pixel"
    )
    stride: int = Field(16, ge=1, le=32, description="DR-KFS: distance of neighbouring patches of 32 px, px")
    shaded: bool = Field(True, description="DR-KFS: compare shaded views; otherwise silhouettes")
    precision: Precision = Field(
        "float32",
        description="DR-KFS: of its descriptor; bfloat16 is faster where built in, gradients turn by 2 degrees",
    )


class ReconstructionOptimiserSettings(
    OptimiserSettings,
    defaults={"learning_rate": 5e-4, "schedule": "cosine", "warm_up_fraction": 0.05, "clip_norm": 1.0},
):
    """Adam with one cycle of the learning rate."""


class TrainSettings(TrainingSettings, defaults={"iterations": 2000, "validate_every": 200, "channels_last": False}):
    """What decides a trained model, but for `tensorboard`."""

    network: NetworkSettings = Field(NetworkSettings(), description="what the network is")
    losses: dict[LossName, Weight] = Field(
        {}, description="what is minimised: names of losses with their weights, {chamfer: 1, drkfs: .3}; {}: its own"
    )
    optimiser: ReconstructionOptimiserSettings = Field(
        ReconstructionOptimiserSettings(), description="how the weights follow the gradient"
    )
    init_from: UserPath | None = Field(
        None, description="folder of a model of the same network to go on from (DR-KFS needs it); null: random weights"
    )
    freeze_statistics: bool = Field(
        False, description="batch normalisation keeps its statistics, as in use: for small batches after init_from"
    )
    classes: list[str] = Field([], description="classes of shapes to learn; []: all of the set")
    points: int = Field(1000, ge=16, le=100_000, description="points of a shape's surface drawn in a step")
    rendering: RenderingSettings = Field(RenderingSettings(), description="how rendered shapes are compared")
    validation_shapes: int = Field(64, ge=1, description="shapes at most in a validation")
    tensorboard: bool = Field(False, description="also write TensorBoard logs (needs tensorboard)")


class PlaceSettings(ComparisonSettings, defaults={"align": "target", "size": "sphere", "points": 5000}):
    """Shapes stay where the network has put them: the truth of a set lies where its normalisation would put it."""


class EvaluateSettings(Settings):
    """What is measured of reconstructions."""

    metrics: list[Metric] = Field(
        [
            "chamfer_l2",
            "emd",
            "iou",
            "iou_flood",
            "shape_google",
            "f_score",
            "f_score_2",
            "normal_consistency",
            "lfd",
            "mvcnn",
            "drkfs",
        ],
        min_length=1,
        description="what is measured: drkfs, and the metrics of liftnet.shape.metrics; mvcnn needs a trained network",
    )
    shapes: int | None = Field(None, ge=1, description="shapes of each class at most; null: all of the split")
    views: int = Field(1, ge=1, le=1000, description="pictures of each shape that are reconstructed, the first ones")
    classes: list[str] = Field([], description="classes of shapes; []: all of the set")
    comparison: PlaceSettings = Field(PlaceSettings(), description="how two shapes are sampled and compared")
    metric: MetricSettings = Field(MetricSettings(), description="DR-KFS")
    batch_size: int = Field(8, ge=1, le=1024, description="pictures that a network sees at a time")


class ReconstructSettings(Settings):
    """The stage."""

    train: TrainSettings = Field(TrainSettings(), description="how a model is trained")
    evaluate: EvaluateSettings = Field(EvaluateSettings(), description="what is measured of reconstructions")
    study: StudySettings = Field(StudySettings(), description="studies with people")

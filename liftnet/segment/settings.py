"""Settings of the stage `segment`."""

from __future__ import annotations

from pydantic import Field

from liftnet.core.settings import Settings, UserPath
from liftnet.learn.settings import OptimiserSettings, TrainingSettings
from liftnet.models.segmentation_networks import SHIPPED_SEGMENTER, NetworkSettings, PredictionSettings


class DataSettings(Settings):
    """Which masked images train, and which are held out."""

    extra_roots: list[UserPath] = Field(
        [], description="more results folders (manifest.parquet, images/, hand_masks/) whose masked images train too"
    )
    corrections: UserPath | None = Field(
        None,
        description="folder of corrected masks, named <image_id>.png or as the image's file, that train before manual "
        "masks; `segment correct` checks them",
    )
    val_fraction: float = Field(
        0.25, gt=0, lt=1, description="fraction of works held out where no masked work is in split val or test"
    )
    selection_fraction: float = Field(
        0.1, gt=0, lt=1, description="fraction of the training works' images kept to select the best weights"
    )
    max_selection_images: int = Field(32, ge=1, description="most images used to select the best weights")


class AugmentationSettings(Settings):
    """How training images are changed."""

    background_swap_probability: float = Field(
        0.5, ge=0, le=1, description="how often the background of a training image is replaced by another"
    )
    neighbour_fraction: float = Field(
        0.3, ge=0, le=1, description="fraction of replaced backgrounds that show another sculpture, as background"
    )
    max_zoom: float = Field(
        2.8, ge=1, le=10, description="closest view of a training image, in widths of the image; 1: never closer"
    )
    lighting_probability: float = Field(
        0.3, ge=0, le=1, description="how often a training image is lit anew: fall-off, shadows, gamma"
    )


class SegmentOptimiserSettings(
    OptimiserSettings,
    defaults={
        "name": "adamw",
        "learning_rate": 2e-3,
        "schedule": "cosine",
        "warm_up_fraction": 0.05,
        "weight_decay": 1e-2,
        "clip_norm": 5.0,
    },
):
    """How the weights follow the gradient."""

    encoder_rate: float = Field(
        0.3, ge=0, le=1, description="the encoder's learning rate as a fraction of the decoder's, with given weights"
    )


class SegmentTrainingSettings(TrainingSettings, defaults={"iterations": 250, "validate_every": 50}):
    """How the segmenter is trained."""

    batch_size: int = Field(8, ge=2, le=512, description="images in a step")
    optimiser: SegmentOptimiserSettings = Field(
        SegmentOptimiserSettings(), description="how the weights follow the gradient"
    )
    init_from: UserPath | None = Field(
        SHIPPED_SEGMENTER,
        description="folder of a trained segmenter that the training starts from, of the same network: quick after "
        "corrections; it must not have seen a work that is held out; shipped: that of the package, unless it has or "
        "is another network; null: from scratch",
    )


class SegmenterSettings(Settings):
    """How a segmenter is built, trained and applied."""

    weights: UserPath | None = Field(
        None,
        description="folder of a trained segmenter (model.safetensors, config.json) to use without training; shipped: "
        "that of the package, which masks where no image has a manual mask; null: train from manual masks",
    )
    network: NetworkSettings = Field(NetworkSettings(), description="what the network is")
    data: DataSettings = Field(DataSettings(), description="which masked images train, and which are held out")
    augmentation: AugmentationSettings = Field(AugmentationSettings(), description="how training images are changed")
    train: SegmentTrainingSettings = Field(SegmentTrainingSettings(), description="how the segmenter is trained")
    predict: PredictionSettings = Field(PredictionSettings(), description="how an image is masked")


class FoldSettings(Settings):
    """Leaving works out in `segment crossvalidate`."""

    count: int = Field(0, ge=0, description="folds of works; 0: every work is a fold of its own")
    iterations: int = Field(
        0,
        ge=0,
        description="iterations per fold after a common start of train.iterations on what trains in every fold; 0: "
        "each fold is trained from scratch",
    )
    learning_rate: float = Field(5e-4, gt=0, le=1, description="highest learning rate of a fold after such a start")


class ProposalSettings(Settings):
    """Proposing masks by a segmenter that others trained."""

    reference_segmenter_onnx: UserPath | None = Field(
        None,
        description="ONNX file of a general background remover with U2-Net's inputs: `segment crossvalidate` compares "
        "with it, `segment propose` masks with it",
    )
    predict: PredictionSettings = Field(PredictionSettings(), description="how an image is masked")


class SegmentSettings(ProposalSettings, SegmenterSettings):
    """All settings of the stage."""

    folds: FoldSettings = Field(FoldSettings(), description="leaving works out in `segment crossvalidate`")

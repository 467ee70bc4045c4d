"""Settings of the depth stage: those that decide a trained model are the one group `TrainSettings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from liftnet.core.settings import OneOf, Settings, module_names
from liftnet.learn.settings import OptimiserSettings, TrainingSettings
from liftnet.models.depth_networks import InputSettings, NetworkSettings

METHODS = module_names(Path(__file__).parent / "objectives")


class CorrespondenceSettings(Settings):
    """Which correspondences of a pair are used."""

    max_per_pair: int = Field(256, ge=8, le=100_000, description="max. correspondences of a pair")
    fixed: bool = Field(False, description="always the same of a pair's correspondences")


class LossSettings(Settings):
    """The correspondence loss."""

    camera: Literal["affine", "orthographic"] = Field(
        "affine", description="affine (paper) or scaled orthographic, fitted to RANSAC's inliers"
    )
    orthography_weight: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="weight of the camera's distance from scaled orthography, px^2 (paper: 0)",
    )
    threshold: float = Field(2.0, gt=0, le=100, description="RANSAC's inlier distance T, px")
    tau: float = Field(2.0, gt=0, le=100, description="distance at which the robust cost saturates, px")
    robust: bool = Field(True, description="use the robust cost R (section 3.2 of the paper)")
    ransac_iterations: int = Field(100, ge=1, le=10_000, description="four-point samples that RANSAC tries")


class RegressionSettings(Settings):
    """The method regression."""

    signed: bool = Field(
        True, description="swapping near and far is an error; off: each image is aligned by either sign"
    )


class OrdinalSettings(Settings):
    """The method ordinal."""

    pairs_per_image: int = Field(
        100, ge=1, le=100_000, description="pairs of points of an image whose order is known (DIW: 1)"
    )
    margin: float = Field(
        0.02, ge=0, lt=1, description="depths are in order where their ratio is beyond 1 + this, else equal"
    )
    gain: float = Field(10.0, gt=0, description="the loss sees this times the network's depth, which lies in [-1, 1]")


class PhotometricSettings(Settings):
    """The method photometric."""

    focal: float = Field(0.7, gt=0, le=100, description="focal length, widths of the network's input (paper: .7)")
    smoothness: float = Field(0.5, ge=0, description="weight of second differences of disparity (Zhou et al.: .5)")
    explainability: float = Field(
        0.2, ge=0, description="weight that keeps the explainability mask at 1 (Zhou et al.: .2); 0: none"
    )
    scales: int = Field(4, ge=1, le=8, description="scales at which images are compared, each half the one before")


class ValidationSettings(Settings):
    """On what training is validated."""

    val_fraction: float = Field(
        0.15,
        gt=0,
        lt=1,
        description="fraction of the training works to validate on where no artist is held out for it",
    )
    max_pairs: int = Field(200, ge=1, description="max. pairs, in both directions, in a validation")


class AugmentSettings(Settings):
    """Random changes of the training images."""

    flip: bool = Field(True, description="mirror left and right")
    rotation: float = Field(10.0, ge=0, le=180, description="largest rotation, degrees")
    zoom: float = Field(0.1, ge=0, lt=0.9, description="largest change of scale, fraction")
    colour_jitter: float = Field(0.3, ge=0, lt=1, description="largest change of brightness, contrast and tint")


class RuntimeSettings(Settings):
    """What changes no weight."""

    cache_mb: int = Field(4000, ge=1, description="decoded crops beyond this size lie in a scratch file, MB")
    tensorboard: bool = Field(False, description="also write TensorBoard logs (needs tensorboard)")


class DepthOptimiserSettings(OptimiserSettings, defaults={"clip_value": 5.0}):
    """Adam with a linear schedule; the paper's is sgd with a constant learning rate of 1e-5."""


class TrainSettings(TrainingSettings, defaults={"iterations": 2000, "patience": 10}):
    """What decides a trained model, but for `runtime`. Pixels are those of the network's square input."""

    optimiser: DepthOptimiserSettings = Field(
        DepthOptimiserSettings(), description="how the weights follow the gradient (paper: sgd, 1e-5, constant)"
    )
    method: Annotated[str, OneOf(METHODS)] = Field(
        "correspondences",
        description="what the network learns from: correspondences (LiftNet), regression of true or reconstructed "
        "depth, ordinal (order of depths), photometric error",
    )
    network: NetworkSettings = Field(NetworkSettings(), description="what the network is")
    input: InputSettings = Field(InputSettings(), description="what the network sees of an image")
    correspondences: CorrespondenceSettings = Field(
        CorrespondenceSettings(), description="which correspondences of a pair are used"
    )
    loss: LossSettings = Field(LossSettings(), description="correspondences: reprojection through the best camera")
    regression: RegressionSettings = Field(RegressionSettings(), description="regression: depth of each pixel")
    ordinal: OrdinalSettings = Field(OrdinalSettings(), description="ordinal: which of two points is nearer")
    photometric: PhotometricSettings = Field(
        PhotometricSettings(), description="photometric: the look of one view warped into another"
    )
    validation: ValidationSettings = Field(ValidationSettings(), description="on what training is validated")
    augment: AugmentSettings = Field(AugmentSettings(), description="random changes of the training images")
    mask_prior_weight: float = Field(
        0.25, ge=0, le=1, description="correspondences: weight of the inflated mask in predictions (paper: 0)"
    )
    runtime: RuntimeSettings = Field(RuntimeSettings(), description="what changes no weight")


class EvaluateSettings(Settings):
    """What `depth evaluate` measures."""

    max_pairs: int = Field(2000, ge=1, description="max. held-out pairs")
    n_examples: int = Field(8, ge=0, le=1000, description="held-out images whose prediction is kept for the report")


class SfmSettings(Settings):
    """What `depth sfm` reconstructs."""

    masks: bool = Field(True, description="COLMAP sees features of the foreground only")
    min_images: int = Field(3, ge=2, description="a work fails without a model of so many images")


class DepthSettings(Settings):
    """The stage."""

    train: TrainSettings = Field(TrainSettings(), description="how a model is trained")
    evaluate: EvaluateSettings = Field(EvaluateSettings(), description="how it is measured; trains nothing again")
    sfm: SfmSettings = Field(SfmSettings(), description="the baseline COLMAP depth regression")

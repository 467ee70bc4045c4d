"""Settings of the depth stage."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from liftnet.core.settings import Settings
from liftnet.models.depth_networks import InputSettings, NetworkSettings


class DepthSettings(Settings):
    """How LiftNet is built, trained and evaluated. Pixels are those of the network's square input."""

    method: Literal["correspondences", "regression", "ordinal", "photometric"] = Field(
        "correspondences",
        description="what the network learns from: correspondences (LiftNet), true or reconstructed depth, order of"
        " depths, photometric error",
    )
    image_size: int = Field(64, ge=16, le=1024, description="side of the network's square input, px")
    encoder: str = Field(
        "unet",
        min_length=1,
        description="unet (the paper's network), or a pretrained encoder by its segmentation-models-pytorch name, such"
        " as tu-tf_efficientnet_lite0, with a decoder of depth.width",
    )
    encoder_weights: list[str] = Field(
        ["imagenet"],
        description="where such an encoder starts from, tried in this order: imagenet, or the path of a .safetensors"
        " or .pth file; with an empty list, or if none can be had, it starts from random weights",
    )
    levels: int = Field(6, ge=2, le=10, description="halvings in the U-Net (paper: 8 at 256 px)")
    width: int = Field(16, ge=4, le=256, description="channels of the U-Net's first level (paper: 64)")
    align_corners: bool = Field(False, description="upsample with corner pixels on corner pixels, as PyTorch in 2017")
    crop: Literal["mask", "full"] = Field(
        "mask", description="the network sees the square around the mask or the image"
    )
    crop_margin: float = Field(0.1, ge=0, le=1, description="margin around the mask, share of its longer side")
    background: Literal["keep", "grey"] = Field("grey", description="what the network sees off the mask (paper: keep)")
    max_correspondences: int = Field(256, ge=8, le=100_000, description="at most so many correspondences of a pair")
    correspondences_fixed: bool = Field(False, description="always the same of a pair's correspondences")
    camera: Literal["affine", "orthographic"] = Field(
        "affine", description="the loss's camera: affine (paper) or scaled orthographic, fitted to RANSAC's inliers"
    )
    calibration: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="weight of the affine camera's distance from scaled orthography, px^2 (paper: 0)",
    )
    threshold: float = Field(2.0, gt=0, le=100, description="RANSAC's inlier distance T, px")
    tau: float = Field(2.0, gt=0, le=100, description="distance at which the robust cost saturates, px")
    robust: bool = Field(True, description="use the robust cost R (section 3.2 of the paper)")
    rounded_share: float = Field(
        0.25, ge=0, le=1, description="share of the inflated mask in LiftNet's predictions (paper: 0)"
    )
    draws: int = Field(100, ge=1, le=10_000, description="four-point draws of RANSAC")
    regression_signed: bool = Field(
        True, description="regression: swapping near and far is an error; off: each image is aligned by either sign"
    )
    ordinal_pairs: int = Field(
        100, ge=1, le=100_000, description="ordinal: pairs of points of an image whose order is known (DIW: 1)"
    )
    ordinal_margin: float = Field(
        0.02, ge=0, lt=1, description="ordinal: depths are in order where their ratio is beyond 1 + this, else equal"
    )
    ordinal_gain: float = Field(
        10.0, gt=0, description="ordinal: the loss sees this times the network's depth, which lies in [-1, 1]"
    )
    photometric_focal: float = Field(
        0.7, gt=0, le=100, description="photometric: focal length, widths of the network's input (paper: .7)"
    )
    photometric_smoothness: float = Field(
        0.5, ge=0, description="photometric: weight of second differences of disparity (Zhou et al.: .5)"
    )
    photometric_explainability: float = Field(
        0.2, ge=0, description="photometric: weight that keeps the explainability mask at 1 (Zhou et al.: .2); 0: none"
    )
    photometric_scales: int = Field(
        4, ge=1, le=8, description="photometric: scales at which images are compared, each half the one before"
    )
    sfm_masks: bool = Field(True, description="sfm: COLMAP sees features of the foreground only")
    sfm_min_images: int = Field(3, ge=2, description="sfm: a work fails without a model of so many images")
    optimiser: Literal["sgd", "adam"] = Field("adam", description="sgd (paper, momentum .9) or adam")
    learning_rate: float = Field(0.001, gt=0, le=10, description="learning rate (paper, with sgd: 1e-5)")
    schedule: Literal["constant", "linear"] = Field(
        "linear", description="learning rate over the steps: constant (paper) or falling linearly to 0"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    gradient_clamp: float = Field(5.0, gt=0, description="gradient values are clamped to +- this")
    batch_size: int = Field(16, ge=1, le=4096, description="image pairs in a step")
    iterations: int = Field(2000, ge=1, description="steps at most")
    validate_every: int = Field(100, ge=1, description="steps between two validations")
    patience: int = Field(10, ge=1, description="stop after so many validations without a better loss")
    validation_pairs: int = Field(200, ge=1, description="at most so many pairs, in both directions, in a validation")
    evaluation_pairs: int = Field(2000, ge=1, description="at most so many held-out pairs in `depth evaluate`")
    held_out_share: float = Field(
        0.15, gt=0, lt=1, description="share of the training works that validates where no artist is held out for it"
    )
    flip: bool = Field(True, description="augment: mirror left and right")
    rotation: float = Field(10.0, ge=0, le=180, description="augment: rotate by at most so many degrees")
    zoom: float = Field(0.1, ge=0, lt=0.9, description="augment: scale by at most this share up or down")
    colour_jitter: float = Field(
        0.3, ge=0, lt=1, description="augment: change brightness, contrast and tint by so much"
    )
    precision: Literal["no", "bf16"] = Field("no", description="mixed precision of the network")
    channels_last: bool = Field(True, description="keep the channels of a pixel together in memory: faster")
    compile: bool = Field(False, description="compile the networks with torch.compile; worth it for long runs")
    deterministic: bool = Field(True, description="the same numbers each time on a GPU too, at some cost in speed")
    cache_mb: int = Field(4000, ge=1, description="decoded crops beyond this size lie in a scratch file, MB")
    tensorboard: bool = Field(False, description="also write TensorBoard logs (needs tensorboard)")
    n_examples: int = Field(8, ge=0, le=1000, description="held-out images whose prediction is kept for the report")

    @model_validator(mode="after")
    def _size_fits_levels(self) -> DepthSettings:
        levels = self.levels if self.encoder == "unet" else 5  # encoders halve five times
        if self.image_size % 2**levels:
            raise ValueError(f"image_size must be a multiple of 2**levels = {2**levels}")
        return self

    @property
    def input(self) -> InputSettings:
        """What the network sees."""
        return InputSettings(
            image_size=self.image_size, crop=self.crop, margin=self.crop_margin, background=self.background
        )

    @property
    def network(self) -> NetworkSettings:
        """What the network is."""
        unet = self.encoder == "unet"
        return NetworkSettings(
            architecture="unet" if unet else "encoder_unet",
            levels=self.levels,
            width=self.width,
            align_corners=self.align_corners,
            encoder="tu-tf_efficientnet_lite0" if unet else self.encoder,
            encoder_weights=self.encoder_weights,
        )


EVALUATION = ("evaluation_pairs", "n_examples")  # read by `depth evaluate`; changing them does not train again
SFM = ("sfm_masks", "sfm_min_images")  # read by `depth sfm`
TRAINING = tuple(name for name in DepthSettings.model_fields if name not in (*EVALUATION, *SFM))


class ExperimentSettings(Settings):
    """How often and with what settings the experiments of the paper are run; what they are stands in their plan."""

    plan: str = Field(
        "workflow/experiments.yaml", min_length=1, description="runs, tables and figures, a path below the workflow"
    )
    seeds: int = Field(3, ge=1, le=100, description="trainings of each run, with the seeds seed, seed + 1, ...")
    overrides: dict[str, dict[str, Any]] = Field(
        {},
        description="settings of `depth` that differ, by training set or run: {sketchfab: {learning_rate: 0.001}}",
    )
    scans: str | None = Field(
        None, description="folder of a rendered set of real meshes on which Table 4 is measured as well"
    )

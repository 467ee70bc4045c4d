"""Settings of the stage `segment`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from liftnet.core.settings import Settings


class SegmentSettings(Settings):
    """How the foreground segmenter is built, trained and applied."""

    encoder: str = Field(
        "tu-tf_efficientnet_lite0", min_length=1, description="encoder, by its segmentation-models-pytorch name"
    )
    encoder_weights: list[str] = Field(
        ["imagenet"],
        description="where the encoder starts from, tried in this order: imagenet, or the path of a .safetensors or "
        ".pth file; with an empty list, or if none can be had, it starts from random weights",
    )
    weights: str | None = Field(
        None, description="folder of a trained segmenter (model.safetensors, config.json) to use without training"
    )
    also: list[str] = Field(
        [], description="more results folders (manifest.parquet, images/, hand_masks/) whose masked images train too"
    )
    corrections: str | None = Field(
        None,
        description="folder of corrected masks, named <image_id>.png or as the image's file, that train before hand "
        "masks; `segment correct` checks them",
    )
    start: str | None = Field(
        None,
        description="folder of a trained segmenter that the training starts from, of the same encoder and channels: "
        "quick after corrections; it must not have seen a work that is held out",
    )
    channels: int = Field(32, ge=8, le=512, multiple_of=8, description="feature channels of the RefineNet decoder")
    image_size: int = Field(
        224, ge=64, le=2048, multiple_of=32, description="long side, in pixels, that the network sees"
    )
    iterations: int = Field(250, ge=1, description="training iterations")
    batch_size: int = Field(8, ge=2, le=512, description="images an iteration")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="highest AdamW learning rate of the decoder")
    encoder_rate: float = Field(
        0.3, ge=0, le=1, description="the encoder's learning rate as a share of the decoder's, with given weights"
    )
    weight_decay: float = Field(1e-2, ge=0, le=1, description="AdamW weight decay")
    replace_background: float = Field(
        0.5, ge=0, le=1, description="share of training images whose background is replaced by another"
    )
    largest_zoom: float = Field(
        2.8, ge=1, le=10, description="closest view of a training image, in widths of the image; 1: never closer"
    )
    lighting: float = Field(
        0.3,
        ge=0,
        le=1,
        description="share of training images lit anew: fall-off, shadows, gamma",
    )
    neighbours: float = Field(
        0.3,
        ge=0,
        le=1,
        description="share of replaced backgrounds that show another sculpture, as background",
    )
    validate_every: int = Field(50, ge=1, description="iterations between validations and checkpoints")
    validation_share: float = Field(
        0.1, gt=0, lt=1, description="share of the training works' images kept to choose the best checkpoint"
    )
    validation_limit: int = Field(32, ge=1, description="most images used to choose the best checkpoint")
    heldout_share: float = Field(
        0.25, gt=0, lt=1, description="share of works held out where no masked work is in split val or test"
    )
    crossvalidation_folds: int = Field(
        0, ge=0, description="folds of works in `segment crossvalidate`; 0: every work is a fold of its own"
    )
    fold_iterations: int = Field(
        0,
        ge=0,
        description="iterations a fold after a common start of `iterations` on what trains in every fold; 0: each "
        "fold is trained from the beginning",
    )
    fold_learning_rate: float = Field(
        5e-4, gt=0, le=1, description="highest learning rate of a fold after such a start"
    )
    peer_onnx: str | None = Field(
        None,
        description="ONNX file of a general background remover with U2-Net's inputs: `segment crossvalidate` compares "
        "with it, `segment propose` masks with it",
    )
    test_time_flip: bool = Field(
        False, description="average the prediction with that of the mirrored image, in twice the time"
    )
    test_time_scales: list[Annotated[float, Field(gt=0.1, le=8)]] = Field(
        [1.6],
        min_length=1,
        max_length=8,
        description="the prediction is averaged over these multiples of image_size; training views are closer than "
        "whole photographs, so one above 1 is best",
    )
    threshold: float = Field(0.5, gt=0, lt=1, description="foreground probability from which a pixel is foreground")
    component_share: float = Field(
        0.3, ge=0, le=1, description="smallest area of a kept part, as a share of the largest part's"
    )
    hole_share: float = Field(
        0.0005, ge=0, le=1, description="largest area of a hole that is filled, as a share of the foreground's"
    )
    min_coverage: float = Field(
        0.002, ge=0, le=1, description="smallest share of foreground pixels; with less an image has no mask"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where the network runs; auto takes a GPU")

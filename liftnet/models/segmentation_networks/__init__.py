"""Networks that tell foreground from background, each a module of this folder with a function `build(settings)`.

A new network is a new module: settings, command line and model folders know it by its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from liftnet.core.devices import Device
from liftnet.core.settings import OneOf, Settings, UserPath, module_names

SHIPPED_SEGMENTER = "shipped"  # what the segmenter that comes with the package is called where a folder may be named
ARCHITECTURES = module_names(Path(__file__).parent)


class NetworkSettings(Settings):
    """What the network is."""

    architecture: Annotated[str, OneOf(ARCHITECTURES)] = Field(
        "refinenet",
        description="refinenet, or another module of liftnet/models/segmentation_networks",
    )
    encoder: str = Field(
        "tu-tf_efficientnet_lite0", min_length=1, description="encoder, by its segmentation-models-pytorch name"
    )
    encoder_weights: list[UserPath] = Field(
        ["imagenet"],
        description="where the encoder starts from, tried in this order: imagenet, or the path of a .safetensors or "
        ".pth file; with an empty list, or if none can be had, it starts from random weights",
    )
    channels: int = Field(32, ge=8, le=512, multiple_of=8, description="feature channels of the decoder")
    image_size: int = Field(
        224, ge=64, le=2048, multiple_of=32, description="long side, in pixels, that the network sees"
    )


class PredictionSettings(Settings):
    """How an image is masked by a trained segmenter."""

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
    outline_radius: float = Field(
        0.008,
        ge=0,
        le=0.1,
        description="how far the outline is drawn to edges of the photograph, as a fraction of its long side; 0: not",
    )
    threshold: float = Field(0.5, gt=0, lt=1, description="foreground probability from which a pixel is foreground")
    component_fraction: float = Field(
        0.3, ge=0, le=1, description="smallest area of a kept part, as a fraction of the largest part's"
    )
    hole_fraction: float = Field(
        0.0005, ge=0, le=1, description="largest area of a hole that is filled, as a fraction of the foreground's"
    )
    min_coverage: float = Field(
        0.002, ge=0, le=1, description="smallest fraction of foreground pixels; with less an image has no mask"
    )
    device: Device = Field("auto", description="where the network runs, in training too; auto takes a GPU")

"""Networks that give depth from one image, each a module of this folder with a function `build(settings)`.

A new network is a new module: settings, command line and model folders know it by its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from liftnet.core.settings import OneOf, Settings, UserPath, module_names

ARCHITECTURES = module_names(Path(__file__).parent)


class InputSettings(Settings):
    """What the network sees of an image."""

    image_size: int = Field(64, ge=16, le=1024, description="side of the network's square input, px")
    crop: Literal["mask", "full"] = Field("mask", description="the square around the mask or around the whole image")
    margin: float = Field(0.1, ge=0, le=1, description="margin around the mask, fraction of its longer side")
    background: Literal["keep", "grey"] = Field("grey", description="what the network sees off the mask (paper: keep)")


class NetworkSettings(Settings):
    """What the network is."""

    architecture: Annotated[str, OneOf(ARCHITECTURES)] = Field(
        "unet",
        description="unet (the paper's), or encoder_unet: a pretrained encoder under a decoder of this width",
    )
    levels: int = Field(6, ge=2, le=10, description="unet: halvings (paper: 8 at 256 px)")
    width: int = Field(16, ge=4, le=256, description="channels of the first level (paper: 64)")
    align_corners: bool = Field(
        False, description="unet: upsample with corner pixels on corner pixels, as PyTorch in 2017"
    )
    encoder: str = Field(
        "tu-tf_efficientnet_lite0", min_length=1, description="encoder_unet: name in segmentation-models-pytorch"
    )
    encoder_weights: list[UserPath] = Field(
        ["imagenet"],
        description="encoder_unet: where the encoder starts from, tried in this order: imagenet, or the path of a "
        ".safetensors or .pth file; with an empty list, or if none can be had, it starts from random weights",
    )

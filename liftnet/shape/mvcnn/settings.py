"""Settings of MVCNN."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.core.settings import Settings


class ViewSettings(Settings):
    """What MVCNN sees of a shape, and with what."""

    backbone: Literal["efficientnet_lite0", "vgg11"] = Field(
        "efficientnet_lite0", description="network that sees each view (paper: a VGG)"
    )
    views: int = Field(12, ge=1, le=100, description="views around a shape (paper: 12)")
    elevation: float = Field(30.0, ge=-89, le=89, description="elevation of these views, degrees (paper: 30)")
    image_size: int = Field(112, ge=32, le=1024, multiple_of=16, description="side of a view, px (paper: 224)")


class NetworkSettings(ViewSettings):
    """What a trained network is."""

    classes: list[str] = Field(["none"], min_length=1, description="names of its classes")


class MvcnnSettings(ViewSettings):
    """Which network sees which views, and how it is trained."""

    init_from: list[str] = Field(
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

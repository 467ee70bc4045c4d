"""Settings of the demo museum."""

from __future__ import annotations

from pydantic import Field

from liftnet.io.settings import Settings


class RenderSettings(Settings):
    """What the demo museum holds."""

    artists: int = Field(default=16, ge=1, le=200, description="invented artists, each with a style of their own")
    works_per_artist: int = Field(default=5, ge=1, le=100, description="sculptures of each artist")
    views_per_work: int = Field(default=12, ge=1, le=100, description="photographs of each sculpture")
    image_size: int = Field(default=480, ge=64, le=2000, description="long side of a photograph, px")
    mesh_resolution: int = Field(default=144, ge=24, le=512, description="grid cells along a sculpture's longest side")
    azimuth_span: float = Field(default=90.0, ge=0, le=360, description="mean angle that a work's views span, degrees")
    hand_mask_share: float = Field(
        default=0.5, ge=0, le=1, description="share of every artist's views that come with a mask"
    )
    jpeg_quality: int = Field(default=90, ge=30, le=100, description="quality of the JPEG files")
    troubles: bool = Field(
        default=True, description="add a duplicate, a dead link, a page named .jpg and a truncated JPEG"
    )

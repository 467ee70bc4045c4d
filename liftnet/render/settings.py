"""Settings of the demo museum and of the rendered sets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.core.settings import Settings


class RenderSettings(Settings):
    """What the demo museum and the rendered sets hold."""

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
    sketchfab: str | None = Field(
        default=None, description="folder of meshes for the set sketchfab; null renders generated sculptures"
    )
    shapenet: str | None = Field(
        default=None, description="folder in ShapeNetCore's layout for the set shapenet; null renders generated shapes"
    )
    scanned: str | None = Field(
        default=None,
        description="folder of RGB-D recordings or of meshes for the set scanned; null photographs sculptures",
    )
    up: Literal["y", "z"] = Field(default="y", description="axis that points up in meshes that do not say")
    renderer: Literal["builtin", "blender"] = Field(
        default="builtin", description="who renders orthographic views: the ray caster or Blender"
    )
    blender: str = Field(
        default="", description="the python that has bpy, or the blender program; empty looks for .venv-blender"
    )
    view_size: int = Field(default=128, ge=16, le=2000, description="side of a view of the rendered sets, px")
    backdrop: Literal["varied", "plain"] = Field(
        default="varied", description="background of orthographic views: drawn for each, or grey"
    )
    sculptures: int = Field(default=425, ge=1, le=10_000, description="generated sculptures in the set sketchfab")
    sculpture_resolution: int = Field(
        default=96, ge=16, le=512, description="grid cells along a generated sculpture's longest side"
    )
    shapes_per_class: int = Field(
        default=60, ge=1, le=100_000, description="shapes of each class in the set shapenet, at most"
    )
    meshes_per_class: int = Field(
        default=40, ge=1, le=100_000, description="meshes of each class that `render shapes` writes"
    )
    val_share: float = Field(
        default=0.047, ge=0, le=1, description="share of the sculptures that validates (paper: 20 of 425)"
    )
    test_share: float = Field(
        default=0.078, ge=0, le=1, description="share of the sculptures that tests (paper: 33 of 425)"
    )
    scanned_objects: int = Field(default=11, ge=1, le=1000, description="objects in the set scanned, at most")
    scanned_images: int = Field(default=208, ge=1, le=100_000, description="images in the set scanned, at most")
    object_height_cm: float = Field(
        default=40.0, gt=0, le=10_000, description="nominal height of a mesh that is photographed as a scan, cm"
    )
    correspondences: int = Field(
        default=10_000, ge=50, le=1_000_000, description="exact correspondences kept of a pair of views, at most"
    )


# What each command reads, so that a change of one set's settings does not render another anew.
MUSEUM_SETTINGS = (
    *("artists", "works_per_artist", "views_per_work", "image_size", "mesh_resolution", "azimuth_span"),
    *("hand_mask_share", "jpeg_quality", "troubles"),
)
_EVERY_SET = ("up", "blender", "view_size", "correspondences", "jpeg_quality")
_ORTHOGRAPHIC = ("renderer", "backdrop", *_EVERY_SET)
SET_SETTINGS = {
    "shapenet": ("shapenet", "shapes_per_class", *_ORTHOGRAPHIC),
    "sketchfab": ("sketchfab", "sculptures", "sculpture_resolution", "val_share", "test_share", *_ORTHOGRAPHIC),
    "scanned": (
        *("scanned", "scanned_objects", "scanned_images", "object_height_cm", "sculpture_resolution"),
        *_EVERY_SET,
    ),
}

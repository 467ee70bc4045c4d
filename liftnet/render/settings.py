"""Settings of the synthetic museum and of the rendered sets: a group for each thing that decides what is rendered."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from liftnet.core.settings import Settings, UserPath, group_of


class MuseumSettings(Settings):
    """What the synthetic museum holds."""

    artists: int = Field(default=16, ge=1, le=200, description="invented artists, each with a style of their own")
    works_per_artist: int = Field(default=5, ge=1, le=100, description="sculptures of each artist")
    views_per_work: int = Field(default=12, ge=1, le=100, description="photographs of each sculpture")
    image_size: int = Field(default=480, ge=64, le=2000, description="long side of a photograph, px")
    mesh_resolution: int = Field(default=144, ge=24, le=512, description="grid cells along a sculpture's longest side")
    azimuth_span: float = Field(default=90.0, ge=0, le=360, description="mean angle that a work's views span, degrees")
    manual_mask_fraction: float = Field(
        default=0.5, ge=0, le=1, description="fraction of every artist's views that come with a mask"
    )
    jpeg_quality: int = Field(default=90, ge=30, le=100, description="quality of the JPEG files")
    faults: bool = Field(
        default=True, description="add a duplicate, a dead link, a page named .jpg and a truncated JPEG"
    )


class ViewSettings(Settings):
    """What the views of all rendered sets share."""

    size: int = Field(default=128, ge=16, le=2000, description="side of a view, px")
    up: Literal["y", "z"] = Field(default="y", description="axis that points up in meshes that do not say")
    blender: str = Field(
        default="", description="the python that has bpy, or the blender program; empty looks for .venv-blender"
    )
    jpeg_quality: int = Field(default=90, ge=30, le=100, description="quality of the JPEG files")
    max_correspondences: int = Field(
        default=10_000, ge=50, le=1_000_000, description="exact correspondences kept of a pair of views"
    )


class OrthographicSettings(Settings):
    """How orthographic views are rendered."""

    renderer: Literal["builtin", "blender"] = Field(
        default="builtin", description="who renders them: the ray caster or Blender"
    )
    backdrop: Literal["varied", "plain"] = Field(default="varied", description="background: drawn for each, or grey")


class SketchfabSettings(Settings):
    """The set sketchfab."""

    folder: UserPath | None = Field(default=None, description="folder of meshes; null renders generated sculptures")
    sculptures: int = Field(default=425, ge=1, le=10_000, description="generated sculptures")
    resolution: int = Field(
        default=96, ge=16, le=512, description="grid cells along a generated sculpture's longest side"
    )
    val_fraction: float = Field(default=0.047, ge=0, le=1, description="fraction that validates (paper: 20 of 425)")
    test_fraction: float = Field(default=0.078, ge=0, le=1, description="fraction that tests (paper: 33 of 425)")


class ShapenetSettings(Settings):
    """The set shapenet."""

    folder: UserPath | None = Field(
        default=None, description="folder in ShapeNetCore's layout; null renders generated shapes"
    )
    shapes_per_class: int = Field(default=60, ge=1, le=100_000, description="shapes of each class, at most")


class ScannedSettings(Settings):
    """The set scanned."""

    folder: UserPath | None = Field(
        default=None, description="folder of RGB-D recordings or of meshes; null photographs generated sculptures"
    )
    max_objects: int = Field(default=11, ge=1, le=1000, description="objects")
    max_images: int = Field(default=208, ge=1, le=100_000, description="images")
    resolution: int = Field(
        default=96, ge=16, le=512, description="grid cells along a generated sculpture's longest side"
    )
    object_height_cm: float = Field(
        default=40.0, gt=0, le=10_000, description="nominal height of a mesh that is photographed as a scan, cm"
    )


class PicturedShapeSettings(Settings):
    """What is made of each shape of the set reconstruction."""

    folder: UserPath | None = Field(
        default=None, description="folder in ShapeNetCore's layout; null makes shapes of the same classes"
    )
    held_out: float = Field(
        default=0.2, ge=0, le=0.9, description="share of each size's range that only generated test shapes have"
    )
    rig: Literal["random", "ring"] = Field(
        default="random",
        description="random: camera, light and colours drawn for each picture; ring: 24 pictures, 15 degrees apart",
    )
    views: int = Field(default=8, ge=1, le=1000, description="pictures of a shape from the random rig")
    picture_size: int = Field(default=128, ge=16, le=2000, description="side of a picture, px")
    lowest: float = Field(default=-10.0, ge=-89, le=89, description="least elevation of a random camera, degrees")
    highest: float = Field(default=60.0, ge=-89, le=89, description="greatest elevation of a random camera, degrees")
    points: int = Field(default=5000, ge=1, le=1_000_000, description="points kept of a shape's outer surface")
    voxels: list[Annotated[int, Field(ge=4, le=256)]] = Field(
        default=[32, 64], description="resolutions of the voxels kept of a shape"
    )
    thin_parts: bool = Field(
        default=True, description="fill voxels that a part crosses where it is too thin to hold a voxel's centre"
    )

    @model_validator(mode="after")
    def _range_of_elevations(self) -> Self:
        if self.lowest > self.highest:
            raise ValueError(f"lowest ({self.lowest:g}) must not lie above highest ({self.highest:g})")
        return self


class ReconstructionSetSettings(PicturedShapeSettings):
    """The set reconstruction: shapes to be reconstructed from single pictures."""

    classes: list[str] = Field(
        default=["airplane", "car", "chair", "lamp"], min_length=1, description="classes of shapes"
    )
    train_per_class: int = Field(default=250, ge=1, le=100_000, description="shapes of a class to train on, at most")
    val_per_class: int = Field(default=20, ge=0, le=100_000, description="shapes of a class to validate on, at most")
    test_per_class: int = Field(default=10, ge=0, le=100_000, description="shapes of a class to test on, at most")


class ShapeFileSettings(Settings):
    """What `render shapes` writes."""

    meshes_per_class: int = Field(default=40, ge=1, le=100_000, description="meshes of each class")


class SetSettings(Settings):
    """What the rendered sets hold."""

    views: ViewSettings = Field(ViewSettings(), description="views of all rendered sets")
    orthographic: OrthographicSettings = Field(
        OrthographicSettings(), description="orthographic views, of the sets sketchfab and shapenet"
    )
    sketchfab: SketchfabSettings = Field(SketchfabSettings(), description="the set sketchfab")
    shapenet: ShapenetSettings = Field(ShapenetSettings(), description="the set shapenet")
    scanned: ScannedSettings = Field(ScannedSettings(), description="the set scanned")
    reconstruction: ReconstructionSetSettings = Field(
        ReconstructionSetSettings(), description="the set reconstruction"
    )

    def of_set(self, name: str) -> dict[str, Any]:
        """The groups that decide what the set `name` holds: a change of another one does not render it anew."""
        groups = {"views", name} if name == "scanned" else {"views", "orthographic", name}
        return self.model_dump(include=groups)


SET_NAMES = tuple(  # the groups that say where shapes come from
    name
    for name, field in SetSettings.model_fields.items()
    if (group := group_of(field)) is not None and "folder" in group.model_fields
)


class RenderSettings(SetSettings):
    """The synthetic museum, the rendered sets, and meshes as files."""

    museum: MuseumSettings = Field(MuseumSettings(), description="the synthetic museum, the demo's photographs")
    shape_files: ShapeFileSettings = Field(ShapeFileSettings(), description="meshes of the generated classes as files")

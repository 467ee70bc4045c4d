"""The files that a prediction becomes: 16-bit PNG, .npy, a coloured picture, a mesh, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import trimesh

from liftnet.core.errors import LiftnetError
from liftnet.core.files import atomic_path, write_json
from liftnet.core.types import BoolArray, UInt8Array
from liftnet.data.folders import InputImage
from liftnet.data.pictures import write_image
from liftnet.models.depth_input import CropBox, cut, cut_mask, put_back

Float32Array = npt.NDArray[np.float32]
MESH_SIDE = 256  # vertices along a side of the mesh's grid
RELIEF = 0.8  # range of depth on a mesh, in half widths: the loss leaves the scale of depth free
JUMP = 8.0  # a triangle is left out where depth changes by more than this many times the usual step
PNG_SCALE = 1 / 32767  # depth of a step of the 16-bit PNG: -1 is 1, 0 is 32768, 1 is 65535
PNG_SHIFT = -32768 / 32767
NOTES = "depth.json"  # written last: with it an image is done
FORMATS = {
    "png16": "depth.png",
    "npy": "depth.npy",
    "colour": "colour.png",
    "ply": "mesh.ply",
    "glb": "mesh.glb",
}


@dataclass(frozen=True)
class Prediction:
    """A photograph and its depth.

    Attributes:
        image: (H, W, 3) uint8.
        mask: (H, W) bool, the foreground; None for all of the image.
        box: Where the crop lies in the image.
        small: (S, S) float32 in [-1, 1], the crop's depth, growing away from the viewer.
        notes: What the notes shall say besides: model, mask, image.
    """

    image: UInt8Array
    mask: BoolArray | None
    box: CropBox
    small: Float32Array
    notes: dict[str, str | None]


def parse_formats(text: str) -> tuple[str, ...]:
    """The formats in a list such as `png16,npy,glb`.

    Raises:
        LiftnetError: One is unknown, or there is none.
    """
    formats = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        reason = f"has no format {', '.join(unknown)}" if unknown else "names no format"
        raise LiftnetError(f"--format {text}", reason, f"Known are {', '.join(FORMATS)}")
    return formats


def endings(formats: Sequence[str]) -> list[str]:
    """Endings of the files that belong to formats; the notes come last."""
    return [*(FORMATS[name] for name in formats), NOTES]


def write_prediction(place: InputImage, prediction: Prediction, formats: Sequence[str]) -> None:
    """Write a prediction in the requested formats, each file atomically, and `depth.json` last.

    Raises:
        LiftnetError: The folder cannot be written.
    """
    height, width = prediction.image.shape[:2]
    depth = put_back(prediction.small, prediction.box, (height, width))
    if prediction.mask is not None:
        depth[~prediction.mask] = np.nan
    if "png16" in formats:
        write_image(place.result(FORMATS["png16"]), encode_depth(depth))
    if "npy" in formats:
        with atomic_path(place.result(FORMATS["npy"])) as temporary, open(temporary, "wb") as file:
            np.save(file, depth, allow_pickle=False)
    if "colour" in formats:
        write_image(place.result(FORMATS["colour"]), colour_depth(depth))
    if "ply" in formats or "glb" in formats:
        _write_meshes(place, prediction, formats)
    write_json(place.result(NOTES), _notes(prediction))


def encode_depth(depth: Float32Array) -> npt.NDArray[np.uint16]:
    """(H, W) depth in [-1, 1] as values 1 to 65535, 0 where there is none; the same scale for every image."""
    known = np.isfinite(depth)
    values = np.rint((np.clip(np.where(known, depth, 0), -1, 1) - PNG_SHIFT) / PNG_SCALE)
    return np.where(known, values, 0).astype(np.uint16)


def colour_depth(depth: Float32Array) -> UInt8Array:
    """(H, W) depth as a picture: blue further away, yellow nearer, as in the paper; white where there is none."""
    from matplotlib import colormaps

    known = np.isfinite(depth)
    picture = np.full((*depth.shape, 3), 255, np.uint8)
    if known.any():
        low, high = np.percentile(depth[known], [1, 99])
        nearness = np.clip((high - depth[known]) / max(high - low, 1e-6), 0, 1)
        picture[known] = colormaps["viridis"](nearness, bytes=True)[:, :3]
    return picture


def _write_meshes(place: InputImage, prediction: Prediction, formats: Sequence[str]) -> None:
    image, box = prediction.image, prediction.box
    mask = prediction.mask if prediction.mask is not None else np.ones(image.shape[:2], bool)
    side = min(MESH_SIDE, box.side)
    surface = cv2.resize(prediction.small, (side, side), interpolation=cv2.INTER_LINEAR)
    mesh = depth_mesh(np.asarray(surface, np.float32), cut_mask(mask, box, side), cut(image, box, side))
    for name in ("ply", "glb"):
        if name in formats:
            with atomic_path(place.result(FORMATS[name])) as temporary:
                mesh.export(temporary)


def _notes(prediction: Prediction) -> dict[str, object]:
    box = prediction.box
    return {
        "convention": "depth grows away from the viewer, up to d -> a d + b x + c y + e with a > 0; no unit",
        "npy": "float32, size of the image, NaN where there is no foreground",
        "png": {
            "scale": PNG_SCALE,
            "shift": PNG_SHIFT,
            "depth": "scale * value + shift; value 0 means no depth",
        },
        "crop": {"left": box.left, "top": box.top, "side": box.side},
        "mesh": "x right, y up, z towards the viewer, in half widths of the crop",
        **prediction.notes,
    }


def folder_mask(place: InputImage, masks: Path, out: Path) -> Path | None:
    """The mask of an image in a folder of masks, mirrored as the results are, or flat; None if there is none."""
    mirrored = masks / place.stem.relative_to(out)
    candidates = (
        mirrored.with_name(f"{mirrored.name}.png"),
        mirrored.with_name(f"{place.image.stem}.png"),
        masks / f"{place.image.stem}.png",
    )
    return next((candidate for candidate in candidates if candidate.exists()), None)


def depth_mesh(depth: Float32Array, mask: BoolArray, colours: UInt8Array, relief: float = RELIEF) -> trimesh.Trimesh:
    """The visible surface as a mesh.

    Args:
        depth: (S, S), growing away from the viewer, of any scale.
        mask: (S, S) bool, the foreground.
        colours: (S, S, 3) uint8.
        relief: Distance between the 2nd and the 98th percentile of depth on the mesh.

    Returns:
        Vertices in half widths of the crop, x right, y up, z towards the viewer, centred on the crop and on the
        median depth; triangles face the viewer; one colour per vertex. Without triangles where the mask is too thin.
    """
    size = depth.shape[0]
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(int(mask.sum()))
    rows, columns = np.nonzero(mask)
    height = np.zeros(mask.shape)
    if len(rows):
        low, middle, high = np.percentile(depth[mask], [2, 50, 98])
        height = -(depth - middle) * (relief / (high - low) if high > low else 0.0)
    half = size / 2
    vertices = np.column_stack(
        [(columns - (size - 1) / 2) / half, ((size - 1) / 2 - rows) / half, height[rows, columns]]
    )
    return trimesh.Trimesh(
        vertices, _triangles(number, height), vertex_colors=colours[rows, columns], process=False, validate=False
    )


def _triangles(number: npt.NDArray[np.intp], height: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """(F, 3) vertex numbers, counter-clockwise as seen by the viewer; two triangles for each square of pixels."""
    corners = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    heights = height[:-1, :-1], height[:-1, 1:], height[1:, :-1], height[1:, 1:]
    faces, spans = [], []
    for a, b, c in ((0, 2, 1), (1, 2, 3)):  # top left, bottom left, top right; top right, bottom left, bottom right
        triangle = np.stack([corners[a], corners[b], corners[c]], -1)
        three = np.stack([heights[a], heights[b], heights[c]], -1)
        whole = (triangle >= 0).all(-1)
        faces.append(triangle[whole])
        spans.append(np.ptp(three[whole], axis=-1))
    triangles, span = np.concatenate(faces), np.concatenate(spans)
    usual = max(float(np.median(span)) if len(span) else 0.0, 1 / max(height.shape))
    return triangles[span <= JUMP * usual]

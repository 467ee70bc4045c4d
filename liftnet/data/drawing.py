"""Drawing depth: pixels for a page, depth in colour, and its surface seen from elsewhere by a small renderer."""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftnet.core.types import BoolArray, UInt8Array
from liftnet.data.pictures import encode_image

FloatArray = npt.NDArray[np.floating]
QUALITY = 82
OFF_OBJECT = 0.93  # grey of the background of depth maps and new views
# nearer is yellow, further is blue, as in the LiftNet paper (arXiv 1809.02002)
NEAR_TO_FAR = np.array([[251, 231, 78], [166, 206, 96], [59, 172, 140], [33, 122, 178], [38, 70, 160], [33, 26, 84]])
STEEPEST = 8.0  # depth per width: where neighbours differ by more there is an occlusion, not surface
SPREAD = 0.6  # of the object's smaller extent, see `with_scale`
ZOOM = 0.82  # leaves room for what turning brings to the sides


def data_uri(pixels: UInt8Array) -> str:
    """(H, W, 3) pixels as the data URI of a JPEG."""
    return "data:image/jpeg;base64," + base64.b64encode(encode_image(pixels, ".jpg", QUALITY)).decode()


def shrunk(pixels: UInt8Array, longer_side: int) -> UInt8Array:
    """(H, W, 3) pixels, reduced so that no side exceeds `longer_side`; never enlarged."""
    height, width = pixels.shape[:2]
    factor = longer_side / max(height, width)
    if factor >= 1:
        return pixels
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def enlarged(pixels: UInt8Array, side: int) -> UInt8Array:
    """(H, W, 3) pixels, resized so that the longer side is `side`."""
    height, width = pixels.shape[:2]
    size = round(width * side / max(height, width)), round(height * side / max(height, width))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def depth_colours(depth: FloatArray, mask: BoolArray) -> UInt8Array:
    """Depth in colour: yellow near, blue far, over its own 1st to 99th percentile on the object.

    Args:
        depth: (H, W), growing away from the camera; NaN counts as off the object.
        mask: (H, W), True on the object.

    Returns:
        (H, W, 3) uint8, light grey off the object.
    """
    shown = mask & np.isfinite(depth)
    picture = np.full((*depth.shape, 3), round(255 * OFF_OBJECT), np.uint8)
    if shown.any():
        near, far = np.percentile(depth[shown], [1, 99])
        position = np.clip((depth[shown] - near) / max(far - near, 1e-9), 0, 1)
        stops = np.linspace(0, 1, len(NEAR_TO_FAR))
        colours = [np.interp(position, stops, NEAR_TO_FAR[:, channel]) for channel in range(3)]
        picture[shown] = np.rint(np.stack(colours, axis=-1)).astype(np.uint8)
    return picture


def resampled(depth: FloatArray, mask: BoolArray, side: int) -> tuple[npt.NDArray[np.float32], BoolArray]:
    """Square depth and mask on another grid; depth off the object does not leak in.

    Args:
        depth: (S, S); NaN counts as off the object.
        mask: (S, S), True on the object.
        side: Of the new grid.

    Returns:
        (side, side) float32 depth and (side, side) bool mask.
    """
    shown = mask & np.isfinite(depth)
    weight = _bilinear(shown.astype(np.float32), side)
    mean = _bilinear(np.where(shown, depth, 0), side) / np.maximum(weight, 1e-6)
    return mean.astype(np.float32), weight > 0.5


def with_scale(depth: FloatArray, mask: BoolArray) -> FloatArray:
    """Depth about its median, scaled so that its middle 90 % spread over SPREAD of the object's smaller extent.

    Two affine views leave the scale of depth free, so a picture of the surface has to choose one.

    Args:
        depth: (S, S), growing away from the camera.
        mask: (S, S), True on the object.

    Returns:
        (S, S) depth in units of half the image's width.
    """
    shown = mask & np.isfinite(depth)
    if not shown.any():
        return depth
    low, middle, high = np.percentile(depth[shown], [5, 50, 95])
    rows, columns = np.nonzero(shown)
    extent = min(np.ptp(rows), np.ptp(columns)) * 2 / max(depth.shape)
    return (depth - middle) * (SPREAD * extent / max(high - low, 1e-6))


def new_view(rgb: UInt8Array, depth: FloatArray, mask: BoolArray, azimuth: float, side: int = 260) -> UInt8Array:
    """Render the surface from another azimuth, orthographically, in the colours of the photograph.

    The surface is splatted: its grid is refined, turned about the vertical axis, and drawn from far to near.

    Args:
        rgb: (R, R, 3) photograph.
        depth: (S, S), growing away from the camera, in units of half the image's width.
        mask: (S, S), True on the object.
        azimuth: Degrees.
        side: Width and height of the picture, px.

    Returns:
        (side, side, 3) uint8, light grey where nothing is.
    """
    points, colours = _refined(rgb, depth, mask, side)
    picture = np.full((side, side, 3), round(255 * OFF_OBJECT), np.uint8)
    if not len(points):
        return picture
    angle = np.radians(azimuth)
    x = np.cos(angle) * points[:, 0] + np.sin(angle) * points[:, 2]
    z = -np.sin(angle) * points[:, 0] + np.cos(angle) * points[:, 2]
    order = np.argsort(-z, kind="stable")  # the nearest is written last and stays
    columns = np.floor((ZOOM * x[order] + 1) / 2 * side).astype(int)
    rows = np.floor((ZOOM * points[order, 1] + 1) / 2 * side).astype(int)
    inside = (columns >= 0) & (columns < side) & (rows >= 0) & (rows < side)
    picture[rows[inside], columns[inside]] = colours[order][inside]
    return picture


def _bilinear(values: FloatArray, side: int) -> npt.NDArray[np.float32]:
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR))


def _refined(
    rgb: UInt8Array, depth: FloatArray, mask: BoolArray, side: int
) -> tuple[npt.NDArray[np.float32], UInt8Array]:
    """(P, 3) points (x right, y down, z away) and (P, 3) colours on a grid three times as fine as the picture."""
    from scipy.ndimage import binary_erosion

    fine = 3 * side
    # depth at the very rim is the least certain
    z, inside = resampled(depth, binary_erosion(mask & np.isfinite(depth)), fine)
    inside &= _steepness(z) < STEEPEST * 2 / fine
    colours = np.asarray(Image.fromarray(rgb).resize((fine, fine), Image.Resampling.BILINEAR))
    grid = (2 * np.arange(fine, dtype=np.float32) + 1) / fine - 1
    x, y = np.meshgrid(grid, grid)
    middle = np.median(z[inside]) if inside.any() else 0
    points = np.stack([x[inside], y[inside], (z - middle)[inside]], axis=-1)
    return points, _shaded(colours, z)[inside]


def _shaded(colours: UInt8Array, z: FloatArray) -> UInt8Array:
    """Colours darkened where the surface turns away, so that its relief shows."""
    pitch = 2 / len(z)
    slope_y, slope_x = np.gradient(z, pitch)
    light = (0.35 * slope_x - 0.45 * -slope_y + 0.82) / np.sqrt(1 + slope_x**2 + slope_y**2)
    return np.clip(colours * np.clip(0.72 + 0.33 * light, 0.45, 1.05)[..., None], 0, 255).astype(np.uint8)


def _steepness(z: FloatArray) -> FloatArray:
    down, right = np.abs(np.diff(z, axis=0, append=z[-1:])), np.abs(np.diff(z, axis=1, append=z[:, -1:]))
    return np.maximum(down, right)

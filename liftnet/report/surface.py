"""A predicted depth map as a surface: new views by a small software renderer, and a mesh for the interactive view."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftnet.io.images import BoolArray, UInt8Array
from liftnet.report.pictures import OFF_OBJECT, depth_colours, resampled

FloatArray = npt.NDArray[np.floating]
AZIMUTHS = (-50, -25, 25, 50)  # degrees; the camera goes round the object to its right for positive angles
STEEPEST = 8.0  # depth per width: where neighbours differ by more there is an occlusion, not surface
SPREAD = 0.6  # of the object's smaller extent, see `with_scale`
MESH_SIDE = 112
ZOOM = 0.82  # leaves room for what turning brings to the sides


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


def mesh(rgb: UInt8Array, depth: FloatArray, mask: BoolArray, side: int = MESH_SIDE) -> dict[str, Any]:
    """The surface as a triangle mesh for the browser.

    Args:
        rgb: (R, R, 3) photograph.
        depth: (S, S), growing away from the camera, in units of half the image's width.
        mask: (S, S), True on the object.
        side: Vertices from edge to edge of the image.

    Returns:
        x (right), y (away from the camera), z (up), the vertex indices i, j, k of the triangles, and per vertex the
        colours `photo` and `depth` as #rrggbb; empty lists where there is no object.
    """
    depth, mask = resampled(depth, mask, side)
    photo = np.asarray(Image.fromarray(rgb).resize((side, side), Image.Resampling.BOX))
    number = np.cumsum(mask).reshape(mask.shape) - 1
    corners = number.ravel()[_triangles(depth, mask)]
    rows, columns = np.nonzero(mask)
    middle = np.median(depth[mask]) if mask.any() else 0.0
    return {
        "x": _rounded((2 * columns + 1) / side - 1),
        "y": _rounded(depth[mask] - middle),
        "z": _rounded(1 - (2 * rows + 1) / side),
        "i": corners[:, 0].tolist(),
        "j": corners[:, 1].tolist(),
        "k": corners[:, 2].tolist(),
        "photo": _hexadecimal(photo[mask]),
        "depth": _hexadecimal(depth_colours(depth, mask)[mask]),
    }


def _triangles(depth: FloatArray, mask: BoolArray) -> npt.NDArray[np.int64]:
    """Two triangles per grid cell, as (T, 3) flat pixel indices; those off the object or over a jump are left out."""
    index = np.arange(depth.size).reshape(depth.shape)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    cells = [np.stack([a, c, b], axis=-1).reshape(-1, 3), np.stack([b, c, d], axis=-1).reshape(-1, 3)]
    triangles = np.concatenate(cells)
    flat = np.where(mask, depth, 0).ravel()[triangles]
    whole = mask.ravel()[triangles].all(axis=1)
    return triangles[whole & (np.ptp(flat, axis=1) < STEEPEST * 2 / len(depth))]


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


def _rounded(values: FloatArray) -> list[float]:
    rounded: list[float] = np.round(values.astype(float), 4).tolist()
    return rounded


def _hexadecimal(colours: UInt8Array) -> list[str]:
    packed = (colours.astype(np.int64) @ np.array([65536, 256, 1])).tolist()
    return [f"#{colour:06x}" for colour in packed]

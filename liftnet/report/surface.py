"""A predicted depth map as a surface: new views by a small software renderer, and a mesh for the interactive view."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftnet.io.images import BoolArray, UInt8Array
from liftnet.report.pictures import OFF_OBJECT, depth_colours

FloatArray = npt.NDArray[np.floating]
AZIMUTHS = (-50, -25, 25, 50)  # degrees; the camera goes round the object to its right for positive angles
LARGEST_JUMP = 0.2  # of the half width: steeper steps between neighbours are occlusions, not surface
MESH_SIDE = 96
ZOOM = 0.9  # leaves room for what turning brings to the sides


def new_view(rgb: UInt8Array, depth: FloatArray, mask: BoolArray, azimuth: float, side: int = 260) -> UInt8Array:
    """Render the surface from another azimuth, orthographically, in the colours of the photograph.

    The surface is splatted: its grid is refined, turned about the vertical axis, and drawn from far to near.

    Args:
        rgb: (S, S, 3) photograph.
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
    columns = np.rint((ZOOM * x[order] + 1) / 2 * (side - 1)).astype(int)
    rows = np.rint((ZOOM * points[order, 1] + 1) / 2 * (side - 1)).astype(int)
    inside = (columns >= 0) & (columns < side) & (rows >= 0) & (rows < side)
    picture[rows[inside], columns[inside]] = colours[order][inside]
    return picture


def mesh(rgb: UInt8Array, depth: FloatArray, mask: BoolArray) -> dict[str, Any]:
    """The surface as a triangle mesh for the browser, at most MESH_SIDE vertices wide.

    Args:
        rgb: (S, S, 3) photograph.
        depth: (S, S), growing away from the camera, in units of half the image's width.
        mask: (S, S), True on the object.

    Returns:
        x (right), y (away from the camera), z (up), the vertex indices i, j, k of the triangles, and per vertex the
        colours `photo` and `depth` as #rrggbb; empty lists where there is no object.
    """
    step = -(-max(depth.shape) // MESH_SIDE)
    rgb, depth, mask = rgb[::step, ::step], depth[::step, ::step], mask[::step, ::step]
    mask = mask & np.isfinite(depth)
    height, width = depth.shape
    number = np.cumsum(mask).reshape(mask.shape) - 1
    triangles = _triangles(depth, mask)
    rows, columns = np.nonzero(mask)
    middle = np.median(depth[mask]) if mask.any() else 0.0
    corners = number.ravel()[triangles]
    return {
        "x": _rounded(columns / max(width - 1, 1) * 2 - 1),
        "y": _rounded(depth[mask] - middle),
        "z": _rounded(1 - rows / max(height - 1, 1) * 2),
        "i": corners[:, 0].tolist(),
        "j": corners[:, 1].tolist(),
        "k": corners[:, 2].tolist(),
        "photo": _hexadecimal(rgb[mask]),
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
    return triangles[whole & (np.ptp(flat, axis=1) < LARGEST_JUMP)]


def _refined(
    rgb: UInt8Array, depth: FloatArray, mask: BoolArray, side: int
) -> tuple[npt.NDArray[np.float32], UInt8Array]:
    """(P, 3) points (x right, y down, z away) and (P, 3) colours on a grid three times as fine as the picture."""
    from scipy.ndimage import binary_erosion

    fine = (3 * side, 3 * side)
    mask = binary_erosion(mask & np.isfinite(depth))  # depth at the very rim is the least certain
    filled = np.where(mask, depth, np.median(depth[mask]) if mask.any() else 0).astype(np.float32)
    weight = _resized(mask.astype(np.float32), fine)
    # dividing by the weight keeps the filling off the rim
    z = _resized(filled * mask, fine) / np.maximum(weight, 1e-6)
    inside = (weight > 0.5) & (_steepness(z) < LARGEST_JUMP * max(depth.shape) / fine[0])
    colours = np.asarray(Image.fromarray(rgb).resize(fine, Image.Resampling.BILINEAR))
    grid = np.linspace(-1, 1, fine[0], dtype=np.float32)
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


def _resized(values: FloatArray, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    picture = Image.fromarray(values.astype(np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))


def _rounded(values: FloatArray) -> list[float]:
    rounded: list[float] = np.round(values.astype(float), 4).tolist()
    return rounded


def _hexadecimal(colours: UInt8Array) -> list[str]:
    packed = (colours.astype(np.int64) @ np.array([65536, 256, 1])).tolist()
    return [f"#{colour:06x}" for colour in packed]

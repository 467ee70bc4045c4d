"""A predicted depth map as a surface: a mesh for the interactive view."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftnet.core.types import BoolArray, UInt8Array
from liftnet.data.drawing import STEEPEST, depth_colours, resampled

FloatArray = npt.NDArray[np.floating]
AZIMUTHS = (-50, -25, 25, 50)  # degrees; the camera goes round the object to its right for positive angles
MESH_SIDE = 112


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


def _rounded(values: FloatArray) -> list[float]:
    rounded: list[float] = np.round(values.astype(float), 4).tolist()
    return rounded


def _hexadecimal(colours: UInt8Array) -> list[str]:
    packed = (colours.astype(np.int64) @ np.array([65536, 256, 1])).tolist()
    return [f"#{colour:06x}" for colour in packed]

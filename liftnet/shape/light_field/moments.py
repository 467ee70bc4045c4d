"""What each silhouette of the light field descriptor is reduced to, but for its outline (contour.py)."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from liftnet.core.types import Float64Array, UInt8Array

ANGULAR, RADIAL = 12, 3  # orders of the transform
TABLE_RADIUS = 50
_SIDE = 2 * TABLE_RADIUS + 2  # one more than the table, for the neighbour of its last entry


@njit(nogil=True, cache=True)
def measure(silhouette: UInt8Array) -> Float64Array:
    """Numbers of a silhouette (S, S) uint8, 0 or 1.

    Returns:
        (7,): x and y of the middle of its bounding box, its greatest distance from there, pixels inside, pixels on its
        border, circularity 4 pi A / p^2, eccentricity ((i20 - i02)^2 + 4 i11^2) / (i20 + i02)^2, both at most 1; all
        zero if it is empty.
    """
    size = len(silhouette)
    left, right, top, bottom = size, -1, size, -1
    inside, border = 0, 0
    for y in range(size):
        for x in range(size):
            if silhouette[y, x] == 0:
                continue
            inside += 1
            left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
            rows, columns = (max(y - 1, 0), min(y + 2, size)), (max(x - 1, 0), min(x + 2, size))
            surrounded = True
            for row in range(rows[0], rows[1]):
                for column in range(columns[0], columns[1]):
                    surrounded = surrounded and silhouette[row, column] != 0
            border += 0 if surrounded else 1
    numbers = np.zeros(7)
    if inside == 0:
        return numbers
    x0, y0 = (left + right) / 2, (top + bottom) / 2
    i20, i11, i02, radius = 0.0, 0.0, 0.0, 0.0
    for y in range(top, bottom + 1):
        for x in range(left, right + 1):
            if silhouette[y, x] != 0:
                dx, dy = x - x0, y - y0
                i20, i11, i02 = i20 + dx * dx, i11 + dx * dy, i02 + dy * dy
                radius = max(radius, dx * dx + dy * dy)
    numbers[0], numbers[1], numbers[2], numbers[3], numbers[4] = x0, y0, np.sqrt(radius), inside, border
    if border > 0:  # none where the whole image is covered
        numbers[5] = min(4 * np.pi * inside / (border * border), 1.0)
    if inside > 1:
        numbers[6] = min(((i20 - i02) ** 2 + 4 * i11**2) / (i20 + i02) ** 2, 1.0)
    return numbers


@cache
def _basis() -> npt.NDArray[np.complex128]:
    """(102 * 102, 36) ART basis functions cos(pi r rho) exp(i p theta) on a grid of radius 50, zero beyond."""
    y, x = np.mgrid[:_SIDE, :_SIDE] - TABLE_RADIUS
    rho = np.hypot(x, y) / TABLE_RADIUS
    radial = np.cos(np.pi * np.arange(RADIAL) * rho[..., None])
    angular = np.exp(1j * np.arange(ANGULAR) * np.arctan2(y, x)[..., None])
    basis = angular[..., :, None] * radial[..., None, :] * (rho < 1)[..., None, None]
    return basis.reshape(_SIDE * _SIDE, ANGULAR * RADIAL)


def angular_radial_transform(silhouettes: UInt8Array, centres: Float64Array, radius: float) -> Float64Array:
    """Magnitudes of the angular radial transform (MPEG-7's region shape descriptor), as means over the pixels.

    MPEG-7 divides by the coefficient of orders 0, 0. The authors' program sets out to, but has divided that one by
    itself, to 1, before it comes to the others. Theirs are means, and so are these.

    Args:
        silhouettes: (N, S, S) uint8, 0 or 1.
        centres: (N, 2) x and y of the centre of each, px.
        radius: What the unit disc reaches, px.

    Returns:
        (N, 35): angular order 0 with radial orders 1 and 2, then angular orders 1 to 11 with radial orders 0 to 2;
        zero for an empty silhouette.
    """
    if radius == 0:
        return np.zeros((len(silhouettes), ANGULAR * RADIAL - 1))
    # A pixel reads the basis by bilinear interpolation. Adding up the pixels' weights first, and multiplying once, is
    # the same sum in another order, at an eighteenth of the arithmetic.
    weights = np.stack([_splat(*each, TABLE_RADIUS / radius) for each in zip(silhouettes, centres, strict=True)])
    counts = np.maximum(silhouettes.sum((1, 2), dtype=np.int64), 1)
    return np.asarray(np.abs(weights.reshape(len(weights), -1) @ _basis())[:, 1:] / counts[:, None])


@njit(nogil=True, cache=True)
def _splat(silhouette: UInt8Array, centre: Float64Array, scale: float) -> Float64Array:
    """The bilinear weights (102, 102) with which the pixels of a silhouette read a table, row y."""
    size = len(silhouette)
    weights = np.zeros((_SIDE, _SIDE))
    for y in range(size):
        v = (y - centre[1]) * scale + TABLE_RADIUS
        row = int(v)
        fv = v - row
        for x in range(size):
            if silhouette[y, x] != 0:
                u = (x - centre[0]) * scale + TABLE_RADIUS
                column = int(u)
                fu = u - column
                weights[row, column] += (1 - fu) * (1 - fv)
                weights[row, column + 1] += fu * (1 - fv)
                weights[row + 1, column] += (1 - fu) * fv
                weights[row + 1, column + 1] += fu * fv
    return weights

"""What each silhouette of the light field descriptor is reduced to: its outline, its moments, a few numbers.

A silhouette in several parts has no one outline. The recipe joins the parts: it thickens the silhouette until they
meet (by 3x3, then by a 5x5 without corners, then its bounding box), and peels the result back to the silhouette and
the thin bridges between its parts.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import ndimage

from liftnet.core.types import BoolArray, Float64Array, Int64Array, UInt8Array

COEFFICIENTS = 10
_SHORTEST = 8  # pixels of a contour; below, all coefficients are 0
_MAIN_FRACTION = 0.95  # of the pixels, that one contour must enclose
_MARGIN = 4  # background around the silhouette, so that no neighbour lies outside
_SQUARE = np.ones((3, 3), bool)
_ROUND = np.ones((5, 5), bool)
_ROUND[::4, ::4] = False
ANGULAR, RADIAL = 12, 3  # orders of the transform
TABLE_RADIUS = 50
_SIDE = 2 * TABLE_RADIUS + 2  # one more than the table, for the neighbour of its last entry


def fourier_descriptor(silhouette: UInt8Array, centre: Float64Array) -> Float64Array:
    """|F_k| / |F_0|, k = 1 to 10, of the distance from the centre along the outer contour.

    Args:
        silhouette: (S, S) uint8, 0 or 1.
        centre: (2,) x and y, px.

    Returns:
        (10,), all zero if the contour has fewer than 8 pixels.
    """
    contour = outer_contour(silhouette)
    if len(contour) < _SHORTEST:
        return np.zeros(COEFFICIENTS)
    x, y = contour.T - centre[:, None]
    spectrum = np.abs(np.fft.rfft(np.hypot(x, y)))
    found = spectrum[1 : COEFFICIENTS + 1] / spectrum[0]
    return np.pad(found, (0, COEFFICIENTS - len(found)))


def outer_contour(silhouette: UInt8Array) -> Int64Array:
    """(N, 2) x and y of the pixels along the outer contour, the first one once more at the end; N = 0 for a dot."""
    rows, columns = (np.flatnonzero(silhouette.any(axis)) for axis in (1, 0))
    if not len(rows):
        return np.empty((0, 2), np.int64)
    first = np.array([columns[0], rows[0]])
    image = np.pad(silhouette[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], _MARGIN)
    contour = trace(image)
    if not _encloses(contour, image):
        joined = ndimage.binary_dilation(image, _SQUARE).view(np.uint8)
        if not _encloses(trace(joined), joined):
            joined = ndimage.binary_dilation(joined, _ROUND).view(np.uint8)
            if not _encloses(trace(joined), joined):
                joined = np.pad(np.ones(np.subtract(image.shape, 2 * _MARGIN), np.uint8), _MARGIN)
        contour = trace(_peel(joined, image, _removable()))
    return contour[: len(contour) if len(contour) > 1 else 0] + first - _MARGIN


def _encloses(contour: Int64Array, image: UInt8Array) -> bool:
    """Whether a contour encloses nearly all of the silhouette."""
    inside = _count_inside(contour, image)
    return bool(inside > _MAIN_FRACTION * image.sum())


@cache
def _removable() -> BoolArray:
    """(256,) whether a pixel may go, by its eight neighbours counter-clockwise from the right, one bit each.

    It may if its neighbours, connected by edges, are at most one part that touches it by an edge (Yokoi's connectivity
    number), unless it is the end of a line.
    """
    around = (np.arange(256)[:, None] >> np.arange(8)) & 1
    first, second, third = (np.roll(around, -shift, 1)[:, ::2] for shift in range(3))
    parts = (first * (1 - second * third)).sum(1)
    return np.asarray((parts <= 1) & (around.sum(1) != 1))


@njit(nogil=True, cache=True)
def trace(image: UInt8Array) -> Int64Array:
    """Follow the outer contour of the first part met, row by row (Pavlidis' algorithm, 8-connected).

    Args:
        image: (S, S) uint8, 0 or 1, with background along its sides.

    Returns:
        (N, 2) int64 x and y, from the first pixel back to it; one row for a dot, none for an empty image.
    """
    height, width = image.shape
    points = np.empty((height * width, 2), np.int64)
    start = -1
    for place in range(height * width):
        if image[place // width, place % width] != 0:
            start = place
            break
    if start < 0:
        return points[:0]
    x, y, count = start % width, start // width, 1
    points[0] = x, y
    x0, y0 = x, y
    # The contour passes the first pixel twice if it alone joins a branch on its left to one on its right.
    branches = image[y + 1, x - 1] != 0 and image[y + 1, x] == 0 and (image[y + 1, x + 1] != 0 or image[y, x + 1] != 0)
    heading = 0  # down, right, up, left in turn
    steps_x, steps_y = (0, 1, 0, -1), (1, 0, -1, 0)
    while count < len(points):
        walked = False
        for _ in range(4):
            ahead_x, ahead_y = steps_x[heading], steps_y[heading]
            side_x, side_y = steps_x[heading - 1], steps_y[heading - 1]
            for side in (1, 0, -1):
                next_x, next_y = x + ahead_x + side * side_x, y + ahead_y + side * side_y
                if image[next_y, next_x] != 0:
                    x, y, walked = next_x, next_y, True
                    if side == 1:
                        heading = (heading + 3) % 4
                    break
            if walked:
                break
            heading = (heading + 1) % 4
        if not walked:
            return points[:1]
        points[count] = x, y
        count += 1
        if x == x0 and y == y0 and not (branches and heading == 1):
            break
    return points[:count]


@njit(nogil=True, cache=True)
def _count_inside(contour: Int64Array, image: UInt8Array) -> int:
    """Pixels of the silhouette on the contour or inside it, that is, not reached from the image's sides."""
    height, width = image.shape
    reached = np.zeros((height, width), np.uint8)
    for x, y in contour:
        reached[y, x] = 2
    stack = np.empty(height * width, np.int64)
    stack[0], waiting = 0, 1
    reached[0, 0] = 1
    while waiting > 0:
        waiting -= 1
        x, y = stack[waiting] % width, stack[waiting] // width
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            if 0 <= x + dx < width and 0 <= y + dy < height and reached[y + dy, x + dx] == 0:
                reached[y + dy, x + dx] = 1
                stack[waiting] = (y + dy) * width + x + dx
                waiting += 1
    inside = 0
    for y in range(height):
        for x in range(width):
            if image[y, x] != 0 and reached[y, x] != 1:
                inside += 1
    return inside


@njit(nogil=True, cache=True)
def _peel(joined: UInt8Array, image: UInt8Array, removable: BoolArray) -> UInt8Array:
    """Thin `joined` (S, S) from the row before, the row after, left and right, sparing the pixels of `image`.

    The pixels of one side go at once; sides follow each other until none has any left that may go.
    """
    thin = joined.copy()
    rows, columns = np.nonzero(thin > image)
    remaining = len(rows)
    going = np.empty(remaining, np.bool_)
    changed = True
    while changed:
        changed = False
        for side_y, side_x in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            for index in range(remaining):
                y, x = rows[index], columns[index]
                going[index] = False
                if thin[y + side_y, x + side_x] == 0:
                    around = thin[y, x + 1] | thin[y - 1, x + 1] << 1 | thin[y - 1, x] << 2 | thin[y - 1, x - 1] << 3
                    around |= thin[y, x - 1] << 4 | thin[y + 1, x - 1] << 5 | thin[y + 1, x] << 6
                    going[index] = removable[around | thin[y + 1, x + 1] << 7]
            kept = 0
            for index in range(remaining):
                if going[index]:
                    thin[rows[index], columns[index]] = 0
                    changed = True
                else:
                    rows[kept], columns[kept] = rows[index], columns[index]
                    kept += 1
            remaining = kept
    return thin


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

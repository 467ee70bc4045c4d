"""Photometric alignment: how far a matched point must move so that the pictures around both points agree.

The inverse compositional algorithm (Baker & Matthews, 2004) for a translation, with brightness and contrast free: what
is minimised is the distance of two patches of zero mean and unit norm, so the smallest one is the largest correlation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numba
import numpy as np
import numpy.typing as npt

from liftnet.core.types import Float64Array, Int64Array, UInt8Array

Kernel = Any  # numba gives its functions no types
HALF = 7  # samples to each side of a point: 15 x 15
SAMPLES_PER_SCALE = 2.0  # of a keypoint's scale: so the patch reaches 3.5 scales to each side
LEAST_SPACING = 1.0  # px between samples, else 225 samples would say the same
STEPS = 6
ENOUGH = 0.01  # of the spacing: a smaller step is the last one
SMALLEST = 16  # px: a level of a smaller side would have no place for a patch
FAINT = 1e-3  # grey levels: what varies less is no texture
DAMPING = 1e-3  # of the mean curvature: along an edge a point stays where it is


@dataclass(frozen=True, eq=False)
class Pyramid:
    """A grey picture in halves, quarters, ... of its size, one after the other.

    Attributes:
        values: Grey levels of all levels, row by row.
        levels: (L, 3) where each level begins, its height and its width.
    """

    values: UInt8Array
    levels: Int64Array

    @classmethod
    def of(cls, grey: npt.NDArray[np.uint8]) -> Pyramid:
        """The levels of a (H, W) picture; (x, y) of it lies at (x, y) / 2^l of level l."""
        short = [max(2 - side, 0) for side in grey.shape]
        levels = [np.pad(grey, [(0, short[0]), (0, short[1])], mode="edge")]  # two pixels to read between
        while min(levels[-1].shape) >= 2 * SMALLEST:
            levels.append(np.asarray(cv2.pyrDown(levels[-1]), np.uint8))
        starts = np.cumsum([0, *(level.size for level in levels)])[:-1]
        sizes = [level.shape for level in levels]
        return cls(np.concatenate([level.ravel() for level in levels]), np.column_stack([starts, sizes]))


@dataclass(frozen=True, eq=False)
class Alignment:
    """How matched points were aligned.

    Attributes:
        shift: (N, 2) px in image b, to be added to the points there.
        correlation: (N,) of the patches once aligned, in [-1, 1]; -1 where a number is not finite.
    """

    shift: Float64Array
    correlation: Float64Array


def align_points(
    pictures: tuple[Pyramid, Pyramid],
    points_a: Float64Array,
    points_b: Float64Array,
    linear: Float64Array,
    scales: npt.NDArray[np.floating],
) -> Alignment:
    """Move each point of image b to where the picture around it is most like that around its partner in image a.

    Args:
        pictures: Image a and b.
        points_a: (N, 2) px.
        points_b: (N, 2) px, a few samples from the true place at most.
        linear: (N, 2, 2) the derivative of the map from image a to image b around each point.
        scales: (N,) px in image a, of the keypoints: how large what is compared shall be.

    Returns:
        The shifts, of the best correlation met, at most STEPS samples long.
    """
    spacing = np.maximum(LEAST_SPACING, np.asarray(scales, np.float64) / SAMPLES_PER_SCALE)
    rows = np.hstack([points_a, points_b, linear.reshape(-1, 4), spacing[:, None]]).astype(np.float64)
    usable = np.isfinite(rows).all(axis=1)
    shift, correlation = np.zeros((len(rows), 2)), np.full(len(rows), -1.0)
    a, b = pictures
    weights = sample_weights().ravel()
    shift[usable], correlation[usable] = _align(a.values, a.levels, b.values, b.levels, rows[usable], weights)
    return Alignment(shift, correlation)


def sample_weights() -> Float64Array:
    """(15, 15) weights of the samples of a patch: a Gaussian of 3.5 samples that sums to 1."""
    steps = np.arange(-HALF, HALF + 1) / (0.5 * HALF)
    weights = np.exp(-0.5 * (steps[:, None] ** 2 + steps**2))
    return np.asarray(weights / weights.sum())


@numba.njit(nogil=True, cache=True, inline="always")
def _level_of(spacing: float, n: int) -> Kernel:
    return max(0, min(n - 1, int(np.floor(np.log2(max(spacing, 1.0))))))


@numba.njit(nogil=True, cache=True, inline="always")
def _sample(values: Kernel, level: Kernel, factor: float, x: float, y: float) -> Kernel:
    """The picture between pixels; beyond its border that of the border."""
    start, height, width = level
    x, y = min(max(x * factor, 0.0), width - 1.001), min(max(y * factor, 0.0), height - 1.001)
    column, row = int(x), int(y)
    x, y = x - column, y - row
    k = start + row * width + column
    upper = values[k] * (1 - x) + values[k + 1] * x
    return upper * (1 - y) + (values[k + width] * (1 - x) + values[k + width + 1] * x) * y


@numba.njit(nogil=True, cache=True, inline="always")
def _normalised(patch: Kernel, weight: Kernel) -> Kernel:
    """Take the mean off a patch and divide it by its norm, in place; the norm."""
    mean, norm = 0.0, 0.0
    for k in range(len(patch)):
        mean += weight[k] * patch[k]
    for k in range(len(patch)):
        patch[k] -= mean
        norm += weight[k] * patch[k] * patch[k]
    norm = np.sqrt(norm) + FAINT
    for k in range(len(patch)):
        patch[k] /= norm
    return norm


@numba.njit(nogil=True, cache=True)
def _template(values: Kernel, levels: Kernel, x: float, y: float, h: float, weight: Kernel, work: Kernel) -> Kernel:
    """The patch of image a and its slopes, in `work`, and what they give of the normal equations: xx, xy, yy."""
    still, slope_x, slope_y = work[0], work[1], work[2]
    level, side = _level_of(h, len(levels)), 2 * HALF + 1
    at, factor, half = levels[level], 0.5**level, h / 2
    for k in range(len(weight)):
        u, v = x + (k % side - HALF) * h, y + (k // side - HALF) * h
        still[k] = _sample(values, at, factor, u, v)
        slope_x[k] = _sample(values, at, factor, u + half, v) - _sample(values, at, factor, u - half, v)
        slope_y[k] = _sample(values, at, factor, u, v + half) - _sample(values, at, factor, u, v - half)
    norm = _normalised(still, weight)
    mean_x, mean_y, along_x, along_y = 0.0, 0.0, 0.0, 0.0
    for k in range(len(weight)):
        slope_x[k] /= norm
        slope_y[k] /= norm
        mean_x += weight[k] * slope_x[k]
        mean_y += weight[k] * slope_y[k]
        along_x += weight[k] * slope_x[k] * still[k]
        along_y += weight[k] * slope_y[k] * still[k]
    xx, xy, yy = 0.0, 0.0, 0.0
    for k in range(len(weight)):  # what brightness and contrast could explain is no movement
        slope_x[k] -= mean_x + along_x * still[k]
        slope_y[k] -= mean_y + along_y * still[k]
        xx += weight[k] * slope_x[k] * slope_x[k]
        xy += weight[k] * slope_x[k] * slope_y[k]
        yy += weight[k] * slope_y[k] * slope_y[k]
    damping = DAMPING * (xx + yy) / 2 + 1e-9
    return xx + damping, xy, yy + damping


@numba.njit(nogil=True, cache=True)
def _align(
    values_a: Kernel, levels_a: Kernel, values_b: Kernel, levels_b: Kernel, rows: Kernel, weight: Kernel
) -> Kernel:
    shift, correlation = np.zeros((len(rows), 2)), np.zeros(len(rows))
    work, side = np.empty((4, len(weight))), 2 * HALF + 1
    still, slope_x, slope_y, other = work[0], work[1], work[2], work[3]
    for i in range(len(rows)):
        x_a, y_a, x_b, y_b, a, b, c, d, h = rows[i]
        xx, xy, yy = _template(values_a, levels_a, x_a, y_a, h, weight, work)
        determinant = xx * yy - xy * xy
        level = _level_of(h * np.sqrt(abs(a * d - b * c)), len(levels_b))
        at, factor = levels_b[level], 0.5**level
        p, q, best, best_p, best_q, last = 0.0, 0.0, -2.0, 0.0, 0.0, False
        for step in range(STEPS + 1):
            for k in range(len(weight)):
                u, v = (k % side - HALF + p) * h, (k // side - HALF + q) * h
                other[k] = _sample(values_b, at, factor, x_b + a * u + b * v, y_b + c * u + d * v)
            _normalised(other, weight)
            product, by_x, by_y = 0.0, 0.0, 0.0
            for k in range(len(weight)):
                product += weight[k] * other[k] * still[k]
                difference = weight[k] * (other[k] - still[k])
                by_x += slope_x[k] * difference
                by_y += slope_y[k] * difference
            if product > best:
                best, best_p, best_q = product, p, q
            if last or step == STEPS:
                break
            move_x, move_y = (yy * by_x - xy * by_y) / determinant, (xx * by_y - xy * by_x) / determinant
            length = np.hypot(move_x, move_y)
            if length > 1:
                move_x, move_y = move_x / length, move_y / length
            p, q, last = p - move_x, q - move_y, length < ENOUGH
        shift[i, 0], shift[i, 1] = h * (a * best_p + b * best_q), h * (c * best_p + d * best_q)
        correlation[i] = best
    return shift, correlation

"""Signs that two pictures are copies of one, or share a watermark: counts of matches, no decisions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from liftnet.geometry.affine import estimate_affine_homography
from liftnet.geometry.ransac import Search

FloatArray = npt.NDArray[np.floating]

COPY_PX = 1.0  # what resampling and compression move a keypoint at most; copies have a median of 0.2 to 0.3 px
MAX_STRETCH = 0.02  # a copy has one scale; a plane seen from elsewhere is shortened in one direction
# COLMAP's rule of a watermark: inliers in a border of 10 % of the diagonal that are moved alike within 4 px
BORDER_SHARE = 0.1
SHIFT_PX = 4.0
SHIFTS_TRIED = 32
STILL_PX = 1.0


def count_copied(points_a: FloatArray, points_b: FloatArray, rng: np.random.Generator, search: Search) -> int:
    """Matches that the best similarity between the pictures explains to COPY_PX.

    Args:
        points_a: (N, 2) px, all matches that are used.
        points_b: (N, 2) px.
        rng: Source of the samples.
        search: How long to search.

    Returns:
        0 where the best affine homography is no similarity, mirrored or not.
    """
    found = estimate_affine_homography(points_a, points_b, COPY_PX, rng, search)
    if not found.found:
        return 0
    large, small = np.linalg.svd(found.matrix[:, :2], compute_uv=False)
    return found.n_inliers if large - small <= MAX_STRETCH * large else 0


def count_watermark(
    points_a: FloatArray,
    points_b: FloatArray,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    rng: np.random.Generator,
) -> int:
    """Matches that could be of a watermark near the edge: in the border of both images, and moved alike.

    Args:
        points_a: (N, 2) px, the inliers of a fundamental matrix.
        points_b: (N, 2) px.
        sizes: (width, height) of image a and of image b.
        rng: Source of the shifts tried.

    Returns:
        The smaller of the number of matches in both borders and the number moved by one shift within SHIFT_PX.
    """
    n = len(points_a)
    if n == 0:
        return 0
    in_border = int(np.count_nonzero(_in_border(points_a, sizes[0]) & _in_border(points_b, sizes[1])))
    shifts = np.asarray(points_b, np.float64) - points_a
    tried = shifts[rng.permutation(n)[:SHIFTS_TRIED]]
    alike = np.linalg.norm(shifts - tried[:, None], axis=2) < SHIFT_PX
    return min(in_border, int(alike.sum(axis=1).max()))


def count_stationary(points_a: FloatArray, points_b: FloatArray) -> int:
    """Matches that stand at the same place in both images within STILL_PX, as an overlay does."""
    moved = np.linalg.norm(np.asarray(points_b, np.float64) - points_a, axis=1)
    return int(np.count_nonzero(moved < STILL_PX))


def _in_border(points: FloatArray, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    width = BORDER_SHARE * np.hypot(*size)
    inner = (points >= width).all(axis=1) & (points <= np.subtract(size, 1) - width).all(axis=1)
    return np.asarray(~inner)

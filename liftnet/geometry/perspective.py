"""Perspective two-view geometry of matched points: OpenCV's USAC finds the model, residuals are taken in float64.

Units, order and meaning of the residuals as in `liftnet.geometry.affine`, so that both kinds of model can be compared:
the first-order distance in the four coordinates (Sampson), which for affine models is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from liftnet.core.types import BoolArray, Float64Array
from liftnet.geometry.affine import positive_threshold
from liftnet.geometry.ransac import Search
from liftnet.geometry.subspaces import joint_points
from liftnet.geometry.two_view import TwoView

_POLISHES = 10  # of each local optimisation and at the end
_MIN_FUNDAMENTAL, _MIN_HOMOGRAPHY = 8, 4  # of seven matches OpenCV returns up to three matrices


@dataclass(frozen=True, eq=False, repr=False)
class Fundamental(TwoView):
    """The epipolar geometry of two pinhole cameras.

    Attributes:
        F: (3, 3) of unit norm and rank two, (x', y', 1) F (x, y, 1)^T = 0 with (x', y') in image b; NaN without a
            model.
    """

    F: Float64Array

    @property
    def found(self) -> bool:
        """Whether there is a model; without one `F` is NaN and no match is an inlier."""
        return bool(np.isfinite(self.F[0, 0]))

    def residuals_of(self, joint: Float64Array) -> Float64Array:
        """(N,) px, residuals of other matches, (N, 4) joint points (x', y', x, y); infinite without a model."""
        return fundamental_residuals(self.F, joint)


@dataclass(frozen=True, eq=False, repr=False)
class Homography(TwoView):
    """A projective map of image a to image b.

    Attributes:
        H: (3, 3) of unit norm, (x', y', 1) ~ H (x, y, 1); NaN without a model.
    """

    H: Float64Array

    @property
    def found(self) -> bool:
        """Whether there is a model; without one `H` is NaN and no match is an inlier."""
        return bool(np.isfinite(self.H[0, 0]))


def estimate_fundamental(
    points_a: npt.ArrayLike,
    points_b: npt.ArrayLike,
    threshold: float,
    rng: np.random.Generator,
    search: Search | None = None,
) -> Fundamental:
    """Estimate the perspective fundamental matrix of matched points.

    OpenCV's USAC with MSAC scores, graph-cut local optimisation (Barath & Matas, 2018) and a least-squares end: of
    its variants the one with the highest recall at equal precision on sculptures (docs/verification.md).

    Args:
        points_a: (N, 2) points in image a, px.
        points_b: (N, 2) matched points in image b, px.
        threshold: Largest residual of an inlier, in px.
        rng: Source of the seed; the same state gives the same result, in any thread.
        search: Confidence and largest number of samples.

    Returns:
        The model; `found` is False for fewer than eight matches or where OpenCV finds none.

    Raises:
        ValueError: The points are not two finite arrays of one shape (N, 2), or the threshold is not positive.
    """
    joint, threshold = joint_points(points_a, points_b), positive_threshold(threshold)
    matrix = None
    if len(joint) >= _MIN_FUNDAMENTAL:
        matrix = _usac(cv2.findFundamentalMat, joint, threshold, rng, search or Search())
    if matrix is None:
        return Fundamental(*_nothing(len(joint)), np.full((3, 3), np.nan))
    residuals = fundamental_residuals(matrix, joint)
    return Fundamental(residuals < threshold, residuals, matrix)


def estimate_homography(
    points_a: npt.ArrayLike,
    points_b: npt.ArrayLike,
    threshold: float,
    rng: np.random.Generator,
    search: Search | None = None,
) -> Homography:
    """Estimate the projective homography of matched points; as `estimate_fundamental`, with four matches at least."""
    joint, threshold = joint_points(points_a, points_b), positive_threshold(threshold)
    matrix = None
    if len(joint) >= _MIN_HOMOGRAPHY:  # OpenCV measures in image b alone, where equal noise is sqrt(2) times larger
        matrix = _usac(cv2.findHomography, joint, np.sqrt(2) * threshold, rng, search or Search())
    if matrix is None:
        return Homography(*_nothing(len(joint)), np.full((3, 3), np.nan))
    residuals = homography_residuals(matrix, joint)
    return Homography(residuals < threshold, residuals, matrix)


def fundamental_residuals(matrix: Float64Array, joint: Float64Array) -> Float64Array:
    """Sampson distances, (N,) px, of (N, 4) joint points (x', y', x, y) (Hartley & Zisserman, 2nd ed., eq. 11.9)."""
    one = np.ones((len(joint), 1))
    a, b = np.hstack([joint[:, 2:], one]), np.hstack([joint[:, :2], one])
    line_b, line_a = a @ matrix.T, b @ matrix
    slope = np.sqrt((line_b[:, :2] ** 2).sum(axis=1) + (line_a[:, :2] ** 2).sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = np.abs((line_b * b).sum(axis=1)) / slope
    return np.nan_to_num(distances, nan=np.inf, posinf=np.inf)  # 0 / 0 where both points are epipoles


def homography_residuals(matrix: Float64Array, joint: Float64Array) -> Float64Array:
    """First-order distances, (N,) px, of (N, 4) joint points to the map (Hartley & Zisserman, 2nd ed., eq. 4.13).

    With e = x' - h(x) and D the derivative of h, the squared distance is e^T (I + D D^T)^-1 e.
    """
    b, a = joint[:, :2], np.column_stack([joint[:, 2:], np.ones(len(joint))])
    mapped = a @ matrix.T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        depth = mapped[:, 2:]
        h = mapped[:, :2] / depth
        derivative = (matrix[:2, :2] - h[:, :, None] * matrix[2, :2]) / depth[:, :, None]
        spread = np.eye(2) + derivative @ derivative.transpose(0, 2, 1)
        e = b - h
        # the inverse of a 2x2 matrix, written out
        determinant = spread[:, 0, 0] * spread[:, 1, 1] - spread[:, 0, 1] ** 2
        weighted = spread[:, 1, 1] * e[:, 0] ** 2 - 2 * spread[:, 0, 1] * e[:, 0] * e[:, 1]
        squared = (weighted + spread[:, 0, 0] * e[:, 1] ** 2) / determinant
        distances = np.sqrt(np.maximum(squared, 0))
    return np.nan_to_num(distances, nan=np.inf, posinf=np.inf)  # points at infinity


def _usac(
    estimator: Callable[..., Any], joint: Float64Array, threshold: float, rng: np.random.Generator, search: Search
) -> Float64Array | None:
    """The (3, 3) matrix of unit norm that OpenCV finds, or None.

    The seed is a parameter of the call, not OpenCV's global one, so threads do not disturb each other.
    """
    usac = cv2.UsacParams()
    usac.confidence = min(search.confidence, 1 - 1e-9)
    usac.maxIterations = search.max_hypotheses
    usac.threshold = threshold
    usac.randomGeneratorState = int(rng.integers(1, 2**31 - 1))
    usac.isParallel = False
    usac.score = cv2.SCORE_METHOD_MSAC
    usac.loMethod = cv2.LOCAL_OPTIM_GC
    usac.loIterations = usac.final_polisher_iterations = _POLISHES
    usac.final_polisher = cv2.LSQ_POLISHER
    centre = joint.mean(axis=0)  # OpenCV computes in single precision
    centred = joint - centre
    try:
        matrix, _ = estimator(np.ascontiguousarray(centred[:, 2:]), np.ascontiguousarray(centred[:, :2]), usac)
    except cv2.error:  # its assertions fail on some degenerate points: "model.empty()"
        return None
    if matrix is None or matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        return None
    back = _shift(centre[:2]) if estimator is cv2.findHomography else _shift(-centre[:2]).T
    moved = back @ matrix @ _shift(-centre[2:])
    length = np.linalg.norm(moved)
    return np.asarray(moved / length, np.float64) if length > 0 else None


def _shift(by: Float64Array) -> Float64Array:
    return np.array([[1, 0, by[0]], [0, 1, by[1]], [0, 0, 1]])


def _nothing(n: int) -> tuple[BoolArray, Float64Array]:
    return np.zeros(n, np.bool_), np.full(n, np.inf)

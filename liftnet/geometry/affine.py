"""Robust affine two-view geometry: the affine fundamental matrix and the affine homography of matched points.

Pixels are x right, y down, (0, 0) the centre of the top-left pixel; any other unit works as well, as long as the
threshold has it too. Image a is the first image, image b the second.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> points = rng.normal(size=(100, 3))
    >>> a, b = points[:, :2] * 100, points @ rng.normal(size=(3, 2)) * 100
    >>> b[:20] = rng.normal(size=(20, 2)) * 100
    >>> estimate_affine_fundamental(a, b + rng.normal(size=b.shape), threshold=2.0, rng=rng)
    AffineFundamental(inliers=80/100, rms=0.23 px)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liftnet.core.types import BoolArray, Float64Array, Int64Array
from liftnet.geometry.ransac import Search, find_subspace
from liftnet.geometry.subspaces import AffineSubspace, joint_points
from liftnet.geometry.two_view import TwoView


@dataclass(frozen=True, eq=False, repr=False)
class AffineFundamental(TwoView):
    """The epipolar geometry of two affine cameras, a x' + b y' + c x + d y + e = 0.

    Attributes:
        f: (5,) a, b, c, d, e with |(a, b, c, d)| = 1; all NaN without a model.
        inliers: (N,) bool, residual below the threshold.
        residuals: (N,) px, |a x' + b y' + c x + d y + e|, the distance by which the four coordinates of a match must
            move in all to satisfy the constraint; infinite without a model.
        hypotheses: Minimal samples tried.
    """

    hypotheses: int
    f: Float64Array

    @property
    def found(self) -> bool:
        """Whether there is a model; without one `f` is NaN and no match is an inlier."""
        return bool(np.isfinite(self.f[0]))

    def residuals_of(self, joint: Float64Array) -> Float64Array:
        """(N,) px, residuals of other matches, (N, 4) joint points (x', y', x, y)."""
        return np.abs(joint @ self.f[:4] + self.f[4])

    @property
    def F(self) -> Float64Array:
        """(3, 3) fundamental matrix: (x', y', 1) F (x, y, 1)^T = 0, (x', y') in image b."""
        a, b, c, d, e = self.f
        return np.array([[0, 0, a], [0, 0, b], [c, d, e]])


@dataclass(frozen=True, eq=False, repr=False)
class AffineHomography(TwoView):
    """An affine map of image a to image b, (x', y') = A (x, y) + t.

    Attributes:
        matrix: (2, 3), A beside t; all NaN without a model.
        inliers: (N,) bool, residual below the threshold.
        residuals: (N,) px, the distance by which the four coordinates of a match must move in all to satisfy the map;
            infinite without a model.
        hypotheses: Minimal samples tried.
    """

    hypotheses: int
    matrix: Float64Array

    @property
    def found(self) -> bool:
        """Whether there is a model; without one `matrix` is NaN and no match is an inlier."""
        return bool(np.isfinite(self.matrix[0, 0]))


def estimate_affine_fundamental(
    points_a: npt.ArrayLike,
    points_b: npt.ArrayLike,
    threshold: float,
    rng: np.random.Generator,
    search: Search | None = None,
) -> AffineFundamental:
    """Estimate the affine fundamental matrix of matched points by RANSAC.

    Minimal samples of four matches are solved in closed form and scored by MSAC; the best are refitted to their
    inliers by Algorithm 14.1 of Hartley & Zisserman until the inliers stay the same.

    Four matches always fit, and many wrong ones fit by chance: compare the inliers with
    `liftnet.geometry.two_view.chance_floor`. Matches of a plane leave F undetermined along a pencil: compare with
    `estimate_affine_homography`. A repeated match counts as often as it is given: see `distinct_locations`.

    Args:
        points_a: (N, 2) points in image a.
        points_b: (N, 2) matched points in image b.
        threshold: Largest residual of an inlier, in px.
        rng: Source of the samples; the same state gives the same result.
        search: Confidence and largest number of samples.

    Returns:
        The model with an (N,) inlier mask; `found` is False for fewer than four matches or where all lie on one line.

    Raises:
        ValueError: The points are not two finite arrays of one shape (N, 2), or the threshold is not positive.
    """
    points, threshold = joint_points(points_a, points_b), positive_threshold(threshold)
    subspace, tried = find_subspace(points, 1, threshold, rng, search or Search())
    inliers, residuals = _consent(points, subspace, threshold)
    if subspace is None:
        return AffineFundamental(inliers, residuals, tried, np.full(5, np.nan))
    f = np.append(subspace.normals[0], subspace.offsets[0])
    return AffineFundamental(inliers, residuals, tried, f * np.sign(f[np.abs(f[:4]).argmax()]))


def estimate_affine_homography(
    points_a: npt.ArrayLike,
    points_b: npt.ArrayLike,
    threshold: float,
    rng: np.random.Generator,
    search: Search | None = None,
) -> AffineHomography:
    """Estimate the affine homography of matched points by RANSAC.

    Minimal samples of three matches are solved in closed form and scored by MSAC; the best are refitted to their
    inliers by Algorithm 4.7 of Hartley & Zisserman until the inliers stay the same. Arguments, errors and the empty
    result as in `estimate_affine_fundamental`, with three matches at least.
    """
    points, threshold = joint_points(points_a, points_b), positive_threshold(threshold)
    subspace, tried = find_subspace(points, 2, threshold, rng, search or Search())
    inliers, residuals = _consent(points, subspace, threshold)
    if subspace is None:
        return AffineHomography(inliers, residuals, tried, np.full((2, 3), np.nan))
    in_b, in_a = subspace.normals[:, :2], subspace.normals[:, 2:]
    matrix: Float64Array = -np.linalg.solve(in_b, np.column_stack([in_a, subspace.offsets])).astype(np.float64)
    return AffineHomography(inliers, residuals, tried, matrix)


def distinct_locations(points_a: npt.ArrayLike, points_b: npt.ArrayLike, score: npt.ArrayLike) -> Int64Array:
    """Choose matches so that no location of either image is used twice, the higher score first.

    A SIFT keypoint with several orientations is several features at one place; its matches would count as several
    inliers although they say one thing.

    Args:
        points_a: (N, 2).
        points_b: (N, 2).
        score: (N,) higher is better; of equal ones the first wins.

    Returns:
        (M,) int64 indices of the chosen matches, rising.
    """
    points = joint_points(points_a, points_b)
    chosen = np.argsort(-np.asarray(score, np.float64), kind="stable")
    for columns in (points[:, 2:], points[:, :2]):
        _, first = np.unique(columns[chosen], axis=0, return_index=True)
        chosen = chosen[np.sort(first)]
    return np.sort(chosen)


def gric_difference(
    residuals_f: Float64Array, residuals_h: Float64Array, sigma: float, parameters_f: int = 4
) -> float:
    """GRIC of the affine homography minus GRIC of a fundamental matrix, per match (Torr, 1998).

    Negative where the homography explains the matches with fewer words. GRIC = sum of min(e^2 / sigma^2, 2 (r - d)) +
    n d ln r + k ln(r n), with r = 4 coordinates, a manifold of dimension d = 3 for the fundamental matrix and 2 for
    the homography, and k parameters, 6 of the homography.

    Args:
        residuals_f: (N,) px.
        residuals_h: (N,) px, of the same matches.
        sigma: Standard deviation of a coordinate, in px.
        parameters_f: Degrees of freedom of the fundamental matrix: 4 affine, 7 perspective.

    Returns:
        NaN without matches.
    """
    n = len(residuals_f)
    if n == 0:
        return float("nan")
    values = [
        np.minimum((residuals / sigma) ** 2, 2.0 * (4 - d)).sum() + n * d * np.log(4) + k * np.log(4 * n)
        for residuals, d, k in ((residuals_h, 2, 6), (residuals_f, 3, parameters_f))
    ]
    return float((values[0] - values[1]) / n)


def _consent(
    points: Float64Array, subspace: AffineSubspace | None, threshold: float
) -> tuple[BoolArray, Float64Array]:
    residuals = subspace.residuals(points) if subspace else np.full(len(points), np.inf)
    return residuals < threshold, residuals


def positive_threshold(threshold: float) -> float:
    """The threshold, if it is one.

    Raises:
        ValueError: It is not positive and finite.
    """
    if not (np.isfinite(threshold) and threshold > 0):
        raise ValueError(f"the threshold must be positive and finite, not {threshold}")
    return float(threshold)

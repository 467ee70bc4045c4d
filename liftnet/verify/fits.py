"""Every number that is known of a pair: models of its matches, what they explain, signs of copies. No decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from liftnet.geometry.affine import (
    AffineFundamental,
    AffineHomography,
    estimate_affine_fundamental,
    estimate_affine_homography,
    gric_difference,
)
from liftnet.geometry.perspective import Fundamental, Homography, estimate_fundamental, estimate_homography
from liftnet.geometry.ransac import Search
from liftnet.geometry.two_view import chance_floor, joint_extent
from liftnet.verify.settings import FitSettings, VerifySettings

FloatArray = npt.NDArray[np.floating]
MIN_USED = 5  # four matches always agree with an affine fundamental matrix
# ratio of the 95 % thresholds for residuals of two and of one degree of freedom, sqrt(5.99 / 3.84); Hartley &
# Zisserman, table 4.2
HOMOGRAPHY_THRESHOLD = 1.249
THRESHOLD_PER_SIGMA = 1.96
PARAMETERS = {"affine": 4, "perspective": 7}
COPY_PX = 1.0  # what resampling and compression move a keypoint at most; copies have a median of 0.2 to 0.3 px
MAX_STRETCH = 0.02  # a copy has one scale; a plane seen from elsewhere is shortened in one direction
# COLMAP's rule of a watermark: inliers in a border of 10 % of the diagonal that are moved alike within 4 px
BORDER_SHARE = 0.1
SHIFT_PX = 4.0
SHIFTS_TRIED = 32
STILL_PX = 1.0


@dataclass(frozen=True)
class View:
    """An image of a pair.

    Attributes:
        width: px.
        height: px.
        object_px: Long side of the object in it; None where that is not known.
    """

    width: int
    height: int
    object_px: float | None = None


@dataclass(frozen=True)
class PairNumbers:
    """The numbers of a pair as they are stored; meaning of each in the schema PAIRS. None: not known."""

    n_putative: int
    n_masked: int = 0
    n_used: int = 0
    model: str | None = None
    object_px: float | None = None
    extent_px: float | None = None
    threshold_px: float | None = None
    noise_px: float | None = None
    n_f: int = 0
    chance_floor: float | None = None
    median_residual_f: float | None = None
    n_p: int = 0
    chance_floor_p: float | None = None
    median_residual_p: float | None = None
    n_agreed: int = 0
    n_inliers: int = 0
    second_search: str | None = None
    n_correspondences: int = 0
    n_guided: int = 0
    n_h: int = 0
    rho: float | None = None
    median_residual_h: float | None = None
    gric_difference: float | None = None
    n_ph: int = 0
    n_duplicate: int = 0
    n_watermark: int = 0
    n_stationary: int = 0


@dataclass(frozen=True, eq=False)
class Fits:
    """The models of a pair's matches.

    Attributes:
        numbers: What is stored of them.
        affine: Affine fundamental matrix of all matches.
        perspective: Perspective fundamental matrix of all matches.
        homography: Affine homography of the inliers.
        inliers: (N,) bool, of the chosen fundamental matrix; of the affine one, if that is asked, those that the
            perspective one agrees with.
        residuals: (N,) px, of the chosen matrix.
    """

    numbers: PairNumbers
    affine: AffineFundamental
    perspective: Fundamental
    homography: AffineHomography
    inliers: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    residuals: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def fit_pair(
    points_a: FloatArray,
    points_b: FloatArray,
    views: tuple[View, View],
    known: PairNumbers,
    rng: np.random.Generator,
    settings: VerifySettings,
) -> Fits:
    """Estimate all models of a pair.

    Args:
        points_a: (N, 2) px, the matches that are used, at different locations.
        points_b: (N, 2) px.
        views: The images.
        known: The numbers known before.
        rng: Source of the samples; each model has a stream of its own.
        settings: Thresholds, and which model is chosen.

    Returns:
        All models and numbers.
    """
    fit = settings.fit
    streams, search = rng.spawn(6), Search(fit.confidence, fit.max_ransac_iterations)
    threshold, noise = inlier_threshold(points_a, points_b, views, fit), fit.min_threshold_px
    affine = estimate_affine_fundamental(points_a, points_b, threshold, streams[0], search)
    perspective = estimate_fundamental(points_a, points_b, noise, streams[1], search)
    chosen = affine if fit.model == "affine" else perspective
    agreed = affine.inliers & (perspective.inliers | (not perspective.found))
    inliers = agreed if fit.model == "affine" and fit.perspective_check else chosen.inliers
    n, n_inliers, extent = len(points_a), int(inliers.sum()), joint_extent(points_a, points_b)
    homography, explained = count_explained(
        points_a[inliers],
        points_b[inliers],
        chosen.residuals[inliers],
        views,
        (streams[2], streams[3], streams[5]),
        settings,
    )
    numbers = PairNumbers(
        n_putative=known.n_putative,
        n_masked=known.n_masked,
        n_used=n,
        model=fit.model,
        object_px=mean_object_side(points_a, points_b, views),
        extent_px=extent,
        threshold_px=threshold,
        noise_px=noise,
        n_f=affine.n_inliers,
        chance_floor=_single(chance_floor(n, threshold, extent)),
        median_residual_f=_known(affine.median_residual),
        n_p=perspective.n_inliers,
        chance_floor_p=_single(chance_floor(n, noise, extent, "perspective")),
        median_residual_p=_known(perspective.median_residual),
        n_agreed=int(agreed.sum()),
        n_inliers=n_inliers,
        n_duplicate=count_copied(points_a, points_b, streams[4], homography_search(settings)),
        **explained,
    )
    return Fits(numbers, affine, perspective, homography, inliers, chosen.residuals)


def count_explained(
    points_a: FloatArray,
    points_b: FloatArray,
    residuals: FloatArray,
    views: tuple[View, View],
    streams: Sequence[np.random.Generator],
    settings: VerifySettings,
) -> tuple[AffineHomography, dict[str, Any]]:
    """What homographies and watermarks explain of the correspondences of a pair.

    Args:
        points_a: (M, 2) px, the correspondences.
        points_b: (M, 2) px.
        residuals: (M,) px, to the chosen fundamental matrix.
        views: The images.
        streams: Three sources of samples.
        settings: Thresholds.

    Returns:
        The affine homography, and the numbers of `PairNumbers` that depend on the correspondences.
    """
    n, threshold, short = (
        len(points_a),
        HOMOGRAPHY_THRESHOLD * settings.fit.min_threshold_px,
        homography_search(settings),
    )
    homography = estimate_affine_homography(points_a, points_b, threshold, streams[0], short)
    projective = estimate_homography(points_a, points_b, threshold, streams[1], short)
    n_h = _explained(homography, n)
    sizes = (views[0].width, views[0].height), (views[1].width, views[1].height)
    return homography, {
        "n_correspondences": n,
        "n_h": n_h,
        "rho": n_h / n if n else None,
        "median_residual_h": float(np.median(homography.residuals)) if homography.found else None,
        "gric_difference": _gric(residuals, homography, settings.fit),
        "n_ph": max(_explained(projective, n), n_h),
        "n_watermark": count_watermark(points_a, points_b, sizes, streams[2]),
        "n_stationary": count_stationary(points_a, points_b),
    }


def homography_search(settings: VerifySettings) -> Search:
    """How long homographies are sought."""
    samples = homography_samples(settings.fit, settings.thresholds.max_planar_fraction)
    return Search(settings.fit.confidence, samples)


def inlier_threshold(
    points_a: FloatArray, points_b: FloatArray, views: tuple[View, View], settings: FitSettings
) -> float:
    """The threshold of the affine model, in px: a fraction of the long side of objects or images, or the noise.

    A fraction, because what an affine camera leaves unexplained grows with the size of the object in the image.
    """
    if settings.threshold_of == "object":
        long_side = mean_object_side(points_a, points_b, views)
    else:
        long_side = sum(max(view.width, view.height) for view in views) / 2
    return max(settings.min_threshold_px, settings.threshold_fraction * long_side)


def mean_object_side(points_a: FloatArray, points_b: FloatArray, views: tuple[View, View]) -> float:
    """The mean long side of the object in the two images, px; without masks that of the box around the matches."""
    sides = [
        float(np.ptp(points, axis=0).max()) if view.object_px is None else view.object_px
        for points, view in zip((points_a, points_b), views, strict=True)
    ]
    return sum(sides) / 2


def homography_samples(settings: FitSettings, max_planar_fraction: float) -> int:
    """How many samples of three find a homography that explains the lowest fraction of interest.

    A homography that explains fewer inliers rejects nothing, so it need not be found (COLMAP's budget).
    """
    fraction = min(max_planar_fraction, settings.min_planar_fraction_kept)
    if fraction <= 0:
        return settings.max_ransac_iterations
    needed = np.log(1 - settings.confidence) / np.log1p(-min(fraction**3, 1 - 1e-12))
    return int(np.clip(np.ceil(needed), 1, settings.max_ransac_iterations))


def _explained(homography: AffineHomography | Homography, n_inliers: int) -> int:
    """Inliers a homography explains; all of them where they lie on one line, so that there is none."""
    return homography.n_inliers if homography.found else n_inliers


def _gric(residuals: FloatArray, homography: AffineHomography, settings: FitSettings) -> float | None:
    if not homography.found:
        return None
    sigma = settings.min_threshold_px / THRESHOLD_PER_SIGMA
    return gric_difference(np.asarray(residuals, np.float64), homography.residuals, sigma, PARAMETERS[settings.model])


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _single(value: float) -> float:
    """As it is stored, so that a decision taken from the table is the same."""
    return float(np.float32(value))


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

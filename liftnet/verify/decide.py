"""The rule that keeps or rejects one pair of images. Pure: arrays in, a decision out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from liftnet.geometry.affine import (
    AffineFundamental,
    AffineHomography,
    distinct_locations,
    estimate_affine_fundamental,
    estimate_affine_homography,
    gric_difference,
)
from liftnet.geometry.chance import chance_floor, joint_extent
from liftnet.geometry.consensus import Search
from liftnet.verify.settings import VerifySettings

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]

REASONS = {
    "kept": "kept",
    "no_image": "an image of the pair is not in the manifest",
    "bad_matches": "the coordinates of the matches are damaged",
    "few_putative": "too few putative matches",
    "no_mask": "no usable foreground mask for an image of the pair",
    "few_masked": "too few matches on the foreground of both images",
    "few_inliers": "too few matches agree with an affine fundamental matrix",
    "chance": "no more matches agree with an affine fundamental matrix than by chance",
    "affine_homography": "one affine homography explains the matches: a copy, a crop or a flat view",
}
"""Why a pair was kept or not, in the order in which it is asked. A pair that the matcher did not match carries the
matcher's status instead."""

# ratio of the 95 % thresholds for residuals of two and of one degree of freedom, sqrt(5.99 / 3.84); Hartley &
# Zisserman, table 4.2
HOMOGRAPHY_THRESHOLD = 1.249
THRESHOLD_PER_SIGMA = 1.96


@dataclass(frozen=True, eq=False)
class PairDecision:
    """What was decided on a pair and every number it rests on.

    Attributes:
        reason: A key of REASONS, or the matcher's status.
        n_putative: Putative matches.
        n_masked: Of these, on the foreground of both images.
        threshold_px: Inlier threshold of the affine fundamental matrix.
        chance_floor: Inliers that random matches would reach.
        fundamental: Of the matches on the foreground at different locations; None where it was not estimated.
        homography: Of the inliers of `fundamental`.
        inliers: (M,) indices of the putative matches that agree with `fundamental`, rising.
        residuals: (M,) px, theirs.
    """

    reason: str
    n_putative: int
    n_masked: int = 0
    threshold_px: float | None = None
    chance_floor: float | None = None
    fundamental: AffineFundamental | None = None
    homography: AffineHomography | None = None
    inliers: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    residuals: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def kept(self) -> bool:
        """Whether the pair goes into the dataset."""
        return self.reason == "kept"

    @property
    def n_f(self) -> int:
        """Inliers of the affine fundamental matrix."""
        return len(self.inliers)

    @property
    def n_h(self) -> int:
        """Of these, inliers of an affine homography; all of them where they lie on one line."""
        if self.homography is None:
            return 0
        return self.homography.n_inliers if self.homography.found else self.n_f

    @property
    def rho(self) -> float | None:
        """Share of the inliers that an affine homography explains; None without inliers."""
        return self.n_h / self.n_f if self.n_f else None

    @property
    def gric_difference(self) -> float | None:
        """GRIC of the homography minus that of the fundamental matrix, per inlier; negative favours the homography."""
        if self.homography is None or not self.homography.found or not self.threshold_px:
            return None
        return gric_difference(self.residuals, self.homography.residuals, self.threshold_px / THRESHOLD_PER_SIGMA)

    @property
    def median_residual_h(self) -> float | None:
        """Median residual of the homography over the inliers of the fundamental matrix, in px."""
        if self.homography is None or not self.homography.found:
            return None
        return float(np.median(self.homography.residuals))

    def __repr__(self) -> str:
        rho = "" if self.rho is None else f", rho={self.rho:.2f}"
        return f"PairDecision({self.reason}: {self.n_putative} putative, {self.n_masked} masked, {self.n_f} F{rho})"


def verify_pair(
    points_a: FloatArray,
    points_b: FloatArray,
    score: FloatArray,
    on_foreground: npt.NDArray[np.bool_] | None,
    long_side: float,
    rng: np.random.Generator,
    settings: VerifySettings,
) -> PairDecision:
    """Keep or reject the putative matches of one pair of images.

    Args:
        points_a: (N, 2) px in image a.
        points_b: (N, 2) px in image b.
        score: (N,) higher is better; decides between matches that share a location.
        on_foreground: (N,) whether a match lies on the foreground of both images; None without a mask.
        long_side: Mean of the long sides of the two images, in px.
        rng: Source of the samples.
        settings: Thresholds.

    Returns:
        The decision. Its model is estimated as soon as there are enough matches, also where the pair is rejected
        later, so that a cut can be moved without computing again.
    """
    n = len(points_a)
    if not (np.isfinite(points_a).all() and np.isfinite(points_b).all()):
        return PairDecision("bad_matches", n)
    if n < settings.min_inliers:
        return PairDecision("few_putative", n, 0 if on_foreground is None else int(on_foreground.sum()))
    if on_foreground is None:
        return PairDecision("no_mask", n)
    masked = np.flatnonzero(on_foreground)
    used = masked[distinct_locations(points_a[masked], points_b[masked], score[masked])]
    if len(used) < settings.min_inliers:
        return PairDecision("few_masked", n, len(masked))
    a, b = points_a[used], points_b[used]
    threshold = inlier_threshold(a, b, long_side, settings)
    fundamental = estimate_affine_fundamental(
        a, b, threshold, rng, Search(settings.confidence, settings.max_hypotheses)
    )
    agree = fundamental.inliers
    homography = estimate_affine_homography(
        a[agree],
        b[agree],
        HOMOGRAPHY_THRESHOLD * threshold,
        rng,
        Search(settings.confidence, settings.max_homography_hypotheses),
    )
    decision = PairDecision(
        reason="kept",
        n_putative=n,
        n_masked=len(masked),
        threshold_px=threshold,
        chance_floor=chance_floor(len(used), threshold, joint_extent(a, b)),
        fundamental=fundamental,
        homography=homography,
        inliers=used[agree],
        residuals=fundamental.residuals[agree],
    )
    return _with_reason(decision, settings)


def inlier_threshold(points_a: FloatArray, points_b: FloatArray, long_side: float, settings: VerifySettings) -> float:
    """The threshold of a pair, in px: a share of the long side of its images or objects, but not below a minimum.

    A share, because what an affine camera leaves unexplained grows with the size of the object in the image.
    """
    if settings.threshold_of == "object":
        long_side = float(np.mean([np.ptp(points, axis=0).max() for points in (points_a, points_b)]))
    return max(settings.min_threshold_px, settings.threshold_share * long_side)


def _with_reason(decision: PairDecision, settings: VerifySettings) -> PairDecision:
    if decision.n_f < settings.min_inliers:
        reason = "few_inliers"
    elif decision.n_f < settings.floor_factor * (decision.chance_floor or 0):
        reason = "chance"
    elif (decision.rho or 0) > settings.max_rho:
        reason = "affine_homography"
    else:
        reason = "kept"
    return replace(decision, reason=reason)

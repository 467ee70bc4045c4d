"""The rule that keeps or rejects one pair of images. Pure: arrays in, a decision out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from liftnet.data.codes import PairReason
from liftnet.geometry.affine import distinct_locations
from liftnet.verify.fits import MIN_USED, Fits, PairNumbers, View, fit_pair
from liftnet.verify.settings import ThresholdSettings, VerifySettings

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PairDecision:
    """What was decided on a pair and every number it rests on.

    Attributes:
        reason: One of `PairReason`, or the matcher's status.
        numbers: Counts, thresholds and shares, as stored.
        fits: The models; None where there were too few matches for any.
        inliers: (M,) indices of the putative matches that agree with the chosen model, rising.
        residuals: (M,) px, theirs.
    """

    reason: str
    numbers: PairNumbers
    fits: Fits | None = None
    inliers: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    residuals: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def kept(self) -> bool:
        """Whether the pair goes into the dataset."""
        return self.reason == PairReason.KEPT

    def __repr__(self) -> str:
        n = self.numbers
        rho = "" if n.rho is None else f", rho={n.rho:.2f}"
        return f"PairDecision({self.reason}: {n.n_putative} putative, {n.n_used} used, {n.n_inliers} inliers{rho})"


@dataclass(frozen=True, eq=False)
class PutativePair:
    """What is known of a pair of images before any model is fitted.

    Attributes:
        points_a: (N, 2) px in image a.
        points_b: (N, 2) px in image b.
        score: (N,) higher is better; decides between matches that share a location.
        on_foreground: (N,) whether a match lies on the foreground of both images; None without a mask.
        views: The images: their sizes and the object's.
    """

    points_a: FloatArray
    points_b: FloatArray
    score: FloatArray
    on_foreground: npt.NDArray[np.bool_] | None
    views: tuple[View, View]


def verify_pair(pair: PutativePair, rng: np.random.Generator, settings: VerifySettings) -> PairDecision:
    """Keep or reject the putative matches of one pair of images.

    Args:
        pair: The matches and the images.
        rng: Source of the samples.
        settings: How models are fitted, and which pairs are kept.

    Returns:
        The decision. Its models are estimated as soon as there are enough matches, also where the pair is rejected
        for another reason, so that a threshold can be moved without computing again.
    """
    points_a, points_b, n = pair.points_a, pair.points_b, len(pair.points_a)
    if not (np.isfinite(points_a).all() and np.isfinite(points_b).all()):
        return PairDecision(PairReason.BAD_MATCHES, PairNumbers(n))
    if pair.on_foreground is None:
        few = n < settings.thresholds.min_inliers
        return PairDecision(PairReason.FEW_PUTATIVE if few else PairReason.NO_MASK, PairNumbers(n))
    masked = np.flatnonzero(pair.on_foreground)
    used = masked[distinct_locations(points_a[masked], points_b[masked], pair.score[masked])]
    known = PairNumbers(n, len(masked), len(used))
    if len(used) < MIN_USED:
        return PairDecision(_reason(known, settings.thresholds), known)
    fits = fit_pair(points_a[used], points_b[used], pair.views, known, rng, settings)
    reason = _reason(fits.numbers, settings.thresholds)
    return PairDecision(reason, fits.numbers, fits, used[fits.inliers], fits.residuals[fits.inliers])


def reasons(numbers: Mapping[str, npt.ArrayLike], thresholds: ThresholdSettings) -> npt.NDArray[np.str_]:
    """Why pairs are kept or not, from their stored numbers alone.

    Args:
        numbers: The columns of PAIRS named in DECIDING, one value for each pair; NaN where not known.
        thresholds: What they must reach.

    Returns:
        (N,) codes of `PairReason`. Of a pair without usable matches the first of the questions that it fails, although
        what happened to it before (no image, no mask) may have another name.
    """
    column = {name: np.asarray(numbers[name], np.float64) for name in DECIDING if name != "model"}
    perspective = np.asarray(numbers["model"]) == "perspective"
    floor = np.where(perspective, column["chance_floor_p"], column["chance_floor"])
    inliers = column["n_inliers"]
    still = np.maximum(column["n_watermark"], column["n_stationary"])
    with np.errstate(invalid="ignore", divide="ignore"):
        rho, rho_projective, marked = (part / inliers for part in (column["n_h"], column["n_ph"], still))
        questions = {
            PairReason.FEW_PUTATIVE: column["n_putative"] < thresholds.min_inliers,
            PairReason.FEW_MASKED: column["n_used"] < thresholds.min_inliers,
            PairReason.FEW_INLIERS: inliers < thresholds.min_inliers,
            PairReason.CHANCE: inliers < thresholds.min_inlier_ratio_over_chance * floor,
            PairReason.DUPLICATE: column["n_duplicate"] / column["n_used"] > thresholds.max_duplicate_fraction,
            PairReason.WATERMARK: marked > thresholds.max_watermark_fraction,
            PairReason.AFFINE_HOMOGRAPHY: rho > thresholds.max_planar_fraction,
            PairReason.PROJECTIVE_HOMOGRAPHY: thresholds.projective_check
            & (rho_projective > thresholds.max_planar_fraction),
        }
    return np.select(list(questions.values()), list(questions), PairReason.KEPT)


DECIDING = (
    "n_putative",
    "n_used",
    "model",
    "n_inliers",
    "chance_floor",
    "chance_floor_p",
    "n_duplicate",
    "n_watermark",
    "n_stationary",
    "n_h",
    "n_ph",
)
"""The columns of PAIRS from which a decision can be taken again."""


def _reason(numbers: PairNumbers, thresholds: ThresholdSettings) -> str:
    values: dict[str, Any] = {name: [value] for name, value in vars(numbers).items()}
    return str(reasons(values, thresholds)[0])

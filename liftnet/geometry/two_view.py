"""What every robust estimate of two views tells, inliers and residuals, and how many inliers luck alone gives.

One constraint in four dimensions is weak: with enough matches a hypersurface that passes near many of them is always
found, so a fixed least number of inliers is beaten by noise. The constants of `chance_floor` were fitted to the
simulation in benchmarks/chance_floor.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from liftnet.core.types import BoolArray, Float64Array
from liftnet.geometry.subspaces import joint_points

Model = Literal["affine", "perspective"]
# inliers at vanishing threshold, and near points for each match and unit of threshold / extent
_CHANCE: dict[Model, tuple[float, float]] = {"affine": (8.0, 2.76), "perspective": (10.0, 4.5)}


@dataclass(frozen=True, eq=False, repr=False)
class TwoView(ABC):
    """A model of matched points, or none; its arrays are read-only.

    Attributes:
        inliers: (N,) bool, residual below the threshold.
        residuals: (N,) px, the distance by which the four coordinates of a match must move in all to satisfy the
            model; infinite without a model.
    """

    inliers: BoolArray
    residuals: Float64Array

    def __post_init__(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    @property
    def n_inliers(self) -> int:
        """Number of inliers."""
        return int(np.count_nonzero(self.inliers))

    @property
    def rms(self) -> float:
        """Root mean square residual of the inliers; NaN without any."""
        chosen = self.residuals[self.inliers]
        return float(np.sqrt(np.mean(chosen**2))) if len(chosen) else float("nan")

    @property
    def median_residual(self) -> float:
        """Median residual of the inliers, in px; NaN without any."""
        chosen = self.residuals[self.inliers]
        return float(np.median(chosen)) if len(chosen) else float("nan")

    @property
    @abstractmethod
    def found(self) -> bool:
        """Whether there is a model; without one its numbers are NaN and no match is an inlier."""

    def __repr__(self) -> str:
        counts = f"{self.n_inliers}/{len(self.inliers)}"
        text = (
            f"inliers={counts}, rms={self.rms:.2g} px" if self.found else f"no model for {len(self.inliers)} matches"
        )
        return f"{type(self).__name__}({text})"


def chance_floor(n: int, threshold: float, extent: float, model: Model = "affine") -> float:
    """The number of inliers that random matches exceed in about one case of a hundred, or fewer.

    8 + mu + 4 sqrt(mu) with mu = 2.76 n threshold / extent for the affine fundamental matrix, 10 and 4.5 for the
    perspective one: a Poisson count of near points beside those of the minimal sample (four, seven) and those gained
    by choosing the best of 2000 samples.

    Args:
        n: Number of matches.
        threshold: Largest residual of an inlier, in px.
        extent: Width of the region that the matches fill, in px: see `joint_extent`.
        model: Which fundamental matrix.

    Returns:
        At most `n`.
    """
    if extent <= 0:
        return float(n)
    base, density = _CHANCE[model]
    mu = density * n * threshold / extent
    return float(min(base + mu + 4 * np.sqrt(mu), n))


def joint_extent(points_a: npt.ArrayLike, points_b: npt.ArrayLike) -> float:
    """The geometric mean of the widths that matches fill in both images.

    Measured by the points' covariance as the side of the uniform square of equal area, so turning an image changes
    nothing and single far points change little.

    Args:
        points_a: (N, 2).
        points_b: (N, 2).

    Returns:
        Pixels; 0 where the points of an image lie on one line or are fewer than three.
    """
    points = joint_points(points_a, points_b)
    if len(points) < 3:
        return 0.0
    spreads = [max(float(np.linalg.det(np.cov(half.T))), 0.0) for half in (points[:, :2], points[:, 2:])]
    return float(np.sqrt(12) * np.prod(spreads) ** 0.125)

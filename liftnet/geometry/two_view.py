"""What every robust estimate of two views tells: inliers and residuals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from liftnet.core.types import BoolArray, Float64Array


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

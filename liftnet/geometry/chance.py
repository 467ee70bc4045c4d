"""How many inliers of a fundamental matrix wrong matches reach by luck.

One constraint in four dimensions is weak: with enough matches a hypersurface that passes near many of them is always
found, so a fixed least number of inliers is beaten by noise. The constants were fitted to the simulation in
benchmarks/chance_floor.py.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from liftnet.geometry.subspaces import joint_points

Model = Literal["affine", "perspective"]
# inliers at vanishing threshold, and near points for each match and unit of threshold / extent
_CHANCE: dict[Model, tuple[float, float]] = {"affine": (8.0, 2.76), "perspective": (10.0, 4.5)}


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

"""How many inliers of an affine fundamental matrix wrong matches reach by luck.

One linear constraint in four dimensions is weak: with enough matches a hyperplane that passes near many of them is
always found, so a fixed least number of inliers is beaten by noise. The constants were fitted to the simulation in
benchmarks/chance_floor.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from liftnet.geometry.flats import joint_points


def chance_floor(n: int, threshold: float, extent: float) -> float:
    """The number of inliers that random matches exceed in about one case of a hundred, or fewer.

    8 + mu + 4 sqrt(mu) with mu = 2.76 n threshold / extent: a Poisson count of near points beside the four of the
    sample and those gained by choosing the best of 2000 hyperplanes.

    Args:
        n: Number of matches.
        threshold: Largest residual of an inlier, in px.
        extent: Width of the region that the matches fill, in px: see `joint_extent`.

    Returns:
        At most `n`.
    """
    if extent <= 0:
        return float(n)
    mu = 2.76 * n * threshold / extent
    return float(min(8 + mu + 4 * np.sqrt(mu), n))


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

"""Local affine maps between two images: what the matches around a point say of where it lies in the other image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from liftnet.core.types import BoolArray, Float64Array, Int64Array

SAME_PLACE = 0.7  # px: a match this near to a point is its own, and says nothing about it
SPARE = 4  # neighbours looked up beyond those wanted, since some may be a point's own
PULL = 0.01  # weight of the map of the whole image beside that of the neighbours, in squared widths of their circle
REWEIGHTINGS = 2  # neighbours that the fit of all leaves far away count less in the next
OUTLIER_PX = 1.0  # half the weight is gone at this residual


@dataclass(frozen=True, eq=False)
class LocalMaps:
    """An affine map for each of N points of image a, fitted to the matches around it.

    Attributes:
        predicted: (N, 2) px, where each point should lie in image b.
        linear: (N, 2, 2) the map's derivative, from image a to image b.
        reach: (N,) px in image a, how far away the farthest match of each fit is.
    """

    predicted: Float64Array
    linear: Float64Array
    reach: Float64Array

    def turned(self, angles: Float64Array) -> Float64Array:
        """(N,) radians, the directions `angles` (N,) of image a as they appear in image b."""
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        mapped = np.einsum("nij,nj->ni", self.linear, directions)
        return np.asarray(np.arctan2(mapped[:, 1], mapped[:, 0]))

    def log_scales(self) -> Float64Array:
        """(N,) logarithms of how much larger image b shows what is around each point."""
        tiny = np.finfo(np.float64).tiny
        return np.asarray(0.5 * np.log(np.maximum(np.abs(np.linalg.det(self.linear)), tiny)))


def local_affine_maps(
    points: Float64Array, matched_a: Float64Array, matched_b: Float64Array, neighbours: int
) -> LocalMaps:
    """Fit an affine map to the matches nearest to each point, a match at the point itself left out.

    Least squares with weights that fall with the distance and, in two more rounds, with the residual. A little of the
    affine map of all matches is mixed in, so that neighbours on one line decide nothing across it.

    Args:
        points: (N, 2) px in image a.
        matched_a: (M, 2) px in image a, M at least 4.
        matched_b: (M, 2) px in image b.
        neighbours: Matches that each map is fitted to.
    """
    chosen, distance, usable = _nearest(points, matched_a, neighbours)
    around, there = matched_a[chosen] - points[:, None], matched_b[chosen]
    reach = np.where(usable, distance, 0).max(axis=1, initial=SAME_PLACE)
    near = np.where(usable, np.exp(-2 * (distance / reach[:, None]) ** 2), 0)
    whole = _whole_map(matched_a, matched_b)
    weights = near
    for _ in range(REWEIGHTINGS + 1):
        total = np.maximum(weights.sum(axis=1), 1e-12)
        mean_a, mean_b = (np.einsum("nk,nkc->nc", weights, values) / total[:, None] for values in (around, there))
        from_a, from_b = around - mean_a[:, None], there - mean_b[:, None]
        pull = (PULL * total * reach**2)[:, None, None]
        weighted = weights[..., None] * from_a
        spread = weighted.transpose(0, 2, 1) @ from_a + pull * np.eye(2)
        linear = np.linalg.solve(spread, weighted.transpose(0, 2, 1) @ from_b + pull * whole.T).transpose(0, 2, 1)
        squared = ((from_b - from_a @ linear.transpose(0, 2, 1)) ** 2).sum(axis=2)
        weights = near / (1 + squared / OUTLIER_PX**2)
    return LocalMaps(mean_b - np.einsum("nij,nj->ni", linear, mean_a), linear, reach)


def _nearest(
    points: Float64Array, matched: Float64Array, neighbours: int
) -> tuple[Int64Array, Float64Array, BoolArray]:
    """(N, K) indices of the nearest matches, their distances, and which of them are not the point's own."""
    looked_up = min(neighbours + SPARE, len(matched))
    distance, chosen = KDTree(matched).query(points, np.arange(1, looked_up + 1))
    usable = distance >= SAME_PLACE
    usable &= np.cumsum(usable, axis=1) <= neighbours
    return chosen, distance, usable


def _whole_map(matched_a: Float64Array, matched_b: Float64Array) -> Float64Array:
    """(2, 2) the derivative of the affine map that fits all matches best."""
    a, b = matched_a - matched_a.mean(axis=0), matched_b - matched_b.mean(axis=0)
    solution, *_ = np.linalg.lstsq(a, b, rcond=None)
    return np.asarray(solution.T)

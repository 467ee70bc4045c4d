"""RANSAC for a subspace in the joint space of two views: batched hypotheses, MSAC scores, local optimisation."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from liftnet.core.types import Float32Array, Float64Array
from liftnet.geometry.subspaces import (
    AffineSubspace,
    distinct_samples,
    fit_subspace,
    hyperplanes_through,
    planes_through,
)

FIRST_BATCH = 64  # doubled each time, so that easy pairs stop early and hard ones use few, large batches
MAX_REFITS = 50  # each refit lowers the cost, so the loop ends by itself; the bound is for rounding
_REASSOCIATE = {"reassoc", "contract", "nsz"}  # lets the sums use vector lanes; inputs are finite


@dataclass(frozen=True)
class Search:
    """How long RANSAC searches.

    Attributes:
        confidence: Stop when a sample of inliers only has been missed with probability 1 - confidence at most; 1 tries
            `max_hypotheses` always.
        max_hypotheses: Minimal samples tried at most.

    Raises:
        ValueError: A value is out of range.
    """

    confidence: float = 0.999
    max_hypotheses: int = 2000

    def __post_init__(self) -> None:
        if not (0 < self.confidence <= 1 and self.max_hypotheses >= 1):
            raise ValueError(f"confidence must lie in (0, 1] and max_hypotheses be positive: {self}")


def find_subspace(
    points: Float64Array, codimension: int, threshold: float, rng: np.random.Generator, search: Search
) -> tuple[AffineSubspace | None, int]:
    """The subspace with the lowest MSAC cost, sum of min(r^2, threshold^2) (Torr & Zisserman, 2000), found by RANSAC.

    The best hypothesis of each batch is refitted to its inliers until they no longer change, so the result is the
    least-squares subspace of its own inliers. The least-squares subspace of all points is a hypothesis too: it answers
    where every sample is degenerate because all matches lie exactly on one affine homography.

    Args:
        points: (N, 4) joint points.
        codimension: 1 for an affine fundamental matrix, 2 for an affine homography.
        threshold: Largest residual of an inlier.
        rng: Source of the samples.
        search: When to stop.

    Returns:
        The subspace, None where there is none (too few points, or all of them on one line), and the number of minimal
        samples tried.
    """
    size = 5 - codimension
    if len(points) < size:
        return None, 0
    centre = points.mean(axis=0)
    centred = points - centre
    columns = np.ascontiguousarray(centred.T, np.float32)
    best, best_cost = None, np.inf
    everything = fit_subspace(centred, codimension)
    if everything is None:
        return None, 0
    if everything.is_two_view:
        best = _refit(centred, everything, threshold)
        best_cost = _cost(centred, best, threshold)
    tried, batch = 0, FIRST_BATCH
    while tried < _needed(best_cost / (len(points) * threshold**2), size, search):
        batch = min(batch, search.max_hypotheses - tried)
        samples = centred[distinct_samples(len(points), size, batch, rng)]
        normals, offsets = hyperplanes_through(samples) if codimension == 1 else planes_through(samples)
        tried, batch = tried + batch, 2 * batch
        if not len(normals):
            continue
        costs = msac_costs(normals.astype(np.float32), offsets.astype(np.float32), columns, np.float32(threshold**2))
        k = int(costs.argmin())
        if costs[k] < best_cost:
            candidate = _refit(centred, AffineSubspace(normals[k], offsets[k]), threshold)
            cost = _cost(centred, candidate, threshold)
            if cost < best_cost:
                best, best_cost = candidate, cost
    return (best.moved(centre) if best else None), tried


def msac_costs(normals: Float32Array, offsets: Float32Array, columns: Float32Array, limit: np.float32) -> Float32Array:
    """MSAC costs of many subspaces in one pass, without storing residuals.

    Args:
        normals: (K, C, 4) orthonormal, C = 1 or 2.
        offsets: (K, C).
        columns: (4, N) joint points, centred so that single precision suffices.
        limit: Squared threshold.

    Returns:
        (K,) sums over the points of min(r^2, limit).
    """
    if normals.shape[1] == 1:
        return _hyperplane_costs(np.ascontiguousarray(normals[:, 0]), offsets[:, 0].copy(), columns, limit)
    return _plane_costs(np.ascontiguousarray(normals), np.ascontiguousarray(offsets), columns, limit)


def _needed(cost_fraction: float, size: int, search: Search) -> float:
    """Samples needed to draw one of inliers only, with the inlier fraction bounded from below by 1 - cost fraction."""
    good = max(1.0 - cost_fraction, 0.0) ** size
    if good <= 1e-12 or search.confidence == 1:
        return search.max_hypotheses
    if good >= 1.0:
        return 0
    return min(np.ceil(np.log1p(-search.confidence) / np.log1p(-good)), search.max_hypotheses)


def _refit(points: Float64Array, subspace: AffineSubspace, threshold: float) -> AffineSubspace:
    """Fit to the inliers until they stay the same; fitting and truncating both lower the MSAC cost."""
    codimension = len(subspace.offsets)
    inliers = subspace.residuals(points) < threshold
    for _ in range(MAX_REFITS):
        if np.count_nonzero(inliers) < 5 - codimension:
            break
        refitted = fit_subspace(points[inliers], codimension)
        if refitted is None or not refitted.is_two_view:
            break
        subspace, before = refitted, inliers
        inliers = subspace.residuals(points) < threshold
        if np.array_equal(inliers, before):
            break
    return subspace


def _cost(points: Float64Array, subspace: AffineSubspace, threshold: float) -> float:
    return float(np.minimum(subspace.residuals(points) ** 2, threshold**2).sum())


@numba.njit(nogil=True, cache=True, fastmath=_REASSOCIATE)
def _hyperplane_costs(normals, offsets, columns, limit):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    costs = np.empty(len(normals), np.float32)
    x0, x1, x2, x3 = columns[0], columns[1], columns[2], columns[3]
    for k in range(len(normals)):
        n0, n1, n2, n3, e = normals[k, 0], normals[k, 1], normals[k, 2], normals[k, 3], offsets[k]
        total = np.float32(0)
        for i in range(columns.shape[1]):
            r = n0 * x0[i] + n1 * x1[i] + n2 * x2[i] + n3 * x3[i] + e
            total += min(r * r, limit)
        costs[k] = total
    return costs


@numba.njit(nogil=True, cache=True, fastmath=_REASSOCIATE)
def _plane_costs(normals, offsets, columns, limit):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    costs = np.empty(len(normals), np.float32)
    x0, x1, x2, x3 = columns[0], columns[1], columns[2], columns[3]
    for k in range(len(normals)):
        n0, n1, n2, n3, e = normals[k, 0, 0], normals[k, 0, 1], normals[k, 0, 2], normals[k, 0, 3], offsets[k, 0]
        m0, m1, m2, m3, f = normals[k, 1, 0], normals[k, 1, 1], normals[k, 1, 2], normals[k, 1, 3], offsets[k, 1]
        total = np.float32(0)
        for i in range(columns.shape[1]):
            r = n0 * x0[i] + n1 * x1[i] + n2 * x2[i] + n3 * x3[i] + e
            s = m0 * x0[i] + m1 * x1[i] + m2 * x2[i] + m3 * x3[i] + f
            total += min(r * r + s * s, limit)
        costs[k] = total
    return costs

"""Distances between two sets of points drawn from surfaces. Conventions differ by factors: each has its own name.

`chamfer` alone carries a gradient and loads torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from liftnet.core.types import FloatArray, IntArray

if TYPE_CHECKING:
    from torch import Tensor


LEAF = 32  # with loose nodes and queries in the tree's order: a third of the time of scipy's defaults on far surfaces
CHUNK = 1 << 25  # distances held at a time on a graphics card: 128 MB


@dataclass(frozen=True, repr=False)
class Nearest:
    """For each point of two sets its nearest one in the other.

    Attributes:
        accuracy: (N,) distances from the points of the shape to the target, world units.
        partner: (N,) which point of the target that is.
        completeness: (M,) distances from the points of the target to the shape.
        target_partner: (M,) which point of the shape that is.
    """

    accuracy: FloatArray
    partner: IntArray
    completeness: FloatArray
    target_partner: IntArray

    def __repr__(self) -> str:
        return f"Nearest({len(self.accuracy)} and {len(self.completeness)} points)"


def nearest(points: FloatArray, target: FloatArray) -> Nearest:
    """Find each point's nearest in the other set, exactly.

    Args:
        points: (N, 3) of the shape.
        target: (M, 3) of the target.

    Raises:
        ValueError: A set has the wrong shape or is empty.
    """
    for cloud in (points, target):
        if cloud.ndim != 2 or cloud.shape[1] != 3 or not len(cloud):
            raise ValueError(f"points must be (N, 3) and at least one, not {cloud.shape}")
    tree, target_tree = (
        cKDTree(cloud, leafsize=LEAF, balanced_tree=False, compact_nodes=False) for cloud in (points, target)
    )
    return Nearest(*_query(target_tree, tree), *_query(tree, target_tree))


def _query(tree: cKDTree, asking: cKDTree) -> tuple[FloatArray, IntArray]:
    order = asking.indices  # neighbours ask after each other, so that the tree stays in the cache
    found, index = tree.query(asking.data[order])
    distances, partners = np.empty_like(found), np.empty_like(index)
    distances[order], partners[order] = found, index
    return distances, partners


def accuracy(pair: Nearest) -> float:
    """Mean distance from the shape to the target (Mescheder et al., Occupancy Networks, 2019)."""
    return float(pair.accuracy.mean())


def completeness(pair: Nearest) -> float:
    """Mean distance from the target to the shape (Mescheder et al., 2019)."""
    return float(pair.completeness.mean())


def chamfer_l1(pair: Nearest) -> float:
    """Chamfer-L1 of Occupancy Networks: half the sum of both mean distances, world units."""
    return (accuracy(pair) + completeness(pair)) / 2


def chamfer_l2(pair: Nearest) -> float:
    """Chamfer distance of AtlasNet: the sum of both mean squared distances, world units squared.

    Twice the Chamfer-L2 of Occupancy Networks; AtlasNet's tables multiply it by 1,000.
    """
    return float((pair.accuracy**2).mean() + (pair.completeness**2).mean())


def hausdorff(pair: Nearest) -> float:
    """The larger of both largest distances: the symmetric Hausdorff distance, world units."""
    return float(max(pair.accuracy.max(), pair.completeness.max()))


def precision(pair: Nearest, threshold: float) -> float:
    """Share of the shape's points that lie nearer to the target than `threshold` (strictly)."""
    return float((pair.accuracy < threshold).mean())


def recall(pair: Nearest, threshold: float) -> float:
    """Share of the target's points that lie nearer to the shape than `threshold` (strictly)."""
    return float((pair.completeness < threshold).mean())


def f_score(pair: Nearest, threshold: float) -> float:
    """Harmonic mean of precision and recall, 0 where both are 0 (Tatarchenko et al., What Do Single-view ..., 2019).

    Args:
        pair: The nearest points.
        threshold: World units. Their figure: 1 % of the side of the cube that holds the shapes.
    """
    both = precision(pair, threshold), recall(pair, threshold)
    return 2 * both[0] * both[1] / sum(both) if sum(both) else 0.0


def normal_consistency(pair: Nearest, normals: FloatArray, target_normals: FloatArray) -> float:
    """Mean absolute cosine between the normals of nearest points, mean of both directions (Mescheder et al., 2019).

    Args:
        pair: The nearest points.
        normals: (N, 3) unit normals of the shape's points; which side they point to does not matter.
        target_normals: (M, 3) of the target's.
    """
    forward = np.abs((normals * target_normals[pair.partner]).sum(1)).mean()
    backward = np.abs((target_normals * normals[pair.target_partner]).sum(1)).mean()
    return float((forward + backward) / 2)


def earth_mover(points: FloatArray, target: FloatArray) -> float:
    """Mean distance of the best one-to-one assignment, exact; world units (Fan et al., Point Set Generation, 2017).

    Time grows with the cube of the number: .2 CPU seconds at 1,024 points, 1.7 at 2,048 (benchmarks/shape_metrics.md).

    Args:
        points: (N, 3).
        target: (N, 3).

    Raises:
        ValueError: The sets differ in size or are empty.
    """
    if points.shape != target.shape or points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise ValueError(f"both sets must be (N, 3) with the same N, not {points.shape} and {target.shape}")
    costs = cdist(points, target)
    return float(costs[linear_sum_assignment(costs)].mean())


def nearest_in_chunks(points: Tensor, target: Tensor, chunk: int = CHUNK) -> Tensor:
    """(N,) int64, the nearest of the points `target` (M, 3) to each of `points` (N, 3), by comparing all.

    Args:
        points: (N, 3).
        target: (M, 3).
        chunk: Distances that are held at a time.
    """
    import torch

    rows = max(1, chunk // len(target))
    found = [torch.cdist(part, target).argmin(1) for part in points.split(rows)]
    return torch.cat(found)


def chamfer(points: Tensor, target: Tensor, squared: bool = True) -> Tensor:
    """Chamfer distance between sets of points; differentiable to both.

    Args:
        points: (N, 3) or (B, N, 3).
        target: (M, 3) or (B, M, 3).
        squared: AtlasNet's: the sum of both mean squared distances (`chamfer_l2`). Otherwise Chamfer-L1 of
            Occupancy Networks: half the sum of both mean distances (`chamfer_l1`).

    Returns:
        A scalar, or (B,).

    Raises:
        ValueError: The shapes do not fit, or a set is empty.
    """
    import torch

    fits = points.ndim == target.ndim and points.ndim in (2, 3) and points.shape[:-2] == target.shape[:-2]
    if not fits or points.shape[-1] != 3 or target.shape[-1] != 3 or not (points.shape[-2] and target.shape[-2]):
        raise ValueError(f"points must be (N, 3) or (B, N, 3), not {tuple(points.shape)} and {tuple(target.shape)}")
    if points.ndim == 3:
        return torch.stack([chamfer(a, b, squared) for a, b in zip(points, target, strict=True)])
    forward, backward = partners(points, target)
    there, back = points - target[forward], target - points[backward]
    if squared:
        return there.square().sum(1).mean() + back.square().sum(1).mean()
    return (there.norm(dim=1).mean() + back.norm(dim=1).mean()) / 2


def partners(points: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Which point of the other set is nearest, both ways.

    Args:
        points: (N, 3).
        target: (M, 3).

    Returns:
        (N,) indices of `target` and (M,) of `points`, int64.
    """
    import torch

    with torch.no_grad():
        if points.is_cuda:
            return nearest_in_chunks(points, target), nearest_in_chunks(target, points)
        pair = nearest(points.double().numpy(), target.double().numpy())
        return torch.from_numpy(pair.partner), torch.from_numpy(pair.target_partner)

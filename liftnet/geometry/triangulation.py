"""Points in space from where several known cameras see them: as many tracks at once as memory holds.

Each point is where the sum of its squared reprojection distances is least: the linear solution first (Hartley &
Zisserman, 2nd edition, section 12.2, with three unknowns), then Gauss-Newton. For cameras of parallel rays the first
step is exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from liftnet.core.types import Float64Array, Int64Array
from liftnet.geometry.cameras import AnyCamera

_STEPS = 8  # of Gauss-Newton; it has settled after three or four
_DAMPING = 1e-12  # of the trace: two views along one ray leave the point free on it


def triangulate(
    cameras: Sequence[AnyCamera], track: Int64Array, camera: Int64Array, points: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """The points that tracks show, and how far they are from where they were seen.

    Args:
        cameras: Pinhole and orthographic cameras, in any mixture.
        track: (N,) the track of each observation, ascending, every number from 0 at least twice.
        camera: (N,) the number of its camera.
        points: (N, 2) px.

    Returns:
        (T, 3) points in world units, and (T,) px, the root mean square of the distances between the observations of a
        track and its projected point. A track of two views has one distance that is free, so its residual says less.
    """
    if not len(track):
        return np.empty((0, 3)), np.empty(0)
    matrices = np.stack([np.asarray(one.matrix, np.float64) for one in cameras])[camera]
    starts = np.flatnonzero(np.r_[True, track[1:] != track[:-1]])
    best = _linear(matrices, points, track, starts)
    cost = _cost(matrices, points, best[track], starts)
    for _ in range(_STEPS):
        seen, depth = _projected(matrices, best[track])
        slopes = (matrices[:, :2, :3] - seen[:, :, None] * matrices[:, 2:, :3]) / depth[:, None, None]
        tried = best + _solved(slopes, points - seen, starts)
        new = _cost(matrices, points, tried[track], starts)
        better = new < cost
        best, cost = np.where(better[:, None], tried, best), np.where(better, new, cost)
    return best, np.sqrt(cost / np.diff(np.r_[starts, len(track)]))


def _linear(matrices: Float64Array, points: Float64Array, track: Int64Array, starts: Int64Array) -> Float64Array:
    """(T, 3) what minimises the algebraic distance, about the middle of what the cameras look at."""
    rows = points[:, :, None] * matrices[:, 2:] - matrices[:, :2]
    return _solved(rows[..., :3], -rows[..., 3], starts)


def _solved(rows: Float64Array, values: Float64Array, starts: Int64Array) -> Float64Array:
    """(T, 3) the least-squares solutions of `rows @ x = values`, (N, 2, 3) and (N, 2), those of a track together."""
    normal = np.add.reduceat(np.einsum("nci,ncj->nij", rows, rows), starts)
    right = np.add.reduceat(np.einsum("nci,nc->ni", rows, values), starts)
    damping = _DAMPING * np.trace(normal, axis1=1, axis2=2) + np.finfo(float).tiny
    return np.linalg.solve(normal + damping[:, None, None] * np.eye(3), right[..., None])[..., 0]


def _projected(matrices: Float64Array, world: Float64Array) -> tuple[Float64Array, Float64Array]:
    """(N, 2) px and (N,) the third coordinate of (N, 3) points in (N, 3, 4) cameras."""
    homogeneous = np.einsum("nij,nj->ni", matrices[..., :3], world) + matrices[..., 3]
    depth = np.where(homogeneous[:, 2] == 0, np.finfo(float).eps, homogeneous[:, 2])
    return homogeneous[:, :2] / depth[:, None], depth


def _cost(matrices: Float64Array, points: Float64Array, world: Float64Array, starts: Int64Array) -> Float64Array:
    """(T,) px^2, the sum of the squared distances of each track."""
    squares = ((_projected(matrices, world)[0] - points) ** 2).sum(axis=1)
    return np.nan_to_num(np.add.reduceat(squares, starts), nan=np.inf)

"""Chamfer distances that carry a gradient, on the processor and on a graphics card."""

from __future__ import annotations

import torch
from torch import Tensor

from liftnet.shape.distances import nearest

CHUNK = 1 << 25  # distances held at a time on a graphics card: 128 MB


def nearest_in_chunks(points: Tensor, target: Tensor, chunk: int = CHUNK) -> Tensor:
    """(N,) int64, the nearest of the points `target` (M, 3) to each of `points` (N, 3), by comparing all.

    Args:
        points: (N, 3).
        target: (M, 3).
        chunk: Distances that are held at a time.
    """
    rows = max(1, chunk // len(target))
    found = [torch.cdist(part, target).argmin(1) for part in points.split(rows)]
    return torch.cat(found)


def chamfer(points: Tensor, target: Tensor, squared: bool = True) -> Tensor:
    """Chamfer distance between sets of points; differentiable to both.

    Args:
        points: (N, 3) or (B, N, 3).
        target: (M, 3) or (B, M, 3).
        squared: AtlasNet's: the sum of both mean squared distances (`distances.chamfer_l2`). Otherwise Chamfer-L1 of
            Occupancy Networks: half the sum of both mean distances (`distances.chamfer_l1`).

    Returns:
        A scalar, or (B,).

    Raises:
        ValueError: The shapes do not fit, or a set is empty.
    """
    fits = points.ndim == target.ndim and points.ndim in (2, 3) and points.shape[:-2] == target.shape[:-2]
    if not fits or points.shape[-1] != 3 or target.shape[-1] != 3 or not (points.shape[-2] and target.shape[-2]):
        raise ValueError(f"points must be (N, 3) or (B, N, 3), not {tuple(points.shape)} and {tuple(target.shape)}")
    if points.ndim == 3:
        return torch.stack([chamfer(a, b, squared) for a, b in zip(points, target, strict=True)])
    forward, backward = _partners(points, target)
    there, back = points - target[forward], target - points[backward]
    if squared:
        return there.square().sum(1).mean() + back.square().sum(1).mean()
    return (there.norm(dim=1).mean() + back.norm(dim=1).mean()) / 2


def _partners(points: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Which point of the other set is nearest, both ways."""
    with torch.no_grad():
        if points.is_cuda:
            return nearest_in_chunks(points, target), nearest_in_chunks(target, points)
        pair = nearest(points.double().numpy(), target.double().numpy())
        return torch.from_numpy(pair.partner), torch.from_numpy(pair.target_partner)

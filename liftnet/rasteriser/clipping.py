"""Triangles cut at the near plane, before they are divided by their depth."""

from __future__ import annotations

import torch
from torch import Tensor


def clip_near(triangles: Tensor, near: float) -> tuple[Tensor, Tensor]:
    """Keep what lies behind the near plane; differentiable.

    Args:
        triangles: (T, 3, 3) camera coordinates, z away from the camera.
        near: Depth of the plane.

    Returns:
        (M, 3, 3) triangles with z >= near, in the order of the given ones, and (M,) int64, the triangle each comes
        from. A triangle with one corner before the plane becomes two, one with two such corners a smaller one; those
        before the plane are gone.
    """
    before = triangles.detach()[..., 2] < near
    corners = before.sum(1)
    whole, one, two = ((corners == number).nonzero()[:, 0] for number in (0, 1, 2))
    a, b, c = _turned(triangles[one], before[one])  # a lies before the plane
    ab, ac = _crossing(a, b, near), _crossing(a, c, near)
    d, e, f = _turned(triangles[two], ~before[two])  # d lies behind the plane
    de, df = _crossing(d, e, near), _crossing(d, f, near)
    pieces = [triangles[whole]] + [torch.stack(piece, 1) for piece in ((ab, b, c), (ab, c, ac), (d, de, df))]
    source = torch.cat([whole, one, one, two])
    order = torch.argsort(source, stable=True)
    return torch.cat(pieces)[order], source[order]


def _turned(triangles: Tensor, odd: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The corners (M, 3), in the same sense of rotation, from the odd one on."""
    rows = torch.arange(len(triangles), device=triangles.device)
    first = odd.int().argmax(1)
    a, b, c = (triangles[rows, (first + k) % 3] for k in range(3))
    return a, b, c


def _crossing(start: Tensor, end: Tensor, near: float) -> Tensor:
    """Where segments (M, 3) that have one end on each side cross the plane."""
    share = (near - start[:, 2]) / (end[:, 2] - start[:, 2])
    flat = start[:, :2] + share[:, None] * (end - start)[:, :2]
    return torch.cat([flat, torch.full_like(start[:, :1], near)], 1)

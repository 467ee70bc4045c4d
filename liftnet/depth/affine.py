"""The affine camera that fits depth and correspondences best, differentiable in depth (equations 2 to 6)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

DEGENERATE = 1e-6  # relative volume, area or length below which points span nothing


class CameraFit(NamedTuple):
    """Least squares of the target on 1, x, y and d: what is left over, and the pieces of the camera."""

    residual: Tensor  # (B, 2, N), target minus projection
    depth_column: Tensor  # (B, 2)
    planar: Tensor  # (B, 2, 3), coefficients of the orthonormal basis
    change: Tensor  # (B, 3, 3), the basis as combinations of 1, x, y


def camera_by_fwl(source_xy: Tensor, depth: Tensor, target_xy: Tensor, weight: Tensor) -> Tensor:
    """The affine camera that maps `[x, y, d, 1]` to the target with the least squared error, by Frisch-Waugh-Lovell.

    Args:
        source_xy: (B, N, 2), px.
        depth: (B, N); carries the gradient.
        target_xy: (B, N, 2), px.
        weight: (B, N), 1 for points that count and 0 for others.

    Returns:
        (B, 2, 4). For flat depth, where the depth column is not determined, that column is 0.
    """
    fit = fit_camera(source_xy, depth, target_xy, weight)
    affine = fit.planar @ fit.change  # coefficients of 1, x, y
    return torch.stack([affine[..., 1], affine[..., 2], fit.depth_column, affine[..., 0]], dim=2)


def camera_by_svd(source_xy: Tensor, depth: Tensor, target_xy: Tensor, weight: Tensor) -> Tensor:
    """The same camera through the pseudo-inverse of X by its singular value decomposition (equations 3 to 6).

    The reference. Its gradient is not finite where two singular values are equal or one is 0.

    Args:
        source_xy: (B, N, 2), px.
        depth: (B, N); carries the gradient.
        target_xy: (B, N, 2), px.
        weight: (B, N), 1 for points that count and 0 for others.

    Returns:
        (B, 2, 4).
    """
    points = homogeneous_points(source_xy, depth) * weight[..., None]
    left, singular, right = torch.linalg.svd(points, full_matrices=False)
    inverse = right.mT @ (left.mT / singular[..., None])
    return (inverse @ (target_xy * weight[..., None])).mT


def fit_camera(source_xy: Tensor, depth: Tensor, target_xy: Tensor, weight: Tensor) -> CameraFit:
    """Fit as `camera_by_fwl` does, and keep what is left over; shapes as there."""
    basis, change = planar_basis(source_xy, weight)
    weighted = basis * weight[:, None]
    target = target_xy.mT
    target_planar = target @ weighted.mT  # (B, 2, 3)
    target_left = target - target_planar @ basis
    depth_planar = (weighted @ depth[..., None]).mT  # (B, 1, 3)
    depth_left = depth - (depth_planar @ basis)[:, 0]
    relief = (weight * depth_left.square()).sum(1)
    # below a few rounding errors the relief is noise: flat depth, whose depth column is not determined
    noise = (4 * torch.finfo(depth.dtype).eps) ** 2 * (weight * depth.detach().square()).sum(1)
    is_flat = relief.detach() <= noise + torch.finfo(depth.dtype).tiny
    inverse = torch.where(is_flat, 0, 1 / torch.where(is_flat, 1, relief))
    column = ((weight * depth_left)[:, None] * target_left).sum(2) * inverse[:, None]
    return CameraFit(
        residual=target_left - column[..., None] * depth_left[:, None],
        depth_column=column,
        planar=target_planar - column[..., None] @ depth_planar,
        change=change,
    )


def planar_basis(source_xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Gram-Schmidt on 1, x, y under the weights.

    Returns:
        The (B, 3, N) basis, of rows with `sum_n w q_i q_j = delta_ij` (a row of zeros where points are too few or
        collinear), and (B, 3, 3) with `basis = change @ [1, x, y]`.
    """
    plane = torch.cat([torch.ones_like(source_xy[..., :1]), source_xy], dim=2).mT
    rows: list[Tensor] = []
    changes: list[Tensor] = []
    identity = torch.eye(3, dtype=plane.dtype, device=plane.device).expand(len(plane), 3, 3)
    for k in range(3):
        row, change = plane[:, k], identity[:, k]
        length_before = (weight * row.square()).sum(1, keepdim=True)
        for earlier, earlier_change in zip(rows, changes, strict=True):
            part = (weight * earlier * row).sum(1, keepdim=True)
            row, change = row - part * earlier, change - part * earlier_change
        length = (weight * row.square()).sum(1, keepdim=True)
        spans = length > DEGENERATE**2 * length_before
        scale = torch.where(spans, length.clamp_min(torch.finfo(length.dtype).tiny).rsqrt(), 0)
        rows.append(row * scale)
        changes.append(change * scale)
    return torch.stack(rows, 1), torch.stack(changes, 1)


def homogeneous_points(source_xy: Tensor, depth: Tensor) -> Tensor:
    """(B, N, 4) points [x, y, d, 1]."""
    return torch.cat([source_xy, depth[..., None], torch.ones_like(depth)[..., None]], dim=2)

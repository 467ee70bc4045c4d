"""The affine camera that fits depth and correspondences best, differentiable in depth (equations 2 to 6)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

DEGENERATE = 1e-6  # relative volume, area or length below which points span nothing


class CameraFit(NamedTuple):
    """A camera and what it leaves over.

    Attributes:
        camera: (B, 2, 4), maps `[x, y, d, 1]` to the target, px.
        residual: (B, 2, N), target minus projection, px.
    """

    camera: Tensor
    residual: Tensor


class Relief(NamedTuple):
    """What of depth no plane explains.

    Attributes:
        left: (B, N), depth made orthogonal to 1, x and y.
        planar: (B, 1, 3), the part taken off, as coefficients of the basis.
        energy: (B,), weighted sum of squares of `left`.
        is_flat: (B,) bool, whether the energy is but rounding error.
    """

    left: Tensor
    planar: Tensor
    energy: Tensor
    is_flat: Tensor


def fit_camera(source_xy: Tensor, depth: Tensor, target_xy: Tensor, weight: Tensor) -> CameraFit:
    """The affine camera of least squared reprojection error, by the theorem of Frisch, Waugh and Lovell.

    Args:
        source_xy: (B, N, 2), px.
        depth: (B, N); carries the gradient.
        target_xy: (B, N, 2), px.
        weight: (B, N), 1 for points that count and 0 for others.

    Returns:
        The camera and its residuals. For flat depth, where the depth column is not determined, that column is 0.
    """
    basis, change = planar_basis(source_xy, weight)
    relief = relief_of(depth, basis, weight)
    target = target_xy.mT
    target_planar = target @ (basis * weight[:, None]).mT  # (B, 2, 3)
    target_left = target - target_planar @ basis
    inverse = torch.where(relief.is_flat, 0, 1 / torch.where(relief.is_flat, 1, relief.energy))
    column = ((weight * relief.left)[:, None] * target_left).sum(2, keepdim=True) * inverse[:, None, None]
    affine = (target_planar - column @ relief.planar) @ change  # coefficients of 1, x, y
    return CameraFit(
        camera=torch.cat([affine[..., 1:], column, affine[..., :1]], dim=2),
        residual=target_left - column * relief.left[:, None],
    )


def fit_camera_by_svd(source_xy: Tensor, depth: Tensor, target_xy: Tensor, weight: Tensor) -> CameraFit:
    """The same camera through the pseudo-inverse of X by its singular value decomposition (equations 3 to 6).

    The paper's route, kept as the reference. Its gradient is not finite where two singular values are equal or one
    is 0. Shapes as in `fit_camera`.
    """
    points = homogeneous_points(source_xy, depth)
    left, singular, right = torch.linalg.svd(points * weight[..., None], full_matrices=False)
    inverse = right.mT @ (left.mT / singular[..., None])
    camera = (inverse @ (target_xy * weight[..., None])).mT
    return CameraFit(camera, target_xy.mT - camera @ points.mT)


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


def relief_of(depth: Tensor, basis: Tensor, weight: Tensor) -> Relief:
    """Take off depth its best plane.

    Args:
        depth: (B, N).
        basis: (B, 3, N), of `planar_basis` under the same weights.
        weight: (B, N).
    """
    weighted = basis * weight[:, None]
    # near the mean differences are exact in floating point, and low relief keeps its digits
    mean = ((weight * depth.detach()).sum(1) / weight.sum(1).clamp_min(1))[:, None]
    centred = depth - mean
    planar = (weighted @ centred[..., None]).mT
    left = centred - (planar @ basis)[:, 0]
    planar = planar + mean[..., None] * weighted.sum(2)[:, None]
    energy = (weight * left.square()).sum(1)
    # below a few rounding errors the relief is noise: flat depth, whose camera column is not determined
    noise = (4 * torch.finfo(depth.dtype).eps) ** 2 * (weight * depth.detach().square()).sum(1)
    return Relief(left, planar, energy, energy.detach() <= noise + torch.finfo(depth.dtype).tiny)


def homogeneous_points(source_xy: Tensor, depth: Tensor) -> Tensor:
    """(B, N, 4) points [x, y, d, 1]."""
    return torch.cat([source_xy, depth[..., None], torch.ones_like(depth)[..., None]], dim=2)

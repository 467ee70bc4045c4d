"""The scaled orthographic camera: an affine camera whose two rows are orthogonal and of equal norm.

A camera far away from the object is a scaled orthographic one (Hartley & Zisserman, 2nd edition, section 6.3.1). With
depth in pixels it is `M = [r1; r2]` (2, 3) with `r1 . r2 = 0` and `|r1| = |r2|`; a general affine camera has two
degrees of freedom more, and they let depth be sheared and stretched without a trace in the loss. From two views depth
still has one parameter left (the bas-relief of orthography, Koenderink and van Doorn 1991) and its mirror image; a
source image with several targets has the mirror image alone.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from liftnet.depth.reprojection.affine import CameraFit

STEPS = 8  # of Levenberg and Marquardt, which needs 6 to converge in float32 on depth that is half wrong
SINGULAR = 1e-4  # share of the largest curvature below which a parameter of the camera is not determined


def orthography_defect(camera: Tensor, unit: float) -> Tensor:
    """How far an affine camera is from scaled orthography.

    With singular values s1 >= s2 of its 2x3 part it is `((s1^2 - s2^2) / (s1^2 + s2^2))^2`, written without them:
    `((|r1|^2 - |r2|^2)^2 + 4 (r1 . r2)^2) / (|r1|^2 + |r2|^2)^2`.

    Args:
        camera: (B, 2, 4), maps `[x, y, d, 1]`, px.
        unit: Pixels a unit of depth.

    Returns:
        (B,): 0 for scaled orthography, 1 for parallel rows.
    """
    first, second = in_pixels(camera[..., :3], unit).unbind(1)
    a, b, between = first.square().sum(1), second.square().sum(1), (first * second).sum(1)
    total = torch.where(a + b > 0, a + b, 1)  # a camera of zeros, through a single point, has no defect
    return ((a - b) / total).square() + (2 * between / total).square()


def fit_orthographic(
    source_xy: Tensor, depth: Tensor, target_xy: Tensor, weight: Tensor, affine: Tensor, unit: float
) -> CameraFit:
    """The scaled orthographic camera of least squared reprojection error, differentiable in depth.

    The rows of the camera are those of a rotation times a scale, quadratic in a quaternion of any length. Its least
    squares need of all points nothing but 15 second moments. Levenberg and Marquardt find the solution without
    gradient, from the nearest such camera to the affine one and from the nearest to its mirror image in depth; the
    gradient at the solution is that of the implicit function theorem.

    Args:
        source_xy: (B, N, 2), px.
        depth: (B, N); carries the gradient.
        target_xy: (B, N, 2), px.
        weight: (B, N), 1 for points that count and 0 for others.
        affine: (B, 2, 4), where the search starts; maps `[x, y, d, 1]`.
        unit: Pixels a unit of depth.

    Returns:
        The camera, which maps `[x, y, d, 1]` too, and its residuals.
    """
    points = torch.cat([source_xy, unit * depth[..., None]], dim=2)
    share = (weight / weight.sum(1, keepdim=True).clamp_min(1))[..., None]
    point_mean, target_mean = (share * points).sum(1, keepdim=True), (share * target_xy).sum(1, keepdim=True)
    points, target = points - point_mean, target_xy - target_mean
    spread = (share * points).mT @ points  # (B, 3, 3)
    cross = (share * target).mT @ points  # (B, 2, 3)
    with torch.no_grad():
        quaternion = _search(spread, cross, in_pixels(affine[..., :3], unit))
        inverse = _inverse_hessian(quaternion, spread, cross)
    slope = _gradient(quaternion, spread, cross)
    # of value 0: Newton's step for a change of the moments, not for what the search left undone
    quaternion = quaternion - (inverse @ (slope - slope.detach())[..., None])[..., 0]
    rows = camera_rows(quaternion)
    offset = target_mean.mT - rows @ point_mean.mT
    camera = torch.cat([rows[..., :2], rows[..., 2:] * unit, offset], dim=2)
    return CameraFit(camera, target.mT - rows @ points.mT)


def in_pixels(rows: Tensor, unit: float) -> Tensor:
    """The (B, 2, 3) camera of depth in pixels from that of depth in units."""
    return torch.cat([rows[..., :2], rows[..., 2:] / unit], dim=2)


def camera_rows(quaternion: Tensor) -> Tensor:
    """(B, 2, 3): the first two rows of the rotation of a quaternion (w, x, y, z), times its squared length."""
    return torch.einsum("...i,rcij,...j->...rc", quaternion, _forms(quaternion), quaternion)


def nearest_quaternion(rows: Tensor) -> Tensor:
    """The quaternion of the scaled orthographic camera nearest to (B, 2, 3) rows in the Frobenius norm.

    The nearest orthonormal rows are those of the polar decomposition; they maximise a quadratic form of the
    quaternion (Horn 1987), so it is that form's last eigenvector.
    """
    form = torch.einsum("brc,rcij->bij", rows, _forms(rows))
    values, vectors = torch.linalg.eigh(form)
    return vectors[..., -1] * (0.5 * values[:, -1:]).clamp_min(0).sqrt()


def _forms(like: Tensor) -> Tensor:
    """(2, 3, 4, 4) symmetric forms with `rows[r, c] = q^T forms[r, c] q`, in the dtype and on the device of `like`."""
    return _forms_on(like.dtype, like.device)


@cache
def _forms_on(dtype: torch.dtype, device: torch.device) -> Tensor:
    entries = {  # of q^T form q: (row, column): (i, j, coefficient of q_i q_j), ...
        (0, 0): ((0, 0, 1.0), (1, 1, 1.0), (2, 2, -1.0), (3, 3, -1.0)),
        (0, 1): ((1, 2, 2.0), (0, 3, -2.0)),
        (0, 2): ((1, 3, 2.0), (0, 2, 2.0)),
        (1, 0): ((1, 2, 2.0), (0, 3, 2.0)),
        (1, 1): ((0, 0, 1.0), (2, 2, 1.0), (1, 1, -1.0), (3, 3, -1.0)),
        (1, 2): ((2, 3, 2.0), (0, 1, -2.0)),
    }
    forms = torch.zeros(2, 3, 4, 4, dtype=torch.float64)
    for (row, column), terms in entries.items():
        for i, j, coefficient in terms:
            forms[row, column, i, j] += coefficient / 2
            forms[row, column, j, i] += coefficient / 2
    return forms.to(device, dtype)


def _search(spread: Tensor, cross: Tensor, affine: Tensor) -> Tensor:
    """(B, 4) quaternion of least squares: the better of two searches."""
    mirrored = affine * torch.tensor([1.0, 1.0, -1.0], dtype=affine.dtype, device=affine.device)
    quaternion = nearest_quaternion(torch.cat([affine, mirrored]))
    spread, cross = torch.cat([spread, spread]), torch.cat([cross, cross])
    damping = torch.full_like(spread[:, 0, 0], 1e-3)
    cost = _cost(quaternion, spread, cross)
    identity = torch.eye(4, dtype=affine.dtype, device=affine.device)
    for _ in range(STEPS):
        slope = 2 * torch.einsum("rcij,bj->brci", _forms(affine), quaternion)
        normal = torch.einsum("brci,bcd,brdj->bij", slope, spread, slope)
        size = normal.diagonal(dim1=1, dim2=2).sum(1).clamp_min(torch.finfo(affine.dtype).tiny)
        damped = normal + (damping * size)[:, None, None] * identity
        step = torch.linalg.solve_ex(damped, _gradient(quaternion, spread, cross))[0]
        trial = quaternion - step
        trial_cost = _cost(trial, spread, cross)
        better = trial_cost < cost  # False for a step that is not finite
        quaternion, cost = torch.where(better[:, None], trial, quaternion), torch.where(better, trial_cost, cost)
        damping = torch.where(better, damping / 10, damping * 10).clamp(1e-7, 1e3)
    step = _inverse_hessian(quaternion, spread, cross) @ _gradient(quaternion, spread, cross)[..., None]
    trial = quaternion - step[..., 0]
    quaternion = torch.where((_cost(trial, spread, cross) < cost)[:, None], trial, quaternion)
    first, second = quaternion.chunk(2)
    return torch.where((cost[: len(first)] <= cost[len(first) :])[:, None], first, second)


def _cost(quaternion: Tensor, spread: Tensor, cross: Tensor) -> Tensor:
    """(B,) half the mean squared residual, less what no camera changes."""
    rows = camera_rows(quaternion)
    return (rows * (0.5 * rows @ spread - cross)).sum((1, 2))


def _gradient(quaternion: Tensor, spread: Tensor, cross: Tensor) -> Tensor:
    """(B, 4) gradient of the cost."""
    slope = 2 * torch.einsum("rcij,bj->brci", _forms(spread), quaternion)
    return torch.einsum("brci,brc->bi", slope, camera_rows(quaternion) @ spread - cross)


def _inverse_hessian(quaternion: Tensor, spread: Tensor, cross: Tensor) -> Tensor:
    """(B, 4, 4) inverse of the cost's Hessian on the directions that it determines, 0 on the others."""
    forms = _forms(spread)
    slope = 2 * torch.einsum("rcij,bj->brci", forms, quaternion)
    bend = 2 * torch.einsum("brc,rcij->bij", camera_rows(quaternion) @ spread - cross, forms)
    values, vectors = torch.linalg.eigh(torch.einsum("brci,bcd,brdj->bij", slope, spread, slope) + bend)
    determined = values > SINGULAR * values[:, -1:].clamp_min(torch.finfo(values.dtype).tiny)
    inverse = torch.where(determined, 1 / torch.where(determined, values, 1), 0)
    return (vectors * inverse[:, None]) @ vectors.mT

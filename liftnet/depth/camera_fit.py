"""The camera that fits depth and correspondences best: the affine one, RANSAC for it, and the scaled orthographic one.

A camera far away from the object is a scaled orthographic one (Hartley & Zisserman, 2nd edition, section 6.3.1). With
depth in pixels it is `M = [r1; r2]` (2, 3) with `r1 . r2 = 0` and `|r1| = |r2|`; a general affine camera has two
degrees of freedom more, and they let depth be sheared and stretched without a trace in the loss. From two views depth
still has one parameter left (the bas-relief of orthography, Koenderink and van Doorn 1991) and its mirror image; a
source image with several targets has the mirror image alone.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

DEGENERATE = 1e-6  # relative volume, area or length below which points span nothing
RANSAC_ITERATIONS = (
    100  # 72 four-point samples find four inliers among half outliers with 99 %: log(.01) / log(1 - .5^4)
)
SCORED_POINTS = 2048  # inliers are counted among max. so many points
STEPS = 8  # of Levenberg and Marquardt, which needs 6 to converge in float32 on depth that is half wrong
SINGULAR = 1e-4  # share of the largest curvature below which a parameter of the camera is not determined


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


@torch.no_grad()
def ransac_inliers(
    source_xy: Tensor,
    depth: Tensor,
    target_xy: Tensor,
    mask: Tensor,
    threshold: float,
    generator: torch.Generator,
    iterations: int = RANSAC_ITERATIONS,
) -> Tensor:
    """The points that agree with the best of many affine cameras through four points each (section 3.1, B).

    Solved in coordinates in which 1, x, y and what is left of depth are orthonormal, so that the outcome does not
    change under `d -> a d + b x + c y + e`. A sample whose points span no volume (flat depth) stands for the planar
    camera through its first three points, so that flat depth is judged as fairly as any other.

    Args:
        source_xy: (B, N, 2), px.
        depth: (B, N).
        target_xy: (B, N, 2), px.
        mask: (B, N) bool, the points that count.
        threshold: Inlier distance, px.
        generator: Source of the samples.
        iterations: Number of samples.

    Returns:
        (B, N) bool; the mask itself where fewer than four points agree with any camera.
    """
    space, target = _whitened(source_xy, depth, target_xy, mask)
    chosen = _samples(mask, iterations, generator)  # (B, samples, 4)
    camera = _minimal_cameras(_gather(space, chosen), _gather(target, chosen))
    scored = torch.rand(mask.shape, generator=generator, device=generator.device).to(mask.device)
    scored = scored.masked_fill(~mask, 2).argsort(1)[:, :SCORED_POINTS]
    some_space, some_target = (torch.gather(a, 2, scored[:, None].expand(-1, a.shape[1], -1)) for a in (space, target))
    counts = _agree(camera, some_space, some_target, threshold) & torch.gather(mask, 1, scored)[:, None]
    best = counts.sum(2).argmax(1)
    best_camera = [rows[torch.arange(len(best)), best][:, None] for rows in camera]
    inliers = _agree((best_camera[0], best_camera[1]), space, target, threshold)[:, 0] & mask
    return torch.where(inliers.sum(1, keepdim=True) >= 4, inliers, mask)


def _whitened(source_xy: Tensor, depth: Tensor, target_xy: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 3, N) source space of unit mean square in each coordinate, and (B, 2, N) target; 0 where masked."""
    source_xy, target_xy = (points.masked_fill(~mask[..., None], 0) for points in (source_xy, target_xy))
    weight = mask.to(depth.dtype)
    basis, _ = planar_basis(source_xy, weight)
    relief = relief_of(depth.masked_fill(~mask, 0), basis, weight)
    length = torch.where(relief.is_flat, torch.inf, relief.energy).sqrt()
    space = torch.stack([basis[:, 1], basis[:, 2], relief.left / length[:, None]], 1)
    return space * (weight * weight.sum(1, keepdim=True).sqrt())[:, None], target_xy.mT


def _samples(mask: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(B, count, 4) indices of points of the mask, the four of a sample different where there are four."""
    valid_first = (~mask).to(torch.uint8).argsort(dim=1, stable=True)
    there = mask.sum(1)[:, None].clamp_min(1)
    uniform = torch.rand(len(mask), count, 4, generator=generator, device=generator.device).to(mask.device)
    chosen: list[Tensor] = []
    for k in range(4):
        left = (there - k).clamp_min(1)
        pick = torch.minimum((uniform[..., k] * left).long(), left - 1)
        # skip over those drawn before, in ascending order
        for earlier in torch.stack(chosen, -1).sort(-1).values.unbind(-1) if chosen else ():
            pick = pick + (pick >= earlier)
        chosen.append(torch.minimum(pick, there - 1))
    return torch.gather(valid_first, 1, torch.stack(chosen, -1).flatten(1)).view(len(mask), count, 4)


def _gather(points: Tensor, chosen: Tensor) -> Tensor:
    """(B, C, N) at (B, samples, 4) indices: (B, C, samples, 4)."""
    index = chosen.flatten(1)[:, None].expand(-1, points.shape[1], -1)
    return torch.gather(points, 2, index).view(len(points), points.shape[1], *chosen.shape[1:])


def _minimal_cameras(space: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Affine cameras through the four points of each sample, by Cramer's rule on their differences.

    Args:
        space: (B, 3, samples, 4).
        target: (B, 2, samples, 4).

    Returns:
        For the target's x and y, (B, samples, 4) coefficients of the space coordinates and 1; NaN where the points of
        a sample lie on a line, so that no point agrees.
    """
    edges, moved = space[..., 1:] - space[..., :1], target[..., 1:] - target[..., :1]
    first, second, third = edges.unbind(-1)  # each (B, 3, samples)
    normals = torch.stack(
        [torch.linalg.cross(a, b, dim=1) for a, b in ((second, third), (third, first), (first, second))], -1
    )
    volume = (first * normals[..., 0]).sum(1)
    lengths = edges.square().sum(1).sqrt()  # (B, samples, 3)
    solid = volume.abs() > DEGENERATE * lengths.prod(-1)
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    spans = area.abs() > DEGENERATE * lengths[..., 0] * lengths[..., 1]
    cameras = []
    for row in range(2):
        m = moved[:, row]  # (B, samples, 3)
        cubic = (normals * m[:, None]).sum(-1) / volume[:, None]
        planar_x = (m[..., 0] * second[:, 1] - m[..., 1] * first[:, 1]) / area
        planar_y = (m[..., 1] * first[:, 0] - m[..., 0] * second[:, 0]) / area
        planar = torch.stack([planar_x, planar_y, torch.zeros_like(area)], 1)
        slope = torch.where(solid[:, None], cubic, planar.masked_fill(~spans[:, None], torch.nan))
        offset = target[:, row, :, 0] - (slope * space[..., 0]).sum(1)
        cameras.append(torch.cat([slope.mT, offset[..., None]], -1))
    return cameras[0], cameras[1]


def _agree(camera: tuple[Tensor, Tensor] | list[Tensor], space: Tensor, target: Tensor, threshold: float) -> Tensor:
    """(B, samples, N) bool: which points lie within the threshold of their projection."""
    homogeneous = torch.cat([space, torch.ones_like(space[:, :1])], 1)
    x, y = camera[0] @ homogeneous - target[:, :1], camera[1] @ homogeneous - target[:, 1:]
    return x.square() + y.square() < threshold**2


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

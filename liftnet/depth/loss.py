"""The point correspondence loss of LiftNet: reprojection error through the best affine camera.

Wiles and Zisserman, "3D Surface Reconstruction by Pointillism", ECCV Workshops 2018, section 3. The predicted depth
lifts points of the source image, `X = [x, y, d, 1]`; the affine camera that best maps them to the target image is
found by RANSAC and least squares, and the loss is the robust distance that remains. Depth is known only up to
`d -> a d + b x + c y + e`: the camera absorbs any such change, so the loss does not see it.

The camera is solved by the theorem of Frisch, Waugh and Lovell: of the columns x, y, d, 1 only depth depends on the
network, so target and depth are first made orthogonal to 1, x and y, and one number a target coordinate is left to
fit. It is exact least squares, costs O(N), and has finite gradients where the singular value decomposition of the
paper (`camera_by_svd`, the reference) has none: at equal singular values and flat depth.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

DRAWS = 100  # 72 four-point draws find four inliers among half outliers with 99 %: log(.01) / log(1 - .5^4)
SCORED_POINTS = 2048  # RANSAC counts inliers among at most so many points
DEGENERATE = 1e-6  # relative volume (area) of the points of a draw below which it defines no camera


class CorrespondenceLoss(NamedTuple):
    """The loss of each pair and what training logs beside it; every field is (B,).

    Attributes:
        loss: Mean robust reprojection error over the pair's correspondences, px^2; carries the gradient.
        median_error: Median reprojection distance, px.
        inlier_share: Share of correspondences within the RANSAC threshold.
        saturated_share: Share of correspondences on the plateau of the robust cost, without gradient.
        camera_scale: Length of the camera's depth column: target pixels a unit of depth.
    """

    loss: Tensor
    median_error: Tensor
    inlier_share: Tensor
    saturated_share: Tensor
    camera_scale: Tensor


class _Fit(NamedTuple):
    """Least squares of the target on 1, x, y and d: what is left over, and the pieces of the camera."""

    residual: Tensor  # (B, 2, N), target minus projection
    depth_column: Tensor  # (B, 2)
    planar: Tensor  # (B, 2, 3), coefficients of the orthonormal basis
    change: Tensor  # (B, 3, 3), the basis as combinations of 1, x, y


def robust_cost(squared_error: Tensor, tau: float) -> Tensor:
    """R of section 3.2: e^2/2 (1 - e^2/(2 tau^2)) up to e = tau, the constant tau^2/4 beyond.

    Args:
        squared_error: Squared distances, px^2, any shape.
        tau: Distance at which the cost saturates, px; `inf` gives the plain e^2/2.

    Returns:
        The cost, px^2, of the same shape. Its gradient is exactly 0 beyond tau.
    """
    if tau == float("inf"):
        return 0.5 * squared_error
    capped = squared_error.clamp(max=tau * tau)
    return 0.5 * capped * (1 - capped / (2 * tau * tau))


def correspondence_loss(
    source_xy: Tensor,
    depth: Tensor,
    target_xy: Tensor,
    mask: Tensor,
    threshold: float,
    tau: float,
    generator: torch.Generator,
) -> Tensor:
    """Mean robust reprojection error of each pair (equation 1).

    Args:
        source_xy: (B, N, 2), px of the source, x right and y down.
        depth: (B, N) predicted depth at these points; carries the gradient.
        target_xy: (B, N, 2) the same points in the target, px.
        mask: (B, N) bool, False for rows that only fill up the batch.
        threshold: RANSAC's inlier distance T, px.
        tau: Distance at which the robust cost saturates, px; `inf` for no robust cost.
        generator: Source of the RANSAC draws.

    Returns:
        (B,) px^2. A row without correspondences has loss 0 and gradient 0.
    """
    return correspondence_terms(source_xy, depth, target_xy, mask, threshold, tau, generator).loss


def correspondence_terms(
    source_xy: Tensor,
    depth: Tensor,
    target_xy: Tensor,
    mask: Tensor,
    threshold: float,
    tau: float,
    generator: torch.Generator,
    draws: int = DRAWS,
    by_svd: bool = False,
) -> CorrespondenceLoss:
    """`correspondence_loss` with the figures that training logs.

    Args:
        source_xy: (B, N, 2), px.
        depth: (B, N).
        target_xy: (B, N, 2), px.
        mask: (B, N) bool.
        threshold: Inlier distance, px.
        tau: Saturation of the robust cost, px.
        generator: Source of the RANSAC draws.
        draws: Number of RANSAC draws.
        by_svd: Solve the camera as the paper does (equation 6) instead.
    """
    inliers = ransac_inliers(source_xy, depth.detach(), target_xy, mask, threshold, generator, draws)
    # rows that only fill up the batch may hold anything, even NaN: keep them out of every sum
    source_xy, target_xy = (points.masked_fill(~mask[..., None], 0) for points in (source_xy, target_xy))
    depth = depth.masked_fill(~mask, 0)
    weight = inliers.to(depth.dtype)
    if by_svd:
        camera = camera_by_svd(source_xy, depth, target_xy, weight)
        residual, column = target_xy.mT - camera @ _homogeneous(source_xy, depth).mT, camera[:, :, 2]
    else:
        fit = _fit(source_xy, depth, target_xy, weight)
        residual, column = fit.residual, fit.depth_column
    squared = residual.square().sum(1)
    count = mask.sum(1).clamp_min(1)
    error = squared.detach().sqrt()
    return CorrespondenceLoss(
        loss=robust_cost(squared, tau).masked_fill(~mask, 0).sum(1) / count,
        median_error=error.masked_fill(~mask, torch.nan).nanmedian(1).values.nan_to_num(0),
        inlier_share=((error < threshold) & mask).sum(1) / count,
        saturated_share=((error >= tau) & mask).sum(1) / count,
        camera_scale=column.detach().norm(dim=1),
    )


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
    fit = _fit(source_xy, depth, target_xy, weight)
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
    points = _homogeneous(source_xy, depth) * weight[..., None]
    left, singular, right = torch.linalg.svd(points, full_matrices=False)
    inverse = right.mT @ (left.mT / singular[..., None])
    return (inverse @ (target_xy * weight[..., None])).mT


@torch.no_grad()
def ransac_inliers(
    source_xy: Tensor,
    depth: Tensor,
    target_xy: Tensor,
    mask: Tensor,
    threshold: float,
    generator: torch.Generator,
    draws: int = DRAWS,
) -> Tensor:
    """The points that agree with the best of many affine cameras through four points each (section 3.1, B).

    Solved in coordinates in which 1, x, y and what is left of depth are orthonormal, so that the outcome does not
    change under `d -> a d + b x + c y + e`. A draw whose points span no volume (flat depth) stands for the planar
    camera through its first three points, so that flat depth is judged as fairly as any other.

    Args:
        source_xy: (B, N, 2), px.
        depth: (B, N).
        target_xy: (B, N, 2), px.
        mask: (B, N) bool, the points that count.
        threshold: Inlier distance, px.
        generator: Source of the draws.
        draws: Number of draws.

    Returns:
        (B, N) bool; the mask itself where fewer than four points agree with any camera.
    """
    space, target = _whitened(source_xy, depth, target_xy, mask)
    chosen = _draw(mask, draws, generator)  # (B, draws, 4)
    camera = _minimal_cameras(_gather(space, chosen), _gather(target, chosen))
    scored = torch.rand(mask.shape, generator=generator, device=generator.device).to(mask.device)
    scored = scored.masked_fill(~mask, 2).argsort(1)[:, :SCORED_POINTS]
    some_space, some_target = (torch.gather(a, 2, scored[:, None].expand(-1, a.shape[1], -1)) for a in (space, target))
    counts = _agree(camera, some_space, some_target, threshold) & torch.gather(mask, 1, scored)[:, None]
    best = counts.sum(2).argmax(1)
    best_camera = [rows[torch.arange(len(best)), best][:, None] for rows in camera]
    inliers = _agree((best_camera[0], best_camera[1]), space, target, threshold)[:, 0] & mask
    return torch.where(inliers.sum(1, keepdim=True) >= 4, inliers, mask)


def _fit(source_xy: Tensor, depth: Tensor, target_xy: Tensor, weight: Tensor) -> _Fit:
    basis, change = _planar_basis(source_xy, weight)
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
    return _Fit(
        residual=target_left - column[..., None] * depth_left[:, None],
        depth_column=column,
        planar=target_planar - column[..., None] @ depth_planar,
        change=change,
    )


def _planar_basis(source_xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
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


def _homogeneous(source_xy: Tensor, depth: Tensor) -> Tensor:
    return torch.cat([source_xy, depth[..., None], torch.ones_like(depth)[..., None]], dim=2)


def _whitened(source_xy: Tensor, depth: Tensor, target_xy: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 3, N) source space of unit mean square in each coordinate, and (B, 2, N) target; 0 where masked."""
    source_xy, target_xy = (points.masked_fill(~mask[..., None], 0) for points in (source_xy, target_xy))
    weight = mask.to(depth.dtype)
    fit_depth = depth.masked_fill(~mask, 0)
    basis, _ = _planar_basis(source_xy, weight)
    left = fit_depth - (((basis * weight[:, None]) @ fit_depth[..., None]).mT @ basis)[:, 0]
    relief = (weight * left.square()).sum(1, keepdim=True)
    noise = (4 * torch.finfo(depth.dtype).eps) ** 2 * (weight * fit_depth.square()).sum(1, keepdim=True)
    is_flat = relief <= noise + torch.finfo(depth.dtype).tiny
    left = torch.where(is_flat, 0, left * torch.where(is_flat, 1, relief).rsqrt())
    space = torch.stack([basis[:, 1], basis[:, 2], left], 1) * weight.sum(1).sqrt()[:, None, None]
    return space * weight[:, None], target_xy.mT


def _draw(mask: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(B, draws, 4) indices of points of the mask, the four of a draw different where there are four."""
    valid_first = (~mask).to(torch.uint8).argsort(dim=1, stable=True)
    count = mask.sum(1)[:, None].clamp_min(1)
    uniform = torch.rand(len(mask), draws, 4, generator=generator, device=generator.device).to(mask.device)
    chosen: list[Tensor] = []
    for k in range(4):
        left = (count - k).clamp_min(1)
        pick = torch.minimum((uniform[..., k] * left).long(), left - 1)
        # skip over those drawn before, in ascending order
        for earlier in torch.stack(chosen, -1).sort(-1).values.unbind(-1) if chosen else ():
            pick = pick + (pick >= earlier)
        chosen.append(torch.minimum(pick, count - 1))
    return torch.gather(valid_first, 1, torch.stack(chosen, -1).flatten(1)).view(len(mask), draws, 4)


def _gather(points: Tensor, chosen: Tensor) -> Tensor:
    """(B, C, N) at (B, draws, 4) indices: (B, C, draws, 4)."""
    index = chosen.flatten(1)[:, None].expand(-1, points.shape[1], -1)
    return torch.gather(points, 2, index).view(len(points), points.shape[1], *chosen.shape[1:])


def _minimal_cameras(space: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Affine cameras through the four points of each draw, by Cramer's rule on their differences.

    Args:
        space: (B, 3, draws, 4).
        target: (B, 2, draws, 4).

    Returns:
        For the target's x and y, (B, draws, 4) coefficients of the space coordinates and 1; NaN where the points of
        a draw lie on a line, so that no point agrees.
    """
    edges, moved = space[..., 1:] - space[..., :1], target[..., 1:] - target[..., :1]
    first, second, third = edges.unbind(-1)  # each (B, 3, draws)
    normals = torch.stack(
        [torch.linalg.cross(a, b, dim=1) for a, b in ((second, third), (third, first), (first, second))], -1
    )
    volume = (first * normals[..., 0]).sum(1)
    lengths = edges.square().sum(1).sqrt()  # (B, draws, 3)
    solid = volume.abs() > DEGENERATE * lengths.prod(-1)
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    spans = area.abs() > DEGENERATE * lengths[..., 0] * lengths[..., 1]
    cameras = []
    for row in range(2):
        m = moved[:, row]  # (B, draws, 3)
        cubic = (normals * m[:, None]).sum(-1) / volume[:, None]
        planar_x = (m[..., 0] * second[:, 1] - m[..., 1] * first[:, 1]) / area
        planar_y = (m[..., 1] * first[:, 0] - m[..., 0] * second[:, 0]) / area
        planar = torch.stack([planar_x, planar_y, torch.zeros_like(area)], 1)
        slope = torch.where(solid[:, None], cubic, planar.masked_fill(~spans[:, None], torch.nan))
        offset = target[:, row, :, 0] - (slope * space[..., 0]).sum(1)
        cameras.append(torch.cat([slope.mT, offset[..., None]], -1))
    return cameras[0], cameras[1]


def _agree(camera: tuple[Tensor, Tensor] | list[Tensor], space: Tensor, target: Tensor, threshold: float) -> Tensor:
    """(B, draws, N) bool: which points lie within the threshold of their projection."""
    homogeneous = torch.cat([space, torch.ones_like(space[:, :1])], 1)
    x, y = camera[0] @ homogeneous - target[:, :1], camera[1] @ homogeneous - target[:, 1:]
    return x.square() + y.square() < threshold**2

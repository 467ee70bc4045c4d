"""RANSAC for affine cameras, batched over image pairs and samples (section 3.1, B)."""

from __future__ import annotations

import torch
from torch import Tensor

from liftnet.depth.reprojection.affine import DEGENERATE, planar_basis, relief_of

RANSAC_ITERATIONS = (
    100  # 72 four-point samples find four inliers among half outliers with 99 %: log(.01) / log(1 - .5^4)
)
SCORED_POINTS = 2048  # inliers are counted among max. so many points


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

"""The soft rasteriser written down plainly: every (pixel, triangle) pair in a list, gradients by autograd.

This is what the fast backends must compute, on any device and in any precision; in float64 it passes gradcheck. The
formulas are those of SoftRas (Liu et al., ICCV 2019): coverage D = sigmoid(+-d^2 / sigma) by equation 1, silhouette
1 - prod(1 - D) by equation 5, gray as a softmax over depth by equations 2 to 4, depth by clipped barycentrics. Memory
is about 0.5 kB a pair.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from liftnet.rasteriser.softness import FLAT, Softness, pixel_boxes

SHORT = 1e-20  # squared length of an edge that counts as a point; the fast backends draw the line there, too


def rasterise(
    triangles: Tensor, shades: Tensor, image: Tensor, count: int, image_size: int, softness: Softness
) -> tuple[Tensor, Tensor, Tensor]:
    """Gray, silhouette and depth (count, S, S) of triangles (T, 3, 3) with shades (T,) in images (T,)."""
    pair, column, row = _pairs(triangles, image_size, softness.reach)
    x, y = ((2 * index + 1 - image_size).to(triangles) / image_size for index in (column, row))
    logit, depth = coverage_and_depth(triangles[pair], x, y, softness)
    kept = ((logit > -softness.cut) & (depth <= softness.far)).nonzero()[:, 0]
    logit, depth, pair = logit[kept], depth[kept], pair[kept]
    pixel = (image[pair] * image_size + row[kept]) * image_size + column[kept]
    images = aggregate(logit, depth, shades[pair], pixel, count * image_size**2, softness)
    gray, silhouette, mean_depth = (values.view(count, image_size, image_size) for values in images)
    return gray, silhouette, mean_depth


def coverage_and_depth(triangles: Tensor, x: Tensor, y: Tensor, softness: Softness) -> tuple[Tensor, Tensor]:
    """The logit of coverage and the depth of triangle i at pixel i.

    Args:
        triangles: (P, 3, 3) x, y in [-1, 1] and z, positive.
        x: (P,) of the centres of the pixels, in [-1, 1].
        y: (P,).
        softness: Gives sigma, the kind of camera and the rule of the gradient.

    Returns:
        (P,) +-d^2 / sigma, positive inside, and (P,) depth at the clipped barycentric coordinates. A triangle that is
        seen edge-on has no inside and the depth of its centre.
    """
    point = torch.stack([x, y], -1)
    corners, depths = triangles[..., :2], triangles[..., 2]
    edges = corners.roll(-1, 1) - corners
    distance = torch.stack([_squared_distance(point, corners[:, k], edges[:, k]) for k in range(3)]).amin(0)
    area = _cross(edges[:, 0], -edges[:, 2])
    flat = area.detach().abs() <= FLAT * edges.detach().square().sum(-1).amax(-1).sqrt()
    opposite = torch.stack([_cross(edges[:, k], point - corners[:, k]) for k in (1, 2, 0)], -1)
    weights = opposite / torch.where(flat, 1, area)[:, None]
    weights = torch.where(flat[:, None], 1 / 3, weights)
    inside = (weights > 0).all(-1) & ~flat
    if softness.gradient == "truncated":
        weights = weights.detach()
    clipped = weights.clamp(0, 1)
    total = clipped.sum(-1)
    depth = total / (clipped / depths).sum(-1) if softness.perspective else (clipped * depths).sum(-1) / total
    return torch.where(inside, distance, -distance) / softness.sigma, depth


def aggregate(
    logit: Tensor, depth: Tensor, shade: Tensor, pixel: Tensor, pixels: int, softness: Softness
) -> tuple[Tensor, Tensor, Tensor]:
    """Gray, silhouette and depth of all pixels from the fragments that fall on them."""
    empty = logit.new_zeros(pixels)
    silhouette = -torch.expm1(empty.index_add(0, pixel, logsigmoid(-logit)))
    nearest = torch.full_like(empty, softness.background_depth).scatter_reduce(0, pixel, depth.detach(), "amin")
    weight = torch.sigmoid(logit) * torch.exp((nearest[pixel] - depth) * softness.depth_rate)
    behind = torch.exp((nearest - softness.background_depth) * softness.depth_rate)
    total = behind.index_add(0, pixel, weight)
    gray = (behind * softness.background).index_add(0, pixel, weight * shade) / total
    return gray, silhouette, (behind * softness.far).index_add(0, pixel, weight * depth) / total


def _squared_distance(point: Tensor, start: Tensor, edge: Tensor) -> Tensor:
    """(P,) squared distances of points from segments; of an edge of next to no length, from its start."""
    length = edge.square().sum(-1)
    share = ((point - start) * edge).sum(-1) / torch.where(length > SHORT, length, 1)
    return (point - start - share.clamp(0, 1)[:, None] * edge).square().sum(-1)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _pairs(triangles: Tensor, image_size: int, reach: float) -> tuple[Tensor, Tensor, Tensor]:
    """Triangle, column and row (P,) of every pixel in the grown box of every triangle."""
    first, past = pixel_boxes(triangles, image_size, reach)
    extent = (past - first).clamp_min(0)
    area = extent[:, 0] * extent[:, 1]
    pair = torch.repeat_interleave(area)
    rank = torch.arange(len(pair), device=pair.device) - (torch.cumsum(area, 0) - area)[pair]
    wide = extent[pair, 0]
    return pair, first[pair, 0] + rank % wide, first[pair, 1] + torch.div(rank, wide, rounding_mode="floor")

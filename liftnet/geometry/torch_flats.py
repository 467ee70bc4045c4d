"""RANSAC for many flats at once: the batched counterpart of `flats.py` and `consensus.py`, in torch.

A flat of codimension C in the joint space of two views is a hyperplane (C = 1) or a 2-plane (C = 2): see `flats.py`,
which also has the constants. All pairs of a batch go through each step together; pairs whose search is over leave it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from liftnet.geometry.consensus import FIRST_BATCH, MAX_REFITS, Search
from liftnet.geometry.flats import MAX_SCALE, MIN_RANK_SHARE, MIN_VOLUME

_RESIDUALS_AT_ONCE = 2**24  # 64 MB of single-precision residuals while hypotheses are scored


@dataclass(frozen=True, eq=False)
class Flats:
    """B flats, all X with `normals @ X + offsets == 0`; only those `found` mean anything.

    Attributes:
        normals: (B, C, 4) float64, orthonormal rows.
        offsets: (B, C) float64.
        found: (B,) bool.
    """

    normals: Tensor
    offsets: Tensor
    found: Tensor

    def residuals(self, points: Tensor) -> Tensor:
        """(B, N) orthogonal distances of (B, N, 4) points."""
        signed = torch.einsum("bci,bni->bnc", self.normals, points) + self.offsets[:, None, :]
        return signed[..., 0].abs() if signed.shape[2] == 1 else signed.square().sum(dim=2).sqrt()

    def where(self, choose: Tensor, other: Flats) -> Flats:
        """These flats where `choose` (B,) is True, the others elsewhere."""
        normals = torch.where(choose[:, None, None], self.normals, other.normals)
        offsets = torch.where(choose[:, None], self.offsets, other.offsets)
        return Flats(normals, offsets, torch.where(choose, self.found, other.found))

    def of(self, rows: Tensor) -> Flats:
        """The flats of some rows of the batch."""
        return Flats(self.normals[rows], self.offsets[rows], self.found[rows])


def find_flats(
    points: Tensor,
    mask: Tensor,
    codimension: int,
    threshold: Tensor,
    generator: torch.Generator | None,
    search: Search,
) -> tuple[Flats, Tensor]:
    """The flat with the lowest MSAC cost of each row, found as by `liftnet.geometry.consensus.find_flat`.

    Args:
        points: (B, N, 4) float64 joint points, 0 where the mask is False.
        mask: (B, N) bool.
        codimension: 1 or 2.
        threshold: (B,) float64.
        generator: Source of the samples.
        search: When to stop.

    Returns:
        The flats and the number of minimal samples tried, (B,).
    """
    size, counts = 5 - codimension, mask.sum(dim=1)
    centre = points.sum(dim=1, keepdim=True) / counts.clamp(min=1)[:, None, None]
    centred = torch.where(mask[:, :, None], points - centre, 0.0)
    best = _fit(centred, mask, codimension)
    determined = best.found & (counts >= size)  # else the points lie on one line, or are too few
    best = Flats(best.normals, best.offsets, determined & _is_two_view(best.normals))
    best = _refit(centred, mask, best, threshold)
    cost = _cost(centred, mask, best, threshold)
    tried = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    done, batch = 0, FIRST_BATCH
    worst = counts.clamp(min=1) * threshold.square()
    while done < search.max_hypotheses:
        rows = (determined & (_needed(cost / worst, size, search) > done)).nonzero()[:, 0]
        if not len(rows):
            break
        batch = min(batch, search.max_hypotheses - done)
        candidate = _best_hypothesis(centred[rows], mask[rows], size, batch, threshold[rows], generator)
        candidate = _refit(centred[rows], mask[rows], candidate, threshold[rows])
        candidate_cost = _cost(centred[rows], mask[rows], candidate, threshold[rows])
        better = candidate_cost < cost[rows]
        chosen = candidate.where(better, best.of(rows))
        best.normals[rows], best.offsets[rows], best.found[rows] = chosen.normals, chosen.offsets, chosen.found
        cost[rows] = torch.where(better, candidate_cost, cost[rows])
        done, batch = done + batch, 2 * batch
        tried[rows] = done
    return Flats(
        best.normals, best.offsets - torch.einsum("bci,bi->bc", best.normals, centre[:, 0]), best.found
    ), tried


def _best_hypothesis(
    points: Tensor, mask: Tensor, size: int, count: int, threshold: Tensor, generator: torch.Generator | None
) -> Flats:
    """The flat of lowest MSAC cost among those through `count` random samples of each row."""
    samples = _samples(mask, size, count, generator)
    rows = torch.arange(len(points), device=points.device)
    through = points[rows[:, None, None], samples]  # (B, K, size, 4)
    normals, usable = _hyperplanes(through) if size == 4 else _planes(through)
    usable &= _is_two_view(normals)
    offsets = -torch.einsum("bkci,bki->bkc", normals, through[:, :, 0])
    costs = _msac(normals.float(), offsets.float(), points.float(), mask, threshold.square().float())
    lowest, k = torch.where(usable, costs, torch.inf).min(dim=1)
    return Flats(normals[rows, k], offsets[rows, k], torch.isfinite(lowest))


def _msac(normals: Tensor, offsets: Tensor, points: Tensor, mask: Tensor, limit: Tensor) -> Tensor:
    """(B, K) sums over the points of min(r^2, limit); some hypotheses at a time, to bound the memory."""
    at_once = max(1, _RESIDUALS_AT_ONCE // max(1, mask.numel() * normals.shape[2]))
    columns, parts = points.transpose(1, 2), []
    for part, offset in zip(normals.split(at_once, dim=1), offsets.split(at_once, dim=1), strict=True):
        squared = torch.zeros(len(part), part.shape[1], mask.shape[1], device=points.device)
        for c in range(part.shape[2]):
            squared += torch.baddbmm(offset[:, :, c, None], part[:, :, c], columns).square()
        parts.append((torch.minimum(squared, limit[:, None, None]) * mask[:, None, :]).sum(dim=2))
    return torch.cat(parts, dim=1)


def _needed(cost_share: Tensor, size: int, search: Search) -> Tensor:
    """Samples needed to draw one of inliers only, from the MSAC cost as a share of its largest value, (B,)."""
    if search.confidence == 1:
        return torch.full_like(cost_share, search.max_hypotheses)
    good = (1 - cost_share).clamp(0, 1) ** size
    needed = (math.log1p(-search.confidence) / torch.log1p(-good)).ceil()
    return torch.where(good <= 1e-12, search.max_hypotheses, needed).clamp(max=search.max_hypotheses)


def _refit(points: Tensor, mask: Tensor, flats: Flats, threshold: Tensor) -> Flats:
    """Fit each flat to its inliers until they stay the same."""
    codimension = flats.offsets.shape[1]
    inliers = mask & (flats.residuals(points) < threshold[:, None])
    going = flats.found
    for _ in range(MAX_REFITS):
        going = going & (inliers.sum(dim=1) >= 5 - codimension)
        if not bool(going.any()):
            break
        refitted = _fit(points, inliers, codimension)
        going = going & refitted.found & _is_two_view(refitted.normals)
        flats = refitted.where(going, flats)
        now = mask & (flats.residuals(points) < threshold[:, None])
        going, inliers = going & (now != inliers).any(dim=1), now
    return flats


def _cost(points: Tensor, mask: Tensor, flats: Flats, threshold: Tensor) -> Tensor:
    """(B,) MSAC costs; infinite without a flat."""
    limit = threshold.square()[:, None]
    costs = (torch.minimum(flats.residuals(points).square(), limit) * mask).sum(dim=1)
    return torch.where(flats.found, costs, torch.inf)


def _fit(points: Tensor, chosen: Tensor, codimension: int) -> Flats:
    """Least-squares flats of the chosen points of each row (Hartley & Zisserman, Algorithms 14.1 and 4.7)."""
    weights = chosen.to(points.dtype)[:, :, None]
    mean = (points * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
    centred = (points - mean[:, None]) * weights
    variances, directions = torch.linalg.eigh(centred.transpose(1, 2) @ centred)
    normals = directions[:, :, :codimension].transpose(1, 2).contiguous()
    found = variances[:, 2] > MIN_RANK_SHARE * variances[:, 3]
    return Flats(normals, -torch.einsum("bci,bi->bc", normals, mean), found)


def _samples(mask: Tensor, size: int, count: int, generator: torch.Generator | None) -> Tensor:
    """(B, count, size) indices of different matches that are there; every row has at least `size`."""
    n = mask.sum(dim=1)[:, None]
    uniform = torch.rand(len(mask), count, size, generator=generator, dtype=torch.float64, device=mask.device)
    samples = torch.empty(uniform.shape, dtype=torch.int64, device=mask.device)
    for k in range(size):
        draw = torch.minimum((uniform[:, :, k] * (n - k)).long(), n - k - 1)
        for taken in samples[:, :, :k].sort(dim=2).values.unbind(dim=2):  # skip over the indices taken, rising
            draw = draw + (draw >= taken)
        samples[:, :, k] = draw
    there_first = (~mask).to(torch.uint8).argsort(dim=1, stable=True)
    return there_first.gather(1, samples.flatten(1)).view_as(samples)


def _hyperplanes(samples: Tensor) -> tuple[Tensor, Tensor]:
    """(B, K, 1, 4) unit normals through (B, K, 4, 4) samples, and (B, K) whether these determine them."""
    edges = samples[:, :, 1:] - samples[:, :, :1]
    normals = _cross(edges[:, :, 0], edges[:, :, 1], edges[:, :, 2])
    length = normals.norm(dim=2)
    usable = length > MIN_VOLUME * edges.norm(dim=3).prod(dim=2)
    return (normals / torch.where(usable, length, 1.0)[..., None])[:, :, None, :], usable


def _planes(samples: Tensor) -> tuple[Tensor, Tensor]:
    """(B, K, 2, 4) orthonormal normals through (B, K, 3, 4) samples, and (B, K) whether these determine them."""
    edges = samples[:, :, 1:] - samples[:, :, :1]
    u, v = edges[:, :, 0], edges[:, :, 1]
    axes = torch.eye(4, dtype=samples.dtype, device=samples.device).expand(*u.shape[:2], 4, 4)
    rows = torch.stack([_cross(u, v, axis) for axis in axes.unbind(dim=2)], dim=2)
    length, longest = rows.norm(dim=3).max(dim=2)
    usable = length > MIN_VOLUME * edges.norm(dim=3).prod(dim=2)
    first = rows.gather(2, longest[:, :, None, None].expand(-1, -1, 1, 4))[:, :, 0]
    first = first / torch.where(usable, length, 1.0)[..., None]
    second = _cross(u, v, first)
    second = second / torch.where(usable, second.norm(dim=2), 1.0)[..., None]
    return torch.stack([first, second], dim=2), usable


def _cross(u: Tensor, v: Tensor, w: Tensor) -> Tensor:
    """The vectors of R^4 orthogonal to three others, as long as the volume they span; (..., 4)."""
    u0, u1, u2, u3 = u.unbind(dim=-1)
    v0, v1, v2, v3 = v.unbind(dim=-1)
    w0, w1, w2, w3 = w.unbind(dim=-1)
    m01, m02, m03 = v0 * w1 - v1 * w0, v0 * w2 - v2 * w0, v0 * w3 - v3 * w0
    m12, m13, m23 = v1 * w2 - v2 * w1, v1 * w3 - v3 * w1, v2 * w3 - v3 * w2
    return torch.stack(
        [
            u1 * m23 - u2 * m13 + u3 * m12,
            -u0 * m23 + u2 * m03 - u3 * m02,
            u0 * m13 - u1 * m03 + u3 * m01,
            -u0 * m12 + u1 * m02 - u2 * m01,
        ],
        dim=-1,
    )


def _is_two_view(normals: Tensor) -> Tensor:
    """Whether flats with (..., C, 4) normals tie both images together at a scale of at most MAX_SCALE, (...)."""
    if normals.shape[-2] == 1:
        squares = normals[..., 0, :].square()
        in_b, in_a = squares[..., :2].sum(dim=-1), squares[..., 2:].sum(dim=-1)
    else:
        n, m = normals[..., 0, :], normals[..., 1, :]
        in_b = (n[..., 0] * m[..., 1] - n[..., 1] * m[..., 0]).abs()
        in_a = (n[..., 2] * m[..., 3] - n[..., 3] * m[..., 2]).abs()
    return torch.minimum(in_a, in_b) >= 1 / (1 + MAX_SCALE**2)

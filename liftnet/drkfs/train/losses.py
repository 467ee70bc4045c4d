"""What the descriptor and the detector minimise, as their papers say."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

MARGIN = 1.0  # HardNet, section 3
SAME = 0.008  # descriptors closer than this are of the same patch, and no negatives
SOFTNESS = 10.0  # strength of LIFT's soft maximum and soft position


def descriptor_distances(a: Tensor, b: Tensor) -> Tensor:
    """(N, M) Euclidean distances of unit descriptors (N, D) and (M, D), with a gradient where they are equal."""
    return torch.sqrt((2 - 2 * a @ b.T).clamp_min(0) + 1e-6)


def hardest_in_batch(first: Tensor, second: Tensor) -> Tensor:
    """HardNet's loss: each positive pair is told from the hardest negative of its batch.

    Mishchuk et al., "Working hard to know your neighbor's margins" (NIPS 2017), equations 3 and 4: the negative of a
    pair is the nearest of all descriptors of the other side to either of the two (anchor swap), and the triplet
    margin is 1.

    Args:
        first: (N, D) unit descriptors, a row a point.
        second: (N, D), of the same points in other images. No two rows are of one point.

    Returns:
        Scalar, the mean of max(0, 1 + positive distance - hardest negative distance).

    Raises:
        ValueError: The two are of different shape, or there is no negative.
    """
    if first.shape != second.shape or first.ndim != 2 or len(first) < 2:
        raise ValueError(f"descriptors are {tuple(first.shape)} and {tuple(second.shape)}, not twice (N >= 2, D)")
    distances = descriptor_distances(first, second)
    positive = distances.diagonal()
    no_negative = torch.eye(len(first), dtype=torch.bool, device=first.device) | (distances.detach() < SAME)
    others = distances.masked_fill(no_negative, math.inf)
    hardest = torch.minimum(others.amin(dim=1), others.amin(dim=0))
    return functional.relu(MARGIN + positive - hardest).mean()


def soft_maximum(maps: Tensor) -> Tensor:
    """(N,) LIFT's soft maximum of score maps (N, H, W): the scaled logarithm of the mean of exponentials."""
    flat = maps.flatten(1)
    return (torch.logsumexp(SOFTNESS * flat, dim=1) - math.log(flat.shape[1])) / SOFTNESS


def soft_position(maps: Tensor) -> Tensor:
    """(N, 2) px, x and y of the soft arg max of score maps (N, H, W), from their centre (LIFT, equation 7)."""
    height, width = maps.shape[1:]
    weights = torch.softmax(SOFTNESS * maps.flatten(1), dim=1).reshape(maps.shape)
    x = torch.arange(width, dtype=maps.dtype, device=maps.device) - (width - 1) / 2
    y = torch.arange(height, dtype=maps.dtype, device=maps.device) - (height - 1) / 2
    return torch.stack([(weights.sum(1) * x).sum(1), (weights.sum(2) * y).sum(1)], dim=1)


def classification_loss(point: Tensor, same_point: Tensor, other_point: Tensor, no_point: Tensor) -> Tensor:
    """(N,) LIFT's classification loss of quadruplets (equation 6): a squared hinge on the soft maximum of each map.

    The three maps that hold a point share the weight of the one that holds none.

    Args:
        point: (N, H, W) scores of patches with a point.
        same_point: (N, H, W), of the same points in other images.
        other_point: (N, H, W), of other points.
        no_point: (N, H, W), of patches without a point.
    """
    present = [functional.relu(1 - soft_maximum(maps)).square() for maps in (point, same_point, other_point)]
    return (present[0] + present[1] + present[2]) / 6 + functional.relu(1 + soft_maximum(no_point)).square() / 2


def position_loss(first: Tensor, second: Tensor, side: float) -> Tensor:
    """(N,) how far apart two windows lie: one minus their overlap, and their gap where they do not touch.

    LIFT compares the places at which the detector fires in two patches of one point by windows of `side` around them:
    1 - intersection / union + gap / sqrt(union).

    Args:
        first: (N, 2) px, soft positions in one patch, from the point.
        second: (N, 2) px, the same in the other.
        side: px, of the windows.
    """
    apart = (first - second).abs()
    shared = functional.relu(side - apart).prod(dim=1)
    union = 2 * side**2 - shared
    gap = functional.relu(apart - side).sum(dim=1)
    return 1 - shared / union + gap / union.sqrt()

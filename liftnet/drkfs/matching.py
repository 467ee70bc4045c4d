"""Localised two-way matching of patch descriptors (DR-KFS, section 3.1, equation 2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def match_patches(features: Tensor, targets: Tensor, neighbourhood: int = 1) -> tuple[Tensor, Tensor]:
    """For each patch, the distance to the best match near its place in the other map; both directions.

    The distance of two patches is the mean of the squared differences of their descriptors. It is a difference, not
    2 - 2 f.g, so that equal descriptors are at distance 0 exactly. Among equal matches the one at the same place wins.

    Args:
        features: (N, R, C, L) descriptors of the patches of N maps.
        targets: (N, R, C, L) of the maps they are compared with.
        neighbourhood: Rows and columns that a match may lie away.

    Returns:
        Two (N, R, C): of each patch of `features` to its best match in `targets`, and the reverse. Differentiable: the
        gradient is that of the chosen match.
    """
    if features.ndim != 4 or features.shape != targets.shape:
        shapes = f"{tuple(features.shape)} and {tuple(targets.shape)}"
        raise ValueError(f"matching needs two equal shapes (N, R, C, L) of descriptors, not {shapes}")
    to_target, to_features = _best_places(features.detach(), targets.detach(), neighbourhood)
    return _distance(features, targets, to_target), _distance(targets, features, to_features)


@torch.no_grad()
def _best_places(features: Tensor, targets: Tensor, neighbourhood: int) -> tuple[Tensor, Tensor]:
    """(N, R, C) index of the best match in the other map's R * C patches, for both directions.

    The map of distances at one shift serves both: what a patch finds at +shift, the other finds at -shift.
    """
    number, rows, columns, _ = features.shape
    places = torch.arange(rows * columns, device=features.device).view(rows, columns)
    best = [features.new_full((number, rows, columns), torch.inf) for _ in range(2)]
    place = [places.expand(number, -1, -1).clone() for _ in range(2)]
    for down, right in shifts(min(neighbourhood, max(rows, columns) - 1)):
        if abs(down) >= rows or abs(right) >= columns:
            continue
        here = _overlap(rows, -down), _overlap(columns, -right)
        there = _overlap(rows, down), _overlap(columns, right)
        distance = (features[:, here[0], here[1]] - targets[:, there[0], there[1]]).square().sum(-1)
        for side, (own, other) in enumerate(((here, there), (there, here))):
            known, found = best[side][:, own[0], own[1]], place[side][:, own[0], own[1]]
            found.copy_(torch.where(distance < known, places[other[0], other[1]], found))
            known.copy_(torch.minimum(distance, known))
    return place[0], place[1]


def shifts(neighbourhood: int) -> list[tuple[int, int]]:
    """(rows, columns) of the (2 n + 1)^2 shifts, the nearest first."""
    steps = range(-neighbourhood, neighbourhood + 1)
    return sorted(((down, right) for down in steps for right in steps), key=lambda s: (s[0] ** 2 + s[1] ** 2, s))


def _overlap(length: int, shift: int) -> slice:
    """Of `length` places, those that lie inside when the others are shifted against them."""
    return slice(max(0, shift), length + min(0, shift))


def _distance(features: Tensor, targets: Tensor, place: Tensor) -> Tensor:
    """(N, R, C) mean squared difference of each descriptor to that of the other map at `place`."""
    length = features.shape[-1]
    index = place.flatten(1)[..., None].expand(-1, -1, length)
    chosen = targets.flatten(1, 2).gather(1, index).view_as(features)
    return F.mse_loss(features, chosen, reduction="none").mean(-1)

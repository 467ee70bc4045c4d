"""Patches of images: the sliding window of DR-KFS, their matching, and squares at any place, size and direction."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from liftnet.models.patch_descriptors import PATCH

STRIDE = 16  # px, of the paper's sliding window
CHUNK = 4096  # patches sampled at once


def sliding_patches(maps: Tensor, stride: int = STRIDE) -> Tensor:
    """Cut maps into patches of 32 x 32 px, 16 px apart or as given.

    Args:
        maps: (N, S, S), S at least 32; what does not fill a patch at the right and lower border is left out.
        stride: Distance of patches, px.

    Returns:
        (N, R, C, 32, 32), a view of `maps`: row and column of the patch, then its pixels. 15 x 15 patches at 256 px.
    """
    if maps.ndim != 3 or min(maps.shape[1:]) < PATCH:
        raise ValueError(f"patches need maps (N, S, S) of at least {PATCH} px, not {tuple(maps.shape)}")
    return maps.unfold(1, PATCH, stride).unfold(2, PATCH, stride)


def patch_weights(patches: Tensor) -> Tensor:
    """w_i of equation 2: the mean of each patch, (N, R, C) of (N, R, C, 32, 32)."""
    return patches.mean((-2, -1))


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


def sample_patches(gray: Tensor, xy: Tensor, sides: Tensor, angles: Tensor, size: int) -> Tensor:
    """Cut square patches from one image.

    Patches that shrink the image are cut from a pyramid of it, so that they do not alias; beyond the image's border
    its outermost pixels go on.

    Args:
        gray: (H, W).
        xy: (N, 2) px, centres of the patches; (0, 0) is the centre of the top-left pixel.
        sides: (N,) px, lengths of the patches' sides in the image.
        angles: (N,) radians from x towards y (y down): where the patches' rightward axis points.
        size: Side of the result.

    Returns:
        (N, size, size).
    """
    result = gray.new_empty(len(xy), size, size)
    levels = torch.log2(sides / size).floor().clamp(0, 8).long()
    level_image = gray[None, None]
    for level in range(int(levels.max()) + 1 if len(levels) else 0):
        if level and min(level_image.shape[-2:]) >= 2:
            level_image = F.avg_pool2d(level_image, 2)
        rows = torch.nonzero(levels == level).flatten()
        factor = gray.new_tensor([gray.shape[1] / level_image.shape[-1], gray.shape[0] / level_image.shape[-2]])
        for chunk in rows.split(CHUNK):
            grid = _grid(xy[chunk], sides[chunk], angles[chunk], size)  # pixels of the image itself
            height, width = level_image.shape[-2:]
            there = (grid + 0.5) / factor  # pixels of this level, from its corner
            normalised = 2 * there / there.new_tensor([width, height]) - 1
            flat = normalised.reshape(1, len(chunk) * size, size, 2)
            sampled = F.grid_sample(level_image, flat, padding_mode="border", align_corners=False)
            result[chunk] = sampled.reshape(len(chunk), size, size)
    return result


def _grid(xy: Tensor, sides: Tensor, angles: Tensor, size: int) -> Tensor:
    """(N, size, size, 2) px, the places in the image that the patches' pixels see."""
    steps = (torch.arange(size, dtype=xy.dtype) + 0.5) / size - 0.5
    right = torch.stack([torch.cos(angles), torch.sin(angles)], dim=1) * sides[:, None]
    down = torch.stack([-torch.sin(angles), torch.cos(angles)], dim=1) * sides[:, None]
    across = steps[None, None, :, None] * right[:, None, None]
    return xy[:, None, None] + across + steps[None, :, None, None] * down[:, None, None]

"""Random changes of source images, drawn on the host and applied wherever the batch lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Random changes of the source image; geometric ones move the correspondences with it.

    Attributes:
        flip: Mirror every other image left and right.
        rotation: Largest rotation, degrees.
        zoom: Largest change of scale.
        colour_jitter: Largest change of brightness, contrast and tint.
    """

    flip: bool = False
    rotation: float = 0.0
    zoom: float = 0.0
    colour_jitter: float = 0.0


class Changes(NamedTuple):
    """The changes drawn for a batch.

    Attributes:
        matrix: (B, 2, 2) linear map about the image centre, or None for no geometric change.
        light: (B, 5) gain of contrast, brightness, gain of red, green and blue, or None for no change of colour.
    """

    matrix: Tensor | None = None
    light: Tensor | None = None


def draw_changes(options: Augmentation, count: int, random: np.random.Generator) -> Changes:
    """Draw the changes of `count` images."""
    matrix = light = None
    if options.flip or options.rotation or options.zoom:
        angle = np.radians(random.uniform(-options.rotation, options.rotation, count))
        scale = np.exp(random.uniform(-1, 1, count) * np.log1p(options.zoom))
        mirror = np.where(random.random(count) < 0.5, -1.0, 1.0) if options.flip else np.ones(count)
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        rows = np.stack([np.stack([cosine * mirror, -sine], 1), np.stack([sine * mirror, cosine], 1)], 1)
        matrix = torch.from_numpy(rows).float()
    if options.colour_jitter:
        amount = options.colour_jitter
        contrast = 1 + random.uniform(-amount, amount, (count, 1))
        brightness = random.uniform(-amount, amount, (count, 1))
        tint = 1 + 0.5 * random.uniform(-amount, amount, (count, 3))
        light = torch.from_numpy(np.concatenate([contrast, brightness, tint], 1)).float()
    return Changes(matrix, light)


def change_images(images: Tensor, changes: Changes) -> Tensor:
    """Move and recolour (B, C, S, S) images; what comes in from outside repeats the border."""
    if changes.matrix is not None:
        images = warp(images, changes.matrix)
    return images if changes.light is None else _recolour(images, changes.light)


def move_points(points: Tensor, mask: Tensor, size: int, changes: Changes) -> tuple[Tensor, Tensor]:
    """Move (B, N, 2) points, px, with their images of side `size`; those that leave the image are masked out."""
    if changes.matrix is None:
        return points, mask
    centre = (size - 1) / 2
    moved = (points - centre) @ changes.matrix.mT + centre
    return moved, mask & ((moved > -0.5) & (moved < size - 0.5)).all(2)


def warp(images: Tensor, matrix: Tensor, mode: str = "bilinear", padding: str = "border") -> Tensor:
    """Apply a linear map about the image centre.

    Args:
        images: (B, C, S, S).
        matrix: (B, 2, 2), where a point at `c + v` moves to `c + matrix v`.
        mode: How pixels are interpolated, as in `grid_sample`.
        padding: What comes in from outside, as in `grid_sample`.

    Returns:
        Images of the same shape.
    """
    inverse = _inverse(matrix)
    theta = torch.cat([inverse, torch.zeros_like(inverse[..., :1])], dim=2)
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, mode=mode, padding_mode=padding, align_corners=False)


def _inverse(matrix: Tensor) -> Tensor:
    """Inverse of (B, 2, 2) matrices by their cofactors: no call of a solver for each of them on a GPU."""
    (a, b), (c, d) = matrix.unbind(1)[0].unbind(1), matrix.unbind(1)[1].unbind(1)
    cofactors = torch.stack([torch.stack([d, -b], 1), torch.stack([-c, a], 1)], 1)
    return cofactors / (a * d - b * c)[:, None, None]


def _recolour(images: Tensor, light: Tensor) -> Tensor:
    """Change contrast, brightness and the gain of each channel; light as in `Changes`."""
    contrast, brightness, tint = light[:, :1, None, None], light[:, 1:2, None, None], light[:, 2:, None, None]
    mean = images.mean((1, 2, 3), keepdim=True)
    return ((((images - mean) * contrast + mean + brightness) + 1) * tint - 1).clamp(-1, 1)

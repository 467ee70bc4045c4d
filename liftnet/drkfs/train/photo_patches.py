"""Square patches of photographs, cut at any place, size and direction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from liftnet.core.log import progress
from liftnet.data.pictures import read_image
from liftnet.drkfs.train.tracks import PointSet

UInt8s = npt.NDArray[np.uint8]
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601
CHUNK = 4096  # patches sampled at once


def read_gray(path: Path) -> Tensor:
    """(H, W) float32 in [0, 1], the luminance of an image file (ITU-R BT.601).

    Raises:
        BadImageError: The file is missing or no image.
    """
    return torch.from_numpy(read_image(path).astype(np.float32) @ np.array(LUMINANCE, np.float32) / 255)


def cut_patches(gray: Tensor, xy: Tensor, sides: Tensor, angles: Tensor, size: int) -> Tensor:
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
            level_image = functional.avg_pool2d(level_image, 2)
        rows = torch.nonzero(levels == level).flatten()
        share = gray.new_tensor([gray.shape[1] / level_image.shape[-1], gray.shape[0] / level_image.shape[-2]])
        for chunk in rows.split(CHUNK):
            grid = _grid(xy[chunk], sides[chunk], angles[chunk], size)  # pixels of the image itself
            height, width = level_image.shape[-2:]
            there = (grid + 0.5) / share  # pixels of this level, from its corner
            normalised = 2 * there / there.new_tensor([width, height]) - 1
            flat = normalised.reshape(1, len(chunk) * size, size, 2)
            sampled = functional.grid_sample(level_image, flat, padding_mode="border", align_corners=False)
            result[chunk] = sampled.reshape(len(chunk), size, size)
    return result


def _grid(xy: Tensor, sides: Tensor, angles: Tensor, size: int) -> Tensor:
    """(N, size, size, 2) px, the places in the image that the patches' pixels see."""
    steps = (torch.arange(size, dtype=xy.dtype) + 0.5) / size - 0.5
    right = torch.stack([torch.cos(angles), torch.sin(angles)], dim=1) * sides[:, None]
    down = torch.stack([-torch.sin(angles), torch.cos(angles)], dim=1) * sides[:, None]
    across = steps[None, None, :, None] * right[:, None, None]
    return xy[:, None, None] + across + steps[None, :, None, None] * down[:, None, None]


def photo_tour_patches(points: PointSet, images: Path, patch_scale: float) -> UInt8s:
    """(N, 32, 32) patches of all observations, turned and scaled as SIFT says.

    They are cut at 64 x 64 and halved, as the patches of PhotoTour for HardNet.

    Args:
        points: The observations.
        images: Folder of `<image_id>.jpg`.
        patch_scale: Side of a patch, in standard deviations of the point's blur.

    Raises:
        BadImageError: An image cannot be read.
    """
    patches = np.empty((len(points), 32, 32), np.uint8)
    for number, name in progress(list(enumerate(points.images)), "drkfs", "cutting patches, images"):
        rows = np.flatnonzero(points.image == number)
        xy, scale, angle = (torch.from_numpy(values[rows]) for values in (points.xy, points.scale, points.angle))
        cut = cut_patches(read_gray(images / f"{name}.jpg"), xy, scale * patch_scale, angle, 64)
        patches[rows] = (functional.avg_pool2d(cut[:, None], 2)[:, 0] * 255).round().byte().numpy()
    return patches

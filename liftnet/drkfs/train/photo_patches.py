"""Photographs in gray, and the patches of their points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from liftnet.core.log import progress
from liftnet.core.types import UInt8Array
from liftnet.data.pictures import read_image
from liftnet.drkfs.patches import sample_patches
from liftnet.drkfs.train.tracks import PointSet

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


def read_gray(path: Path) -> Tensor:
    """(H, W) float32 in [0, 1], the luminance of an image file (ITU-R BT.601).

    Raises:
        BadImageError: The file is missing or no image.
    """
    return torch.from_numpy(read_image(path).astype(np.float32) @ np.array(LUMINANCE, np.float32) / 255)


def photo_tour_patches(points: PointSet, images: Path, patch_scale: float) -> UInt8Array:
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
        cut = sample_patches(read_gray(images / f"{name}.jpg"), xy, scale * patch_scale, angle, 64)
        patches[rows] = (functional.avg_pool2d(cut[:, None], 2)[:, 0] * 255).round().byte().numpy()
    return patches

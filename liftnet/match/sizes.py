"""The size at which features of a picture are sought."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from liftnet.core.types import UInt8Array


def factor_of(picture: UInt8Array, least: int, most: int) -> float:
    """How much larger a picture gets whose longest side shall be `least` to `most` long."""
    side = max(picture.shape[:2])
    return min(max(side, least), most) / side


def resized(
    picture: UInt8Array, least: int, most: int, multiple: int = 1
) -> tuple[UInt8Array, npt.NDArray[np.float64]]:
    """A picture whose longest side is `least` to `most` long.

    Args:
        picture: (H, W) or (H, W, 3) uint8.
        least: px; shorter ones are enlarged to it.
        most: px; longer ones are shrunk to it.
        multiple: Of which both sides are multiples, rounded down; at least one.

    Returns:
        The picture, and the factors (x, y) back to the given size: a pixel k lies at `(k + 0.5) * factor - 0.5`.
    """
    height, width = picture.shape[:2]
    factor = factor_of(picture, least, most)
    size = _multiple(width * factor, multiple), _multiple(height * factor, multiple)
    if size == (width, height):
        return picture, np.ones(2)
    how = cv2.INTER_AREA if size[0] * size[1] < width * height else cv2.INTER_CUBIC
    small = cv2.resize(picture, size, interpolation=how).astype(np.uint8, copy=False)
    return small, np.array([width / size[0], height / size[1]])


def _multiple(length: float, multiple: int) -> int:
    """A length in whole pixels, the nearest, or the multiple below it."""
    return max(1, math.floor(length + 0.5) // multiple) * multiple

"""Masks for the page: over their photograph, and beside a hand-made one."""

from __future__ import annotations

import numpy as np
from PIL import Image

from liftnet.core.types import BoolArray, UInt8Array

OUTLINE = (255, 176, 32)
ONLY_PREDICTED = (255, 138, 20)
ONLY_HAND = (40, 130, 255)


def shrunk_mask(mask: BoolArray, size: tuple[int, int]) -> BoolArray:
    """(H, W) mask at (width, height) `size`."""
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)) >= 128


def mask_overlay(pixels: UInt8Array, mask: BoolArray) -> UInt8Array:
    """The photograph with its background greyed and dimmed and the mask outlined.

    Args:
        pixels: (H, W, 3).
        mask: (H, W), True on the foreground.
    """
    picture = np.where(mask[..., None], pixels, _dimmed(pixels))
    picture[_outline(mask)] = OUTLINE
    return picture.astype(np.uint8)


def mask_comparison(pixels: UInt8Array, predicted: BoolArray, hand: BoolArray) -> UInt8Array:
    """The photograph where both masks say foreground, orange where only the predicted, blue where only the hand-made.

    Args:
        pixels: (H, W, 3).
        predicted: (H, W).
        hand: (H, W).
    """
    picture = np.where((predicted & hand)[..., None], pixels, _dimmed(pixels)).astype(np.float32)
    for region, colour in ((predicted & ~hand, ONLY_PREDICTED), (hand & ~predicted, ONLY_HAND)):
        picture[region] = 0.25 * picture[region] + 0.75 * np.array(colour)
    return np.rint(picture).astype(np.uint8)


def intersection_over_union(a: BoolArray, b: BoolArray) -> float:
    """|a and b| / |a or b|; 1 for two empty masks."""
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 1.0


def _dimmed(pixels: UInt8Array) -> UInt8Array:
    grey = pixels.astype(np.float32).mean(axis=-1, keepdims=True)
    return np.rint(0.35 * (0.8 * grey + 0.2 * pixels)).astype(np.uint8)


def _outline(mask: BoolArray) -> BoolArray:
    from scipy.ndimage import binary_dilation, binary_erosion

    outline: BoolArray = binary_dilation(mask) & ~binary_erosion(mask)
    return outline

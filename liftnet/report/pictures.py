"""Pictures for the page: small JPEGs as data URIs, masks and depth in colour."""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftnet.io.images import BoolArray, UInt8Array, encode_image

FloatArray = npt.NDArray[np.floating]
QUALITY = 82
OUTLINE = (255, 176, 32)
ONLY_PREDICTED = (255, 138, 20)
ONLY_HAND = (40, 130, 255)
OFF_OBJECT = 0.93  # grey of the background of depth maps and new views
# nearer is yellow, further is blue, as in the LiftNet paper (arXiv 1809.02002)
NEAR_TO_FAR = np.array([[251, 231, 78], [166, 206, 96], [59, 172, 140], [33, 122, 178], [38, 70, 160], [33, 26, 84]])


def data_uri(pixels: UInt8Array) -> str:
    """(H, W, 3) pixels as the data URI of a JPEG."""
    return "data:image/jpeg;base64," + base64.b64encode(encode_image(pixels, ".jpg", QUALITY)).decode()


def shrunk(pixels: UInt8Array, longer_side: int) -> UInt8Array:
    """(H, W, 3) pixels, reduced so that no side exceeds `longer_side`; never enlarged."""
    height, width = pixels.shape[:2]
    factor = longer_side / max(height, width)
    if factor >= 1:
        return pixels
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def shrunk_mask(mask: BoolArray, size: tuple[int, int]) -> BoolArray:
    """(H, W) mask at (width, height) `size`."""
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)) >= 128


def enlarged(pixels: UInt8Array, side: int) -> UInt8Array:
    """(H, W, 3) pixels, resized so that the longer side is `side`."""
    height, width = pixels.shape[:2]
    size = round(width * side / max(height, width)), round(height * side / max(height, width))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


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


def depth_colours(depth: FloatArray, mask: BoolArray) -> UInt8Array:
    """Depth in colour: yellow near, blue far, over its own 1st to 99th percentile on the object.

    Args:
        depth: (H, W), growing away from the camera; NaN counts as off the object.
        mask: (H, W), True on the object.

    Returns:
        (H, W, 3) uint8, light grey off the object.
    """
    shown = mask & np.isfinite(depth)
    picture = np.full((*depth.shape, 3), round(255 * OFF_OBJECT), np.uint8)
    if shown.any():
        near, far = np.percentile(depth[shown], [1, 99])
        position = np.clip((depth[shown] - near) / max(far - near, 1e-9), 0, 1)
        stops = np.linspace(0, 1, len(NEAR_TO_FAR))
        colours = [np.interp(position, stops, NEAR_TO_FAR[:, channel]) for channel in range(3)]
        picture[shown] = np.rint(np.stack(colours, axis=-1)).astype(np.uint8)
    return picture


def resampled(depth: FloatArray, mask: BoolArray, side: int) -> tuple[npt.NDArray[np.float32], BoolArray]:
    """Square depth and mask on another grid; depth off the object does not leak in.

    Args:
        depth: (S, S); NaN counts as off the object.
        mask: (S, S), True on the object.
        side: Of the new grid.

    Returns:
        (side, side) float32 depth and (side, side) bool mask.
    """
    shown = mask & np.isfinite(depth)
    weight = _bilinear(shown.astype(np.float32), side)
    mean = _bilinear(np.where(shown, depth, 0), side) / np.maximum(weight, 1e-6)
    return mean.astype(np.float32), weight > 0.5


def _bilinear(values: FloatArray, side: int) -> npt.NDArray[np.float32]:
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR))


def _dimmed(pixels: UInt8Array) -> UInt8Array:
    grey = pixels.astype(np.float32).mean(axis=-1, keepdims=True)
    return np.rint(0.35 * (0.8 * grey + 0.2 * pixels)).astype(np.uint8)


def _outline(mask: BoolArray) -> BoolArray:
    from scipy.ndimage import binary_dilation, binary_erosion

    outline: BoolArray = binary_dilation(mask) & ~binary_erosion(mask)
    return outline

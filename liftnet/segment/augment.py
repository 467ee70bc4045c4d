"""Training images made from masked ones: moved, zoomed, recoloured, set before other backgrounds."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from liftnet.segment.samples import Sample

FloatArray = npt.NDArray[np.float32]
UInt8Array = npt.NDArray[np.uint8]
MAX_COVERAGE = 0.85  # a close-up leaves too little background to fill the rest from


def background_plate(sample: Sample) -> UInt8Array | None:
    """The picture without its foreground, the hole filled from what surrounds it; None for a close-up.

    The hole is filled by normalised convolution (Knutsson and Westin, CVPR 1993), from fine to coarse.

    Returns:
        (h, w, 3) uint8.
    """
    # the rim of a hand mask is not exact: keep clear of it, or plates keep the outline of their sculpture
    wide = cv2.dilate(sample.mask, np.ones((9, 9), np.uint8))
    weight = 1 - wide.astype(np.float32) / 255
    if weight.mean() < 1 - MAX_COVERAGE:
        return None
    plate = sample.image.astype(np.float32) * weight[..., None]
    known = weight[..., None]
    for sigma in (3.0, 12.0, 48.0, 200.0):
        blurred = cv2.GaussianBlur(sample.image * weight[..., None], (0, 0), sigma)
        spread = cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
        share = np.clip(spread * 4, 0, 1) * (1 - known)
        plate += share * blurred / np.maximum(spread, 1e-6)
        known = known + share
    return np.clip(plate / np.maximum(known, 1e-6), 0, 255).astype(np.uint8)


def augment(
    sample: Sample, plates: Sequence[UInt8Array], replace: float, size: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """One training image: a random view of `sample`, perhaps before another background, recoloured.

    Args:
        sample: The image and its mask.
        plates: Backgrounds to choose from.
        replace: Probability that the background is replaced.
        size: Side of the square result.
        rng: Its only source of randomness.

    Returns:
        Image (3, size, size) in [0, 1] and mask (1, size, size) in [0, 1], float32.
    """
    warp = _random_view(sample.image.shape[:2], size, rng)
    image, mask = _warped(sample.image, warp, size), _warped(sample.mask, warp, size)
    if rng.random() < replace:
        background = _background(plates, size, rng)
        alpha = cv2.GaussianBlur(mask, (0, 0), 0.7)[..., None]
        image = alpha * _recoloured(image, 0.15, rng) + (1 - alpha) * background
    image = _recoloured(image, 0.3, rng)
    if rng.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2)).astype(np.float32)
    if rng.random() < 0.25:
        image = image + rng.normal(0, rng.uniform(0.005, 0.04), image.shape).astype(np.float32)
    return np.ascontiguousarray(np.clip(image, 0, 1).transpose(2, 0, 1), np.float32), mask[None]


def _random_view(shape: tuple[int, ...], size: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A 2x3 matrix from result to source pixels: flip, turn, zoom, stretch and shift."""
    height, width = shape[:2]
    # 1 shows the long side whole; half of the views are closer, since photographers come close
    zoom = np.exp(rng.uniform(np.log(0.75), np.log(1.15) if rng.random() < 0.5 else np.log(2.8)))
    scale = max(height, width) / size / zoom
    stretch = np.exp(rng.uniform(-0.15, 0.15))
    angle = np.deg2rad(rng.uniform(-25, 25) if rng.random() < 0.5 else rng.uniform(-5, 5))
    angle += rng.integers(4) * np.pi / 2 if rng.random() < 0.1 else 0.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([scale * stretch, scale / stretch])
    if rng.random() < 0.5:
        linear[:, 0] *= -1
    window = size * scale
    reach = np.maximum(np.array([width, height]) - 0.7 * window, 0.1 * window) / 2
    centre = np.array([width - 1, height - 1]) / 2 + rng.uniform(-1, 1, 2) * reach
    shift = centre - linear @ np.full(2, (size - 1) / 2)
    return np.hstack([linear, shift[:, None]])


def _warped(pixels: UInt8Array, warp: npt.NDArray[np.float64], size: int) -> FloatArray:
    """A square view of `pixels` in [0, 1]; beyond the border the picture is mirrored, and its mask with it."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    view = cv2.warpAffine(pixels, warp, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return np.multiply(view, 1 / 255, dtype=np.float32)


def _background(plates: Sequence[UInt8Array], size: int, rng: np.random.Generator) -> FloatArray:
    """A random view of another picture's background or, now and then, cloudy noise of a random colour."""
    if plates and rng.random() < 0.8:
        plate = plates[int(rng.integers(len(plates)))]
        return _recoloured(_warped(plate, _random_view(plate.shape, size, rng), size), 0.3, rng)
    image = np.full((size, size, 3), rng.uniform(0, 1, 3), np.float32)
    for cells in (3, 9, 27, 81):
        grid = rng.normal(0, rng.uniform(0, 0.15), (cells, cells, 3)).astype(np.float32)
        image += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 1)


def _recoloured(image: FloatArray, strength: float, rng: np.random.Generator) -> FloatArray:
    """Random brightness, contrast, colour balance and saturation, now and then greyscale; values in [0, 1]."""
    gain = np.exp(rng.uniform(-strength, strength) + rng.uniform(-strength, strength, 3) / 3)
    saturation = 0.0 if rng.random() < 0.1 else rng.uniform(1 - 1.5 * strength, 1 + 1.5 * strength)
    grey = image.mean(2, keepdims=True)
    image = (grey + saturation * (image - grey)) * gain.astype(np.float32)
    contrast = np.exp(rng.uniform(-strength, strength))
    middle = float(image.mean())
    lift = rng.uniform(-strength, strength) / 3
    return np.clip((image - middle) * contrast + middle + lift, 0, 1).astype(np.float32)

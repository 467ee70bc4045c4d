"""Training images made from masked ones: moved, zoomed, lit, recoloured, set before other rooms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from liftnet.core.types import UInt8Array
from liftnet.segment.samples import Sample
from liftnet.segment.settings import AugmentationSettings

FloatArray = npt.NDArray[np.float32]
MAX_COVERAGE = 0.85  # a close-up leaves too little background to fill the rest from


@dataclass(frozen=True)
class Scenery:
    """What a training image can be set before: backgrounds, and sculptures that are not the one meant.

    Attributes:
        plates: Backgrounds (h, w, 3) uint8.
        sculptures: Samples to cut out of.
    """

    plates: Sequence[UInt8Array]
    sculptures: Sequence[Sample] = ()


def background_plate(sample: Sample) -> UInt8Array | None:
    """The picture without its foreground, the hole filled from what surrounds it; None for a close-up.

    The hole is filled by normalised convolution (Knutsson and Westin, CVPR 1993), from fine to coarse.

    Returns:
        (h, w, 3) uint8.
    """
    # the rim of a manual mask is not exact: keep clear of it, or plates keep the outline of their sculpture
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
    sample: Sample, scenery: Scenery, settings: AugmentationSettings, size: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """One training image: a random view of `sample`, perhaps before another background, relit and recoloured.

    Args:
        sample: The image and its mask.
        scenery: Backgrounds and other sculptures to choose from.
        settings: How often and how far an image is changed.
        size: Side of the square result, px.
        rng: Its only source of randomness.

    Returns:
        Image (3, size, size) in [0, 1] and mask (1, size, size) in [0, 1], float32.
    """
    warp = _random_view(sample.image.shape[:2], size, settings.max_zoom, rng)
    image, mask = _warped(sample.image, warp, size), _warped(sample.mask, warp, size)
    if rng.random() < settings.background_swap_probability:
        alpha = cv2.GaussianBlur(mask, (0, 0), 0.7)[..., None]
        background = _background(scenery.plates, settings, size, rng)
        if scenery.sculptures and rng.random() < settings.neighbour_fraction:
            other = scenery.sculptures[int(rng.integers(len(scenery.sculptures)))]
            if other.work_id != sample.work_id:  # one work is never foreground and background of one image
                background = _with_neighbour(background, other, rng)
        image = alpha * _recoloured(image, 0.15, rng) + (1 - alpha) * background
    if rng.random() < settings.lighting_probability:
        image = _relit(image, rng)
    image = _recoloured(image, 0.3, rng)
    if rng.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2)).astype(np.float32)
    if rng.random() < 0.25:
        image = image + rng.normal(0, rng.uniform(0.005, 0.04), image.shape).astype(np.float32)
    return np.ascontiguousarray(np.clip(image, 0, 1).transpose(2, 0, 1), np.float32), mask[None]


def _random_view(
    shape: tuple[int, ...], size: int, max_zoom: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """A 2x3 matrix from result to source pixels: flip, turn, zoom, stretch and shift."""
    height, width = shape[:2]
    # 1 shows the long side whole; half of the views are closer, since photographers come close
    zoom = np.exp(rng.uniform(np.log(0.75), np.log(1.15) if rng.random() < 0.5 else np.log(max_zoom)))
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


def _background(
    plates: Sequence[UInt8Array], settings: AugmentationSettings, size: int, rng: np.random.Generator
) -> FloatArray:
    """A random view of another picture's background or, now and then, cloudy noise of a random colour."""
    if plates and rng.random() < 0.8:
        plate = plates[int(rng.integers(len(plates)))]
        warp = _random_view(plate.shape, size, settings.max_zoom, rng)
        return _recoloured(_warped(plate, warp, size), 0.3, rng)
    image = np.full((size, size, 3), rng.uniform(0, 1, 3), np.float32)
    for cells in (3, 9, 27, 81):
        grid = rng.normal(0, rng.uniform(0, 0.15), (cells, cells, 3)).astype(np.float32)
        image += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 1)


def _with_neighbour(background: FloatArray, other: Sample, rng: np.random.Generator) -> FloatArray:
    """A background with another sculpture in it: small, to one side, often out of focus; it counts as background."""
    size = background.shape[0]
    height, width = other.mask.shape
    scale = max(height, width) / size / rng.uniform(0.3, 0.7)  # source pixels a result pixel
    centre = np.array([width - 1, height - 1]) / 2
    place = np.array([rng.choice([rng.uniform(0, 0.25), rng.uniform(0.75, 1)]), rng.uniform(0.3, 0.7)]) * size
    linear = scale * np.eye(2)
    if rng.random() < 0.5:
        linear[:, 0] *= -1
    warp = np.hstack([linear, (centre - linear @ place)[:, None]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    image, mask = (cv2.warpAffine(pixels, warp, (size, size), flags=flags) for pixels in (other.image, other.mask))
    layer = np.dstack([_recoloured(np.multiply(image, 1 / 255, dtype=np.float32), 0.3, rng), mask / np.float32(255)])
    # blurred in colour and coverage alike, as a lens does
    layer[..., :3] *= layer[..., 3:]
    if rng.random() < 0.5:
        layer = cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.5, size / 80))
    result: FloatArray = (layer[..., :3] + (1 - layer[..., 3:]) * background).astype(np.float32)
    return result


def _relit(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Light that falls off across the picture, a soft-edged shadow or spot, and another gamma; values in [0, 1]."""
    size = image.shape[0]
    across = (np.arange(size, dtype=np.float32) / max(size - 1, 1) - 0.5) * 2
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * across[None, :] + np.sin(angle) * across[:, None]
    light = np.exp(rng.uniform(0, 0.5) * slope)
    if rng.random() < 0.5:
        cells = rng.normal(0, 1, (3, 3)).astype(np.float32)
        edge = np.float32(np.exp(rng.uniform(0, 3)))  # the higher, the harder the edge of the shadow
        field = cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC)
        light = light * (1 - rng.uniform(0.1, 0.6) / (1 + np.exp(-np.clip(edge * field, -30, 30))))
    relit = np.clip(image * light[..., None], 0, 1) ** np.exp(rng.uniform(-0.3, 0.3))
    return relit.astype(np.float32)


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

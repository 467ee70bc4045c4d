"""What the network sees of an image, a square crop around the foreground, and the depth that the mask alone gives.

The depths of the mask are what LiftNet has to beat.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve
from torch import Tensor

from liftnet.core.types import BoolArray, Float32Array, FloatArray, UInt8Array
from liftnet.models.depth_networks import InputSettings

GREY = 128


@dataclass(frozen=True)
class CropBox:
    """A square of image pixels; it may reach beyond the image.

    Attributes:
        left: Column of its first pixel.
        top: Row of its first pixel.
        side: Pixels along a side.
    """

    left: int
    top: int
    side: int

    def to_crop(self, points: FloatArray, size: int) -> FloatArray:
        """Map (..., 2) image pixels to pixels of the crop resized to `size`; centres of pixels are whole numbers."""
        return (points - (self.left, self.top) + 0.5) * (size / self.side) - 0.5

    def to_image(self, points: FloatArray, size: int) -> FloatArray:
        """The inverse of `to_crop`."""
        return (points + 0.5) * (self.side / size) - 0.5 + (self.left, self.top)


def box_around(mask: BoolArray, margin: float) -> CropBox:
    """The smallest square around the foreground, centred on it, with a margin.

    Args:
        mask: (H, W) bool.
        margin: Added on each side, as a share of the longer side of the foreground.

    Returns:
        The box; around the whole image where the mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return box_of_image(mask.shape)
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    side = round(max(height, width) * (1 + 2 * margin))
    middle_x, middle_y = columns[0] + width / 2, rows[0] + height / 2
    return CropBox(int(np.floor(middle_x - side / 2)), int(np.floor(middle_y - side / 2)), int(side))


def box_of_image(shape: tuple[int, ...]) -> CropBox:
    """The smallest square around a whole image of (H, W, ...)."""
    height, width = shape[:2]
    side = max(height, width)
    return CropBox((width - side) // 2, (height - side) // 2, side)


def cut(pixels: UInt8Array, box: CropBox, size: int) -> UInt8Array:
    """Cut the box out of (H, W) or (H, W, C) pixels and resize it to (size, size[, C]); the border is repeated."""
    height, width = pixels.shape[:2]
    before_x, before_y = max(-box.left, 0), max(-box.top, 0)
    after_x, after_y = max(box.left + box.side - width, 0), max(box.top + box.side - height, 0)
    inside = pixels[
        max(box.top, 0) : min(box.top + box.side, height), max(box.left, 0) : min(box.left + box.side, width)
    ]
    square = cv2.copyMakeBorder(inside, before_y, after_y, before_x, after_x, cv2.BORDER_REPLICATE)
    interpolation = cv2.INTER_AREA if size < box.side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (size, size), interpolation=interpolation), dtype=np.uint8)


def put_back(values: Float32Array, box: CropBox, shape: tuple[int, int]) -> Float32Array:
    """The inverse of `cut` for a map of numbers.

    Args:
        values: (S, S), of the crop.
        box: Where the crop lies in its image.
        shape: (H, W) of the image.

    Returns:
        (H, W) float32, bilinear between the crop's pixel centres; NaN outside the crop.
    """
    height, width = shape
    full = np.full(shape, np.nan, np.float32)
    square = cv2.resize(values, (box.side, box.side), interpolation=cv2.INTER_LINEAR)
    top, left = max(box.top, 0), max(box.left, 0)
    part = square[top - box.top : height - box.top, left - box.left : width - box.left]
    full[top : top + part.shape[0], left : left + part.shape[1]] = part
    return full


def cut_mask(mask: BoolArray, box: CropBox, size: int) -> BoolArray:
    """Cut and resize a mask to (size, size) bool; there is no foreground beyond the image."""
    nearest, inside = _nearest(mask, box, size)
    return np.asarray(nearest & inside)


def cut_share(mask: BoolArray, box: CropBox, size: int) -> UInt8Array:
    """The share of each pixel of the crop that is foreground, (size, size) in 0 to 255; none beyond the image."""
    height, width = mask.shape
    columns, rows = box.left + np.arange(box.side), box.top + np.arange(box.side)
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None]
    square = mask[np.clip(rows, 0, height - 1)][:, np.clip(columns, 0, width - 1)] & inside
    interpolation = cv2.INTER_AREA if size < box.side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(255 * square.astype(np.uint8), (size, size), interpolation=interpolation))


def cut_nearest(values: FloatArray, box: CropBox, size: int) -> FloatArray:
    """Read (H, W) values at the pixel centres of the crop, without mixing neighbours; NaN beyond the image."""
    nearest, inside = _nearest(values, box, size)
    return np.where(inside, nearest, np.nan)


def cut_input(
    image: UInt8Array, mask: BoolArray | None, settings: InputSettings
) -> tuple[UInt8Array, BoolArray, CropBox]:
    """What a network of these settings sees of an image.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) bool; without one all pixels are foreground.
        settings: Side, crop and background.

    Returns:
        (S, S, 3) uint8, its mask (S, S) bool, and where it lies in the image.
    """
    if mask is None:
        mask = np.ones(image.shape[:2], bool)
    box = box_around(mask, settings.margin) if settings.crop == "mask" else box_of_image(image.shape)
    crop, small_mask = cut(image, box, settings.image_size), cut_mask(mask, box, settings.image_size)
    if settings.background == "grey":
        crop = np.where(small_mask[..., None], crop, np.uint8(GREY))
    return crop, small_mask, box


def network_input(pixels: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 crops as a network's input, (B, 3, S, S) float32 in [-1, 1], channels last in memory."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def _nearest(values: np.ndarray, box: CropBox, size: int) -> tuple[np.ndarray, BoolArray]:
    """(size, size) values of the image's pixels nearest to the crop's pixel centres, and which lie in the image."""
    steps = np.arange(size, dtype=np.float64)
    columns, rows = np.rint(box.to_image(np.stack([steps, steps], axis=1), size)).astype(int).T
    height, width = values.shape
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None]
    return values[np.clip(rows, 0, height - 1)][:, np.clip(columns, 0, width - 1)], inside


def constant_depth(mask: BoolArray) -> Float32Array:
    """(H, W) zeros: everything at one depth."""
    return np.zeros(mask.shape, np.float32)


def inflated_depth(mask: BoolArray) -> Float32Array:
    """The mask inflated to a rounded surface: minus the square root of the solution of Poisson's equation.

    With `laplace(u) = -4` on the mask and `u = 0` off it, the height `sqrt(u)` over a disc is a hemisphere and over a
    strip half an elliptic cylinder (Baran and Lehtinen, "Notes on Inflating Curves", 2009).

    Args:
        mask: (H, W) bool; there is no foreground beyond its border.

    Returns:
        (H, W) float32 in half widths of the array, growing away from the viewer: 0 off the mask, negative on it.
    """
    count = int(mask.sum())
    if not count:
        return constant_depth(mask)
    number = np.full(np.add(mask.shape, 2), -1)
    number[1:-1, 1:-1][mask] = np.arange(count)
    inside = number >= 0
    entries = [(np.arange(count), np.arange(count), np.full(count, 4.0))]
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        neighbour = np.roll(number, step, axis)[inside]
        there = neighbour >= 0
        entries.append((np.flatnonzero(there), neighbour[there], np.full(int(there.sum()), -1.0)))
    rows, columns, values = (np.concatenate(part) for part in zip(*entries, strict=True))
    laplacian = sparse.csc_matrix((values, (rows, columns)), shape=(count, count))
    depth = np.zeros(mask.shape, np.float32)
    depth[mask] = -np.sqrt(spsolve(laplacian, np.full(count, 4.0)).clip(min=0)) / (max(mask.shape) / 2)
    return depth


def ellipsoid_depth(mask: BoolArray) -> Float32Array:
    """Half an ellipsoid over the ellipse that has the mask's centre and second moments.

    The semi-axis along the view is the geometric mean of the ellipse's; evaluation scales depth anyway.

    Args:
        mask: (H, W) bool.

    Returns:
        (H, W) float32 in half widths of the array, growing away from the viewer: 0 off the mask and where it reaches
        beyond the ellipse, negative elsewhere.
    """
    depth = constant_depth(mask)
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return depth
    points = np.stack([columns - columns.mean(), rows - rows.mean()], 1).astype(np.float64)
    # a pixel is a square, with a second moment of 1/12 of its own: a single one has an ellipse as well
    moments = points.T @ points / len(points) + np.eye(2) / 12
    # a full ellipse with semi-axes a and b has the moments a^2 / 4 and b^2 / 4
    distance = np.einsum("ni,ij,nj->n", points, np.linalg.inv(4 * moments), points)
    height = np.linalg.det(4 * moments) ** 0.25 * np.sqrt((1 - distance).clip(min=0))
    depth[rows, columns] = -height / (max(mask.shape) / 2)
    return depth

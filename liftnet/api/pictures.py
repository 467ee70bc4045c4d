"""Photographs as people have them in memory, read as the files are that the stages read."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from liftnet.core.types import BoolArray, UInt8Array
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image

if TYPE_CHECKING:
    from torch import Tensor

    Picture: TypeAlias = Path | str | bytes | Image.Image | npt.NDArray[Any] | Tensor
    Mask: TypeAlias = Path | str | Image.Image | npt.NDArray[Any] | Tensor
CHANNELS = (1, 3, 4)


def as_picture(given: Picture) -> UInt8Array:
    """A photograph as (H, W, 3) uint8 RGB.

    Args:
        given: A file, its bytes or a PIL image, turned upright by its EXIF; or an array or tensor (H, W), (H, W, C) or
            (C, H, W) with C of 1 (grey), 3 (RGB) or 4 (RGB and opacity), uint8 in 0 to 255, uint16 in 0 to 65535, or
            floating point in 0 to 1. What is transparent is seen before white.

    Raises:
        BadImageError: A file is no picture.
        TypeError: It is none of these, or an array of other numbers.
        ValueError: An array has another shape, or floats beyond 0 to 1.

    >>> as_picture(np.full((2, 3), 0.5)).tolist()[0][0]
    [128, 128, 128]
    """
    if isinstance(given, Path | str | bytes):
        return read_image(given)
    if isinstance(given, Image.Image):
        return read_image(_png_of(ImageOps.exif_transpose(given)))
    pixels = _in_bytes(_channels_last(_as_array(given)))
    if pixels.shape[2] == 4:
        return read_image(_png_of(Image.fromarray(pixels, "RGBA")))
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def as_mask(given: Mask, size: tuple[int, int]) -> BoolArray:
    """A mask as (H, W) bool.

    Args:
        given: A file or PIL image, read as the masks of a run; or an array or tensor (H, W), true or above 0 where the
            sculpture is.
        size: (width, height) of its photograph, px.

    Raises:
        BadImageError: A file is no mask, or of another size.
        TypeError: It is none of these.
        ValueError: An array is not of the photograph's size.
    """
    if isinstance(given, Path | str):
        return read_mask(Path(given), size)
    if isinstance(given, Image.Image):
        return read_mask(_png_of(given), size)
    mask = _as_array(given)
    if mask.shape != size[::-1]:
        raise ValueError(f"the mask is {mask.shape}, and its photograph {size[::-1]}")
    return np.asarray(mask > 0)


def _as_array(given: Any) -> npt.NDArray[Any]:
    if hasattr(given, "detach"):  # a tensor, without importing torch for those who have none
        return np.asarray(given.detach().cpu().numpy())
    if isinstance(given, np.ndarray):
        return given
    raise TypeError(f"a {type(given).__name__} is no picture: give a path, a PIL image, a numpy array or a tensor")


def _channels_last(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if pixels.ndim == 2:
        return pixels[..., None]
    if pixels.ndim == 3 and pixels.shape[2] in CHANNELS:
        return pixels
    if pixels.ndim == 3 and pixels.shape[0] in CHANNELS:
        return np.moveaxis(pixels, 0, 2)
    raise ValueError(f"an array of shape {pixels.shape} is no picture: give (H, W), (H, W, 3) or (3, H, W)")


def _in_bytes(pixels: npt.NDArray[Any]) -> UInt8Array:
    if pixels.size == 0:
        raise ValueError(f"an array of shape {pixels.shape} has no pixels")
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return np.rint(pixels / 257).astype(np.uint8)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise TypeError(f"pixels of type {pixels.dtype} have no known range: give uint8, uint16 or floats in 0 to 1")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"floats are pixels from 0 to 1, and these go from {low:g} to {high:g}: scale them, or give uint8"
        )
    return np.rint(pixels * 255).astype(np.uint8)


def _png_of(picture: Image.Image) -> bytes:
    """The bytes of a PNG, so that palettes, depths and opacity mean what they mean in a file."""
    kept = picture if picture.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else picture.convert("RGB")
    file = BytesIO()
    kept.save(file, "PNG", compress_level=1)
    return file.getvalue()

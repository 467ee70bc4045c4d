"""The one reader of foreground masks, and their writing. A mask has the size of its image as displayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftnet.core.types import BoolArray, UInt8Array
from liftnet.data.picture_formats import bad_image
from liftnet.data.pictures import (
    MAX_PIXELS,
    OpenPicture,
    Size,
    Source,
    declared,
    load,
    open_picture,
    times,
    write_image,
)

FOREGROUND = 128  # the darkest grey level that is foreground
_DARK, _BRIGHT = 32, 224  # levels between these are neither black nor white, whatever JPEG has made of them
_MOST_BETWEEN = 0.5  # of a mask's pixels; of more it is a photograph
_MOST_LABELS, _LEAST_LABELLED = 16, 0.01  # levels of a map of labels, and the part of it that the dark ones have


def read_mask(
    source: Source, size: Size | None = None, may_be_empty: bool = True, max_pixels: int = MAX_PIXELS
) -> BoolArray:
    """Decode a mask.

    Foreground is what is bright (at least half of white, in the brightest channel), what is not background in a
    picture of two levels however dark (0 and 1), what is not black in a palette of colours, and what is opaque in a
    cut-out. A mask is drawn on the image as displayed, so its own EXIF orientation counts only where its size says so.

    Args:
        source: The file, or its bytes: a picture of any format that is read.
        size: (width, height) of its image as displayed; not checked if not given.
        may_be_empty: Whether it may be all background or all foreground.
        max_pixels: Pictures of more pixels are refused before they are decoded.

    Returns:
        (H, W) bool.

    Raises:
        BadImageError: It is missing or no picture that is read, of another size (`mask_wrong_size`), or, where it
            must mark something, marks nothing (`mask_empty`), everything (`mask_full`), or is a photograph
            (`mask_not_binary`).
    """
    picture = open_picture(*load(source), max_pixels)
    turned = size is not None and picture.size != size and picture.shown_size == size
    if size is not None and picture.size != size and not turned:
        reason = f"{times(picture.size)} px, its image as displayed {times(size)}"
        raise bad_image(picture.what, "mask_wrong_size", reason)
    picture.decode()
    with declared(picture.what, picture.kind):
        mask, levels = _foreground(picture)
    if not may_be_empty:
        _check(mask, levels, picture.what)
    return picture.upright(mask) if turned else mask


def _check(mask: BoolArray, levels: npt.NDArray[Any] | None, what: object) -> None:
    if not mask.any():
        reason = "no foreground: every pixel is transparent"
        if levels is not None:
            most = _white(levels)
            least, digits = FOREGROUND if most == 255 else f"{most / 2:g}", 3 if levels.dtype.kind == "f" else 12
            reason = (
                f"no foreground: no pixel is {least} or brighter, the brightest is {levels.max():.{digits}g} of {most}"
            )
        raise bad_image(what, "mask_empty", reason)
    if mask.all():
        raise bad_image(what, "mask_full", "no background: all of the image is marked")
    if levels is not None and levels.dtype == np.uint8:
        between = float(((levels >= _DARK) & (levels < _BRIGHT)).mean())
        distinct = np.unique(levels)
        if between > _MOST_BETWEEN and len(distinct) > 2:
            raise bad_image(what, "mask_not_binary", f"{between:.0%} of its pixels are neither black nor white")
        dark = (levels > 0) & (levels < _DARK)
        rings = bool(((levels >= _BRIGHT) & (levels < 255)).any())  # as JPEG and HEIC do about black and white alike
        if 2 < len(distinct) <= _MOST_LABELS and not rings and float(dark.mean()) > _LEAST_LABELLED:
            reason = f"its levels are {', '.join(map(str, distinct.tolist()))}, the labels of several things"
            raise bad_image(what, "mask_not_binary", reason)


def _foreground(picture: OpenPicture) -> tuple[BoolArray, npt.NDArray[Any] | None]:
    """The foreground, and the levels that it was told by; None where it was told otherwise."""
    image = picture.image
    if not picture.is_deep and (image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info):
        return _of_cut_out(np.asarray(image.convert("RGBA")))
    if not picture.is_deep and image.mode == "P":
        return _of_palette(np.asarray(image.convert("RGB")))
    values = picture.values() if picture.is_deep or image.mode in _AS_STORED else np.asarray(image.convert("RGB"))
    levels = values.max(axis=2) if values.ndim == 3 else values
    return _bright(levels), levels


_AS_STORED = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N", "RGB")


def _white(levels: npt.NDArray[Any]) -> float:
    """The level of white."""
    if levels.dtype.kind == "b":
        return 1
    if levels.dtype.kind == "f":
        return 1.0
    return 65535 if levels.dtype == np.int32 and levels.max() <= 65535 else int(np.iinfo(levels.dtype).max)


def _bright(levels: npt.NDArray[Any]) -> BoolArray:
    """What is at least half of white; of a picture of two levels of which one is 0, the other."""
    bright: BoolArray = np.asarray(levels >= _white(levels) / 2)
    if not bright.any() and levels.size and levels.min() == 0 < levels.max() and (levels % levels.max() == 0).all():
        return np.asarray(levels > 0)
    return bright


def _of_palette(colours: UInt8Array) -> tuple[BoolArray, npt.NDArray[Any] | None]:
    levels = colours.max(axis=2)
    if (levels == colours.min(axis=2)).all():
        return _bright(levels), levels
    return np.asarray(levels > 0), None


def _of_cut_out(pixels: UInt8Array) -> tuple[BoolArray, npt.NDArray[Any] | None]:
    """What is opaque; where the colours are a mask of their own, black and white, what is opaque and white."""
    opaque: BoolArray = pixels[..., 3] >= FOREGROUND
    levels = np.where(opaque, pixels[..., :3].max(axis=2), 0).astype(np.uint8)
    shown = levels[opaque]
    drawn = shown.size > 0 and bool(((shown < _DARK) | (shown >= _BRIGHT)).all())
    if opaque.all() or (drawn and shown.min() < _DARK and shown.max() >= _BRIGHT):
        return np.asarray(_bright(levels) & opaque), levels
    return opaque, None


def shrink_mask(mask: BoolArray, size: Size) -> BoolArray:
    """Bring a (H, W) mask to (width, height), by the nearest neighbour."""
    if (mask.shape[1], mask.shape[0]) == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def write_mask(path: Path | str, mask: BoolArray) -> None:
    """Write a (H, W) bool mask as an 8-bit PNG of 0 and 255, atomically."""
    write_image(path, mask.astype(np.uint8) * 255)

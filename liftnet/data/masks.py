"""The one reader of foreground masks, and their writing. A mask has the size of its image as displayed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from liftnet.core.types import BoolArray
from liftnet.data.picture_formats import bad_image
from liftnet.data.pictures import MAX_PIXELS, Size, Source, decode, load, open_header, times, to_rgb, write_image

FOREGROUND = 128  # the darkest grey level that is foreground


def read_mask(
    source: Source, size: Size | None = None, may_be_empty: bool = True, max_pixels: int = MAX_PIXELS
) -> BoolArray:
    """Decode a mask. Its EXIF orientation is not applied: a mask is drawn on the image as displayed.

    Args:
        source: The file, or its bytes: a picture of any format that is read.
        size: (width, height) of its image as displayed; not checked if not given.
        may_be_empty: Whether it may be without any foreground.
        max_pixels: Pictures of more pixels are refused before they are decoded.

    Returns:
        (H, W) bool, True where the grey level is 128 or more; transparent pixels are background.

    Raises:
        BadImageError: It is missing or no picture that is read, of another size (`mask_wrong_size`), or empty where
            it must not be (`mask_empty`).
    """
    data, what = load(source)
    picture = open_header(data, what, max_pixels)
    if size is not None and picture.size != size:
        raise bad_image(what, "mask_wrong_size", f"{times(picture.size)} px, its image as displayed {times(size)}")
    decode(picture, what)
    plain = picture.mode == "L" and "transparency" not in picture.info
    grey = np.asarray(picture if plain else to_rgb(picture, what, background=0).convert("L"))
    mask = grey >= FOREGROUND
    if not may_be_empty and not mask.any():
        reason = f"no foreground: no pixel is {FOREGROUND} or brighter, the brightest is {grey.max()} of 255"
        raise bad_image(what, "mask_empty", reason)
    return mask


def shrink_mask(mask: BoolArray, size: Size) -> BoolArray:
    """Bring a (H, W) mask to (width, height), by the nearest neighbour."""
    if (mask.shape[1], mask.shape[0]) == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def write_mask(path: Path | str, mask: BoolArray) -> None:
    """Write a (H, W) bool mask as an 8-bit PNG of 0 and 255, atomically."""
    write_image(path, mask.astype(np.uint8) * 255)

"""Reading and writing stored images and masks.

Stored images have their EXIF orientation baked in (`collect` does that), so a plain decode is the image as displayed.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from liftnet.core.errors import BadImageError
from liftnet.core.files import write_bytes

UInt8Array = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]


def read_image(path: Path | str | BinaryIO, upright: bool = False) -> UInt8Array:
    """Decode an image.

    Args:
        path: The file, or its bytes as an open file.
        upright: Apply the EXIF orientation: for pictures that `collect` has not stored.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        BadImageError: The file is missing, truncated or not an image.
    """
    picture = _open(path)
    return np.asarray((ImageOps.exif_transpose(picture) if upright else picture).convert("RGB"))


def read_mask(path: Path | str, size: tuple[int, int] | None = None) -> BoolArray:
    """Decode a foreground mask: True where the stored value is 128 or more.

    Args:
        path: An 8-bit picture, 0 for background and 255 for foreground.
        size: (width, height) the mask must have.

    Returns:
        (H, W) bool.

    Raises:
        BadImageError: The file is missing, unreadable or of another size (code `mask_wrong_size`).
    """
    picture = _open(path)
    if size is not None and picture.size != size:
        raise BadImageError(
            path,
            "mask_wrong_size",
            f"is {picture.size[0]}x{picture.size[1]} pixels, its image {size[0]}x{size[1]}",
            "A mask has the size of the image as displayed",
        )
    return np.asarray(picture.convert("L")) >= 128


def write_mask(path: Path | str, mask: BoolArray) -> None:
    """Write a (H, W) bool mask as an 8-bit PNG of 0 and 255, atomically."""
    write_image(path, mask.astype(np.uint8) * 255)


def write_image(path: Path | str, pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], quality: int = 92) -> None:
    """Write (H, W) or (H, W, 3) pixels atomically; the suffix chooses the format (.jpg, .png)."""
    write_bytes(path, encode_image(pixels, Path(path).suffix, quality))


def encode_image(
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], suffix: str = ".png", quality: int = 92
) -> bytes:
    """Encode (H, W) or (H, W, 3) pixels as a JPEG (4:4:4) or PNG; uint16 greyscale only as PNG."""
    buffer = BytesIO()
    picture = Image.fromarray(pixels)
    if suffix.lower() in (".jpg", ".jpeg"):
        picture.save(buffer, "JPEG", quality=quality, subsampling=0)
    else:
        picture.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _open(path: Path | str | BinaryIO) -> Image.Image:
    try:
        picture = Image.open(path)
        picture.load()
        return picture
    except FileNotFoundError as error:
        raise BadImageError(path, "missing", "does not exist", "Run `collect` again") from error
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadImageError(
            path, "decode_error", f"cannot be decoded ({error})", "Delete it and collect again"
        ) from error

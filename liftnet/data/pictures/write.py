"""Writing pictures: JPEG without chroma subsampling, or PNG."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftnet.core.files import write_bytes


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

"""The one reader of pictures: whatever the file, pixels or a `BadImageError`, and never more memory than `max_pixels`.

What a picture is, its first bytes say (`formats`); of it only the header is read until its size is known to be within
the limit. Pillow's own errors never leave this module.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from liftnet.core.errors import BadImageError
from liftnet.core.types import UInt8Array
from liftnet.data.pictures.exif import read_exif
from liftnet.data.pictures.formats import DAMAGE, bad_image, sniff

ImageFile.LOAD_TRUNCATED_IMAGES = False  # another library in this process may have switched it on
MAX_PIXELS = 178_000_000  # Pillow refuses a little more by itself
Source = Path | str | bytes
Size = tuple[int, int]
_TURNS = {  # EXIF 2.32, tag 0x0112: where row 0 and column 0 of the stored pixels belong
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(source: Source, upright: bool = False, max_pixels: int = MAX_PIXELS) -> UInt8Array:
    """Decode a picture.

    Args:
        source: The file, or its bytes.
        upright: Apply the EXIF orientation: for pictures that `collect` has not stored, which are upright already.
        max_pixels: Pictures of more pixels are refused before they are decoded.

    Returns:
        (H, W, 3) uint8, RGB; what is transparent is white.

    Raises:
        BadImageError: It is missing or cannot be used; `status` says why.
    """
    data, what = load(source)
    picture = open_header(data, what, max_pixels)
    decode(picture, what)
    pixels = to_rgb(picture, what)
    if upright and picture.format != "TIFF":  # which Pillow has turned while decoding
        pixels = turn_upright(pixels, read_exif(picture).orientation)
    return np.asarray(pixels)


def read_levels(source: Source, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """The levels of a grey picture of 8 or 16 bits as they are stored: a depth map, for example.

    Returns:
        (H, W) uint8 or uint16.

    Raises:
        BadImageError: It is missing, cannot be used, or is not grey (`unsupported_format`).
    """
    data, what = load(source)
    picture = open_header(data, what, max_pixels)
    decode(picture, what)
    if picture.mode.startswith("I"):
        return _levels(picture, what).astype(np.uint16)
    if picture.mode != "L":
        raise bad_image(what, "unsupported_format", f"pixels of the kind {picture.mode} are no levels of grey")
    return np.asarray(picture)


def read_small_grey(source: Source, side: int) -> Image.Image:
    """A picture in grey, shrunk to a square of `side` px; of a JPEG only what that needs is computed.

    Raises:
        BadImageError: It is missing or cannot be used.
    """
    data, what = load(source)
    picture = open_header(data, what, MAX_PIXELS)
    picture.draft("L", (2 * side, 2 * side))
    decode(picture, what)
    return picture.convert("L").resize((side, side), Image.Resampling.LANCZOS)


def picture_size(source: Source) -> Size:
    """(width, height) in px as stored, from the header alone.

    Raises:
        BadImageError: It is missing, is no picture, or its header is damaged.
    """
    data, what = load(source)
    return open_header(data, what, MAX_PIXELS).size


def exif_tags(source: Source) -> frozenset[int]:
    """The numbers of the EXIF tags in a picture; none where it or its EXIF cannot be read."""
    try:
        data, what = load(source)
        return frozenset(open_header(data, what, MAX_PIXELS).getexif())
    except (BadImageError, *DAMAGE):
        return frozenset()


def load(source: Source) -> tuple[bytes, object]:
    """The bytes of a picture, and what errors call it.

    Raises:
        BadImageError: The file is missing (`missing`) or cannot be read (`unreadable_file`).
    """
    if isinstance(source, bytes):
        return source, "the picture"
    try:
        return Path(source).read_bytes(), source
    except (FileNotFoundError, NotADirectoryError) as error:
        raise bad_image(source, "missing", "does not exist") from error
    except OSError as error:
        raise bad_image(source, "unreadable_file", f"cannot be read ({error.strerror})") from error


def open_header(data: bytes, what: object, max_pixels: int) -> Image.Image:
    """Read the header only, and refuse what would take too much memory to decode.

    Raises:
        BadImageError: No usable picture, a damaged header (`decode_error`), or more than `max_pixels` (`bomb`).
    """
    kind = sniff(data, what).name
    try:
        picture = Image.open(BytesIO(data), formats=[kind])
    except Image.DecompressionBombError as error:
        raise bad_image(what, "bomb", f"more pixels than max_pixels = {max_pixels:,}") from error
    except DAMAGE as error:
        raise bad_image(what, "decode_error", f"the header of the {kind} file is damaged") from error
    if picture.width * picture.height > max_pixels:
        raise bad_image(what, "bomb", f"{times(picture.size)} px, more than max_pixels = {max_pixels:,}")
    return picture


def decode(picture: Image.Image, what: object) -> None:
    """Decode the pixels of an opened picture.

    Raises:
        BadImageError: They end early (`truncated`) or are damaged (`decode_error`).
    """
    try:
        picture.load()
    except (*DAMAGE, Image.DecompressionBombError) as error:
        cut = "truncated" in str(error) or "Truncated" in str(error)
        status, reason = ("truncated", "the file ends early") if cut else ("decode_error", "the file is damaged")
        raise bad_image(what, status, f"{reason} ({error})") from error


def to_rgb(picture: Image.Image, what: object, background: int = 255) -> Image.Image:
    """8-bit RGB; what is transparent shows a background of that grey level.

    Raises:
        BadImageError: Its kind of pixels is not read (`unsupported_format`).
    """
    mode = picture.mode
    if mode.startswith("I"):  # 0..65535 to 0..255; Pillow's own conversion would clip at 255
        return Image.fromarray(((_levels(picture, what) + 128) // 257).astype(np.uint8)).convert("RGB")
    if mode == "CMYK":
        return _from_cmyk(picture)
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, (background, background, background, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    if mode == "RGB":
        return picture
    if mode in ("L", "1", "P", "YCbCr", "HSV"):
        return picture.convert("RGB")
    raise bad_image(what, "unsupported_format", f"pixels of the kind {mode} are not read; convert it to 8-bit RGB")


def turn_upright(pixels: Image.Image, orientation: int) -> Image.Image:
    """Turn or mirror stored pixels as their EXIF orientation (1 to 8) asks."""
    turn = _TURNS.get(orientation)
    return pixels if turn is None else pixels.transpose(turn)


def times(size: Size) -> str:
    """A size as in "1600x1200"."""
    return f"{size[0]}x{size[1]}"


def _levels(picture: Image.Image, what: object) -> npt.NDArray[np.int64]:
    """The values of a picture of 16 bits.

    Raises:
        BadImageError: They need more than 16 bits (`unsupported_format`).
    """
    values = np.asarray(picture).astype(np.int64)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise bad_image(what, "unsupported_format", "32-bit pixels are not read; convert it to 8-bit RGB")
    return values


def _from_cmyk(picture: Image.Image) -> Image.Image:
    """Ink to light: by the embedded profile where there is a usable one, else by the plain formula."""
    from PIL import ImageCms

    profile: Any = picture.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a damaged profile: the plain formula below
        if converted is not None:
            return converted
    return picture.convert("RGB")

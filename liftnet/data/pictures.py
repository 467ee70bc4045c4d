"""The one reader of pictures: whatever the file, pixels or a `BadImageError`, and never more memory than `max_pixels`.

What a picture is, its first bytes say (`liftnet.data.picture_formats`); of it only the header is read until its size
is known to be within the limit. Pillow's own errors never leave this module.

Stored images have their EXIF orientation baked in (`collect` does that), so a plain `read_image` is the image as
displayed; photographs from elsewhere are read with `upright=True`. Pictures are written as JPEG without chroma
subsampling, or as PNG.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from liftnet.core.errors import BadImageError
from liftnet.core.files import write_bytes
from liftnet.core.types import UInt8Array
from liftnet.data.picture_formats import DAMAGE, bad_image, sniff

ImageFile.LOAD_TRUNCATED_IMAGES = False  # another library in this process may have switched it on
MAX_PIXELS = 178_000_000  # Pillow refuses a little more by itself
Source = Path | str | bytes
Size = tuple[int, int]
_ORIENTATION, _MAKE, _MODEL = 0x0112, 0x010F, 0x0110
_EXIF_FOLDER, _FOCAL, _FOCAL_35 = 0x8769, 0x920A, 0xA405
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
    if upright and not sniff(data, what).turned:
        pixels = turn_upright(pixels, read_exif(picture).orientation)
    return np.asarray(pixels)


def read_rgba(source: Source, max_pixels: int = MAX_PIXELS) -> UInt8Array:
    """Decode a picture with its transparency; one without is opaque.

    Returns:
        (H, W, 4) uint8: red, green and blue, not multiplied by the fourth, the opacity.

    Raises:
        BadImageError: It is missing or cannot be used; `status` says why.
    """
    data, what = load(source)
    picture = open_header(data, what, max_pixels)
    decode(picture, what)
    opaque = picture.mode != "RGBA" and "transparency" not in picture.info
    return np.asarray((to_rgb(picture, what) if opaque else picture).convert("RGBA"))


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


# What a camera writes into a photograph (EXIF 2.32)


@dataclass(frozen=True)
class Exif:
    """The fields in use.

    Attributes:
        orientation: 1 to 8; 1 if absent or damaged.
        focal_mm: Focal length in mm.
        focal_35mm: Focal length in mm of a 35 mm camera with the same angle of view.
        camera: Make and model.
    """

    orientation: int = 1
    focal_mm: float | None = None
    focal_35mm: float | None = None
    camera: str | None = None


def read_exif(picture: Image.Image) -> Exif:
    """The EXIF fields of an opened picture; a damaged block counts as none, for the pixels are still good."""
    try:
        tags = picture.getexif()
        folder = tags.get_ifd(_EXIF_FOLDER)
    except DAMAGE:
        return Exif()
    orientation = tags.get(_ORIENTATION, 1)
    return Exif(
        orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1,
        _length(folder.get(_FOCAL)),
        _length(folder.get(_FOCAL_35)),
        _camera(tags.get(_MAKE), tags.get(_MODEL)),
    )


def _length(value: object) -> float | None:
    try:
        length = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return length if math.isfinite(length) and length > 0 else None


def _camera(make: object, model: object) -> str | None:
    brand, name = (
        " ".join(text.replace("\0", " ").split()) if isinstance(text, str) else "" for text in (make, model)
    )
    first = brand.split()[0].lower() if brand else ""
    return (name if first and name.lower().startswith(first) else f"{brand} {name}".strip()) or None


def write_image(path: Path | str, pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], quality: int = 92) -> None:
    """Write (H, W), (H, W, 3) or, as PNG, (H, W, 4) pixels atomically; the suffix is the format (.jpg, .png)."""
    write_bytes(path, encode_image(pixels, Path(path).suffix, quality))


def encode_image(
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], suffix: str = ".png", quality: int = 92
) -> bytes:
    """Encode (H, W) or (H, W, 3) pixels as a JPEG (4:4:4) or PNG; uint16 greyscale and (H, W, 4) only as PNG."""
    buffer = BytesIO()
    picture = Image.fromarray(pixels)
    if suffix.lower() in (".jpg", ".jpeg"):
        picture.save(buffer, "JPEG", quality=quality, subsampling=0)
    else:
        picture.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()

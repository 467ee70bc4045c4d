"""From the bytes of a file to a stored image: 8-bit RGB, upright, of bounded size."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image

from liftnet.data.perceptual_hashes import perceptual_hashes
from liftnet.data.picture_colour import is_srgb
from liftnet.data.picture_formats import bad_image
from liftnet.data.picture_metadata import Exif
from liftnet.data.pictures import OpenPicture, Size, declared, open_picture

JPEG_QUALITY = 95
MOST_PASSES = 4  # a scan for each colour, at most


@dataclass(frozen=True)
class Picture:
    """An image as it will be stored.

    Attributes:
        data: The file: the bytes as received if nothing had to change, else a JPEG of quality 95 without chroma
            subsampling.
        suffix: ".jpg" or ".png".
        mime: Type of the bytes as received.
        size: (width, height) in px as stored.
        shown_size: (width, height) as displayed before any shrinking; what a manual mask must have.
        exif: What the camera wrote.
        phashes: 64-bit perceptual hashes (DCT), in hex, of the pixels as stored, turned and mirrored; see
            `perceptual_hashes`.
    """

    data: bytes = field(repr=False)
    suffix: str
    mime: str
    size: Size
    shown_size: Size
    exif: Exif
    phashes: tuple[str, ...]

    @property
    def phash(self) -> str:
        """64-bit perceptual hash (DCT) of the pixels as stored, in hex."""
        return self.phashes[0]

    @property
    def sha256(self) -> str:
        """SHA-256 of the stored file, in hex."""
        return hashlib.sha256(self.data).hexdigest()


def normalise(data: bytes, what: object, max_side: int, min_side: int, max_pixels: int) -> Picture:
    """Check the bytes of an image by decoding them, and turn it upright, into 8-bit RGB, and down to `max_side`.

    Args:
        data: The file as received.
        what: Its name, for errors.
        max_side: Longest side of the stored image, px.
        min_side: Least shorter side as displayed, px.
        max_pixels: Images of more pixels are refused before they are decoded.

    Raises:
        BadImageError: It cannot be used; `status` says why.
    """
    picture = open_picture(data, what, max_pixels)
    shown = picture.shown_size
    if min(shown) < min_side:
        raise bad_image(what, "too_small", f"{shown[0]}x{shown[1]} px; the shorter side must have {min_side}")
    untouched = _is_plain(picture)
    shrink = max(shown) > max_side
    if shrink and picture.is_single:
        # decode a JPEG at 1/2, 1/4 or 1/8 where that is still large enough: what is thrown away need not be computed
        scale = max_side / max(shown)
        picture.draft(None, (math.ceil(picture.size[0] * scale), math.ceil(picture.size[1] * scale)))
    picture.decode()
    pixels = picture.shown()
    if shrink:
        # Lanczos takes half as long again; the two differ by a fifth of what JPEG changes (benchmarks/downloading.md)
        with declared(what, picture.kind):
            pixels = pixels.resize(shrunk_size(shown, max_side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    kind = picture.kind
    stored, suffix = (
        (data, kind.stored_as) if untouched and not shrink and kind.stored_as else (_encode(pixels), ".jpg")
    )
    return Picture(stored, suffix, kind.mime, pixels.size, shown, picture.exif, perceptual_hashes(pixels))


def shrunk_size(size: Size, max_side: int) -> Size:
    """(width, height) with the longer side brought down to `max_side`."""
    scale = min(1.0, max_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _is_plain(picture: OpenPicture) -> bool:
    """Whether any decoder gets the same upright 8-bit sRGB pixels out of the file, in one pass over them.

    A progressive JPEG takes ten or more, and every later stage would pay for them again.
    """
    image = picture.image
    if "progressive" in image.info or picture.passes > MOST_PASSES:
        return False
    if image.mode != "RGB" or "transparency" in image.info or picture.exif.orientation != 1:
        return False
    profile = image.info.get("icc_profile")
    return picture.is_single and picture.kind.is_rgb8(picture.data) and (not profile or is_srgb(profile, "RGB"))


def _encode(pixels: Image.Image) -> bytes:
    buffer = BytesIO()
    pixels.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0, icc_profile=None, exif=b"")
    return buffer.getvalue()

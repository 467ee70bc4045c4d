"""From the bytes of a file to a stored image: 8-bit RGB, upright, of bounded size."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image

from liftnet.data.perceptual_hashes import perceptual_hashes
from liftnet.data.picture_formats import Format, bad_image, sniff
from liftnet.data.pictures import Exif, Size, decode, open_header, read_exif, to_rgb, turn_upright

JPEG_QUALITY = 95


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
    kind = sniff(data, what)
    picture = open_header(data, what, max_pixels)
    if kind.exif_at_end:  # while looking for it Pillow tells of damage, and only once
        decode(picture, what)
    exif = read_exif(picture)
    width, height = picture.size
    if min(width, height) < min_side:
        raise bad_image(what, "too_small", f"{width}x{height} px; the shorter side must have {min_side}")
    untouched = kind.stored_as is not None and _is_plain(picture, kind, data) and exif.orientation == 1
    shrink = max(width, height) > max_side
    if shrink and picture.format == kind.name:  # no MPO, which begins as JPEG
        # decode a JPEG at 1/2, 1/4 or 1/8 where that is still large enough: what is thrown away need not be computed;
        # of other formats this changes nothing
        scale = max_side / max(width, height)
        picture.draft(None, (math.ceil(width * scale), math.ceil(height * scale)))
    decode(picture, what)
    pixels = to_rgb(picture, what)
    if kind.turned:
        shown = pixels.size
    else:
        shown = (height, width) if exif.orientation >= 5 else (width, height)
        pixels = turn_upright(pixels, exif.orientation)
    if shrink:
        # Lanczos takes half as long again; the two differ by a fifth of what JPEG changes (benchmarks/downloading.md)
        pixels = pixels.resize(shrunk_size(shown, max_side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    if untouched and not shrink and kind.stored_as:
        stored, suffix = data, kind.stored_as
    else:
        stored, suffix = _encode(pixels, picture), ".jpg"
    return Picture(stored, suffix, kind.mime, pixels.size, shown, exif, perceptual_hashes(pixels))


def shrunk_size(size: Size, max_side: int) -> Size:
    """(width, height) with the longer side brought down to `max_side`."""
    scale = min(1.0, max_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _is_plain(picture: Image.Image, kind: Format, data: bytes) -> bool:
    """Whether any decoder gets the same 8-bit RGB pixels out of the file."""
    if picture.mode != "RGB" or "transparency" in picture.info or getattr(picture, "n_frames", 1) != 1:
        return False
    return picture.format == kind.name and kind.is_rgb8(data)


def _encode(pixels: Image.Image, original: Image.Image) -> bytes:
    buffer = BytesIO()
    profile = original.info.get("icc_profile") if original.mode in ("RGB", "RGBA", "P") else None
    pixels.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0, icc_profile=profile, exif=b"")
    return buffer.getvalue()

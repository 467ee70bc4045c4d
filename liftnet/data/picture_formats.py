"""The formats of pictures that are read, and what bytes are by their first bytes: names and headers are not believed.

A further format is an entry of `FORMATS` and a case of tests/data/test_pictures.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from liftnet.core.errors import BadImageError


@dataclass(frozen=True)
class Format:
    """A format that is read.

    Attributes:
        name: Pillow's.
        mime: Its media type.
        suffixes: Endings of its files, in lower case.
        starts: First bytes of its files; a "?" stands for any byte.
        turned: Whether Pillow turns a picture upright by its EXIF orientation while decoding it.
        exif_at_end: Whether Pillow decodes a picture to look for EXIF behind its pixels.
        stored_as: Ending under which `collect` stores a file as received; None: it is always written anew as JPEG.
        is_rgb8: Whether any decoder gets 8-bit RGB out of a file that Pillow reads as RGB.
    """

    name: str
    mime: str
    suffixes: tuple[str, ...]
    starts: tuple[bytes, ...]
    turned: bool = False
    exif_at_end: bool = False
    stored_as: str | None = None
    is_rgb8: Callable[[bytes], bool] = lambda data: True

    def begins(self, data: bytes) -> bool:
        """Whether a file of these first bytes is of this format."""
        return any(_begins(data, start) for start in self.starts)


def _is_rgb8_png(data: bytes) -> bool:
    return data[24:26] == b"\x08\x02"  # bit depth and colour type in its IHDR


FORMATS = (
    Format("JPEG", "image/jpeg", (".jpg", ".jpeg"), (b"\xff\xd8\xff",), stored_as=".jpg"),
    Format(
        "PNG",
        "image/png",
        (".png",),
        (b"\x89PNG\r\n\x1a\n",),
        exif_at_end=True,
        stored_as=".png",
        is_rgb8=_is_rgb8_png,
    ),
    Format("WEBP", "image/webp", (".webp",), (b"RIFF????WEBP",)),
    Format(
        "TIFF",
        "image/tiff",
        (".tif", ".tiff"),
        (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),  # + is BigTIFF
        turned=True,
    ),
    Format("BMP", "image/bmp", (".bmp",), (b"BM????\x00\x00\x00\x00",)),
)
DAMAGE = (  # what Pillow's readers raise on damaged files; UnidentifiedImageError is an OSError
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
)
SUFFIXES = tuple(sorted(suffix for known in FORMATS for suffix in known.suffixes))
REMEDIES = {
    "missing": "Give the path of a picture; if `collect` has stored it, run `collect` again",
    "unsupported_format": "Convert it to JPEG or PNG",
    "bomb": "Give a smaller picture",
    "mask_wrong_size": "A mask has the size of the image as displayed",
    "mask_empty": "Paint the foreground white",
}
_REMEDY = "Get the file again; if `collect` has stored it, delete it and run `collect` again"
_OTHER_IMAGES = (
    (b"GIF8", "GIF"),
    (b"\x00\x00\x01\x00", "Windows icon"),
    (b"8BPS", "Photoshop"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
)
_NOT_IMAGES = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"version https://git-lfs", "a Git LFS pointer: the image itself was not checked out"),
)
_ISO_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF"}


def bad_image(what: object, status: str, reason: str) -> BadImageError:
    """The error of a picture or mask that cannot be used, with the remedy that belongs to its status."""
    return BadImageError(what, status, reason, REMEDIES.get(status, _REMEDY))


def sniff(data: bytes, what: object) -> Format:
    """The format of a picture.

    Args:
        data: The whole file, or at least its first 512 bytes.
        what: Its name, for the error.

    Raises:
        BadImageError: It is empty (`empty_file`), an image of another format (`unsupported_format`) or no image
            (`not_image`).
    """
    if not data:
        raise bad_image(what, "empty_file", "the file has no bytes")
    for known in FORMATS:
        if known.begins(data):
            return known
    other = next((name for start, name in _OTHER_IMAGES if data.startswith(start)), None)
    if data[4:8] == b"ftyp":
        other = _ISO_BRANDS.get(data[8:12])
        if other is None:
            raise bad_image(what, "not_image", "the file is a film, not an image")
    if other is not None:
        raise bad_image(what, "unsupported_format", f"the format {other} is not read; convert it to JPEG or PNG")
    for start, name in _NOT_IMAGES:
        if data.startswith(start):
            raise bad_image(what, "not_image", f"the file is {name}")
    raise bad_image(what, "not_image", f"the file is {_text_kind(data[:512])}")


def _begins(data: bytes, start: bytes) -> bool:
    head = data[: len(start)]
    return len(head) == len(start) and all(one in (other, ord("?")) for one, other in zip(start, head, strict=True))


def _text_kind(start: bytes) -> str:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "an SVG drawing, not a photograph"
    if text.startswith(b"<") and (b"<html" in text or b"<!doctype html" in text or b"<head" in text):
        return "an HTML page, not an image"
    if text.startswith(b"<"):
        return "XML or HTML, not an image"
    return "not an image of any known kind"

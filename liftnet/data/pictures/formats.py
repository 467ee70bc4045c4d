"""What bytes are, by their first bytes. Names and Content-Type headers are never believed."""

from __future__ import annotations

from liftnet.core.errors import BadImageError

MIMES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "TIFF": "image/tiff"}
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})

_USABLE = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),  # BigTIFF
    (b"MM\x00+", "TIFF"),
)
_OTHER_IMAGES = (
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
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


def sniff(data: bytes, what: object) -> str:
    """The format of an image: JPEG, PNG, WEBP or TIFF.

    Args:
        data: The whole file, or at least its first 512 bytes.
        what: Its name, for the error.

    Raises:
        BadImageError: It is empty (`empty_file`), an image of another format (`unsupported_format`) or no image
            (`not_image`).
    """
    if not data:
        raise BadImageError(what, "empty_file", "the file has no bytes")
    for start, name in _USABLE:
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    other = next((name for start, name in _OTHER_IMAGES if data.startswith(start)), None)
    if data[4:8] == b"ftyp":
        other = _ISO_BRANDS.get(data[8:12])
        if other is None:
            raise BadImageError(what, "not_image", "the file is a film, not an image")
    if other is not None:
        raise BadImageError(what, "unsupported_format", f"the format {other} is not read; convert it to JPEG or PNG")
    for start, name in _NOT_IMAGES:
        if data.startswith(start):
            raise BadImageError(what, "not_image", f"the file is {name}")
    raise BadImageError(what, "not_image", f"the file is {_text_kind(data[:512])}")


def _text_kind(start: bytes) -> str:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "an SVG drawing, not a photograph"
    if text.startswith(b"<") and (b"<html" in text or b"<!doctype html" in text or b"<head" in text):
        return "an HTML page, not an image"
    if text.startswith(b"<"):
        return "XML or HTML, not an image"
    return "not an image of any known kind"

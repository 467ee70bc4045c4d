"""What stands beside the pixels of a file: EXIF, profiles and texts, read so that none of it can cost the picture.

Libraries bound the length of texts and profiles and stumble over numbers that cannot be; pixels are none the worse for
it. So texts are taken out of a PNG before it is decoded, its EXIF is found wherever it stands, and of EXIF each field
is read by itself.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from PIL import Image

_ORIENTATION, _MAKE, _MODEL = 0x0112, 0x010F, 0x0110
_EXIF_FOLDER, _FOCAL, _FOCAL_35 = 0x8769, 0x920A, 0xA405
_PNG_START = 8  # bytes of its signature
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PNG_COLOURS = (b"cICP", b"sRGB", b"gAMA", b"cHRM")
_EXIF_AS_TEXT = b"Raw profile type exif\0"  # of ImageMagick, before PNG had a chunk for it
_LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)
_FRAMES = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))
_LONGEST_PROFILE = 32 << 20
_LONGEST_EXIF = 1 << 20
T = TypeVar("T")


@dataclass(frozen=True)
class Exif:
    """The fields in use.

    Attributes:
        orientation: 1 to 8; 1 if absent or damaged.
        focal_mm: Focal length in mm.
        focal_35mm: Focal length in mm of a 35 mm camera with the same angle of view.
        camera: Make and model.
        tags: The numbers of all tags of its first folder.
    """

    orientation: int = 1
    focal_mm: float | None = None
    focal_35mm: float | None = None
    camera: str | None = None
    tags: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Stripped:
    """The bytes of a picture without what a library may stumble over, and that by itself.

    Attributes:
        data: The file.
        exif: An EXIF block that was taken out of it.
        profile: A colour profile that was taken out of it.
        colours: The chunks of a PNG that name its colours by numbers.
    """

    data: bytes
    exif: bytes | None = None
    profile: bytes | None = None
    colours: Mapping[bytes, bytes] = field(default_factory=dict)


def strip(data: bytes, kind: str, exif: bool = False) -> Stripped:
    """Take out of a PNG its texts, EXIF, what names its colours and what is damaged beside its pixels.

    Of a JPEG or AVIF, if asked, its EXIF.
    """
    if kind == "PNG":
        return _strip_png(data)
    if kind == "AVIF" and exif:  # by the type of the item, which comes first: one that nobody knows is passed over
        return Stripped(data.replace(b"Exif", b"none", 1))
    return _strip_jpeg(data) if kind == "JPEG" and exif else Stripped(data)


def _strip_png(data: bytes) -> Stripped:
    kept, exif, profile, start = [data[:_PNG_START]], None, None, _PNG_START
    as_text, colours = None, {}
    for name, begin, end in _png_chunks(data):
        content = data[begin + 8 : end - 4]
        if _is_beside(name) and zlib.crc32(data[begin + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            pass  # as libpng does (PNG, third edition, 13.2): what stands beside the pixels cannot damage them
        elif name == b"eXIf":
            exif = content
        elif name == b"iCCP":
            profile = profile or _png_profile(content)
        elif name in _PNG_TEXTS:
            as_text = as_text or _exif_in_text(name, content)
        elif name in _PNG_COLOURS:
            colours[name] = content
        else:
            continue
        kept.append(data[start:begin])
        start = end
    whole = b"".join([*kept, data[start:]]) if start > _PNG_START else data
    return Stripped(whole, exif or as_text, profile, colours)


def _is_beside(name: bytes) -> bool:
    """Whether a chunk of a PNG is not needed for its pixels: its first letter is small (5.4)."""
    return bool(name[0] & 0x20)


def _exif_in_text(name: bytes, content: bytes) -> bytes | None:
    """The EXIF block in a text of a PNG: its kind and length in lines of their own, then its bytes in hex."""
    if not content.startswith(_EXIF_AS_TEXT) or name not in (b"tEXt", b"zTXt"):
        return None
    text = content[len(_EXIF_AS_TEXT) :]
    try:
        if name == b"zTXt":
            text = zlib.decompressobj().decompress(text[1:], _LONGEST_EXIF)
        return bytes.fromhex("".join(text.decode("ascii").split("\n")[3:]))
    except (zlib.error, ValueError):
        return None


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and end of each whole chunk up to the first that is none, or to IEND."""
    begin = _PNG_START
    while begin + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, begin)
        end = begin + 12 + length
        if end > len(data) or not name.isalpha() or name == b"IEND":
            return
        yield name, begin, end
        begin = end


def _png_profile(chunk: bytes) -> bytes | None:
    """The profile in an iCCP chunk: its name, 0, method 0, and the compressed bytes."""
    packed = chunk.partition(b"\0")[2][1:]
    try:
        return zlib.decompressobj().decompress(packed, _LONGEST_PROFILE) or None
    except zlib.error:
        return None


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, begin and end of each segment of a JPEG before its pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield data[at + 1], at, end
        at = end


def unread_jpeg(data: bytes) -> str | None:
    """What a JPEG is that no common decoder reads (its frame header, ITU-T T.81, B.2.2); None if it is none."""
    for marker, begin, _ in _jpeg_segments(data):
        if marker in _FRAMES:
            bits = data[begin + 4 : begin + 5]
            if marker in _LOSSLESS:
                return "a lossless JPEG (ITU-T T.81)"
            return f"a JPEG of {bits[0]} bits a channel" if bits not in (b"\x08", b"") else None
    return None


def _strip_jpeg(data: bytes) -> Stripped:
    kept, exif, start = [], None, 0
    for marker, begin, end in _jpeg_segments(data):
        if marker == 0xE1 and data[begin + 4 : begin + 10] == b"Exif\0\0":
            exif = exif or data[begin + 4 : end]
            kept.append(data[start:begin])
            start = end
    return Stripped(b"".join([*kept, data[start:]]), exif)


def parse_exif(block: bytes | None) -> Exif:
    """The fields of an EXIF block, or of a TIFF file; what cannot be read of it counts as absent.

    Args:
        block: With or without "Exif" before it; None for a picture that has none.
    """
    if not block:
        return Exif()
    tags = Image.Exif()
    _tried(lambda: tags.load(block), None)
    folder: dict[int, Any] = _tried(lambda: tags.get_ifd(_EXIF_FOLDER), {})
    orientation: Any = _tried(lambda: tags.get(_ORIENTATION), None)
    return Exif(
        orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1,
        _tried(lambda: _length(folder.get(_FOCAL)), None),
        _tried(lambda: _length(folder.get(_FOCAL_35)), None),
        _tried(lambda: _camera(tags.get(_MAKE), tags.get(_MODEL)), None),
        _tried(lambda: frozenset(tags), frozenset()),
    )


def _tried(read: Callable[[], T], otherwise: T) -> T:
    """What `read` gives; `otherwise` where the field is damaged: Pillow raises nearly every kind of error then."""
    try:
        return read()
    except Exception:
        return otherwise


def _length(value: Any) -> float | None:
    """A focal length in mm, or None if it is none."""
    length = float(value) if value is not None else math.nan
    return length if math.isfinite(length) and length > 0 else None


def _camera(make: object, model: object) -> str | None:
    brand, name = (
        " ".join(text.replace("\0", " ").split()) if isinstance(text, str) else "" for text in (make, model)
    )
    first = brand.split()[0].lower() if brand else ""
    return (name if first and name.lower().startswith(first) else f"{brand} {name}".strip()) or None

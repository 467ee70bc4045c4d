"""What a picture costs to decode, beyond its pixels: counted in its bytes before a library sees them.

Every scan of a JPEG is a pass over all its pixels, and a pass without content takes some hundred bytes: 900 of them in
616 kB took 42 s. Segments and chunks are read one by one in Python. So what costs time is counted here, by a walk that
stops as soon as it is too much.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from liftnet.core.limits import JPEG_FILL_BYTES, JPEG_SCANNED_PIXELS, JPEG_SCANS, JPEG_SEGMENTS, PNG_CHUNKS
from liftnet.data.picture_formats import bad_image

_FILL = re.compile(rb"\xff*")
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in coded data: not a stuffed FF, no restart
_ALONE = frozenset({0x00, 0x01, 0xD8, *range(0xD0, 0xD8)})  # markers without a length
_SCAN, _END = 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNG_START = 8  # bytes of its signature


@dataclass
class JpegParts:
    """What a JPEG file is made of, up to the end of its first picture (ITU-T T.81, annex B).

    Attributes:
        segments: Their number, of any kind.
        scans: Passes over the pixels.
        pixels: As its first frame header says; 0 without one.
        fill: Bytes between segments that mean nothing.
    """

    segments: int = 0
    scans: int = 0
    pixels: int = 0
    fill: int = 0

    @property
    def excess(self) -> str:
        """What is too much, in words; empty if nothing is."""
        if self.segments > JPEG_SEGMENTS:
            return f"it has more than {JPEG_SEGMENTS:,} segments"
        if self.fill > JPEG_FILL_BYTES:
            return f"it has more than {JPEG_FILL_BYTES:,} bytes of filling"
        if self.scans > JPEG_SCANS:
            return f"it has more than {JPEG_SCANS} scans, each a pass over all pixels"
        if self.scans > 1 and self.scans * self.pixels > JPEG_SCANNED_PIXELS:
            return f"its {self.scans} scans go over {self.scans * self.pixels:,} pixels in all"
        return ""


def jpeg_parts(data: bytes) -> JpegParts:
    """Walk through a JPEG file; it ends where something is too much, or is none any more."""
    parts, at = JpegParts(), 2
    while not parts.excess and 0 <= (marker := data.find(b"\xff", at)) < len(data):
        code_at = _FILL.match(data, marker).end()  # type: ignore[union-attr]  # one byte at least
        parts.fill += marker - at + code_at - marker - 1
        parts.segments += 1
        code = data[code_at] if code_at < len(data) else _END
        if code == _END:
            break
        at = code_at + 1
        if code in _ALONE:
            continue
        if code in _FRAMES and not parts.pixels:
            parts.pixels = int.from_bytes(data[at + 3 : at + 5], "big") * int.from_bytes(data[at + 5 : at + 7], "big")
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
        if code == _SCAN:
            parts.scans += 1
            following = _NEXT_MARKER.search(data, at)
            at = following.start() if following else len(data)
    return parts


def refuse_costly(kind: str, data: bytes, what: object) -> int:
    """Count what makes a picture costly to decode.

    Args:
        kind: Name of its format.
        data: The file.
        what: Its name, for the error.

    Returns:
        How many passes over the pixels decoding takes.

    Raises:
        BadImageError: It would cost too much (`bomb`).
    """
    excess, passes = "", 1
    if kind == "JPEG":
        parts = jpeg_parts(data)
        excess, passes = parts.excess, parts.scans
    elif kind == "PNG" and _has_many_chunks(data):
        excess = f"it has more than {PNG_CHUNKS:,} chunks"
    if excess:
        raise bad_image(what, "bomb", f"takes too long to decode: {excess}", "Save it anew with any program")
    return passes


def _has_many_chunks(data: bytes) -> bool:
    at = _PNG_START
    for _ in range(PNG_CHUNKS):
        if at + 12 > len(data):
            return False
        at += 12 + struct.unpack_from(">I", data, at)[0]
    return True

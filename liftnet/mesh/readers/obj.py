"""OBJ (Wavefront): vertices and polygons, whose corners may be counted backwards; no materials, curves or surfaces."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from liftnet.core.types import Int64Array
from liftnet.mesh.polygons import Polygons
from liftnet.mesh.readers.pieces import (
    DamagedMeshError,
    Piece,
    UnreadMeshError,
    number_lines,
    plain_text,
    triangles_of,
    whole_numbers,
)

_FLAGS = re.MULTILINE | re.IGNORECASE
_KIND = re.compile(rb"^[ \t]*([vfo])(?:(?<=f)o)?(?=[ \t\n]|\Z)", _FLAGS)
_VERTEX = re.compile(rb"^[ \t]*v(?=[ \t\n]|\Z)([^\n]*)", _FLAGS)
_FACE = re.compile(rb"^[ \t]*fo?(?=[ \t\n]|\Z)([^\n]*)", _FLAGS)
_SPLINE = re.compile(rb"^[ \t]*(curv2?|surf)[ \t]", re.MULTILINE)
_COMMENT = re.compile(rb"#[^\n]*")
_BESIDE = re.compile(rb"/[^ \t\n]*")


def read(data: bytes) -> Iterator[Piece]:
    """The objects of an OBJ file as one piece, since they share their vertices.

    Raises:
        DamagedMeshError: It is none, is cut off, or a face names a vertex that is not there before the first one.
        UnreadMeshError: It has curves or surfaces instead of faces.
    """
    text = plain_text(data).replace(b"\\\n", b" ")
    if b"#" in text:
        text = _COMMENT.sub(b"", text)
    kinds = np.frombuffer(b"".join(_KIND.findall(text)).lower(), "S1")
    vertices = number_lines(b"\n".join(_VERTEX.findall(text))).columns(3)
    if int((kinds == b"v").sum()) != len(vertices):
        raise DamagedMeshError("a line of a vertex has no numbers")
    lines = number_lines(_BESIDE.sub(b"", b"\n".join(_FACE.findall(text))))
    if int((kinds == b"f").sum()) != len(lines.counts):
        raise DamagedMeshError("a line of a face has no corners")
    _check_last_line(text)
    if not len(lines.counts):
        if _SPLINE.search(text):
            raise UnreadMeshError("it has curves or surfaces, but no faces", "Export it as a mesh", "no_faces")
        yield Piece(vertices, triangles_of(np.zeros((0, 3), np.int64)))
        return
    corners = whole_numbers(lines.numbers, "an index of a vertex")
    corners = _counted_from_first(corners, lines.counts, np.cumsum(kinds == b"v")[kinds == b"f"])
    objects = np.unique(np.cumsum(kinds == b"o")[kinds == b"f"])
    yield Piece(vertices, Polygons(corners, lines.counts), len(objects))


def _check_last_line(text: bytes) -> None:
    last = text.rstrip().rpartition(b"\n")[2].split()
    if last and last[0].lower() in (b"f", b"v") and len(last) < 4:
        raise DamagedMeshError("its last line is not whole")


def _counted_from_first(corners: Int64Array, counts: Int64Array, before: Int64Array) -> Int64Array:
    """Indices from 0 up of those in the file, which count from 1, or backwards from -1, the last vertex so far.

    Args:
        corners: (C,) as they stand in the file.
        counts: (F,) corners of each face.
        before: (F,) how many vertices stand before each face.
    """
    so_far = np.repeat(before, counts)
    wrong = (corners == 0) | (corners < -so_far)
    if wrong.any():
        raise DamagedMeshError(f"a face names vertex {corners[wrong].min()}, which does not exist")
    return np.where(corners < 0, corners + so_far, corners - 1)

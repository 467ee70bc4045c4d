"""OFF (Geomview's object file format) in text: any case, comments, colours, normals, polygons of any size."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from liftnet.core.types import FloatArray, Int64Array
from liftnet.mesh.polygons import Polygons
from liftnet.mesh.readers.pieces import (
    DamagedMeshError,
    NumberLines,
    Piece,
    UnreadMeshError,
    number_lines,
    plain_text,
    walk_numbers,
    whole_numbers,
)

_HEADER = re.compile(rb"\s*(ST)?(C)?(N)?(4)?(n)?OFF(?![A-Za-z])[ \t]*(BINARY)?", re.IGNORECASE)
_COMMENT = re.compile(rb"#[^\n]*")


def read(data: bytes) -> Iterator[Piece]:
    """The mesh of an OFF file.

    Vertices and faces stand in lines of their own, of which the first numbers count; or, where a file is shorter than
    that, one after the other without colours.

    Raises:
        DamagedMeshError: It is none, or has less than it promises.
        UnreadMeshError: It is binary, or of other than three dimensions.
    """
    text = _COMMENT.sub(b"", plain_text(data))
    header = _HEADER.match(text)
    if header is not None:
        _check_kind(header)
        text = text[header.end() :]
    lines = number_lines(text)
    used, vertices, faces = _promised(lines)
    rest = NumberLines(lines.numbers[used:], lines.counts)
    if used == lines.counts[0]:
        found = NumberLines(rest.numbers, lines.counts[1:])
        if len(found.counts) >= vertices + faces:
            yield _by_lines(found, vertices, faces)
            return
        missing = f"it promises {vertices + faces:,} lines and has {len(found.counts):,}"
    else:
        missing = f"it promises {vertices:,} vertices and {faces:,} faces, and ends before"
    yield _one_after_the_other(rest.numbers, vertices, faces, header, missing)


def _check_kind(header: re.Match[bytes]) -> None:
    if header.group(6):
        raise UnreadMeshError("it is a binary OFF file", "Export it as OFF in text, or as PLY")
    if header.group(4) or header.group(5) == b"n":
        raise UnreadMeshError("its vertices have other than three coordinates", "Export it as OFF, PLY or OBJ")


def _promised(lines: NumberLines) -> tuple[int, int, int]:
    """How many numbers say what there is, how many vertices, how many faces; that of the edges may be missing."""
    if not len(lines.counts) or len(lines.numbers) < 2:
        raise DamagedMeshError("it is no OFF file: the numbers of its vertices and faces are missing")
    first = int(lines.counts[0])
    used = first if first in (2, 3) else 3
    if first == 1:  # each in a line of its own
        used = 3 if len(lines.numbers) > 2 else 2
    vertices, faces = whole_numbers(lines.numbers[:2], "the number of vertices or faces").tolist()
    if vertices < 0 or faces < 0 or vertices + faces > len(lines.numbers):
        raise DamagedMeshError(f"it promises {vertices + faces:,} lines and has {max(len(lines.counts) - 1, 0):,}")
    return used, vertices, faces


def _by_lines(lines: NumberLines, vertices: int, faces: int) -> Piece:
    points = lines[:vertices].columns(3)
    rows = lines[vertices : vertices + faces]
    counts = whole_numbers(rows.columns(1)[:, 0], "the number of corners of a face")
    if (counts < 0).any() or (counts + 1 > rows.counts).any():
        raise DamagedMeshError("a face has fewer corners than it promises")
    return Piece(points, Polygons(_corners(rows.numbers, rows.start + 1, counts), counts))


def _corners(numbers: FloatArray, start: Int64Array, counts: Int64Array) -> Int64Array:
    """(C,) the corners of faces whose first ones stand at `start`."""
    owner = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(owner)) - (np.cumsum(counts) - counts)[owner]
    return whole_numbers(numbers[start[owner] + within], "an index of a vertex")


def _one_after_the_other(
    numbers: FloatArray, vertices: int, faces: int, header: re.Match[bytes] | None, missing: str
) -> Piece:
    """Vertices and faces that do not keep to lines; only without colours, whose number nothing says."""
    groups = header.groups() if header is not None else (None,) * 6
    if groups[1]:
        raise DamagedMeshError(missing)
    width = 3 + 3 * bool(groups[2]) + 2 * bool(groups[0])
    if len(numbers) < vertices * width + faces:
        raise DamagedMeshError(missing)
    points = numbers[: vertices * width].reshape(vertices, width)[:, :3]
    start, counts, end = walk_numbers(numbers, vertices * width, faces, np.array([True]), np.array([0]))
    if end != len(numbers):
        raise DamagedMeshError(missing)
    return Piece(points, Polygons(_corners(numbers, start[:, 0], counts[:, 0]), counts[:, 0]))

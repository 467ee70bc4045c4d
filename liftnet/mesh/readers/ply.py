"""PLY (Greg Turk's polygon file format), in text and in both binary orders.

Any elements with any properties in any order are stepped over; read are the coordinates of `vertex`, the polygons of
`face`, and the strips of `tristrips`, each ended by -1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from liftnet.core.types import FloatArray, Int64Array, UInt8Array
from liftnet.mesh.polygons import Polygons
from liftnet.mesh.readers.pieces import (
    DamagedMeshError,
    Piece,
    UnreadMeshError,
    numbers_of,
    plain_text,
    strip_triangles,
    triangles_of,
    walk_numbers,
    whole_numbers,
)

_TYPES = {
    **{"char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2"},
    **{"ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4"},
    **{"float": "f4", "float32": "f4", "double": "f8", "float64": "f8"},
    **{"int64": "i8", "uint64": "u8", "long": "i8", "ulong": "u8"},  # of nobody's standard, but written
}
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_Numbers = npt.NDArray[Any]  # bytes of a binary file, or the numbers of a text
_LISTS = ("vertex_indices", "vertex_index")
_END = re.compile(rb"(?i)[\r\n][ \t]*end_header[ \t]*(\r\n|\n|\r)")
REMEDY = "Export it as a triangle mesh"


@dataclass(frozen=True)
class _Property:
    name: str
    kind: str  # of numpy, without the order of its bytes
    count: str = ""  # of a list, the kind of the number of its items

    @property
    def size(self) -> int:
        return int(self.kind[1])


@dataclass(frozen=True)
class _Element:
    name: str
    rows: int
    properties: list[_Property]

    def least(self, binary: bool) -> int:
        """Bytes, or numbers, of its rows if all lists are empty."""
        return self.rows * sum((int((p.count or p.kind)[1]) if binary else 1) for p in self.properties)

    def index(self, *names: str) -> int:
        """Where a property of one of some names stands; -1 if there is none."""
        return next((i for i, p in enumerate(self.properties) if p.name in names), -1)


def read(data: bytes) -> Iterator[Piece]:
    """The mesh of a PLY file.

    Raises:
        DamagedMeshError: It is none, or is not as long as its header says.
        UnreadMeshError: It has vertices, but no polygons that are read.
    """
    order, elements, body = _header(data)
    binary = bool(order)
    numbers = np.frombuffer(body, np.uint8) if binary else numbers_of(plain_text(body))
    rows = sum(element.rows for element in elements)
    vertices: FloatArray | None = None
    polygons: list[Polygons] = []
    at = 0
    for element in elements:
        if element.least(binary) > len(numbers) - at:
            raise DamagedMeshError(f"it promises {rows:,} rows and ends within those of {element.name!r}")
        if element.name == "vertex":
            columns = _coordinate_columns(element)
            places, _, at = _walk(element, numbers, at, order, columns)
            kinds = [element.properties[column].kind for column in columns]
            found = [_values(numbers, places[:, axis], kind, order) for axis, kind in enumerate(kinds)]
            vertices = np.stack(found, axis=1).astype(np.float64)
        elif element.name in ("face", "tristrips") and element.rows:
            place = _list_column(element)
            places, counts, at = _walk(element, numbers, at, order, [place])
            source = numbers, element.properties[place].kind, order
            polygons.append(_faces(element.name, source, places[:, 0], counts[:, 0]))
        else:
            _, _, at = _walk(element, numbers, at, order, [])
    rest = bytes(numbers[at:]) if binary else numbers[at:]
    if (isinstance(rest, bytes) and rest.strip(b"\0 \t\r\n")) or (not binary and len(rest)):
        unit = "bytes" if binary else "numbers"
        raise DamagedMeshError(f"it promises {rows:,} rows, and {len(rest):,} {unit} follow them")
    if vertices is None:
        raise UnreadMeshError("it has no vertices", REMEDY, "no_faces")
    polygons.append(triangles_of(np.zeros((0, 3), np.int64)))
    faces = Polygons(
        np.concatenate([some.corners for some in polygons]), np.concatenate([some.counts for some in polygons])
    )
    yield Piece(vertices, faces)


def _header(data: bytes) -> tuple[str, list[_Element], bytes]:
    """The order of bytes ("" for text), the elements, and what follows the header."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = plain_text(data)
    if data[:3].lower() != b"ply" and data.lstrip(b"\xef\xbb\xbf \t\r\n")[:3].lower() != b"ply":
        raise DamagedMeshError("it is no PLY file: it does not begin with 'ply'")
    end = _END.search(data[:1_000_000])
    if end is None:
        raise DamagedMeshError("its header does not end")
    order: str | None = None
    elements: list[_Element] = []
    for line in plain_text(data[: end.start()]).decode("latin-1").splitlines():
        words = line.lower().split()
        if not words or words[0] in ("ply", "comment", "obj_info"):
            continue
        try:
            if words[0] == "format":
                order = _ORDERS[words[1]]
            elif words[0] == "element":
                elements.append(_Element(words[1], _count(words[2]), []))
            elif words[0] == "property":
                elements[-1].properties.append(_property(words))
            else:
                raise KeyError(words[0])
        except (IndexError, KeyError, ValueError):
            raise DamagedMeshError(f"its header has the line {line.strip()[:80]!r}") from None
    if order is None:
        raise DamagedMeshError("its header does not name the format of its numbers")
    return order, elements, data[end.end() :]


def _count(word: str) -> int:
    if not re.fullmatch(r"\d{1,15}", word):
        raise ValueError(word)
    return int(word)


def _property(words: list[str]) -> _Property:
    if words[1] == "list":
        return _Property(words[4], _TYPES[words[3]], _TYPES[words[2]])
    return _Property(words[2], _TYPES[words[1]])


def _walk(
    element: _Element, data: _Numbers, at: int, order: str, wanted: list[int]
) -> tuple[Int64Array, Int64Array, int]:
    """Where the wanted properties of each row lie.

    Returns:
        (R, W) places, bytes or numbers from the start, of a list that of its first item; (R, W) how many items, 1 of
        what is no list; and where the element ends.
    """
    if any(p.count.startswith("f") for p in element.properties):
        raise DamagedMeshError(f"the number of items of a list of {element.name!r} is no whole number")
    sizes = np.array([p.size if order else 1 for p in element.properties], np.int64)
    if not any(p.count for p in element.properties):
        width, rows = int(sizes.sum()), element.rows if wanted else 0
        places = at + np.arange(rows)[:, None] * width + (np.cumsum(sizes) - sizes)[wanted]
        return places, np.ones_like(places), at + element.rows * width
    lengths = np.array([int(p.count[1]) if p.count else 0 for p in element.properties], np.int64)
    signed = np.array([p.count.startswith("i") for p in element.properties])
    kept = np.full(len(sizes), -1, np.int64)
    kept[wanted] = np.arange(len(wanted))
    if order:
        places, counts, end = _walk_bytes(data, at, element.rows, (lengths, signed, sizes, kept), order == ">")
    else:
        places, counts, end = walk_numbers(data, at, element.rows, lengths > 0, kept)
    if end < 0:
        raise DamagedMeshError(f"row {-end:,} of {element.rows:,} of {element.name!r} is cut off or damaged")
    return places, counts, end


@numba.njit(cache=True, nogil=True)
def _walk_bytes(
    data: UInt8Array, at: int, rows: int, about: tuple[Int64Array, ...], big: bool
) -> tuple[Int64Array, Int64Array, int]:
    lengths, signed, sizes, kept = about
    width = kept.max() + 1
    places, counts = np.zeros((rows, width), np.int64), np.ones((rows, width), np.int64)
    for row in range(rows):
        for column in range(len(sizes)):
            length, items = lengths[column], np.int64(1)
            if length:
                if at + length > len(data):
                    return places, counts, -row - 1
                items = np.int64(0)
                for byte in range(length):
                    items |= np.int64(data[at + (length - 1 - byte if big else byte)]) << (8 * byte)
                if signed[column] and length < 8 and items >= np.int64(1) << (8 * length - 1):
                    items -= np.int64(1) << (8 * length)
                at += length
                if items < 0 or items > len(data):
                    return places, counts, -row - 1
            if kept[column] >= 0:
                places[row, kept[column]], counts[row, kept[column]] = at, items
            at += items * sizes[column]
            if at > len(data):
                return places, counts, -row - 1
    return places, counts, at


def _values(data: _Numbers, places: Int64Array, kind: str, order: str) -> FloatArray:
    """The numbers of a kind that lie at places."""
    if not order:
        return data[places]
    size = int(kind[1])
    raw = np.ascontiguousarray(data[places[..., None] + np.arange(size)])
    return raw.view(np.dtype(order + kind))[..., 0]


def _coordinate_columns(element: _Element) -> list[int]:
    columns = [element.index(axis) for axis in "xyz"]
    if min(columns) < 0 or any(element.properties[column].count for column in columns):
        raise UnreadMeshError("its vertices have no x, y and z", REMEDY, "no_faces")
    return columns


def _list_column(element: _Element) -> int:
    """Where the list of the corners stands: the one of that name, or the only one there is."""
    lists = [i for i, p in enumerate(element.properties) if p.count]
    column = element.index(*_LISTS)
    if column < 0 and len(lists) == 1:
        column = lists[0]
    if column < 0 or not element.properties[column].count:
        raise UnreadMeshError(f"its element {element.name!r} has no list {_LISTS[0]!r}", REMEDY)
    return column


def _faces(name: str, source: tuple[_Numbers, str, str], places: Int64Array, counts: Int64Array) -> Polygons:
    """The polygons of an element, or the triangles of its strips."""
    data, kind, order = source
    owner = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(owner)) - (np.cumsum(counts) - counts)[owner]
    at = places[owner] + within * (int(kind[1]) if order else 1)
    corners = whole_numbers(_values(data, at, kind, order).astype(np.float64), "an index of a vertex")
    return Polygons(corners, counts) if name == "face" else triangles_of(strip_triangles(corners, owner))

"""STL, binary, and in text of any case and white space."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from liftnet.mesh.polygons import Polygons
from liftnet.mesh.readers.pieces import DamagedMeshError, Piece, numbers_of, plain_text, triangles_of

_HEAD, _ROW = 84, 50  # bytes
_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_NAME = re.compile(rb"(?:^|\n|(?<=endfacet))[ \t]*(end)?solid\b[^\n]*?(?=\n|$|\bfacet\s+normal\b)")
_WORDS = re.compile(rb"\b(endfacet|endloop|vertex|facet)\b")
_VERTEX = re.compile(rb"\bvertex\s+(\S+\s+\S+\s+\S+)")


def read(data: bytes) -> Iterator[Piece]:
    """The solids of an STL file.

    Raises:
        DamagedMeshError: It is none, or does not hold what it promises.
    """
    promised = int.from_bytes(data[80:_HEAD], "little") if len(data) >= _HEAD else -1
    if promised >= 0 and len(data) == _HEAD + _ROW * promised:
        yield _binary(data, promised)
        return
    text = plain_text(data).lower() if b"\0" not in data[:_HEAD] or data[:2] in (b"\xff\xfe", b"\xfe\xff") else b""
    if re.search(rb"\bfacet\s+normal\b", text):
        yield from _solids(text)
        return
    rest = len(data) - _HEAD - _ROW * promised
    if promised < 0 or rest < 0:
        raise DamagedMeshError("it is no STL file, or its length is not what it says")
    if rest >= _ROW and data[-rest:].strip(b"\0 \r\n\t"):
        raise DamagedMeshError(f"it says that it has {promised:,} triangles, and {rest:,} bytes follow them")
    yield _binary(data, promised)


def _binary(data: bytes, count: int) -> Piece:
    facets = np.frombuffer(data, _FACET, count, _HEAD)
    vertices = facets["corners"].reshape(-1, 3).astype(np.float64)
    return Piece(vertices, triangles_of(np.arange(len(vertices)).reshape(-1, 3)))


def _solids(text: bytes) -> Iterator[Piece]:
    """The solids of a text in small letters, their names left out: they may be anything, such as "vertex 1"."""
    names = list(_NAME.finditer(text))
    if not names:
        raise DamagedMeshError("it has triangles, but no line begins with 'solid'")
    begins, ends = (sum(bool(name.group(1)) == closing for name in names) for closing in (False, True))
    bodies = [
        text[name.end() : after.start() if after else len(text)]
        for name, after in zip(names, [*names[1:], None], strict=True)
        if not name.group(1)
    ]
    kinds = [np.array(_WORDS.findall(body)) for body in bodies]
    opened, closed = (sum(int((kind == word).sum()) for kind in kinds) for word in (b"facet", b"endfacet"))
    if opened != closed or begins != ends or not names[-1].group(1):
        raise DamagedMeshError(f"it begins {opened:,} triangles, ends {closed:,} and does not end itself")
    for body, kind in zip(bodies, kinds, strict=True):
        if len(kind):
            yield _solid(body, kind)


def _solid(body: bytes, kinds: np.ndarray) -> Piece:
    corners = np.cumsum(kinds == b"vertex")[kinds == b"endfacet"]
    counts = np.diff(corners, prepend=0).astype(np.int64)
    found = _VERTEX.findall(body)
    numbers = numbers_of(b"\n".join(found), 3 * int(counts.sum()))
    if (counts < 3).any():
        raise DamagedMeshError(f"a triangle of it has {counts.min()} corners")
    return Piece(numbers.reshape(-1, 3), Polygons(np.arange(len(numbers) // 3), counts))

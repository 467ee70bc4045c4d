"""What all readers give, and what readers of text have in common: numbers by the line, whatever the white space."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

import numba
import numpy as np

from liftnet.core.types import BoolArray, FloatArray, Int64Array, IntArray
from liftnet.mesh.polygons import Polygons

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SPACE = np.zeros(256, bool)
_SPACE[list(b" \t\n\r\v\f")] = True


class DamagedMeshError(ValueError):
    """What stands in a file is not what its format, or the file itself, promises."""


class UnreadMeshError(ValueError):
    """A file is whole, but holds what is not read here; `remedy` says what to do.

    Args:
        reason: What it holds, in plain words.
        remedy: What to do next.
        status: Of `BadMeshError`.
    """

    def __init__(self, reason: str, remedy: str, status: str = "unreadable") -> None:
        super().__init__(reason, remedy, status)
        self.remedy, self.status = remedy, status

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, repr=False)
class Piece:
    """A mesh of a file, in the place where the file puts it.

    Attributes:
        vertices: (V, 3) coordinates as they stand in the file.
        polygons: Its faces; corners may name vertices that are not there.
        count: How many meshes of the file these are.
    """

    vertices: FloatArray
    polygons: Polygons
    count: int = 1

    def __repr__(self) -> str:
        return f"Piece({len(self.vertices)} vertices, {len(self.polygons)} faces)"


def triangles_of(faces: IntArray) -> Polygons:
    """Triangles (F, 3) as polygons."""
    return Polygons(faces.reshape(-1).astype(np.int64), np.full(len(faces), 3))


@dataclass(frozen=True, repr=False)
class NumberLines:
    """Lines of numbers.

    Attributes:
        numbers: (N,) all numbers.
        counts: (L,) how many stand in each line; lines without any are left out.
    """

    numbers: FloatArray
    counts: Int64Array

    @property
    def start(self) -> Int64Array:
        """(L,) where the numbers of each line begin."""
        return np.cumsum(self.counts) - self.counts

    def columns(self, count: int) -> FloatArray:
        """(L, count) the first numbers of each line.

        Raises:
            DamagedMeshError: A line has fewer.
        """
        if len(self.counts) and self.counts.min() < count:
            raise DamagedMeshError(f"a line has {self.counts.min()} numbers where there must be {count}")
        return self.numbers[self.start[:, None] + np.arange(count)]

    def __getitem__(self, lines: slice) -> NumberLines:
        start = self.start
        first, last, _ = lines.indices(len(self.counts))
        begin = start[first] if first < len(start) else len(self.numbers)
        end = start[last] if last < len(start) else len(self.numbers)
        return NumberLines(self.numbers[begin:end], self.counts[first:last])


def plain_text(data: bytes) -> bytes:
    """A text file as UTF-8 with Unix line ends, as all programs could have written it."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            data = data.decode(encoding, "replace").encode()
            break
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def number_lines(text: bytes) -> NumberLines:
    """The numbers of a text, line by line.

    Raises:
        DamagedMeshError: There is a word that is no number.
    """
    letters = np.frombuffer(text, np.uint8)
    space = _SPACE[letters]
    begins = ~space
    begins[1:] &= space[:-1]
    line = np.cumsum(letters == ord("\n"))[begins]
    counts = np.bincount(line) if len(line) else np.zeros(0, np.int64)
    return NumberLines(numbers_of(text, len(line)), counts[counts > 0].astype(np.int64))


def numbers_of(text: bytes, count: int | None = None) -> FloatArray:
    """(N,) the numbers of a text.

    Raises:
        DamagedMeshError: There is a word that is no number, or there are not `count` of them.
    """
    if not text.strip():
        return np.zeros(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # at the first word that is no number
        try:
            numbers = np.fromstring(text, np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            raise DamagedMeshError(_no_number(text)) from None
    if count is not None and len(numbers) != count:  # numbers that touch, such as 1-2
        raise DamagedMeshError(f"{count:,} words give {len(numbers):,} numbers")
    return numbers


def _no_number(text: bytes) -> str:
    for word in re.finditer(rb"\S+", text):
        try:
            float(word.group())
        except ValueError:
            shown = word.group()[:40].decode("latin-1")
            if re.fullmatch(rb"[-+]?\d*,\d+([eE][-+]?\d+)?", word.group()):
                return f"its numbers have decimal commas ({shown}), where a point must stand"
            return f"{shown!r} stands where a number must be"
    return "there is something else where a number must be"


def whole_numbers(values: FloatArray, what: str) -> Int64Array:
    """Numbers of a text as integers.

    Raises:
        DamagedMeshError: One of them is none.
    """
    with np.errstate(invalid="ignore"):
        whole = np.abs(values) < 2.0**53
        whole &= values == np.floor(values)
    if not whole.all():
        raise DamagedMeshError(f"{what} must be a whole number, not {values[~whole][0]:g}")
    return values.astype(np.int64)


def strip_triangles(corners: Int64Array, strip: Int64Array) -> Int64Array:
    """(T, 3) the triangles of strips, each wound as its first one; -1 ends a strip.

    Args:
        corners: (C,) indices of vertices, strip after strip.
        strip: (C,) which list each belongs to, in order.
    """
    if len(corners) < 3:
        return np.zeros((0, 3), np.int64)
    ends = corners < 0
    begins = np.ones(len(corners), bool)
    begins[1:] = (strip[1:] != strip[:-1]) | ends[:-1]
    run = np.cumsum(begins)
    since = np.arange(len(corners)) - np.flatnonzero(begins)[run - 1]
    first = np.arange(len(corners) - 2)
    whole = (run[:-2] == run[2:]) & ~ends[2:] & ~ends[1:-1] & ~ends[:-2]
    first = first[whole]
    odd = since[first] % 2
    return corners[np.stack([first, first + 1 + odd, first + 2 - odd], axis=1)]


@numba.njit(cache=True, nogil=True)
def walk_numbers(
    data: FloatArray, at: int, rows: int, lists: BoolArray, kept: Int64Array
) -> tuple[Int64Array, Int64Array, int]:
    """Step over rows of numbers in which some columns are lists: the number of their items, and the items.

    Args:
        data: (N,) all numbers.
        at: Where the first row begins.
        rows: How many there are.
        lists: (C,) which columns are lists.
        kept: (C,) where a column goes in what is returned, -1 for nowhere.

    Returns:
        (R, K) where each kept column lies, a list its first item; (R, K) how many items; and where the rows end, or
        minus the number of the row that is not whole.
    """
    width = kept.max() + 1
    places, counts = np.zeros((rows, width), np.int64), np.ones((rows, width), np.int64)
    for row in range(rows):
        for column in range(len(kept)):
            items = 1
            if lists[column]:
                if at >= len(data) or not 0 <= data[at] <= len(data) or data[at] != np.floor(data[at]):
                    return places, counts, -row - 1
                items = int(data[at])
                at += 1
            if kept[column] >= 0:
                places[row, kept[column]], counts[row, kept[column]] = at, items
            at += items
            if at > len(data):
                return places, counts, -row - 1
    return places, counts, at

"""What a Parquet file of others takes in memory, known before anything of it is read.

A file of a kilobyte can stand for gigabytes: a page of zeros compressed, one long text that a million rows name by its
number, a run of numbers. What the footer says of sizes is not believed; the head of each page is read instead (Apache
Parquet format 2.11, in Thrift's compact protocol), which is what the memory is taken by.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from liftnet.core.errors import LiftnetError
from liftnet.core.limits import GROUP_BYTES, GROUPS_AND_COLUMNS, PAGES, TABLE_CELL_BYTES, TABLE_ROWS
from liftnet.core.opening import check_file

_HEAD_BYTES = 1 << 16  # of the head of a page; statistics are cut long before
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3  # types of pages
_WIDEST = 16  # bytes of a value of fixed length
_PREFIXED = "DELTA_BYTE_ARRAY"  # texts as what they share with the one before: they grow without a bound
_SAVE = "Write the file anew, for example with pyarrow"


class _DamagedPage(ValueError):
    """A head of a page that is none."""


@dataclass
class Chunk:
    """What the pages of one column of a row group add up to.

    Attributes:
        unpacked: Bytes of the pages when they are decompressed.
        values: In the pages of data.
        dictionary: Bytes of the dictionary, 0 without one.
        pages: Their number.
    """

    unpacked: int = 0
    values: int = 0
    dictionary: int = 0
    pages: int = 0


@contextmanager
def open_parquet(path: Path | str, memory_map: bool = False, **options: Any) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file of others, whose row groups all fit into memory.

    Raises:
        LiftnetError: A row group would take more than `GROUP_BYTES`, a cell more than `TABLE_CELL_BYTES`, or the file
            has more rows, groups or pages than any that is meant to be read; or what its pages say is damaged.
        pyarrow.ArrowException, OSError: It cannot be read at all.
    """
    check_parquet(Path(path))
    with pq.ParquetFile(path, memory_map=memory_map, **options) as file:
        yield file


def check_parquet(path: Path) -> None:
    """Refuse a Parquet file that would take too much memory; errors as of `open_parquet`. A second look is free."""
    check_file(path)
    state = path.stat()
    try:
        _check(path, state.st_mtime_ns, state.st_size)
    except (LiftnetError, OSError):
        raise
    except Exception as error:  # pyarrow raises nearly every kind on a damaged footer, of text that is none too
        reason = f"is not a Parquet file that can be read ({error})"
        raise LiftnetError(path, reason, "Fetch it again, or write it anew") from error


@lru_cache(maxsize=4096)
def _check(path: Path, changed: int, size: int) -> None:
    with pq.ParquetFile(path) as file, open(path, "rb") as raw:
        held = file.metadata
        if held.num_rows > TABLE_ROWS:
            raise LiftnetError(path, f"has {held.num_rows:,} rows, more than {TABLE_ROWS:,}", "Divide it")
        if held.num_row_groups * held.num_columns > GROUPS_AND_COLUMNS:
            reason = f"has {held.num_row_groups:,} row groups of {held.num_columns:,} columns, more than are read"
            raise LiftnetError(path, reason, _SAVE)
        pages = 0
        for group in range(held.num_row_groups):
            taken = 0
            for column in range(held.num_columns):
                chunk = _chunk(path, raw, held.row_group(group).column(column), size)
                pages += chunk.pages
                taken += _taken(path, file, group, column, chunk)
                if pages > PAGES:
                    raise LiftnetError(path, f"has more than {PAGES:,} pages", _SAVE)
            if taken > GROUP_BYTES:
                reason = f"its row group {group} takes {taken:,} bytes in memory, more than {GROUP_BYTES:,}"
                raise LiftnetError(path, reason, "Divide it into smaller row groups")


def _taken(path: Path, file: pq.ParquetFile, group: int, column: int, chunk: Chunk) -> int:
    """Bytes that a column of a row group takes in memory."""
    about = file.metadata.row_group(group).column(column)
    if about.physical_type != "BYTE_ARRAY":
        return max(chunk.unpacked, chunk.values * _WIDEST)
    if _PREFIXED in about.encodings:
        reason = f"its column {about.path_in_schema} is encoded as {_PREFIXED}, which is not read"
        raise LiftnetError(path, reason, _SAVE)
    repeated = chunk.values * chunk.dictionary
    if chunk.dictionary and chunk.unpacked + repeated > TABLE_CELL_BYTES:
        repeated = _repeated(path, about.path_in_schema, group)
    return chunk.unpacked + repeated + 8 * chunk.values


def _repeated(path: Path, name: str, group: int) -> int:
    """Bytes of all texts of a column, each as often as its rows name it; they are not written out for that."""
    with pq.ParquetFile(path, read_dictionary=[name]) as file:
        whole = file.read_row_group(group, columns=[name], use_threads=False).column(0)
        total = 0
        for part in whole.chunks:
            while not pa.types.is_dictionary(part.type):
                if not (pa.types.is_nested(part.type)):
                    return int(part.nbytes)
                part = part.flatten() if pa.types.is_list(part.type) else part.field(0)
            lengths = pc.fill_null(pc.binary_length(part.dictionary), 0)
            longest = pc.max(lengths).as_py() or 0
            if longest > TABLE_CELL_BYTES:
                raise LiftnetError(path, f"has a cell of {longest:,} bytes, more than {TABLE_CELL_BYTES:,}", _SAVE)
            total += pc.sum(lengths.cast(pa.int64()).take(part.indices)).as_py() or 0
        return int(total)


def _chunk(path: Path, raw: BinaryIO, about: Any, size: int) -> Chunk:
    """What the pages of a column say of themselves."""
    start, length = about.data_page_offset, about.total_compressed_size
    if about.dictionary_page_offset is not None and 0 < about.dictionary_page_offset < start:
        start = about.dictionary_page_offset
    if start < 0 or length < 0 or start + length > size:
        raise LiftnetError(path, f"its column {about.path_in_schema} lies outside the file", "Fetch it again")
    found, at, end = Chunk(), start, start + length
    try:
        while at < end and found.values < about.num_values and found.pages <= PAGES:
            raw.seek(at)
            head = _Head(raw.read(min(_HEAD_BYTES, end - at)))
            kind, unpacked, packed, values = head.read()
            at += head.at + packed
            found.pages += 1
            found.unpacked += unpacked
            found.values += values if kind in (_DATA, _DATA_2) else 0
            found.dictionary += unpacked if kind == _DICTIONARY else 0
    except (_DamagedPage, IndexError, struct.error) as error:
        reason = f"its column {about.path_in_schema} has a damaged page ({error})"
        raise LiftnetError(path, reason, "Fetch it again") from error
    return found


class _Head:
    """The head of a page: a struct of Thrift, of which only some numbers are wanted."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def read(self) -> tuple[int, int, int, int]:
        """Type, bytes unpacked, bytes packed, values; `at` is then the end of the head."""
        fields = self._struct(0)
        inner: dict[int, Any] = next((fields[name] for name in (5, 8, 7) if isinstance(fields.get(name), dict)), {})
        kind, unpacked, packed = (fields.get(name, -1) for name in (1, 2, 3))
        values = inner.get(1, 0)
        if not all(isinstance(number, int) and number >= 0 for number in (kind, unpacked, packed, values)):
            raise _DamagedPage("its sizes are none")
        return kind, unpacked, packed, values

    def _struct(self, depth: int) -> dict[int, Any]:
        if depth > 8:
            raise _DamagedPage("too deep")
        fields: dict[int, Any] = {}
        name = 0
        while (byte := self._byte()) != 0:
            step, kind = byte >> 4, byte & 15
            name = name + step if step else self._number()
            fields[name] = self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._number()
        if kind == 7:
            self.at += 8
        elif kind == 8:
            length = self._varint()  # first: reading it moves the place
            self.at += length
        elif kind == 12:
            return self._struct(depth + 1)
        else:  # lists and maps stand in no head of a page
            raise _DamagedPage(f"a field of type {kind}")
        return None

    def _byte(self) -> int:
        if not 0 <= self.at < len(self.data):
            raise _DamagedPage("it ends early")
        self.at += 1
        return self.data[self.at - 1]

    def _varint(self) -> int:
        number = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise _DamagedPage("a number without an end")

    def _number(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

"""What a Parquet file of others takes in memory, known before anything of it is read.

A file of a kilobyte can stand for gigabytes: a page of zeros compressed, one long text that a million rows name by its
number, a run of numbers. What the footer says of sizes is not believed; the head of each page is read instead (Apache
Parquet format 2.11, in Thrift's compact protocol), which is what the memory is taken by.
"""

from __future__ import annotations

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
from liftnet.core.opening import check_file, open_file
from liftnet.data.parquet_footer import Column, DamagedFooterError, read_footer
from liftnet.data.thrift import I32, STRUCT, Compact, DamagedThriftError, Fields, optional, required

_HEAD_BYTES = 1 << 16  # of the head of a page; statistics are cut long before
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3  # types of pages
_WIDEST = 16  # bytes of a value of fixed length
_PREFIXED = "DELTA_BYTE_ARRAY"  # texts as what they share with the one before: they grow without a bound
_SAVE = "Write the file anew, for example with pyarrow"


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


def parquet_metadata(path: Path) -> pq.FileMetaData:
    """The numbers of rows and the notes in the footer of a Parquet file of others; errors as of `open_parquet`."""
    with open_parquet(path) as file:
        return file.metadata


def check_parquet(path: Path) -> None:
    """Refuse a Parquet file that would take too much memory; errors as of `open_parquet`. A second look is free."""
    check_file(path)
    state = path.stat()
    try:
        _check(path, state.st_mtime_ns, state.st_size)
    except (LiftnetError, OSError, pa.ArrowException):
        raise
    except Exception as error:  # pyarrow raises nearly every kind on a damaged footer, of text that is none too
        reason = f"is not a Parquet file that can be read ({error})"
        raise LiftnetError(path, reason, "Fetch it again, or write it anew") from error


@lru_cache(maxsize=4096)
def _check(path: Path, changed: int, size: int) -> None:
    with open_file(path) as raw, pq.ParquetFile(path) as file:
        if file.metadata.num_rows > TABLE_ROWS:
            raise LiftnetError(path, f"has {file.metadata.num_rows:,} rows, more than {TABLE_ROWS:,}", "Divide it")
        try:
            groups = read_footer(raw, size, file.schema, GROUPS_AND_COLUMNS)
        except DamagedFooterError as error:
            raise LiftnetError(path, f"is not a Parquet file that can be read: {error}", _SAVE) from error
        pages = 0
        for number, columns in enumerate(groups):
            taken = 0
            for column in columns:
                chunk = _chunk(path, raw, column)
                pages += chunk.pages
                taken += _taken(path, file, number, column, chunk)
                if pages > PAGES:
                    raise LiftnetError(path, f"has more than {PAGES:,} pages", _SAVE)
            if taken > GROUP_BYTES:
                reason = f"its row group {number} takes {taken:,} bytes in memory, more than {GROUP_BYTES:,}"
                raise LiftnetError(path, reason, "Divide it into smaller row groups")


def _taken(path: Path, file: pq.ParquetFile, group: int, column: Column, chunk: Chunk) -> int:
    """Bytes that a column of a row group takes in memory."""
    if column.type != "BYTE_ARRAY":
        return max(chunk.unpacked, chunk.values * _WIDEST)
    if column.prefixed:
        raise LiftnetError(path, f"its column {column.name} is encoded as {_PREFIXED}, which is not read", _SAVE)
    repeated = chunk.values * chunk.dictionary
    if chunk.dictionary and chunk.unpacked + repeated > TABLE_CELL_BYTES:
        repeated = _repeated(path, column.name, group)
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


def _chunk(path: Path, raw: BinaryIO, column: Column) -> Chunk:
    """What the pages of a column say of themselves."""
    found, at, end = Chunk(), column.start, column.start + column.packed
    try:
        while at < end and found.values < column.values and found.pages <= PAGES:
            raw.seek(at)
            head = Compact(raw.read(min(_HEAD_BYTES, end - at)))
            kind, unpacked, packed, values = _sizes(head.struct())
            at += head.at + packed
            found.pages += 1
            found.unpacked += unpacked
            found.values += values if kind in (_DATA, _DATA_2) else 0
            found.dictionary += unpacked if kind == _DICTIONARY else 0
    except DamagedThriftError as error:
        reason = f"its column {column.name} has a damaged page ({error})"
        raise LiftnetError(path, reason, "Fetch it again") from error
    return found


def _sizes(head: Fields) -> tuple[int, int, int, int]:
    """Type of a page, its bytes unpacked and packed, its values."""
    kind, unpacked, packed = (required(head, number, I32) for number in (1, 2, 3))
    inner: Fields = next((found for number in (5, 8, 7) if (found := optional(head, number, STRUCT)) is not None), {})
    values = optional(inner, 1, I32) or 0
    if min(kind, unpacked, packed, values) < 0:
        raise DamagedThriftError("its sizes are none")
    return kind, unpacked, packed, values

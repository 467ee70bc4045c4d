"""What the footer of a Parquet file says of its columns (Apache Parquet format 2.11), checked against its schema.

pyarrow reads a footer when it opens a file, and what stands in it of a column when it is asked; on a footer whose
parts do not fit together the second ends the process (`terminate called`, in 26.0.1). `read_footer` finds such files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow.parquet as pq

from liftnet.core.limits import FOOTER_BYTES
from liftnet.data.thrift import (
    BINARY,
    I32,
    I64,
    LIST,
    STRUCT,
    Compact,
    DamagedThriftError,
    Fields,
    listed,
    optional,
    required,
)

_END = 8  # bytes: the footer's length, and PAR1
_TYPES = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
_DELTA_BYTE_ARRAY = 7


class DamagedFooterError(ValueError):
    """A footer whose parts do not fit together."""


@dataclass(frozen=True)
class Column:
    """A column of a row group.

    Attributes:
        name: With the names of the columns that it is nested in, "x.list.element".
        type: As it is stored, "BYTE_ARRAY".
        prefixed: Whether texts stand as what they share with the one before (DELTA_BYTE_ARRAY).
        values: How many it is said to have.
        start: Where its first page begins, bytes.
        packed: Bytes of its pages.
    """

    name: str
    type: str
    prefixed: bool
    values: int
    start: int
    packed: int


def read_footer(raw: BinaryIO, size: int, schema: pq.ParquetSchema, most: int) -> list[list[Column]]:
    """The columns of each row group.

    Args:
        raw: The file.
        size: Its length, bytes.
        schema: As pyarrow reads it.
        most: Of columns of row groups.

    Raises:
        DamagedFooterError: It is too long or damaged, or does not fit the schema.
        OSError: It cannot be read.
    """
    raw.seek(max(0, size - _END))
    end = raw.read(_END)
    length = int.from_bytes(end[:4], "little")
    if len(end) < _END or end[4:] != b"PAR1" or length > size - _END:
        raise DamagedFooterError("it does not end as a Parquet file")
    if length > FOOTER_BYTES:
        raise DamagedFooterError(f"its footer has {length:,} bytes, more than {FOOTER_BYTES:,}")
    raw.seek(size - _END - length)
    leaves = [schema.column(number) for number in range(len(schema))]
    try:
        groups = listed(Compact(raw.read(length)).struct(), 4, STRUCT)
        if len(groups) * len(leaves) > most:
            reason = f"it has {len(groups):,} row groups of {len(leaves):,} columns, more than are read"
            raise DamagedFooterError(reason)
        return [_columns(listed(group, 1, STRUCT), leaves, size) for group in groups]
    except DamagedThriftError as error:
        raise DamagedFooterError(f"its footer is damaged ({error})") from error


def _columns(chunks: list[Fields], leaves: list[Any], size: int) -> list[Column]:
    if len(chunks) != len(leaves):
        raise DamagedFooterError(f"a row group has {len(chunks)} columns, the schema {len(leaves)}")
    return [_column(chunk, leaf, size) for chunk, leaf in zip(chunks, leaves, strict=True)]


def _column(chunk: Fields, leaf: Any, size: int) -> Column:
    name = str(leaf.path)
    if 8 in chunk or 9 in chunk:
        raise DamagedFooterError(f"its column {name} is encrypted")
    if optional(chunk, 1, BINARY):
        raise DamagedFooterError(f"its column {name} is said to lie in another file")
    about: Fields = required(chunk, 3, STRUCT)
    kind, encodings = required(about, 1, I32), listed(about, 2, I32)
    if not 0 <= kind < len(_TYPES) or _TYPES[kind] != leaf.physical_type:
        raise DamagedFooterError(f"its column {name} is stored as another type than the schema says")
    for number, wire in ((3, LIST), (4, I32), (6, I64)):
        required(about, number, wire)
    values, packed, start = (required(about, number, I64) for number in (5, 7, 9))
    dictionary = optional(about, 11, I64)
    if dictionary is not None and 0 < dictionary < start:
        start = dictionary
    if values < 0 or start < 0 or packed < 0 or start + packed > size:
        raise DamagedFooterError(f"its column {name} lies outside the file")
    _check_size_statistics(optional(about, 16, STRUCT) or {}, leaf, name)
    return Column(name, _TYPES[kind], _DELTA_BYTE_ARRAY in encodings, values, start, packed)


def _check_size_statistics(about: Fields, leaf: Any, name: str) -> None:
    """As `parquet::SizeStatistics::Validate` does, which throws."""
    levels = (leaf.max_repetition_level, leaf.max_definition_level)
    for number, most in zip((2, 3), levels, strict=True):
        if len(listed(about, number, I64)) not in (0, most + 1):
            raise DamagedFooterError(f"its column {name} has a histogram of other levels than the schema")
    if optional(about, 1, I64) is not None and leaf.physical_type != "BYTE_ARRAY":
        raise DamagedFooterError(f"its column {name} has sizes of texts, and is none")

"""Lists of images: a file in CSV or Parquet, one row an image."""

from __future__ import annotations

import codecs
import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from liftnet.collect.sources.records import (
    COLUMNS,
    NUMBERS,
    TEXT,
    SourceRecord,
    Sources,
    rows_of,
)
from liftnet.core.errors import LiftnetError
from liftnet.core.files import atomic_path
from liftnet.core.limits import CELL_CHARACTERS, LIST_CHARACTERS, LIST_ROWS
from liftnet.core.log import get_logger
from liftnet.core.opening import open_file
from liftnet.core.text import for_csv, from_csv
from liftnet.data.csv_lines import open_csv
from liftnet.data.listed_files import FOLDER, folder_of_list
from liftnet.data.parquet_limits import open_parquet
from liftnet.data.schemas import in_groups

LOG = get_logger("collect")
_SAVE = "Save it as CSV in UTF-8"
_OTHER_KINDS = (
    (b"PK\x03\x04", "a workbook of Excel or LibreOffice, or another ZIP archive", _SAVE),
    (b"\xd0\xcf\x11\xe0", "a workbook of old Excel", _SAVE),
    (b"\x1f\x8b", "compressed by gzip", "Unpack it"),
    (b"PAR1", "a Parquet file", "Let its name end in .parquet"),
    (b"SQLite format 3", "a database", _SAVE),
    (b"<", "a page in HTML or XML", _SAVE),
    (b"{", "JSON", _SAVE),
    (b"[", "JSON", _SAVE),
)
LIST = pa.schema(
    [*((column, pa.string()) for column in TEXT), ("artist_died", pa.int32()), ("expected_bytes", pa.int64())]
)


def read_csv(path: Path, allowed: Sequence[Path] = ()) -> Sources:
    """Read a CSV file of images; its relative paths are relative to its folder.

    Columns: artist, work, url or image, and optionally those of `COLUMNS`; docs/sources.md says what they hold. A cell
    of a number or a Wikidata id that is none is left empty, with a warning.

    Files of rows must lie in the list's folder, or in one that is `allowed`; other rows say so and are not fetched.

    Raises:
        LiftnetError: The file is missing, not UTF-8, not CSV, empty, or lacks a column.
    """
    return Sources("csv", path, rows_of(path, _read_rows(path), path.parent, "csv", allowed))


def read_museum(folder: Path) -> Sources:
    """Read a museum's sources.csv; its paths must stay below the folder, since they are served over HTTP.

    Raises:
        LiftnetError: As for `read_csv`.
    """
    path = folder / "sources.csv"
    return Sources("museum", folder, rows_of(path, _read_rows(path), folder, "museum"))


def read_list(path: Path, allowed: Sequence[Path] = ()) -> Sources:
    """Read a list in Parquet (`*.parquet`) or, of any other ending, in CSV; the columns are those of `read_csv`.

    Relative paths of a list that `collect list` wrote are relative to the folder it was made of; those of any other
    to the list's own folder.

    Raises:
        LiftnetError: The file is missing, is not Parquet or CSV, is empty, lacks a column or has one of a wrong type.
    """
    if path.suffix.lower() != ".parquet":
        return read_csv(path, allowed)
    rows, folder = _read_table(path)
    if not rows:
        raise LiftnetError(path, "has no rows", "Add a row for each image")
    return Sources("list", path, rows_of(path, rows, folder, "list", allowed))


def write_list(path: Path, rows: Iterable[SourceRecord], folder: Path | None = None) -> int:
    """Write a list as Parquet, atomically; rows that cannot be fetched keep their reason.

    Args:
        path: The list.
        rows: Its rows.
        folder: What their relative paths are relative to; None for the list's own folder.

    Returns:
        How many rows it has.
    """
    count = 0
    schema = LIST if folder is None else LIST.with_metadata({FOLDER: json.dumps(str(folder.absolute()))})
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for group in in_groups(map(as_row, rows), 10_000):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            count += len(group)
    return count


def write_csv(path: Path, rows: Iterable[SourceRecord], folder: Path | None = None) -> int:
    """Write a list as CSV, atomically, with the columns that are in use, to be corrected by hand.

    Args:
        path: The list.
        rows: Its rows.
        folder: What their relative paths are relative to; they are written relative to the list's own folder.

    Returns:
        How many rows it has.
    """
    cells = [_moved(as_row(row), folder, path.parent) for row in rows]
    used = [column for column in LIST.names if any(row.get(column) is not None for row in cells)]
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, used, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({column: for_csv(value) for column, value in row.items()} for row in cells)
    return len(cells)


def _moved(cells: dict[str, Any], old: Path | None, new: Path) -> dict[str, Any]:
    """The cells of a row with their paths relative to another folder."""
    if old is None:
        return cells
    for column in ("image", "mask"):
        if cells[column] is not None:
            moved = os.path.relpath(old.absolute() / cells[column], new.absolute())
            cells[column] = f"./{moved}" if moved[:1].isspace() else moved  # a blank before a cell is no part of it
    return cells


def as_row(row: SourceRecord) -> dict[str, Any]:
    """A row as the columns of `LIST`."""
    local = row.image.path is not None
    values = {key: getattr(row, key) for key in COLUMNS & set(SourceRecord.__dataclass_fields__)}
    status, reason = row.problem or (None, None)
    return values | {
        "url": None if local else row.image.given,
        "image": row.image.given if local else None,
        "mask": row.mask.given if row.mask else None,
        "problem": status,
        "problem_reason": reason,
    }


def _read_rows(path: Path) -> list[dict[str, str]]:
    _refuse_other_kinds(path)
    try:
        with open_csv(path) as reader:
            records = iter(reader)
            header = [column.strip().lower() for column in next(records, [])]
            _check_header(path, header)
            given = (_as_dict(header, cells, reader.line) for cells in records if any(map(str.strip, cells)))
            rows = _bounded(path, given)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise LiftnetError(path, "does not exist", "Give the path of a CSV file of sources") from error
    except UnicodeError as error:
        reason = f"is not UTF-8 text ({getattr(error, 'reason', error)})"
        raise LiftnetError(path, reason, _SAVE) from error
    except csv.Error as error:
        raise LiftnetError(path, f"is not valid CSV (line {reader.line}: {error})", "Mend that line") from error
    except OSError as error:
        raise LiftnetError(path, f"cannot be read ({error.strerror})", "Check its permissions") from error
    if not rows:
        raise LiftnetError(path, "has no rows below its header", "Add a row for each image")
    return rows


def _refuse_other_kinds(path: Path) -> None:
    """Name what a list is that is no text; a file that cannot be opened is left to who reads it."""
    try:
        with open_file(path) as file:
            start = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError:
        return
    marked = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if start.startswith(codecs.BOM_UTF32_LE) or (b"\0" in start[:4] and not marked):
        raise LiftnetError(path, "is UTF-32, or UTF-16 without its mark, or no text", _SAVE)
    for begin, kind, remedy in _OTHER_KINDS:
        if start.startswith(begin):
            raise LiftnetError(path, f"is {kind}, not CSV", remedy)


def _bounded(path: Path, given: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of a list, of no more cells and characters than any list has.

    Raises:
        LiftnetError: It has more.
    """
    rows: list[dict[str, str]] = []
    characters = 0
    for row in given:
        size = sum(map(len, row.values()))
        if size > CELL_CHARACTERS and any(len(cell) > CELL_CHARACTERS for cell in row.values()):
            long = next(column for column, cell in row.items() if len(cell) > CELL_CHARACTERS)
            reason = f"its cell {long} has {len(row[long]):,} characters, more than {CELL_CHARACTERS:,}"
            row = {column: cell for column, cell in row.items() if len(cell) <= CELL_CHARACTERS}
            row |= {"problem": "bad_row", "problem_reason": reason}
        rows.append(row)
        characters += size
        if len(rows) > LIST_ROWS or characters > LIST_CHARACTERS:
            reason = f"has more than {LIST_ROWS:,} rows, or {LIST_CHARACTERS:,} characters in all"
            raise LiftnetError(path, reason, "Divide it into several lists")
    return rows


def _read_table(path: Path) -> tuple[list[dict[str, str]], Path]:
    """The known columns of a Parquet list as text, and the folder its paths are relative to."""
    try:
        with open_parquet(path) as file:
            schema = file.schema_arrow
            header = [column.strip().lower() for column in schema.names]
            _check_header(path, header)
            used = [original for original, column in zip(schema.names, header, strict=True) if column in COLUMNS]
            rows = _bounded(path, _rows_of_table(path, file, used))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise LiftnetError(path, "does not exist", "Give the path of a Parquet file of sources") from error
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
        raise LiftnetError(path, f"is not a Parquet file that can be read ({error})", "Write it again") from error
    return rows, folder_of_list(path, schema.metadata or {})


def _rows_of_table(path: Path, file: pq.ParquetFile, used: Sequence[str]) -> Iterator[dict[str, str]]:
    for batch in file.iter_batches(1_000, columns=list(used), use_threads=False):
        part = pa.table(batch).select(list(used)).rename_columns([column.strip().lower() for column in used])
        for number, field in enumerate(part.schema):
            part = part.set_column(number, field.name, _as_text(path, field, part.column(number)))
        for row in part.to_pylist():
            yield {key: text.strip() for key, text in row.items() if text}


def _as_text(path: Path, field: pa.Field, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if pa.types.is_floating(kind) and field.name in NUMBERS:  # pandas turns integers with gaps into floats
        column = column.cast(pa.int64(), safe=False)
    elif not any(test(kind) for test in (*texts, pa.types.is_integer, pa.types.is_null)):
        raise LiftnetError(path, f"the column {field.name} is of type {field.type}, not text", "Make it text")
    return column.cast(pa.string())


def _check_header(path: Path, header: list[str]) -> None:
    found = ", ".join(header) or "nothing"
    lacking = [column for column in ("artist", "work") if column not in header]
    if "url" not in header and "image" not in header:
        lacking.append("url (or image)")
    if lacking:
        hint = "Name the columns in its first line"
        raise LiftnetError(path, f"lacks the column {', '.join(lacking)}; its first line has: {found}", hint)
    twice = next((column for column in sorted(COLUMNS) if header.count(column) > 1), None)
    if twice:
        raise LiftnetError(path, f"has the column {twice} twice", "Remove one of them")
    extra = [column for column in header if column and column not in COLUMNS]
    if extra:
        LOG.info("%s: columns not used: %s", path, ", ".join(extra))


def _as_dict(header: list[str], cells: list[str], line: int) -> dict[str, str]:
    row = {column: from_csv(cell.strip()) for column, cell in zip(header, cells, strict=False) if column in COLUMNS}
    if len(cells) > len(header):
        reason = f"line {line} has {len(cells)} cells, the header {len(header)}; quote cells with commas"
        row |= {"problem": "bad_row", "problem_reason": reason}
    return row

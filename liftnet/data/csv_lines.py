"""CSV of others, as programs of tables save it, record by record.

A file without line ends, or with a quote that is never closed, fills no memory.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from liftnet.core.errors import LiftnetError
from liftnet.core.limits import CSV_LINE_CHARACTERS, CSV_LINES_OF_A_RECORD
from liftnet.core.opening import only_files, open_file


class CsvRecords:
    """The records of an open file as lists of cells; `line` is the number of the last line read.

    Iterating raises `csv.Error` where a line, a cell, or the lines of one record are more than any program writes.

    Args:
        file: Opened with `newline=""`.
        strict: Whether a quote in the middle of a cell is an error.
        delimiter: What divides cells.
        before: How many lines were read of the file already.
    """

    def __init__(self, file: TextIO, strict: bool = True, delimiter: str = ",", before: int = 0) -> None:
        self._file, self._lines_of_record, self._before = file, 0, before
        self._reader = csv.reader(self._lines(), strict=strict, delimiter=delimiter)

    @property
    def line(self) -> int:
        """The number of the line read last, from 1."""
        return self._before + self._reader.line_num

    def __iter__(self) -> Iterator[list[str]]:
        for record in self._reader:
            self._lines_of_record = 0
            yield record

    def _lines(self) -> Iterator[str]:
        while line := self._file.readline(CSV_LINE_CHARACTERS):
            self._lines_of_record += 1
            if len(line) == CSV_LINE_CHARACTERS:
                raise csv.Error(f"a line of more than {CSV_LINE_CHARACTERS:,} characters")
            if self._lines_of_record > CSV_LINES_OF_A_RECORD:
                raise csv.Error(f"a record of more than {CSV_LINES_OF_A_RECORD:,} lines; a quote may not be closed")
            yield line


@contextmanager
def open_csv(path: Path, strict: bool = True) -> Iterator[CsvRecords]:
    """The records of a table, its header the first.

    Its cells are divided by commas, semicolons or tabs, whatever stands most often in its first line, or what a line
    `sep=;` before it says; its text is UTF-8, or UTF-16 by its first bytes. Before the first line there may be empty
    ones and comments, which begin with #.
    """
    with open_file(path) as file:
        encoding = "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    with open(path, encoding=encoding, newline="", opener=only_files) as text:
        told, start, before = None, 0, 0
        while first := text.readline(CSV_LINE_CHARACTERS):
            if told := re.fullmatch(r"sep=([,;\t])\s*", first):
                start, before = text.tell(), before + 1
                break
            if first.strip() and not first.startswith("#"):
                break
            start, before = text.tell(), before + 1
        text.seek(start)
        yield CsvRecords(text, strict, told[1] if told else max(",;\t", key=first.count), before)


def table_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a table in CSV by its columns: `columns` as they are spelt here, others in small letters.

    Raises:
        LiftnetError: It cannot be read, is not CSV, or lacks one of `columns`.
    """
    remedy, spelt = (
        f"Save it as CSV in UTF-8 with the columns {', '.join(columns)}",
        {one.lower(): one for one in columns},
    )
    try:
        with open_csv(path) as records:
            reader = iter(records)
            found = [name.strip().lower() for name in next(reader, [])]
            header = [spelt.get(name, name) for name in found]
            rows = [dict(zip(header, map(str.strip, row), strict=False)) for row in reader if any(map(str.strip, row))]
    except (OSError, UnicodeError, csv.Error) as error:
        raise LiftnetError(path, f"cannot be read as CSV in UTF-8 ({error})", remedy) from error
    missing = [name for name in columns if name not in header]
    if missing:
        there = ", ".join(header)[:200] or "nothing"
        raise LiftnetError(path, f"lacks the column {missing[0]!r}; its first line has: {there}", remedy)
    short = next((row for row in rows if not set(columns) <= row.keys()), None)
    if short is not None:
        reason = f"has a row with less than the columns {', '.join(columns)}: {', '.join(short.values())[:200]!r}"
        raise LiftnetError(path, reason, "Fill it in, or remove it")
    return rows

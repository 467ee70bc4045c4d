"""CSV of others, record by record: a file without line ends, or with a quote that is never closed, fills no memory."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TextIO

from liftnet.core.limits import CSV_LINE_CHARACTERS, CSV_LINES_OF_A_RECORD


class CsvRecords:
    """The records of an open file as lists of cells; `line` is the number of the last line read.

    Iterating raises `csv.Error` where a line, a cell, or the lines of one record are more than any program writes.

    Args:
        file: Opened with `newline=""`.
        strict: Whether a quote in the middle of a cell is an error.
    """

    def __init__(self, file: TextIO, strict: bool = True) -> None:
        self._file, self._lines_of_record = file, 0
        self._reader = csv.reader(self._lines(), strict=strict)

    @property
    def line(self) -> int:
        """The number of the line read last, from 1."""
        return self._reader.line_num

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

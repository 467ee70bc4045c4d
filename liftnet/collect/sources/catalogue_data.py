"""Reading what catalogues publish: whole dumps, never all in memory, and records in which any field may be missing."""

from __future__ import annotations

import bz2
import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from liftnet.collect.sources.html_text import shown_text
from liftnet.core.documents import check_value, parse_json
from liftnet.core.errors import LiftnetError
from liftnet.core.limits import JSON_BYTES
from liftnet.core.opening import check_file, only_files, open_file
from liftnet.core.text import name
from liftnet.data.csv_lines import CsvRecords

CHUNK = 1 << 20
LONGEST_RECORD = 32 << 20  # characters; a record that goes on for longer is no record
_POINTER = "version https://git-lfs"
_AFTER = re.compile(r"[\s,]*")
_LONGEST = 500  # characters of a text from the web


def csv_records(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a table with a header.

    Args:
        path: A CSV file in UTF-8.
        columns: Those it must have.

    Raises:
        LiftnetError: It is missing, not CSV, lacks a column, or is a pointer of Git LFS instead of the file.
    """
    with _open(path) as file:
        reader = CsvRecords(file, strict=False)
        records = iter(reader)
        try:
            found = next(records, [])
            lacking = [column for column in columns if column not in found]
            if lacking:
                reason = f"lacks the column {', '.join(lacking)}; its first line has: {', '.join(found)[:300]}"
                raise LiftnetError(path, reason, "Name the file that the museum publishes")
            for cells in records:
                if cells:
                    yield dict(zip(found, cells, strict=False))
        except csv.Error as error:
            raise LiftnetError(path, f"is not valid CSV (line {reader.line}: {error})", "Mend that line") from error
        except UnicodeDecodeError as error:
            raise LiftnetError(path, f"is not UTF-8 text ({error.reason})", "Save it as CSV in UTF-8") from error


def json_list(path: Path) -> Iterator[Any]:
    """The values of a JSON file that is one list, one after the other.

    Raises:
        LiftnetError: It is missing, damaged, no list, or a pointer of Git LFS.
    """
    decoder = json.JSONDecoder()
    with _open(path) as file:
        buffer, place = _more(path, file, CHUNK), 0
        if not buffer.lstrip().startswith("["):
            raise LiftnetError(path, "is not a list of records in JSON", "Name the file that the museum publishes")
        place = buffer.index("[") + 1
        while True:
            place = _AFTER.match(buffer, place).end()  # type: ignore[union-attr]  # it matches nothing at least
            if buffer.startswith("]", place):
                return
            fault: ValueError | RecursionError | None = None
            value, end = None, len(buffer)
            try:
                value, end = decoder.raw_decode(buffer, place)
                check_value(value)
            except (ValueError, RecursionError) as error:
                fault, end = error, len(buffer)
            if end < len(buffer):  # what ends with the buffer may go on: a number, or the rest of what is torn
                yield value
                place = end
                continue
            more = _more(path, file, max(CHUNK, len(buffer) - place))  # twice as much each time, or it took the square
            if not more or len(buffer) - place > LONGEST_RECORD:
                reason = f"is damaged ({fault})" if more else "ends in the middle of a record"
                raise LiftnetError(path, reason, "Fetch it again") from fault
            buffer, place = buffer[place:] + more, 0


def json_lines(path: Path) -> Iterator[Any]:
    """The values of a file of one JSON value a line; `.bz2` is unpacked while it is read.

    Raises:
        LiftnetError: It is missing or damaged.
    """
    with _open(path) as file:
        number = 0
        try:
            while line := file.readline(LONGEST_RECORD):
                number += 1
                if line.strip():
                    yield parse_json(line)
        except (ValueError, EOFError, OSError) as error:
            raise LiftnetError(path, f"is damaged (line {number}: {error})", "Fetch it again") from error


def json_files(folder: Path) -> Iterator[Any]:
    """The values of all `*.json` files of a folder, by name.

    Raises:
        LiftnetError: It is missing or holds none, or a file is damaged.
    """
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not paths:
        raise LiftnetError(folder, "holds no *.json files", "Name the unpacked dump")
    for path in paths:
        try:
            yield parse_json(_start_of(path))
        except (ValueError, OSError) as error:
            raise LiftnetError(path, f"is damaged ({error})", "Fetch the dump again") from error


def _more(path: Path, file: TextIO, characters: int) -> str:
    try:
        return file.read(characters)
    except (UnicodeDecodeError, OSError, EOFError) as error:
        raise LiftnetError(path, f"is damaged ({error})", "Fetch it again") from error


def _start_of(path: Path) -> bytes:
    """A file, or as much of it as shows that it is too long."""
    with open_file(path) as file:
        return file.read(JSON_BYTES + 1)


def _open(path: Path) -> TextIO:
    """Open a text file, packed or not; the caller closes it."""
    try:
        if path.suffix == ".bz2":
            check_file(path)
            return bz2.open(path, "rt", encoding="utf-8")
        file = open(path, encoding="utf-8-sig", newline="", opener=only_files)  # noqa: SIM115
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise LiftnetError(path, "does not exist", "Give the path of the file") from error
    except OSError as error:
        raise LiftnetError(path, f"cannot be read ({error.strerror})", "Check its permissions") from error
    try:
        start = file.read(len(_POINTER))
    except UnicodeDecodeError:
        start = ""  # the reader says what is wrong
    if start == _POINTER:
        file.close()
        raise LiftnetError(path, "is a pointer of Git LFS, not the file", "Run `git lfs pull` in its folder")
    file.seek(0)
    return file


def text(value: Any) -> str | None:
    """A text of one line, at most 500 characters; None for an empty one and for what is neither text nor integer."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    plain = name(str(value).replace("\0", ""))
    return plain[:_LONGEST].strip() if plain else None


def mapping(value: Any) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """`value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def texts(value: Any) -> list[str]:
    """The texts in a list, or the one text that stands instead of a list."""
    values = value if isinstance(value, list) else [value]
    return [plain for plain in map(text, values) if plain]


def address(value: Any) -> str | None:
    """A http or https URL; None for all else."""
    plain = value.strip() if isinstance(value, str) else ""
    try:
        parts = urlsplit(plain)
        fine = parts.scheme.lower() in ("http", "https") and parts.hostname
    except ValueError:
        return None
    return plain if fine and plain.isprintable() else None


def expected(answer: Any, key: str, kind: type, url: str) -> Any:
    """A field without which an answer cannot be used.

    Raises:
        LiftnetError: It is missing or of another type.
    """
    value = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(value, kind):
        found = type(value).__name__ if isinstance(answer, dict) else f"no object but {type(answer).__name__}"
        reason = f"answers in a form that is not known: {key} should be {kind.__name__}, and is {found}"
        raise LiftnetError(url, reason, "The interface may have changed; its dump may still be read")
    return value


def without_html(value: Any) -> str | None:
    """The text of a piece of HTML, without what a browser would not show."""
    return text(shown_text(value)) if isinstance(value, str) else text(value)

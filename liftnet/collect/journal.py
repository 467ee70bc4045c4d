"""What has been fetched so far, one line a file, so that a killed run goes on where it was."""

from __future__ import annotations

import errno
import json
import threading
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from liftnet.io.files import write_text, writing_error
from liftnet.io.log import get_logger

Entry = dict[str, Any]


class Journal:
    """An append-only file of JSON lines, written one by one; the last line of a key counts.

    Args:
        path: The file; its entries are read if it exists. A last line torn by a kill is dropped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self._lock = threading.Lock()
        self._file: FileIO | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = self.path.read_text(encoding="utf-8", errors="replace") if self.path.exists() else ""
            lines = text.splitlines()
            for line in lines:
                self._read(line)
            if len(self.entries) < len(lines) or (text and not text.endswith("\n")):
                write_text(self.path, "".join(_line(entry) for entry in self.entries.values()))
            # without a buffer: what could not be written must not be tried again at closing
            self._file = open(self.path, "ab", buffering=0)
        except OSError as error:
            raise writing_error(self.path, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, entry: Entry) -> None:
        """Append an entry (with its `key`); it is with the system when this returns.

        Raises:
            LiftnetError: The disk is full or the folder cannot be written.
        """
        if self._file is None:
            raise RuntimeError("the journal is not open")
        with self._lock:
            try:
                line = _line(entry).encode()
                if self._file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, "no space left")
            except OSError as error:
                raise writing_error(self.path, error) from error
            self.entries[entry["key"]] = entry

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
            self.entries[entry["key"]] = entry
        except (ValueError, TypeError, KeyError):
            get_logger("collect").warning("%s: a damaged line is dropped; its file is fetched again", self.path)


def _line(entry: Entry) -> str:
    return json.dumps(entry, sort_keys=True, ensure_ascii=True) + "\n"

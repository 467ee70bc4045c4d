"""What has been fetched so far, one line a file, so that a killed run resumes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_text, writing_error
from liftnet.core.log import get_logger

Entry = dict[str, Any]
SYNC_ENTRIES, SYNC_S = 64, 1.0  # what a power cut may cost; a killed process loses nothing
_RUN = "run-ended"  # key of the line that counts runs


class Journal:
    """An append-only file of JSON lines, written one by one; the last line of a key counts.

    Every entry carries the number of its run (`run`). A run that was killed keeps its number, so that what it had
    already asked for is not asked for again.

    Args:
        path: The file; its entries are read if it exists. A last line torn by a kill is dropped. While it is open,
            no other process can open it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self.run = 1
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._guard: FileIO | None = None
        self._unsynced, self._synced_at = 0, 0.0

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._guard = _locked(self.path.with_suffix(".lock"))
            lines, whole = 0, True
            if self.path.exists():
                with open(self.path, encoding="utf-8", errors="replace") as file:
                    for line in file:
                        lines, whole = lines + 1, line.endswith("\n")
                        if (entry := _parsed(self.path, line)) is not None:
                            self.entries[entry["key"]] = entry
            if len(self.entries) < lines or not whole:
                write_text(self.path, "".join(_line(entry) for entry in self.entries.values()))
            ended = self.entries.pop(_RUN, {}).get("run")
            self.run = ended + 1 if isinstance(ended, int) else 1
            # without a buffer: what could not be written must not be tried again at closing
            self._file = open(self.path, "ab", buffering=0)
        except OSError as error:
            raise writing_error(self.path, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None or self._guard is None:
            return
        with self._guard, self._file:
            if kind is None or issubclass(kind, KeyboardInterrupt):  # what failed is tried again next time
                self._unsynced = SYNC_ENTRIES
                self.add({"key": _RUN})
                del self.entries[_RUN]

    def add(self, entry: Entry) -> None:
        """Append an entry (with its `key`); it is with the system when this returns, on the disk a second later.

        Raises:
            LiftnetError: The disk is full or the folder cannot be written.
        """
        if self._file is None:
            raise RuntimeError("the journal is not open")
        entry = entry | {"run": self.run}
        with self._lock:
            try:
                line = _line(entry).encode()
                if self._file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, "no space left")
                self._sync(self._file)
            except OSError as error:
                raise writing_error(self.path, error) from error
            self.entries[entry["key"]] = entry

    def _sync(self, file: FileIO) -> None:
        self._unsynced += 1
        now = time.monotonic()
        if self._unsynced >= SYNC_ENTRIES or now - self._synced_at >= SYNC_S:
            os.fsync(file.fileno())
            self._unsynced, self._synced_at = 0, now


def _locked(path: Path) -> FileIO:
    """Hold a lock that ends with this process, so that two do not fetch from one host or write into one journal.

    Raises:
        LiftnetError: Another process holds it.
    """
    file = FileIO(path, "wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise LiftnetError(path, "another process is fetching this job", "Wait for it, or end it first") from error
    except OSError as error:  # some network file systems have no locks
        get_logger("collect").debug("%s: no lock (%s)", path, error)
    return file


def read_entries(path: Path) -> Iterator[Entry]:
    """The lines of a journal, later ones of a key included, without opening it for writing; none if there is none."""
    if not path.exists():
        return
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if (entry := _parsed(path, line)) is not None and entry["key"] != _RUN:
                yield entry


def _parsed(path: Path, line: str) -> Entry | None:
    try:
        entry = json.loads(line)
        if isinstance(entry["key"], str):
            return dict(entry)
    except (ValueError, TypeError, KeyError):
        pass
    get_logger("collect").warning("%s: a damaged line is dropped; its file is fetched again", path)
    return None


def _line(entry: Entry) -> str:
    return json.dumps(entry, sort_keys=True, ensure_ascii=True) + "\n"

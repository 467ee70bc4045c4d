"""The outcome of every request, one line a file, so that a killed run resumes; and what is left to fetch by it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from liftnet.collect.fetch.jobs import Request, bundle_of, group_of
from liftnet.collect.settings import FetchSettings
from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_text, writing_error
from liftnet.core.log import get_logger
from liftnet.core.opening import no_links, only_files

Entry = dict[str, Any]
SYNC_ENTRIES, SYNC_S = 64, 1.0  # what a power cut may cost; a killed process loses nothing
_RUN = "run-ended"  # key of the line that counts runs
VERSION = "3"  # raised when the same file would be stored differently
DONE, DEAD, FAILED, NEW, REFRESH = "done", "dead", "failed", "new", "refresh"
ORDER = (FAILED, NEW, REFRESH)  # of those that are asked for
REMEMBERED = frozenset({"http_404", "http_410", "opt_out_header", "tdm_reserved"})


@dataclass(frozen=True)
class Fetched:
    """The outcome of one request: the columns of FETCHED (`liftnet.data.schemas`), which says what they hold.

    Attributes:
        request: Id of the request; empty for a row of a source list that could not be asked for.
        size: (width, height) of the stored image in px; `shown_size` that as received, orientation applied.
    """

    status: str
    reason: str = ""
    request: str = ""
    asked: str | None = None
    fetched_at: str | None = None
    checked_at: str | None = None
    final_url: str | None = None
    http_status: int | None = None
    attempts: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    opt_out: str | None = None
    bytes: int | None = None
    mime: str | None = None
    file: str | None = None
    raw_file: str | None = None
    stored_bytes: int | None = None
    sha256_raw: str | None = None
    sha256: str | None = None
    phash: str | None = None
    phashes: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None
    shown_size: tuple[int, int] | None = None
    exif_orientation: int | None = None
    focal_mm: float | None = None
    focal_35mm: float | None = None
    camera: str | None = None

    @property
    def is_ok(self) -> bool:
        """Whether the file is there."""
        return self.status == "ok"

    @property
    def image_id(self) -> str:
        """The id of a stored image."""
        return (self.sha256 or "")[:16]

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Fetched:
        """From a row of FETCHED, or an entry of a journal, which has more keys and lacks those without a value."""
        known = {field.name: row[field.name] for field in fields(cls) if row.get(field.name) is not None}
        for name in ("phashes", "size", "shown_size"):
            if name in known:
                known[name] = tuple(known[name])
        return cls(**known)

    def to_row(self) -> dict[str, Any]:
        """As a row of FETCHED."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


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
                with open(self.path, encoding="utf-8", errors="replace", opener=only_files) as file:
                    for line in file:
                        lines, whole = lines + 1, line.endswith("\n")
                        if (entry := _parsed(self.path, line)) is not None:
                            self.entries[entry["key"]] = entry
            if len(self.entries) < lines or not whole:
                write_text(self.path, "".join(_line(entry) for entry in self.entries.values()))
            ended = self.entries.pop(_RUN, {}).get("run")
            self.run = ended + 1 if isinstance(ended, int) else 1
            # without a buffer: what could not be written must not be tried again at closing
            self._file = open(self.path, "ab", buffering=0, opener=no_links)
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
    file = FileIO(path, "wb", opener=no_links)
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
    with open(path, encoding="utf-8", errors="replace", opener=only_files) as file:
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


def key_of(request: Request, settings: FetchSettings) -> str:
    """Names a file, its version, and the settings that decide its outcome."""
    pictures = settings.pictures
    limits: tuple[int, ...] = (pictures.max_bytes,)
    if request.what == "image":
        limits = (pictures.max_side, pictures.min_side, pictures.max_bytes, pictures.max_pixels)
    parts = (VERSION, request.id, request.version, *map(str, limits))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


class FetchHistory:
    """What is known of the requests of a job.

    Args:
        entries: Of its journal and of earlier ones; the last of a key counts.
        out: Folder of the outputs.
        settings: Limits, `dead_days`, `refresh`.
        run: Number of the present run of the job's journal.
    """

    def __init__(self, entries: Iterable[Entry], out: Path, settings: FetchSettings, run: int = 0) -> None:
        self.out, self.settings, self.run = out, settings, run
        self.entries = {entry["key"]: entry for entry in entries}
        self._read = {entry["request"]: entry for entry in self.entries.values() if entry.get("sha256_raw")}
        self._dead = {
            entry["request"]: entry
            for entry in self.entries.values()
            if entry.get("status") in REMEMBERED and "request" in entry
        }

    def entry(self, request: Request) -> Entry | None:
        """The last entry of a request, or that of its dead link whatever the settings were then."""
        entry = self.entries.get(key_of(request, self.settings))
        return self._dead.get(request.id) if entry is None else entry

    def read_before(self, request: Request) -> Entry | None:
        """What a file of this machine held when it was read last, be it touched since or not."""
        return self._read.get(request.id) if request.kind == "local" else None

    def status(self, request: Request) -> str:
        """Whether a request is DONE, DEAD, or is asked for because it is NEW, FAILED before, or to be REFRESHed."""
        entry = self.entry(request)
        if entry is None:
            return NEW
        if entry["status"] == "ok":
            if not is_stored(self.out, entry):
                return NEW
            again = self.settings.politeness.refresh and request.kind == "web" and entry.get("run") != self.run
            return REFRESH if again else DONE
        if entry.get("run") == self.run:
            return DONE  # this very run, before it was killed
        if entry["status"] in REMEMBERED and request.kind == "web" and self._is_recent(entry):
            return DEAD
        return FAILED

    def _is_recent(self, entry: Entry) -> bool:
        age = datetime.now(UTC) - datetime.fromisoformat(entry["fetched_at"])
        return 0 <= age.total_seconds() < self.settings.politeness.dead_days * 86400


def is_stored(out: Path, entry: Entry) -> bool:
    """Whether the file of an entry is there, of the size it was written with."""
    try:
        size = os.stat(out / (entry.get("file") or entry["raw_file"])).st_size
    except OSError:
        return False
    return size == entry["stored_bytes"]


def earlier_entries(folder: Path, job: str, requests: Sequence[Request]) -> list[Entry]:
    """What the journal of a bundle says of hosts that have become a job of their own since."""
    bundles = {bundle_of(group_of(request.host)) for request in requests if request.kind == "web"} - {job}
    if job.startswith("hosts-") or not bundles:
        return []
    wanted = {request.id for request in requests}
    return [
        entry | {"run": 0}
        for bundle in sorted(bundles)
        for entry in read_entries(folder / f"{bundle}.jsonl")
        if entry.get("request") in wanted
    ]

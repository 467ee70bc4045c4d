"""Whether a file still has to be fetched, by what the journal says of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from liftnet.collect.fetch.jobs import Request, bundle_of, group_of
from liftnet.collect.fetch.journal import Entry, read_entries
from liftnet.collect.settings import FetchSettings

VERSION = "2"  # raised when the same file would be stored differently
DONE, DEAD, FAILED, NEW, REFRESH = "done", "dead", "failed", "new", "refresh"
ORDER = (FAILED, NEW, REFRESH)  # of those that are asked for
REMEMBERED = frozenset({"http_404", "http_410", "opt_out_header", "tdm_reserved"})


def key_of(request: Request, settings: FetchSettings) -> str:
    """Names a file, its version, and the settings that decide what becomes of it."""
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
        self._dead = {
            entry["request"]: entry
            for entry in self.entries.values()
            if entry.get("status") in REMEMBERED and "request" in entry
        }

    def entry(self, request: Request) -> Entry | None:
        """The last entry of a request, or that of its dead link whatever the settings were then."""
        entry = self.entries.get(key_of(request, self.settings))
        return self._dead.get(request.id) if entry is None else entry

    def status(self, request: Request) -> str:
        """Whether a request is DONE, DEAD, or is asked for because it is NEW, FAILED before, or to be REFRESHed."""
        entry = self.entry(request)
        if entry is None:
            return NEW
        if entry["status"] == "ok":
            if not self._is_there(entry):
                return NEW
            again = self.settings.politeness.refresh and request.kind == "web" and entry.get("run") != self.run
            return REFRESH if again else DONE
        if entry.get("run") == self.run:
            return DONE  # this very run, before it was killed
        if entry["status"] in REMEMBERED and request.kind == "web" and self._is_recent(entry):
            return DEAD
        return FAILED

    def _is_there(self, entry: Entry) -> bool:
        try:
            size = os.stat(self.out / (entry.get("file") or entry["raw_file"])).st_size
        except OSError:
            return False
        return size == entry["stored_bytes"]

    def _is_recent(self, entry: Entry) -> bool:
        age = datetime.now(UTC) - datetime.fromisoformat(entry["fetched_at"])
        return 0 <= age.total_seconds() < self.settings.politeness.dead_days * 86400


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

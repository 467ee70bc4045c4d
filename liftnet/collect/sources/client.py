"""The client of catalogues: bounded, polite, and able to resume after it was stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from liftnet.collect.settings import QuerySettings
from liftnet.collect.sources.catalogue_data import mapping, text
from liftnet.collect.web.download import Downloader
from liftnet.collect.web.transport import FetchError
from liftnet.core.errors import LiftnetError
from liftnet.core.files import writing_error
from liftnet.core.log import get_logger
from liftnet.core.opening import no_links

LOG = get_logger("collect")
FRESH_S = 24 * 3600.0  # how long an answer is good for a list that was stopped


class Client:
    """Asks the interfaces of catalogues.

    Args:
        settings: Identity, politeness and permissions.
        max_requests: After which it refuses to ask on: a server may page without an end.
        answers: Where answers are kept until the list is whole; None keeps none.
        leases: Folder through which lists that are made at the same time share their hosts; None if there is one only.
    """

    def __init__(
        self,
        settings: QuerySettings | None = None,
        max_requests: int = 200_000,
        answers: Path | None = None,
        leases: Path | None = None,
    ) -> None:
        settings = settings or QuerySettings()
        self.settings, self.contact = settings, settings.politeness.contact
        self.downloader = Downloader(settings, folder=leases)
        self.left = self.max_requests = max_requests
        self.skipped: Counter[str] = Counter()
        self._answers = Answers(answers) if answers else None
        self._page: tuple[str | None, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.downloader.close()
        if self._answers:
            self._answers.close()

    def ask(
        self,
        url: str,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        may_be_gone: bool = False,
    ) -> Any:
        """The answer to a GET request, as JSON; perhaps that of an earlier run that was stopped.

        Args:
            url: Address of the interface.
            parameters: Of the query.
            headers: Further headers; they are no part of what an answer is kept under.
            may_be_gone: Answer None where the server does not have it (404, 410).

        Raises:
            FetchError: It could not be had; `status` and `reason` say why.
            LiftnetError: There were `max_requests` requests.
        """
        full = f"{url}?{urlencode(parameters)}" if parameters else url
        if self._answers and (kept := self._answers.get(full)) is not None:
            return kept
        if self.left <= 0:
            reason = f"has been asked {self.max_requests:,} times, and there is no end"
            raise LiftnetError(url, reason, "Raise max_requests, or list less of it")
        self.left -= 1
        try:
            answer = self.downloader.fetch_json(full, headers=headers)
        except FetchError as error:
            if may_be_gone and error.status in ("http_404", "http_410"):
                return None
            raise
        if self._answers and not (isinstance(answer, dict) and "error" in answer):
            self._answers.add(full, answer)
        return answer

    def new_page(self, url: str, records: Iterable[Any]) -> None:
        """Take note of what a page holds, by the `id` of its records.

        Raises:
            LiftnetError: It is the page that came before: the catalogue ignores the page asked for.
        """
        page = tuple(text(mapping(record).get("id")) for record in records)
        if page and page == self._page:
            raise LiftnetError(url, "sends the same page again and again", "Use the catalogue's dump, if it has one")
        self._page = page

    def skip(self, reason: str, count: int = 1) -> None:
        """Count records that give no image; they are reported at the end."""
        if count:
            self.skipped[reason] += count

    def pause(self, seconds: float) -> None:
        """Wait, unless the run ends."""
        self.downloader.stop.wait(seconds)

    def finished(self) -> None:
        """The list is whole: forget the answers."""
        if self._answers:
            self._answers.forget()


class Answers:
    """Answers by address, in a file that a killed run leaves behind: one line of JSON each, the last perhaps torn.

    Args:
        path: The file; one of yesterday's is started from scratch.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.exists() and time.time() - path.stat().st_mtime < FRESH_S
            self._file = open(path, "r+b" if fresh else "w+b", opener=no_links)  # noqa: SIM115
        except OSError as error:
            raise writing_error(path, error) from error
        self._read()
        if self._places:
            LOG.info("going on with %d answers of a run that was stopped", len(self._places))

    def _read(self) -> None:
        start = 0
        for line in self._file:
            key = line[:16].decode("ascii", "replace")
            if len(line) < 18 or not line.endswith(b"\n"):
                break
            self._places[key] = (start + 17, len(line) - 18)
            start += len(line)
        self._file.seek(start)
        self._file.truncate()

    def get(self, url: str) -> Any:
        """The answer kept for an address, or None."""
        if (place := self._places.get(_key(url))) is None:
            return None
        self._file.seek(place[0])
        try:
            return json.loads(self._file.read(place[1]))
        except ValueError:  # damaged; asked for again
            return None

    def add(self, url: str, answer: Any) -> None:
        """Keep an answer.

        Raises:
            LiftnetError: The disk is full.
        """
        line = json.dumps(answer, ensure_ascii=True).encode()
        try:
            start = self._file.seek(0, os.SEEK_END)
            self._file.write(_key(url).encode() + b" " + line + b"\n")
            self._file.flush()
        except OSError as error:
            raise writing_error(self.path, error) from error
        self._places[_key(url)] = (start + 17, len(line))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def forget(self) -> None:
        """Remove the file."""
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def _key(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]

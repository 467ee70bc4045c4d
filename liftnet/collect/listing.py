"""Making a list: a kind of source is asked or read, and what it gives is written as one Parquet file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from liftnet.collect.catalogues import catalogue_of
from liftnet.collect.catalogues.base import Catalogue, CatalogueSettings, ListSettings
from liftnet.collect.settings import QuerySettings
from liftnet.collect.sources.catalogue_data import mapping, text
from liftnet.collect.sources.lists import write_list
from liftnet.collect.sources.records import SourceRecord
from liftnet.collect.web.download import Downloader
from liftnet.collect.web.transport import FetchError
from liftnet.core.errors import LiftnetError
from liftnet.core.files import writing_error
from liftnet.core.log import get_logger, progress

LOG = get_logger("collect")
FRESH_S = 24 * 3600.0  # how long an answer is good for a list that was stopped


@dataclass
class Listed:
    """The outcome of making a list.

    Attributes:
        rows: Rows written.
        usable: Of these, images to be fetched.
        problems: The other rows, by status.
        skipped: Records that gave no row, by reason.
        artists: Names of the artists of usable rows.
        works: Artists and names of their works.
    """

    rows: int = 0
    usable: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    artists: Counter[str] = field(default_factory=Counter)
    works: Counter[tuple[str, str]] = field(default_factory=Counter)

    def summary(self) -> str:
        """One line: how many images of whom, and what is not among them."""
        line = f"{self.usable} images of {len(self.works)} works by {len(self.artists)} artists"
        for what, counts in (
            ("rows that are not fetched", self.problems),
            ("records without an image", self.skipped),
        ):
            if counts:
                reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
                line += f"; {counts.total()} {what}: {reasons}"
        return line


def make_list(
    settings: ListSettings, out: Path, query: QuerySettings | None = None, leases: Path | None = None
) -> Listed:
    """Ask or read a source and write its list.

    The list is written whole or not at all. What a catalogue has answered until a run was stopped is kept beside the
    list for a day, so that the next run goes on from there.

    Args:
        settings: Of the kind; see `liftnet.collect.catalogues`.
        out: The list, a `.parquet` file.
        query: Identity, politeness and permissions.
        leases: Folder through which it shares hosts with other lists and jobs.

    Raises:
        LiftnetError: The source cannot be read or asked, gives no image at all, or the list cannot be written.
    """
    if out.suffix.lower() != ".parquet":
        raise LiftnetError(out, "does not end in .parquet", "Lists are written as Parquet: --out FILE.parquet")
    source = catalogue_of(settings)
    listed = Listed()
    answers = None if source.local else out.with_name(f".{out.name}.answers")
    most = settings.max_requests if isinstance(settings, CatalogueSettings) else 0
    with Client(query, most, answers, leases) as client:
        try:
            # all before the file is begun, so that a killed run leaves no half of it
            found = progress(_readable(source, client, out), "collect", "listing images")
            rows = list(_counted(found, settings, listed))
            if not rows:
                reasons = ", ".join(f"{count} {reason}" for reason, count in client.skipped.most_common())
                reason = "would be empty: the source gives no image" + (f" ({reasons})" if reasons else "")
                raise LiftnetError(out, reason, "Check the options of this kind with --help")
            listed.rows = write_list(out, rows, source.folder)
        except FetchError as error:
            raise LiftnetError(
                error.what, error.reason, "What was answered is kept for a day: run it again"
            ) from error
        except LiftnetError:
            client.finished()  # what led here would lead here again
            raise
        client.finished()
        listed.skipped = client.skipped
    return listed


def _readable(source: Catalogue, client: Client, out: Path) -> Iterator[SourceRecord]:
    """The rows of a source.

    Raises:
        LiftnetError: It gave something that its class does not understand; names the list and the row.
    """
    count, last = 0, ""
    try:
        for row in source.rows(client):
            count, last = count + 1, f"; the row before it is of {row.image.given}"
            yield row
    except (ValueError, LookupError) as error:
        fault = f"{type(error).__name__}: {error}"
        reason = f"its row {count + 1} cannot be made of what {source.name} gives ({fault}){last}"
        remedy = "Correct that record in the source" if source.local else "Report this; list less of it, or its dump"
        raise LiftnetError(out, reason, remedy) from error


def _counted(rows: Iterator[SourceRecord], settings: ListSettings, listed: Listed) -> Iterator[SourceRecord]:
    """The rows within the limits; those beyond the limits of an artist or a work say so."""
    for row in rows:
        row = _within(row, settings, listed)
        if row.problem is not None:
            listed.problems[row.problem[0]] += 1
        else:
            listed.usable += 1
            listed.artists[row.artist or ""] += 1
            listed.works[row.artist or "", row.work or ""] += 1
        yield row
        if listed.usable == settings.limit:
            return


def _within(row: SourceRecord, settings: ListSettings, listed: Listed) -> SourceRecord:
    if row.problem is None and not (row.artist and row.work):
        lacking = "artist" if not row.artist else "work"
        return replace(row, problem=("bad_row", f"the source names no {lacking}"))
    limits = (
        ("max_per_artist", settings.max_per_artist, listed.artists[row.artist or ""]),
        ("max_per_work", settings.max_per_work, listed.works[row.artist or "", row.work or ""]),
    )
    for name, most, count in limits:
        if row.problem is None and most is not None and count >= most:
            return replace(row, problem=("set_aside", f"more than {name} = {most} images"))
    return row


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
            self._file = open(path, "r+b" if fresh else "w+b")  # noqa: SIM115
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

"""Making a list: a kind of source is asked or read, and what it gives is written as one Parquet file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from liftnet.collect.catalogues import catalogue_of
from liftnet.collect.catalogues.base import Catalogue, CatalogueSettings, ListSettings
from liftnet.collect.settings import QuerySettings
from liftnet.collect.sources.client import Client
from liftnet.collect.sources.lists import write_csv, write_list
from liftnet.collect.sources.records import SourceRecord
from liftnet.collect.web.transport import FetchError
from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger, progress

LOG = get_logger("collect")
WRITERS = {".parquet": write_list, ".csv": write_csv}


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
        out: The list, a `.parquet` or `.csv` file.
        query: Identity, politeness and permissions.
        leases: Folder through which it shares hosts with other lists and jobs.

    Raises:
        LiftnetError: The source cannot be read or asked, gives no image at all, or the list cannot be written.
    """
    if out.suffix.lower() not in WRITERS:
        raise LiftnetError(out, "ends neither in .parquet nor in .csv", "Give --out FILE.parquet or FILE.csv")
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
            listed.rows = WRITERS[out.suffix.lower()](out, rows, source.folder)
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

"""What every source list comes down to: one row an image, its artist, its work, and where it is."""

from __future__ import annotations

import gc
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from liftnet.core.limits import LOST_FILES
from liftnet.core.log import get_logger
from liftnet.core.text import name
from liftnet.data.codes import OF_LISTS, ImageStatus
from liftnet.data.locations import Location, Within, has_readings, place

_WIKIDATA = re.compile(r"(?:https?://(?:www\.)?wikidata\.org/(?:wiki|entity)/)?(Q[1-9][0-9]*)/?")
_YEAR = re.compile(r"(-?[0-9]{1,4})(?:-[0-9]{2}(?:-[0-9]{2})?)?")
_MOST_BYTES = 2**62
_ZEROS = re.compile(r"-?[0-9]+[.,]0+")
_GROUPS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
_EXPONENT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?[eE]\+?[0-9]{1,2}")
TEXT = (
    "artist",
    "work",
    "url",
    "image",
    "mask",
    "license",
    "license_url",
    "attribution",
    "credit",
    "page_url",
    "source",
    "source_id",
    "artist_wikidata",
    "work_wikidata",
    "work_rights",
    "problem",  # status of a row that is not to be fetched, e.g. set_aside
    "problem_reason",
)
NUMBERS = ("artist_died", "expected_bytes")
COLUMNS = frozenset((*TEXT, *NUMBERS))
_LONGEST_REASON = 500  # characters that a list may say of a row
_AS_GIVEN = frozenset({"page_url", "license", "license_url", "attribution", "source_id", "credit", "work_rights"})
LOG = get_logger("collect")


@dataclass(frozen=True)
class SourceRecord:
    """One row of a source list.

    Attributes:
        artist: Name of the artist.
        work: Name of the work; with the artist's it names the work.
        image: The image asked for.
        mask: Its manual mask, if the source names one.
        source: The collection it is from: "csv", "directory", "museum", "commons", "met", ...
        page_url: The page that describes the image.
        license: As the source says it.
        license_url: Address of the licence.
        attribution: Whom to name.
        problem: (status, reason) of a row that cannot be fetched at all.
        mask_problem: The same of the mask alone.
        source_id: The record's id in the collection.
        credit: The credit line of the holding institution.
        artist_wikidata: "Q5582".
        artist_died: Year of the artist's death.
        work_wikidata: "Q12418".
        work_rights: What the source says of the sculpture's own copyright; see `liftnet.data.licences`.
        expected_bytes: Size of the file as the source says it.
    """

    artist: str | None
    work: str | None
    image: Location
    mask: Location | None = None
    source: str = ""
    page_url: str | None = None
    license: str | None = None
    license_url: str | None = None
    attribution: str | None = None
    problem: tuple[str, str] | None = None
    mask_problem: tuple[str, str] | None = None
    source_id: str | None = None
    credit: str | None = None
    artist_wikidata: str | None = None
    artist_died: int | None = None
    work_wikidata: str | None = None
    work_rights: str | None = None
    expected_bytes: int | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> SourceRecord:
        """From a row of WANTED."""
        places: dict[str, Any] = {
            name: None if row[f"{name}_asked"] is None else Location.from_row(row, f"{name}_") for name in _PLACES
        }
        problems: dict[str, Any] = {
            name: None if row[f"{name}_status"] is None else (row[f"{name}_status"], row[f"{name}_reason"])
            for name in _PROBLEMS
        }
        return cls(**{name: row[name] for name in _PLAIN}, **places, **problems)

    def to_row(self) -> dict[str, Any]:
        """As a row of WANTED."""
        row = {column: getattr(self, column) for column in _PLAIN}
        for column in _PLACES:
            if (there := getattr(self, column)) is not None:
                row |= there.to_row(f"{column}_")
        for column in _PROBLEMS:
            if (problem := getattr(self, column)) is not None:
                row |= {f"{column}_status": problem[0], f"{column}_reason": problem[1]}
        return row


_PLACES = ("image", "mask")
_PROBLEMS = ("problem", "mask_problem")
_PLAIN = tuple(field.name for field in fields(SourceRecord) if field.name not in (*_PLACES, *_PROBLEMS))


@dataclass(frozen=True)
class Sources:
    """Everything to collect.

    Attributes:
        kind: "csv", "list", "directory", "museum", or "lists" for several together.
        origin: The file or folder it was read from; the first of several.
        rows: In the order of the list.
    """

    kind: str
    origin: Path
    rows: tuple[SourceRecord, ...]

    @property
    def ask_servers(self) -> bool:
        """Whether an image is to be fetched from the web."""
        return any(row.image.path is None and row.problem is None for row in self.rows)

    def __repr__(self) -> str:
        artists = {row.artist for row in self.rows}
        return f"Sources({self.kind} {self.origin}: {len(self.rows)} images by {len(artists)} artists)"


def join_sources(parts: Sequence[Sources]) -> Sources:
    """Several lists as one, in their order.

    A museum is served by a server of our own, so it is collected alone.

    Raises:
        ValueError: There is none, or a museum among several.
    """
    if len(parts) == 1:
        return parts[0]
    if not parts or any(part.kind == "museum" for part in parts):
        raise ValueError("one or more lists are joined, and a museum is collected alone")
    return Sources("lists", parts[0].origin, tuple(row for part in parts for row in part.rows))


def wikidata_id(text: object) -> str | None:
    """The "Q5582" of an identifier or an address of Wikidata; None for anything else."""
    match = _WIKIDATA.fullmatch(text.strip()) if isinstance(text, str) else None
    return match[1] if match else None


def year(value: object) -> int | None:
    """A year from a number, "1937", "1937.0" or "1937-04-26"; None for anything else, such as "about 1500"."""
    match = _YEAR.fullmatch(_whole(value)) if isinstance(value, int | float | str) and value is not True else None
    return int(match[1]) or None if match else None  # there is no year 0; sources write it for "unknown"


def size(value: object) -> int | None:
    """A number of bytes above 0; None for anything else."""
    text = _whole(value) if isinstance(value, int | float | str) else ""
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text[:20]) < _MOST_BYTES else None


def _whole(value: object) -> str:
    """A number as spreadsheets write whole ones: "1917.0", "1917,00", "'1917", "1.917E+03", "1,234"."""
    text = str(value).strip().removeprefix("'").removesuffix(".").strip()
    if _ZEROS.fullmatch(text):
        return re.split("[.,]", text)[0]
    if _GROUPS.fullmatch(text):
        return text.replace(",", "")
    if (
        _EXPONENT.fullmatch(text)
        and (number := Decimal(text)) == number.to_integral_value()
        and abs(number) < _MOST_BYTES
    ):
        return str(int(number))
    return text


_CHECKED = {"artist_died": year, "expected_bytes": size, "artist_wikidata": wikidata_id, "work_wikidata": wikidata_id}


def rows_of(
    path: Path, rows: Iterable[Mapping[str, str]], folder: Path, kind: str, allowed: Sequence[Path] = ()
) -> tuple[SourceRecord, ...]:
    """The rows of a list from its cells.

    Args:
        path: The list, for messages.
        rows: Cells by column.
        folder: What relative paths are relative to.
        kind: Of the list; the source of rows that name none.
        allowed: Folders beside the list's own that its files may lie in; `/` allows all.
    """
    reader = _Reader(folder, kind, Within.of(path.parent, *allowed))
    with _without_collection():
        records = tuple(map(reader.record, rows))
    odd = reader.odd
    for column, count in sorted(odd.items()):
        what = "a Wikidata id" if column.endswith("wikidata") else "a whole number"
        LOG.warning("%s: %d cells of the column %s are not %s and are left empty", path, count, column, what)
    return records


def _problem_of_list(status: str, reason: str) -> tuple[str, str]:
    """Why a list says that a row is not to be fetched; a word that is no status becomes part of the reason."""
    reason = " ".join(reason.split())[:_LONGEST_REASON]
    if status in OF_LISTS:
        return status, reason or "set aside by the list"
    told = f"its list calls it {status[:_LONGEST_REASON]!r}, which is no status of a list"
    return ImageStatus.SET_ASIDE, f"{told}: {reason}" if reason else told


@contextmanager
def _without_collection() -> Iterator[None]:
    """No search for cycles: millions of rows have none, and each search walks through all that are there."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass
class _Reader:
    """What turns cells into rows, and counts what it met: cells that are none, files that are nowhere."""

    folder: Path
    kind: str
    within: Within
    odd: Counter[str] = field(default_factory=Counter)
    lost: int = 0

    def record(self, row: Mapping[str, str]) -> SourceRecord:
        """The row of a list from its cells."""
        image, image_problem = self._place(row.get("url") or row.get("image") or "")
        mask, mask_problem = self._place(row["mask"]) if row.get("mask") else (None, None)
        artist, work = name(row.get("artist")), name(row.get("work"))
        if row.get("problem"):
            image_problem = _problem_of_list(row["problem"], row.get("problem_reason") or "")
        elif artist is None or work is None or not image.given:
            missing = "artist" if artist is None else "work" if work is None else "url or image path"
            image_problem = "bad_row", f"the row has no {missing}"
        given: dict[str, Any] = {column: name(row[column]) for column in row if column in _AS_GIVEN}
        checked: dict[str, Any] = {column: _CHECKED[column](row[column]) for column in row if column in _CHECKED}
        if checked:
            self.odd.update(column for column, value in checked.items() if value is None and row[column])
        return SourceRecord(
            artist,
            work,
            image,
            mask,
            source=row.get("source") or self.kind,
            problem=image_problem,
            mask_problem=mask_problem,
            **given,
            **checked,
        )

    def _place(self, asked: str) -> tuple[Location, tuple[str, str] | None]:
        """Where a file is, and why it is not read, if so."""
        literal = self.lost >= LOST_FILES or not has_readings(asked)
        found, problem = place(asked, self.folder, self.kind == "museum", literal)
        found, outside = self.within.placed(found)
        if not literal and found.path is not None:
            self.lost += not os.path.lexists(found.path)
        return found, problem or outside

"""The Smithsonian Institution.

Interface: edan.si.edu/openaccess/docs (`/search` with `q`, `rows`, `start` and a key of api.data.gov). The dump is the
same records, one a line (registry.opendata.aws/smithsonian-open-access, `metadata/edan/<unit>/*.txt`, packed or not).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from liftnet.collect.catalogues.base import DUMP, CatalogueSettings, MuseumCatalogue
from liftnet.collect.sources.catalogue_data import (
    address,
    expected,
    items,
    json_lines,
    mapping,
    text,
    texts,
    without_html,
)
from liftnet.collect.sources.records import SourceRecord
from liftnet.core.errors import LiftnetError

if TYPE_CHECKING:
    from liftnet.collect.sources.client import Client

KEY = "SMITHSONIAN_API_KEY"  # environment variable; a key is a secret, and no setting
DEEPEST = 10_000  # records of one query that are paged through; a larger one is divided by the records' hash
_MAKERS = (
    "sculptor",
    "artist",
    "artist/maker",
    "carver",
    "maker",
    "created by",
    "creator",
    "designer",
    "attributed to",
)
_DIED = re.compile(r"\b1?\d{3}\s*[-–]\s*(?:died\b.*?\s)?(1?\d{3}|20\d\d)$")  # "1805-1873", "1805-died Florence 1873"


class SmithsonianSettings(CatalogueSettings):
    """The Smithsonian Institution: its open-access images (CC0)."""

    object_types: list[str] = Field(
        default=["sculpture"], description="words of which an object's types must hold one; none: any"
    )
    units: list[str] = Field(default=[], description="codes of its museums, e.g. SAAM HMSG; none: all")
    page_size: int = Field(default=500, ge=1, le=1000, description="records asked for at a time")
    dump: str = Field(default="", description=DUMP + "a folder of its metadata, *.txt or *.txt.bz2")
    api: str = Field(default="https://api.si.edu/openaccess/api/v1.0", description="address of the interface")


class Smithsonian(MuseumCatalogue):
    """Objects of some types and museums whose images are CC0."""

    name = "smithsonian"
    settings_type = SmithsonianSettings
    example = "--units SAAM HMSG --politeness.contact you@example.org"

    def records(self, client: Client) -> Iterator[Any]:
        """The records."""
        return self._of_dump(Path(self.settings.dump)) if self.settings.dump else self._asked(client, "")

    def _asked(self, client: Client, prefix: str) -> Iterator[Any]:
        """The records whose hash begins with `prefix`."""
        url, start = f"{self.settings.api}/search", 0
        headers = {"X-Api-Key": os.environ.get(KEY, "DEMO_KEY")}
        while True:
            parameters = {"q": self._query(prefix), "rows": self.settings.page_size, "start": start}
            answer = mapping(expected(client.ask(url, parameters, headers), "response", dict, url))
            count, records = expected(answer, "rowCount", int, url), expected(answer, "rows", list, url)
            if count > DEEPEST and len(prefix) < 4:
                for digit in "0123456789abcdef":
                    yield from self._asked(client, prefix + digit)
                return
            client.new_page(url, records)
            yield from records
            start += len(records)
            if not records or start >= count:
                return

    def _query(self, prefix: str) -> str:
        parts = ["online_media_type:Images", "media_usage:CC0"]
        if self.settings.object_types:
            parts.append(_any("object_type", [f"{word}*" for word in self.settings.object_types]))
        if self.settings.units:
            parts.append(_any("unit_code", self.settings.units))
        return " AND ".join([*parts, f"hash:{prefix}*"] if prefix else parts)

    def _of_dump(self, folder: Path) -> Iterator[Any]:
        paths = sorted(p for p in folder.rglob("*.txt*") if p.suffix in (".txt", ".bz2") and p.stem != "index")
        if not paths:
            raise LiftnetError(folder, "holds no *.txt or *.txt.bz2 files", "Name the folder metadata/edan/<unit>")
        for path in paths:
            yield from json_lines(path)

    def images(self, record: dict[str, Any], client: Client) -> Iterator[SourceRecord]:
        """A row for each photograph that is CC0."""
        content = mapping(record.get("content"))
        about = mapping(content.get("descriptiveNonRepeating"))
        kinds = " ".join(texts(mapping(content.get("indexedStructured")).get("object_type"))).lower()
        wanted = [word.lower() for word in self.settings.object_types]
        if self.settings.units and about.get("unit_code") not in self.settings.units:
            client.skip("the object is of another museum")
        elif wanted and not any(word in kinds for word in wanted):
            client.skip("the object is of another type")
        else:
            media = [mapping(medium) for medium in items(mapping(about.get("online_media")).get("media"))]
            images = [medium for medium in media if medium.get("type") == "Images"]
            free = [medium for medium in images if mapping(medium.get("usage")).get("access") == "CC0"]
            urls = list(dict.fromkeys(url for medium in free if (url := address(medium.get("content")))))
            if not images:
                client.skip("the object has no image")
            client.skip("the image is not CC0", len(images) - len(free))
            yield from (self._row(record, content, url) for url in urls)

    def _row(self, record: dict[str, Any], content: dict[str, Any], url: str) -> SourceRecord:
        about, said = mapping(content.get("descriptiveNonRepeating")), mapping(content.get("freetext"))
        name, died = _maker(said)
        number = text(about.get("record_ID")) or text(record.get("id"))
        return self.row(
            url,
            name,
            texts(mapping(content.get("indexedStructured")).get("culture")),
            without_html(mapping(about.get("title")).get("content")) or text(record.get("title")),
            number,
            page_url=address(about.get("record_link")) or address(about.get("guid")),
            attribution=text(about.get("data_source")) or "Smithsonian Institution",
            source_id=number,
            credit=_first(said, "creditLine"),
            artist_died=died,
            work_rights=_first(said, "objectRights") or "Public domain",
        )


def _any(field: str, values: list[str]) -> str:
    return f"{field}:({' OR '.join(values)})"


def _maker(said: dict[str, Any]) -> tuple[str | None, int | None]:
    """Name and year of death of who made a work, by the label that says so most clearly."""
    names = [mapping(entry) for entry in items(said.get("name"))]
    labelled = {(text(entry.get("label")) or "").lower(): text(entry.get("content")) for entry in reversed(names)}
    found = next((labelled[label] for label in _MAKERS if labelled.get(label)), None)
    if found is None or found.lower().startswith(("unknown", "unidentified")):
        return None, None
    name, _, life = found.partition(", ")  # "Hiram Powers, born Woodstock, VT 1805-died Florence, Italy 1873"
    died = _DIED.search(life)
    return (name if any(letter.isdigit() for letter in life) else found), int(died[1]) if died else None


def _first(said: dict[str, Any], key: str) -> str | None:
    return next((found for entry in items(said.get(key)) if (found := text(mapping(entry).get("content")))), None)

"""The Art Institute of Chicago.

Interface: api.artic.edu/docs. `/artworks/search` filters, 100 records a page and at most 10,000 of one search;
`/agents` says when an artist died; images are served by IIIF (`<iiif_url>/<image>/full/843,/0/default.jpg`). The dump
(github.com/art-institute-of-chicago/api-data) holds a file of JSON for each record: `json/artworks/`, `json/agents/`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from liftnet.collect.catalogues.base import DUMP, CatalogueSettings, MuseumCatalogue
from liftnet.collect.sources.catalogue_data import expected, items, json_files, mapping, text, texts, without_html
from liftnet.collect.sources.records import SourceRecord, year
from liftnet.core.errors import LiftnetError

if TYPE_CHECKING:
    from liftnet.collect.sources.client import Client

IIIF = "https://www.artic.edu/iiif/2"
PAGE = 100
MOST = 10_000
_FIELDS = (
    "id",
    "title",
    "main_reference_number",
    "artist_id",
    "artist_title",
    "artist_display",
    "place_of_origin",
    "artwork_type_title",
    "is_public_domain",
    "copyright_notice",
    "credit_line",
    "image_id",
    "alt_image_ids",
)


class ArticSettings(CatalogueSettings):
    """The Art Institute of Chicago: its images in the public domain (CC0)."""

    types: list[str] = Field(default=["Sculpture"], description="the museum's types of artwork")
    width: Literal[200, 400, 600, 843, 1686] = Field(
        default=843, description="width of the images in px; 843 is the one its servers keep ready"
    )
    dump: str = Field(default="", description=DUMP + "the unpacked folder artic-api-data")
    api: str = Field(default="https://api.artic.edu/api/v1", description="address of the interface")


class Artic(MuseumCatalogue):
    """Artworks of some types that are in the public domain."""

    name = "artic"
    settings_type = ArticSettings
    example = "--politeness.contact you@example.org"

    def records(self, client: Client) -> Iterator[Any]:
        """The records, with the year of the artist's death as `artist_died`."""
        if self.settings.dump:
            folder = Path(self.settings.dump) / "json"
            return _with_deaths(json_files(folder / "artworks"), _by_number(json_files(folder / "agents")))
        return self._asked(client)

    def _asked(self, client: Client) -> Iterator[Any]:
        url = f"{self.settings.api}/artworks/search"
        contact = client.contact
        headers = {"AIC-User-Agent": f"liftnet ({contact})"} if contact else {}
        for kind in self.settings.types:
            for page in range(1, MOST // PAGE + 1):
                answer = client.ask(url, _search(kind, page), headers)
                total = mapping(expected(answer, "pagination", dict, url)).get("total")
                if isinstance(total, int) and total > MOST:
                    reason = f"finds {total:,} artworks of the type {kind}, and gives {MOST:,} of a search at most"
                    raise LiftnetError(url, reason, "Use its dump: --dump artic-api-data")
                records = expected(answer, "data", list, url)
                client.new_page(url, records)
                yield from _with_deaths(records, self._deaths(records, client, headers))
                if len(records) < PAGE or (isinstance(total, int) and page * PAGE >= total):
                    break

    def _deaths(self, records: Sequence[Any], client: Client, headers: dict[str, str]) -> dict[int, int]:
        """When the artists of a page died, by their number: one request."""
        artists = sorted({number for record in records if isinstance(number := mapping(record).get("artist_id"), int)})
        if not artists:
            return {}
        url = f"{self.settings.api}/agents"
        parameters = {"ids": ",".join(map(str, artists)), "fields": "id,death_date", "limit": PAGE}
        return _by_number(expected(client.ask(url, parameters, headers), "data", list, url))

    def images(self, record: dict[str, Any], client: Client) -> Iterator[SourceRecord]:
        """A row for each photograph of an artwork in the public domain."""
        if record.get("artwork_type_title") not in self.settings.types:
            client.skip("the artwork is of another type")
        elif record.get("is_public_domain") is not True:
            client.skip("the artwork is not in the public domain")
        else:
            found = (record.get("image_id"), *items(record.get("alt_image_ids")))
            images = list(dict.fromkeys(image for image in map(text, found) if image))
            if not images:
                client.skip("the artwork has no image")
            yield from (self._row(record, image) for image in images)

    def _row(self, record: dict[str, Any], image: str) -> SourceRecord:
        maker, number = record.get("artist_display"), text(record.get("id"))
        culture = texts(maker.splitlines() if isinstance(maker, str) else None) or texts(record.get("place_of_origin"))
        return self.row(
            f"{IIIF}/{image}/full/{self.settings.width},/0/default.jpg",
            text(record.get("artist_title")),
            culture,
            without_html(record.get("title")),
            text(record.get("main_reference_number")) or number,
            page_url=f"https://www.artic.edu/artworks/{record['id']}" if isinstance(record.get("id"), int) else None,
            attribution="The Art Institute of Chicago",
            source_id=number,
            credit=without_html(record.get("credit_line")),
            artist_died=record["artist_died"],
            work_rights=text(record.get("copyright_notice")) or "Public domain",
        )


def _search(kind: str, page: int) -> dict[str, str | int]:
    terms: list[dict[str, Any]] = [
        {"term": {"is_public_domain": True}},
        {"term": {"artwork_type_title.keyword": kind}},
    ]
    query = {"query": {"bool": {"filter": terms}}, "sort": [{"id": "asc"}], "fields": list(_FIELDS)}
    return {"params": json.dumps(query | {"limit": PAGE, "page": page}, separators=(",", ":"))}


def _by_number(agents: Any) -> dict[int, int]:
    found = ((mapping(agent).get("id"), year(mapping(agent).get("death_date"))) for agent in agents)
    return {number: died for number, died in found if isinstance(number, int) and died is not None}


def _with_deaths(records: Iterable[Any], deaths: dict[int, int]) -> Iterator[dict[str, Any]]:
    for record in map(mapping, records):
        number = record.get("artist_id")
        yield record | {"artist_died": deaths.get(number) if isinstance(number, int) else None}

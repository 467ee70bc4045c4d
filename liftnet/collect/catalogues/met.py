"""The Metropolitan Museum of Art.

Interface: metmuseum.github.io. `/search` gives the numbers of objects by medium and department, `/objects/<number>`
one object with the addresses of its images; both fields and the table MetObjects.csv (github.com/metmuseum/openaccess)
are documented there. The table has no addresses of images, so every object is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from liftnet.collect.catalogues.base import DUMP, CatalogueSettings, MuseumCatalogue
from liftnet.collect.sources.catalogue_data import address, csv_records, expected, items, text, without_html
from liftnet.collect.sources.records import SourceRecord, wikidata_id, year
from liftnet.core.errors import LiftnetError

if TYPE_CHECKING:
    from liftnet.collect.sources.client import Client

_STILL_ALIVE = 9999  # what the museum writes for the death of a living artist


class MetSettings(CatalogueSettings):
    """The Metropolitan Museum of Art: its open-access images (CC0)."""

    classifications: list[str] = Field(
        default=["sculpture"], description="words of which an object's classification must hold one; none: any"
    )
    departments: list[int] = Field(default=[], description="numbers of departments; none: all")
    dump: str = Field(default="", description=DUMP + "its MetObjects.csv, for the numbers of the objects")
    api: str = Field(
        default="https://collectionapi.metmuseum.org/public/collection/v1", description="address of the interface"
    )


class Met(MuseumCatalogue):
    """Objects of some classifications and departments whose images are CC0."""

    name = "met"
    settings_type = MetSettings
    example = "--limit 100 --politeness.contact you@example.org"

    def records(self, client: Client) -> Iterator[Any]:
        """The records; each is one request."""
        for number in self._numbers(client):
            record = client.ask(f"{self.settings.api}/objects/{number}", may_be_gone=True)
            if record is None:
                client.skip("the museum has removed the object")
            else:
                yield record

    def _numbers(self, client: Client) -> Iterator[int]:
        if self.settings.dump:
            yield from self._of_table(Path(self.settings.dump), client)
            return
        departments: list[int | None] = [*self.settings.departments] or [None]
        for department in departments:
            parameters = {"hasImages": "true", "medium": "Sculpture", "q": "sculpture"}
            if department is not None:
                parameters["departmentId"] = str(department)
            url = f"{self.settings.api}/search"
            answer = client.ask(url, parameters)
            expected(answer, "total", int, url)
            yield from (number for number in items(answer.get("objectIDs")) if isinstance(number, int))

    def _of_table(self, path: Path, client: Client) -> Iterator[int]:
        columns = ("Object ID", "Is Public Domain", "Classification")
        for row in csv_records(path, columns):
            if not row["Object ID"].isdecimal():
                raise LiftnetError(path, f"has an Object ID that is no number: {row['Object ID']!r}", "Fetch it again")
            if not self._is_wanted(row["Classification"]):
                continue
            if row["Is Public Domain"].strip().lower() != "true":
                client.skip("the object is not in the public domain")
                continue
            yield int(row["Object ID"])

    def _is_wanted(self, classification: object) -> bool:
        plain = (text(classification) or "").lower()
        return not self.settings.classifications or any(
            word.lower() in plain for word in self.settings.classifications
        )

    def images(self, record: dict[str, Any], client: Client) -> Iterator[SourceRecord]:
        """A row for each photograph of an object in the public domain."""
        if not self._is_wanted(record.get("classification")):
            client.skip("the object is of another classification")
        elif record.get("isPublicDomain") is not True:
            client.skip("the object is not in the public domain")
        else:
            found = (record.get("primaryImage"), *items(record.get("additionalImages")))
            named = [url for url in found if url]
            urls = list(dict.fromkeys(url for url in map(address, named) if url))
            if not named:
                client.skip("the object has no image")
            client.skip("the address of the image is none", sum(address(url) is None for url in named))
            yield from (self._row(record, url) for url in urls)

    def _row(self, record: dict[str, Any], url: str) -> SourceRecord:
        died = year(record.get("artistEndDate"))
        name = without_html(record.get("artistDisplayName"))
        return self.row(
            url,
            name,
            (text(record.get("culture")), text(record.get("period"))),
            without_html(record.get("title")),
            text(record.get("accessionNumber")) or text(record.get("objectID")),
            page_url=address(record.get("objectURL")),
            attribution="The Metropolitan Museum of Art",
            source_id=text(record.get("objectID")),
            credit=without_html(record.get("creditLine")),
            artist_wikidata=wikidata_id(record.get("artistWikidata_URL")) if name else None,
            artist_died=died if name and died != _STILL_ALIVE else None,
            work_wikidata=wikidata_id(record.get("objectWikidata_URL")),
            work_rights="Public domain",
        )

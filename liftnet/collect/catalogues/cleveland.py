"""The Cleveland Museum of Art.

Interface and dump hold the same records: openaccess-api.clevelandart.org and data.json of
github.com/ClevelandMuseumArt/openaccess.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from liftnet.collect.catalogues.base import DUMP, CatalogueSettings, MuseumCatalogue
from liftnet.collect.sources.catalogue_data import (
    address,
    expected,
    items,
    json_list,
    mapping,
    text,
    texts,
    without_html,
)
from liftnet.collect.sources.records import SourceRecord, size, wikidata_id, year

if TYPE_CHECKING:
    from liftnet.collect.sources.client import Client


class ClevelandSettings(CatalogueSettings):
    """The Cleveland Museum of Art: its open-access images (CC0)."""

    types: list[str] = Field(default=["Sculpture"], description="the museum's types of object")
    size: Literal["web", "print", "full"] = Field(
        default="print", description="size of the images: about 1,200 px, 3,400 px, or the TIFF"
    )
    page_size: int = Field(default=500, ge=1, le=1000, description="records asked for at a time")
    dump: str = Field(default="", description=DUMP + "its data.json")
    api: str = Field(default="https://openaccess-api.clevelandart.org/api", description="address of the interface")


class Cleveland(MuseumCatalogue):
    """Objects of some types whose images are CC0."""

    name = "cleveland"
    settings_type = ClevelandSettings
    example = "--dump data.json"

    def records(self, client: Client) -> Iterator[Any]:
        """The records; the interface gives a thousand at a time."""
        return json_list(Path(self.settings.dump)) if self.settings.dump else self._asked(client)

    def _asked(self, client: Client) -> Iterator[Any]:
        url = f"{self.settings.api}/artworks/"
        for kind in self.settings.types:
            skip = 0
            while True:
                parameters = {"type": kind, "cc0": 1, "has_image": 1, "limit": self.settings.page_size, "skip": skip}
                answer = client.ask(url, parameters)
                records = expected(answer, "data", list, url)
                client.new_page(url, records)
                yield from records
                skip += len(records)
                total = mapping(answer.get("info")).get("total")
                if not records or (isinstance(total, int) and skip >= total):
                    break

    def images(self, record: dict[str, Any], client: Client) -> Iterator[SourceRecord]:
        """A row for each view that comes in the size asked for."""
        if record.get("type") not in self.settings.types:
            client.skip("the object is of another type")
        elif (text(record.get("share_license_status")) or "").upper() != "CC0":
            client.skip("the object is not open access")
        else:
            versions = [record.get("images"), *items(record.get("alternate_images"))]
            images = [mapping(mapping(version).get(self.settings.size)) for version in versions]
            found = {url: image for image in images if (url := address(image.get("url")))}
            lacking = sum(address(image.get("url")) is None for image in images)
            client.skip(f"the image does not come in the size {self.settings.size}", lacking)
            yield from (self._row(record, url, image) for url, image in found.items())

    def _row(self, record: dict[str, Any], url: str, image: dict[str, Any]) -> SourceRecord:
        creators = [mapping(creator) for creator in items(record.get("creators"))]
        creator = next((creator for creator in creators if text(creator.get("description"))), {})
        linked = texts(mapping(record.get("external_resources")).get("wikidata"))
        return self.row(
            url,
            (without_html(creator.get("description")) or "").partition(" (")[0],  # "Thomas Cole (American, 1801-1848)"
            texts(record.get("culture")),
            without_html(record.get("title")),
            text(record.get("accession_number")) or text(record.get("id")),
            page_url=address(record.get("url")),
            attribution="The Cleveland Museum of Art",
            source_id=text(record.get("id")),
            credit=without_html(record.get("creditline")),
            artist_died=year(creator.get("death_year")),
            work_wikidata=next(filter(None, map(wikidata_id, linked)), None),
            work_rights=text(record.get("copyright")) or "Public domain",
            expected_bytes=size(image.get("filesize")),
        )

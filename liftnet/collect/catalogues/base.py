"""What every kind of source of `collect list` is: settings, and a class that gives the rows of its list.

A kind is one module of this package: a subclass of `Catalogue` with the name it goes by and its settings, found by
being there. docs/sources.md has an example of each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from liftnet.collect.sources.catalogue_data import mapping
from liftnet.collect.sources.records import SourceRecord
from liftnet.core.settings import Settings
from liftnet.data.locations import Location

if TYPE_CHECKING:
    from liftnet.collect.sources.client import Client

DUMP = "instead of asking it: "
CC0 = "CC0 1.0"
CC0_URL = "https://creativecommons.org/publicdomain/zero/1.0/"


class ListSettings(Settings):
    """What holds for every kind."""

    limit: int | None = Field(default=None, ge=1, description="stop after this many images; for a first look")
    max_per_artist: int | None = Field(
        default=None, ge=1, description="images kept of one artist; the rest become rows with a reason"
    )
    max_per_work: int | None = Field(
        default=None, ge=1, description="images kept of one work; the rest become rows with a reason"
    )


class CatalogueSettings(ListSettings):
    """What holds for every kind that asks a server."""

    max_requests: int = Field(
        default=200_000, ge=1, description="requests to the catalogue, after which the list is given up"
    )


class Catalogue(ABC):
    """A kind of source. A subclass with a name of its own is a kind of `collect list`.

    Attributes:
        name: What it is called in `collect list NAME`, in config.yaml and in the column `source`.
        settings_type: Its settings; the first line of their docstring is its help.
        example: Options of `collect list NAME` as somebody may give them.
        local: Whether it is read from files on this machine alone; the others ask servers.
        folder: What its paths are relative to; None if all its images are on the web.
    """

    name: ClassVar[str] = ""
    settings_type: ClassVar[type[ListSettings]] = ListSettings
    example: ClassVar[str] = ""
    local: ClassVar[bool] = False
    known: ClassVar[dict[str, type[Catalogue]]] = {}
    folder: Path | None = None

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def __init_subclass__(cls) -> None:
        if "name" in vars(cls):
            Catalogue.known[cls.name] = cls

    @abstractmethod
    def rows(self, client: Client) -> Iterator[SourceRecord]:
        """A row for each image: with its artist and work, or with the reason why it is not fetched."""


class MuseumCatalogue(Catalogue):
    """A museum with open access: records from its interface or its dump, and images that are CC0."""

    def rows(self, client: Client) -> Iterator[SourceRecord]:
        """A row an image."""
        for record in self.records(client):
            yield from self.images(mapping(record), client)

    @abstractmethod
    def records(self, client: Client) -> Iterator[Any]:
        """The museum's records: of its dump, if the settings name one."""

    @abstractmethod
    def images(self, record: dict[str, Any], client: Client) -> Iterator[SourceRecord]:
        """The rows of a record's images; `client` counts what gives none."""

    def row(
        self,
        url: str,
        artist: str | None,
        cultures: Iterable[str | None],
        title: str | None,
        number: str | None,
        **about: Any,
    ) -> SourceRecord:
        """The row of an image.

        Args:
            url: Address of the image.
            artist: Name of the artist, if one is known.
            cultures: The first stands for an artist whom nobody knows, so that its works stay in one split.
            title: Of the work.
            number: Under which the museum keeps the work: museums hold several called "Untitled".
            about: Further fields of the row.
        """
        culture = next(filter(None, cultures), None)
        return SourceRecord(
            artist or (f"Unknown ({culture})" if culture else None),
            f"{title or 'Untitled'} ({number})" if number else title,
            Location(url),
            source=self.name,
            license=CC0,
            license_url=CC0_URL,
            **about,
        )

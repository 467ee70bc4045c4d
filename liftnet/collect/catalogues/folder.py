"""A folder of your own photographs: what it is taken for, as a list that can be corrected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from liftnet.collect.catalogues.base import Catalogue, ListSettings
from liftnet.collect.sources.directories import read_directory
from liftnet.collect.sources.records import SourceRecord
from liftnet.core.errors import LiftnetError

if TYPE_CHECKING:
    from liftnet.collect.sources.client import Client


class FolderSettings(ListSettings):
    """A folder of your own photographs, as `photos:` would take it."""

    folder: str = Field(default="", description="the folder: artist/work/*, work/*, or the photographs of one work")


class Folder(Catalogue):
    """A folder of photographs."""

    name = "folder"
    settings_type = FolderSettings
    example = "--folder photographs"
    local = True
    folder: Path

    def __init__(self, settings: FolderSettings) -> None:
        if not settings.folder:
            raise LiftnetError("folder", "none is named", "Give --folder, which holds the photographs")
        self.folder = Path(settings.folder)

    def rows(self, client: Client) -> Iterator[SourceRecord]:
        """A row for each file."""
        yield from read_directory(self.folder).rows

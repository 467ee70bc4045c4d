"""A table of somebody else's, with its columns renamed: a museum's spreadsheet, an export of a database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from liftnet.collect.catalogues.base import Catalogue, ListSettings
from liftnet.collect.sources.catalogue_data import csv_records
from liftnet.collect.sources.records import COLUMNS, SourceRecord, rows_of
from liftnet.core.errors import LiftnetError
from liftnet.data.listed_files import filled, names_in
from liftnet.data.locations import EVERYWHERE

if TYPE_CHECKING:
    from liftnet.collect.sources.client import Client


class TableSettings(ListSettings):
    """A table of somebody else's, its columns renamed."""

    file: str = Field(default="", description="a CSV file in UTF-8")
    columns: list[str] = Field(
        default=[],
        description="ours=theirs for each column, e.g. artist=maker 'work={title} ({number})' url=picture",
    )
    constants: list[str] = Field(default=[], description="ours=value for columns that are the same in every row")
    none_of: list[str] = Field(
        default=[], description="theirs=word: rows whose cell holds that word are set aside, with that reason"
    )


class Table(Catalogue):
    """A CSV file and what its columns mean."""

    name = "table"
    settings_type = TableSettings
    example = "--file theirs.csv --columns artist=maker work=title url=image"
    local = True
    folder: Path

    def __init__(self, settings: TableSettings) -> None:
        self.path = Path(settings.file)
        self.folder = self.path.parent
        if not settings.file:
            raise LiftnetError("file", "none is named", "Give --file TABLE.csv")
        self.columns = _pairs("columns", settings.columns)
        self.constants = _pairs("constants", settings.constants)
        self.none_of = [word.partition("=")[::2] for word in settings.none_of]
        unknown = sorted({*self.columns, *self.constants} - COLUMNS)
        if unknown:
            raise LiftnetError(
                "columns", f"{unknown[0]!r} is no column of a list", f"Known are {', '.join(sorted(COLUMNS))}"
            )

    def rows(self, client: Client) -> Iterator[SourceRecord]:
        """A row for each row of the table; one without an image's address says so."""
        used = {name for value in self.columns.values() for name in names_in(value)}
        needed = sorted(used | {column for column, _ in self.none_of})
        records = list(csv_records(self.path, needed))
        cells = [{ours: filled(theirs, record) for ours, theirs in self.columns.items()} for record in records]
        rows = rows_of(self.path, [row | self.constants for row in cells], self.folder, "table", [EVERYWHERE])
        yield from (self._without(row, record) for row, record in zip(rows, records, strict=True))

    def _without(self, row: SourceRecord, record: Mapping[str, str]) -> SourceRecord:
        for column, word in self.none_of:
            if word.lower() in record.get(column, "").lower():
                return replace(row, problem=("set_aside", f"its {column} has {word!r}"))
        return row


def _pairs(option: str, pairs: Sequence[str]) -> dict[str, str]:
    found = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(found) != len(pairs):
        raise LiftnetError(
            option, f"cannot be read: {' '.join(pairs)}", "Write ours=theirs for each, every one of ours once"
        )
    return found

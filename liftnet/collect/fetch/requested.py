"""The rows of the source lists as `collect plan` read them, kept for `collect manifest`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from liftnet.collect.sources.records import Location, SourceRecord, Sources
from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json, write_json
from liftnet.data.schemas import WANTED, in_groups, open_table, table_writer

_PLACES = ("image", "mask")
_PROBLEMS = ("problem", "mask_problem")
_PLAIN = tuple(field.name for field in fields(SourceRecord) if field.name not in (*_PLACES, *_PROBLEMS))
ROWS_PER_GROUP = 10_000


def write_requested(folder: Path, sources: Sources) -> None:
    """Write `wanted.parquet` and `sources.json` into `folder`."""
    with table_writer(folder / "wanted.parquet", WANTED) as write:
        for group in in_groups(sources.rows, ROWS_PER_GROUP):
            write([_as_row(row) for row in group])
    write_json(folder / "sources.json", {"kind": sources.kind, "origin": os.fsencode(sources.origin).hex()})


def read_requested(folder: Path) -> Sources:
    """What `write_requested` wrote.

    Raises:
        LiftnetError: `collect plan` has not been run, or its files are damaged.
    """
    about = read_json(folder / "sources.json")
    rows: list[SourceRecord] = []
    with open_table(folder / "wanted.parquet", WANTED) as file:
        for batch in file.iter_batches(ROWS_PER_GROUP):
            rows += map(_as_wanted, batch.to_pylist())
    try:
        return Sources(about["kind"], Path(os.fsdecode(bytes.fromhex(about["origin"]))), tuple(rows))
    except (KeyError, TypeError, ValueError) as error:
        raise LiftnetError(folder / "sources.json", "is damaged", "Run `collect plan` again") from error


def _as_row(wanted: SourceRecord) -> dict[str, Any]:
    row = {name: getattr(wanted, name) for name in _PLAIN}
    for name in _PLACES:
        if (place := getattr(wanted, name)) is not None:
            row |= {f"{name}_asked": place.given, f"{name}_path": path_bytes(place.path)}
    for name in _PROBLEMS:
        if (problem := getattr(wanted, name)) is not None:
            row |= {f"{name}_status": problem[0], f"{name}_reason": problem[1]}
    return row


def _as_wanted(row: Mapping[str, Any]) -> SourceRecord:
    places: dict[str, Any] = {
        name: None if row[f"{name}_asked"] is None else Location(row[f"{name}_asked"], bytes_path(row[f"{name}_path"]))
        for name in _PLACES
    }
    problems: dict[str, Any] = {
        name: None if row[f"{name}_status"] is None else (row[f"{name}_status"], row[f"{name}_reason"])
        for name in _PROBLEMS
    }
    return SourceRecord(**{name: row[name] for name in _PLAIN}, **places, **problems)


def path_bytes(path: Path | None) -> bytes | None:
    """A path as the system spells it: names of files need not be text."""
    return None if path is None else os.fsencode(path)


def bytes_path(spelled: bytes | None) -> Path | None:
    """The path that `path_bytes` spelled."""
    return None if spelled is None else Path(os.fsdecode(spelled))

"""The rows of the source lists as `collect plan` read them, kept for `collect manifest`."""

from __future__ import annotations

import os
from pathlib import Path

from liftnet.collect.sources.records import SourceRecord, Sources
from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json, write_json
from liftnet.data.schemas import WANTED, in_groups, open_table, table_writer

ROWS_PER_GROUP = 10_000


def write_requested(folder: Path, sources: Sources) -> None:
    """Write `wanted.parquet` and `sources.json` into `folder`."""
    with table_writer(folder / "wanted.parquet", WANTED) as write:
        for group in in_groups(sources.rows, ROWS_PER_GROUP):
            write([row.to_row() for row in group])
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
            rows += map(SourceRecord.from_row, batch.to_pylist())
    try:
        return Sources(about["kind"], Path(os.fsdecode(bytes.fromhex(about["origin"]))), tuple(rows))
    except (KeyError, TypeError, ValueError) as error:
        raise LiftnetError(folder / "sources.json", "is damaged", "Run `collect plan` again") from error

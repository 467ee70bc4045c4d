"""The files on this machine that a list of images names, so that a run can follow them; addresses cost nothing."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from liftnet.core.documents import DocumentError, parse_json
from liftnet.core.errors import LiftnetError
from liftnet.core.text import from_csv
from liftnet.data.csv_lines import open_csv
from liftnet.data.locations import is_address, place

FILES = ("url", "image", "mask")  # columns of a list that name files
FOLDER = b"liftnet.folder"  # metadata of a list in Parquet: what its relative paths are relative to
_NAME = re.compile(r"\{([^{}]+)\}")


def local_files(path: Path, columns: Mapping[str, str] | None = None) -> Iterator[Path]:
    """The files that a list names, those that are not there among them.

    A list that cannot be read has none, or those up to the place where it is damaged: the command that reads it says
    what is wrong. Of one in Parquet they are known where pyarrow is installed.

    Args:
        path: A list in Parquet (`*.parquet`) or, of any other ending, in CSV.
        columns: Of a table in CSV of somebody else's, where each of our columns comes from, see `filled`.
    """
    cells = _cells_of_parquet(path) if path.suffix.lower() == ".parquet" else _cells_of_csv(path, columns or {})
    for folder, asked in cells:
        if asked and not is_address(asked):
            location, problem = place(asked, folder)
            if location.path is not None and problem is None:
                yield location.path


def filled(text: str, record: Mapping[str, str]) -> str:
    """The cell of a column of this name, or a text with cells in the places of their names in braces."""
    if not _NAME.search(text):
        return record.get(text, "").strip()
    return _NAME.sub(lambda match: record.get(match[1], "").strip(), text)


def names_in(text: str) -> list[str]:
    """The columns that `filled` takes cells from."""
    return _NAME.findall(text) or [text]


def _cells_of_csv(path: Path, columns: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """The cells that name files, each with the folder that a path in it is relative to."""
    templates = [columns[name] for name in FILES if name in columns]
    with suppress(OSError, UnicodeError, csv.Error), open_csv(path, strict=False) as records:
        reader = iter(records)
        header = next(reader, [])
        own = [number for number, name in enumerate(header) if name.strip().lower() in FILES]
        for row in reader:
            if columns:
                record = dict(zip(header, row, strict=False))
                yield from ((path.parent, filled(template, record)) for template in templates)
            else:
                yield from ((path.parent, from_csv(row[number].strip())) for number in own if number < len(row))


def _cells_of_parquet(path: Path) -> Iterator[tuple[Path, str]]:
    try:
        import pyarrow as pa

        from liftnet.data.parquet_limits import open_parquet
    except ImportError:  # a run is planned where only Snakemake is installed
        return
    with suppress(OSError, pa.ArrowException, ValueError, LiftnetError), open_parquet(path) as file:
        folder = folder_of_list(path, file.schema_arrow.metadata or {})
        used = [name for name in file.schema_arrow.names if name.strip().lower() in FILES]
        for batch in file.iter_batches(columns=used):
            for column in batch.columns:
                yield from ((folder, value.strip()) for value in column.to_pylist() if isinstance(value, str))


def folder_of_list(path: Path, metadata: Mapping[bytes, bytes]) -> Path:
    """What the relative paths of a list in Parquet are relative to: its own folder, or that it was made of."""
    if FOLDER not in metadata:
        return path.parent
    try:
        folder = parse_json(metadata[FOLDER])
    except DocumentError as error:
        raise LiftnetError(path, f"the folder that its paths are relative to {error}", "Write it again") from error
    if not isinstance(folder, str) or "\0" in folder:
        raise LiftnetError(path, "the folder that its paths are relative to is none", "Write it again")
    return Path(folder)

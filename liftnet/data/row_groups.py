"""Reading a few rows of a long table, so that a job's time and memory do not grow with the collection."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from liftnet.data.schemas import open_table

Bounds = tuple[str, str]


def read_rows(
    path: Path | str, schema: pa.Schema, columns: Sequence[str], key: str, values: Collection[str]
) -> pa.Table:
    """Read the rows of a Parquet table whose `key` is one of `values`, one row group in memory at a time.

    Row groups whose statistics exclude all values are not read at all; of the others the key first, and the rest only
    where it was met. So a table sorted by `key` costs the same whatever its length, and an unsorted one a scan of one
    column.

    Args:
        path: The table.
        schema: The table it must be; see `liftnet.data.schemas`.
        columns: The columns wanted.
        key: A column of strings.
        values: What to look for.

    Returns:
        The rows found, in the order of the table, with `columns`.

    Raises:
        LiftnetError: The file is missing, is not Parquet, is another table or of another version.
    """
    wanted = pa.array(sorted(values), pa.string())
    bounds = (min(values), max(values)) if values else ("", "")
    found = [pa.schema([schema.field(column) for column in columns]).empty_table()]
    with open_table(path, schema) as file:
        for group in range(file.num_row_groups):
            if values and _may_hold(file, group, key, bounds):
                found += _matching(file, group, columns, key, wanted)
    return pa.concat_tables(found)


def read_batches(
    path: Path | str, schema: pa.Schema, columns: Sequence[str], rows: int = 1024
) -> Iterator[pa.RecordBatch]:
    """Read some columns of a Parquet table, at most `rows` rows at a time.

    Raises:
        LiftnetError: The file is missing, is not Parquet, is another table or of another version.
    """
    with open_table(path, schema) as file:
        for batch in file.iter_batches(rows, columns=list(columns), use_threads=False):
            yield batch.select(list(columns))


def _may_hold(file: pq.ParquetFile, group: int, key: str, bounds: Bounds) -> bool:
    """Whether the statistics of a row group leave room for a value between `bounds`."""
    statistics = file.metadata.row_group(group).column(file.schema_arrow.get_field_index(key)).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= bounds[1] and bounds[0] <= statistics.max)


def _matching(file: pq.ParquetFile, group: int, columns: Sequence[str], key: str, wanted: pa.Array) -> list[pa.Table]:
    """The rows of a row group whose key is in `wanted`, as a list of one table or none."""
    keys = file.read_row_group(group, columns=[key], use_threads=False).column(key)
    rows = pc.is_in(keys, value_set=wanted)
    if not pc.any(rows).as_py():
        return []
    table = file.read_row_group(group, columns=list(columns), use_threads=False)
    return [table.select(list(columns)).filter(rows).replace_schema_metadata(None)]

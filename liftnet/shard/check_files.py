"""Files, tables and numbers of rows of a dataset: is everything there, as it was written? And what a check finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from liftnet.core.errors import LiftnetError
from liftnet.core.opening import sha256_of
from liftnet.core.parallel import map_threads
from liftnet.data.codes import SPLITS
from liftnet.data.dataset import PREFIXES, coordinate_scale, shard_paths
from liftnet.data.parquet_limits import open_parquet, parquet_metadata
from liftnet.data.schemas import DATASET, IMAGES, LINKED, MANIFEST, TRACKS, TRIED, check_metadata
from liftnet.data.shards import TRIED_FILE
from liftnet.shard.card import CARD_FILE
from liftnet.shard.checksums import CHECKSUMS_FILE, dataset_files, read_checksums
from liftnet.shard.croissant import CROISSANT_FILE
from liftnet.shard.described import Croissant, card_of, croissant_of
from liftnet.shard.statistics import COLLECTED_FILE

_DAMAGE = (  # what reading a file that somebody has damaged on purpose may raise
    *(pa.ArrowException, OSError, ValueError, LookupError, TypeError),
    *(AttributeError, ArithmeticError, RecursionError, MemoryError),
)
MOST_SHOWN = 100  # faults of one check that the report names; it counts the others


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        file: Path below the dataset.
        row: Which row, e.g. "pair 01ab-23cd"; "" if it is about the whole file.
        reason: What is wrong, in plain words.
    """

    file: str
    row: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}{f', {self.row}' if self.row else ''}: {self.reason}"


@dataclass
class Report:
    """The checks made, in their order.

    Attributes:
        checked: What each check looked at, e.g. "checksums" to "34 files".
        faults: What each check found.
    """

    checked: dict[str, str] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)

    def add(self, check: str, looked_at: str, faults: Iterable[Fault]) -> None:
        """Note what a check looked at and found."""
        self.checked[check] = looked_at
        self.faults[check] = list(faults)

    @property
    def count(self) -> int:
        """Number of faults."""
        return sum(map(len, self.faults.values()))

    def lines(self) -> Iterator[str]:
        """The report, a line a check and a line a fault."""
        for check, looked_at in self.checked.items():
            faults = self.faults[check]
            yield f"{check}: {looked_at}, {f'{len(faults)} faults' if faults else 'ok'}"
            yield from (f"  {fault}" for fault in faults[:MOST_SHOWN])
            if len(faults) > MOST_SHOWN:
                yield f"  ... and {len(faults) - MOST_SHOWN} more"


@contextmanager
def told_as_fault(found: list[Fault], file: str, row: str = "") -> Iterator[None]:
    """Turn the errors of reading a damaged file into a fault."""
    try:
        yield
    except LiftnetError as error:
        found.append(Fault(file, row, error.reason))
    except _DAMAGE as error:
        found.append(Fault(file, row, f"cannot be read: {' '.join(str(error).split())[:200]}"))


def check_checksums(dataset: Path, threads: int) -> tuple[int, list[Fault]]:
    """Compare every file with `checksums.sha256`; the number of files, and the faults."""
    found: list[Fault] = []
    stated: dict[str, str] = {}
    with told_as_fault(found, CHECKSUMS_FILE):
        stated = read_checksums(dataset)
    there = {path.relative_to(dataset).as_posix(): path for path in dataset_files(dataset)}
    there.pop(CHECKSUMS_FILE, None)
    if not stated:
        return len(there), found
    found += [Fault(name, "", "is missing") for name in sorted(stated.keys() - there.keys())]
    found += [Fault(name, "", f"is not listed in {CHECKSUMS_FILE}") for name in sorted(there.keys() - stated.keys())]
    names = sorted(stated.keys() & there.keys())
    digests = map_threads(lambda name: sha256_of(there[name]), names, threads, "shard", "hashing files")
    for name, digest in zip(names, digests, strict=True):
        if digest != stated[name]:
            found.append(Fault(name, "", f"its SHA-256 is {digest[:16]}..., not {stated[name][:16]}... as listed"))
    return len(stated), found


def check_tables(dataset: Path) -> tuple[dict[str, list[Path]], list[Fault]]:
    """Check that all tables are there, in this version, with the columns they must have.

    Returns:
        The readable files of each table, "pairs", "images", "tracks", "linked", "collected" and "tried", and the
        faults. Images, and what tracks say, may be missing as a whole.
    """
    found: list[Fault] = []
    usable: dict[str, list[Path]] = {table: [] for table in (*PREFIXES, "collected", "tried")}
    for table, prefix in PREFIXES.items():
        for split in SPLITS if table == "pairs" or _is_there(dataset, table) else ():
            with told_as_fault(found, f"{prefix}{split}-*.parquet"):
                usable[table] += shard_paths(dataset, split, prefix)
    for table, name in (("collected", COLLECTED_FILE), ("tried", TRIED_FILE)):
        usable[table] = [dataset / name]
    schemas = {"pairs": DATASET, "images": IMAGES, "tracks": TRACKS, "linked": LINKED}
    schemas |= {"collected": MANIFEST, "tried": TRIED}
    for table, paths in usable.items():
        usable[table] = [path for path in paths if _is_table(path, schemas[table], table, found)]
    return usable, found


def _is_there(dataset: Path, table: str) -> bool:
    """Whether a dataset has any shard of a table; tracks and the pairs that they link are there together."""
    together = ("tracks", "linked") if table in ("tracks", "linked") else (table,)
    return any(any(dataset.glob(f"{PREFIXES[name]}*.parquet")) for name in together)


def _is_table(path: Path, schema: pa.Schema, table: str, found: list[Fault]) -> bool:
    before = len(found)
    with told_as_fault(found, path.name), open_parquet(path) as file:
        held = file.schema_arrow
        check_metadata(path, held, schema)
        columns = {field.name: field.type for field in held}
        for field in schema:
            if field.name not in columns:
                found.append(Fault(path.name, "", f"has no column {field.name}"))
            elif columns[field.name] != field.type:
                reason = f"its column {field.name} is of type {columns[field.name]}, not {field.type}"
                found.append(Fault(path.name, "", reason))
        if table in ("pairs", "tracks", "linked"):
            coordinate_scale(path, file)
    return len(found) == before


def split_of(path: Path) -> str:
    """The split a shard belongs to, from its name."""
    prefix = next((prefix for prefix in PREFIXES.values() if prefix and path.name.startswith(prefix)), "")
    return path.name.removeprefix(prefix).split("-")[0]


def count_rows(tables: Mapping[str, list[Path]]) -> dict[str, dict[str, int]]:
    """The rows of the shards of each table, by split."""
    rows: dict[str, dict[str, int]] = {}
    for table in PREFIXES:
        if tables[table]:
            rows[table] = dict.fromkeys(SPLITS, 0)
        for path in tables[table]:
            rows[table][split_of(path)] += parquet_metadata(path).num_rows
    return rows


def check_counts(dataset: Path, rows: Mapping[str, Mapping[str, int]]) -> list[Fault]:
    """Compare the numbers of rows with those that the card and croissant.json state, and its checksums with ours."""
    found: list[Fault] = []
    with told_as_fault(found, CARD_FILE):
        found += _unlike(CARD_FILE, rows, card_of(dataset / CARD_FILE).counts())
    with told_as_fault(found, CROISSANT_FILE):
        described = croissant_of(dataset / CROISSANT_FILE)
        found += _unlike(CROISSANT_FILE, rows, described.counts())
        found += _other_checksums(dataset, described)
    return found


def _other_checksums(dataset: Path, described: Croissant) -> Iterator[Fault]:
    """Where croissant.json and checksums.sha256 do not say the same of a file."""
    stated = {entry.id: entry.sha256 for entry in described.distribution if entry.sha256 is not None}
    listed = read_checksums(dataset)
    for name, digest in stated.items():
        if listed.get(name) != digest:
            yield Fault(CROISSANT_FILE, name, f"its SHA-256 is not that of {CHECKSUMS_FILE}")


def _unlike(
    file: str, rows: Mapping[str, Mapping[str, int]], stated: Mapping[str, Mapping[str, int]]
) -> Iterator[Fault]:
    for table in PREFIXES:
        for split in SPLITS:
            there, said = (counts.get(table, {}).get(split) for counts in (rows, stated))
            if there != said:
                yield Fault(file, "", f"says that {split} has {said} {table}; the shards hold {there}")

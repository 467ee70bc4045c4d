"""All checks of a dataset, in an order in which later ones may use what earlier ones found in order."""

from __future__ import annotations

from pathlib import Path

from liftnet.core.errors import LiftnetError
from liftnet.data.licences import PROFILES
from liftnet.shard.card import CARD_FILE
from liftnet.shard.check.contents import Known, check_images, check_licences, check_pairs, check_splits
from liftnet.shard.check.faults import Fault, Report, told_as_fault
from liftnet.shard.check.files import (
    check_checksums,
    check_counts,
    check_tables,
    count_rows,
    front_matter,
)


def verify_dataset(dataset: Path, threads: int = 1, quick: bool = False) -> Report:
    """Check a copy of a dataset against what it says of itself.

    Every file against its checksum; tables, versions and columns; numbers of rows against the card and croissant.json;
    every image against its id and its size; every pair against its images; splits; licences; and the same of the small
    dataset in mini/. A fault in one file does not hide those in others.

    Args:
        dataset: The folder.
        threads: Worker threads.
        quick: Do not decode the images; their bytes are hashed all the same.

    Raises:
        LiftnetError: It is not a folder of a dataset at all.
    """
    if not dataset.is_dir() or not any(dataset.glob("*.parquet")):
        raise LiftnetError(dataset, "is no folder of a dataset", "Name the folder that holds README.md and *.parquet")
    report = Report()
    report.add("checksums", *_counted("files", *check_checksums(dataset, threads)))
    _check_contents(dataset, "", report, threads, quick)
    if (dataset / "mini").is_dir():
        _check_contents(dataset / "mini", "mini/", report, threads, quick)
    return report


def _check_contents(dataset: Path, below: str, report: Report, threads: int, quick: bool) -> None:
    def add(check: str, looked_at: str, faults: list[Fault]) -> None:
        placed = [Fault(f"{below}{fault.file}", fault.row, fault.reason) for fault in faults]
        report.add(f"{below}{check}", looked_at, placed)

    tables, faults = check_tables(dataset)
    add("tables", f"{sum(map(len, tables.values())) + len({fault.file for fault in faults})} files", faults)
    rows = count_rows(tables)
    add("row counts", f"{sum(map(len, rows.values()))} counts", check_counts(dataset, rows))
    if not tables["collected"]:
        return  # nothing to compare the rows with; the fault is named above
    known = Known.of(dataset)
    if tables["images"]:
        images = check_images(tables["images"], known, quick, threads)
        add("images", f"{sum(rows['images'].values()):,} images{' (not decoded)' if quick else ''}", images)
    add("pairs", f"{sum(rows.get('pairs', {}).values()):,} pairs", check_pairs(tables["pairs"], known, threads))
    add("splits", f"{len(known.rows):,} images", check_splits(dataset, known))
    add("licences", f"{len(known.rows):,} images", _check_profile(dataset, known))


def _check_profile(dataset: Path, known: Known) -> list[Fault]:
    found: list[Fault] = []
    with told_as_fault(found, CARD_FILE):
        stated = front_matter(dataset)["liftnet"]
        profile = stated["licence_profile"]
        if profile not in PROFILES:
            return [Fault(CARD_FILE, "", f"names the licence profile {profile!r}, which is none")]
        found += check_licences(known, profile, bool(stated["unknown_licences"]))
    return found


def _counted(what: str, number: int, faults: list[Fault]) -> tuple[str, list[Fault]]:
    return f"{number:,} {what}", faults

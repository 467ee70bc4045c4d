"""Checking a copy of a dataset against what it says of itself; here its images, splits and licences.

The checks are made in an order in which later ones may use what earlier ones found in order.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.opening import read_text
from liftnet.data.codes import SPLITS
from liftnet.data.licences import PROFILES
from liftnet.data.pictures import picture_size, read_image
from liftnet.data.schemas import MANIFEST
from liftnet.shard.card import CARD_FILE
from liftnet.shard.check_files import (
    Fault,
    Report,
    check_checksums,
    check_counts,
    check_tables,
    count_rows,
    split_of,
    told_as_fault,
)
from liftnet.shard.check_groups import Known, check_groups, check_order, read_columns
from liftnet.shard.check_pairs import check_linked, check_pairs, check_tracks
from liftnet.shard.described import card_of
from liftnet.shard.images import licence_reasons
from liftnet.shard.statistics import COLLECTED_FILE, UNDIVIDED

_MOST_PIXELS = 89_000_000  # larger pictures are not decoded: a damaged header must not fill the memory


def verify_dataset(dataset: Path, threads: int = 1, quick: bool = False) -> Report:
    """Check a copy of a dataset against what it says of itself.

    Every file against its checksum; tables, versions and columns; numbers of rows against the card and croissant.json;
    every image against its id and its size; every pair and every track against its images; splits; licences; and the
    same of the small dataset in mini/. A fault in one file does not hide those in others.

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
    number, faults = check_checksums(dataset, threads)
    report.add("checksums", f"{number:,} files", faults)
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
    pairs = check_pairs(tables["pairs"], known, threads) + check_order(tables["pairs"], ["pair_id"], "pair")
    add("pairs", f"{sum(rows.get('pairs', {}).values()):,} pairs", pairs)
    if tables["tracks"] or tables["linked"]:
        tracks = check_tracks(tables["tracks"], known, threads)
        tracks += check_order(tables["tracks"], ["work_id", "track_id"], "track")
        add("tracks", f"{sum(rows.get('tracks', {}).values()):,} tracks", tracks)
        linked = check_pairs(tables["linked"], known, threads) + check_linked(tables["linked"], tables["pairs"])
        linked += check_order(tables["linked"], ["work_id", "pair_id"], "pair")
        add("linked pairs", f"{sum(rows.get('linked', {}).values()):,} pairs", linked)
    add("splits", f"{len(known.rows):,} images", check_splits(dataset, known))
    add("licences", f"{len(known.rows):,} images", check_licences(dataset, known))


def check_licences(dataset: Path, known: Known) -> list[Fault]:
    """Check that the licence of every image fits the profile that the card states."""
    found: list[Fault] = []
    with told_as_fault(found, CARD_FILE):
        stated = card_of(dataset / CARD_FILE).liftnet
        profile = stated.licence_profile
        if profile not in PROFILES:
            return [Fault(CARD_FILE, "", f"names the licence profile {profile!r}, which is none")]
        reasons = licence_reasons(known.rows, profile, stated.unknown_licences)
        ids = known.rows.column("image_id").to_pylist()
        found += [
            Fault(COLLECTED_FILE, f"image {image}", f"does not fit the profile {profile}: {reason}")
            for image, reason in zip(ids, reasons, strict=True)
            if reason
        ]
    return found


def check_images(paths: list[Path], known: Known, quick: bool, threads: int) -> list[Fault]:
    """Check that every image hashes to its id and, unless `quick`, decodes to the size stated, and that they are all.

    Args:
        paths: The image shards.
        known: The images that must be in them.
        quick: Leave the decoding out.
        threads: Worker threads.
    """
    found = check_groups(paths, lambda table, path: _images(table, path, known, quick), threads, "checking images")
    ids: list[str] = []
    for path in paths:
        with told_as_fault(found, path.name):
            ids += read_columns(path, ["image_id"]).column("image_id").to_pylist()
    anywhere = "images-*.parquet"
    twice = sorted(image for image, count in Counter(ids).items() if count > 1)
    lost = sorted(set(known.rows.column("image_id").to_pylist()) - set(ids))
    found += [Fault(anywhere, f"image {image}", "stands there twice") for image in twice]
    return found + [Fault(anywhere, f"image {image}", f"is missing; {COLLECTED_FILE} lists it") for image in lost]


def _images(table: pa.Table, path: Path, known: Known, quick: bool) -> Iterator[Fault]:
    positions = known.positions(table.column("image_id"))
    like = _as_listed(table, known, positions)
    rows = table.select(["image_id", "sha256", "width", "height", "file", "split", "image"]).to_pylist()
    for number, (row, position) in enumerate(zip(rows, positions.tolist(), strict=True)):
        name = f"image {row['image_id']}"
        if position < 0:
            yield Fault(path.name, name, f"is not listed in {COLLECTED_FILE}")
        elif not like[number]:
            yield Fault(path.name, name, f"its row differs from that of {COLLECTED_FILE}")
        if row["split"] != split_of(path):
            yield Fault(path.name, name, f"is of the split {row['split']}")
        for reason in _faults_of_picture(row, quick):
            yield Fault(path.name, name, reason)


def _as_listed(table: pa.Table, known: Known, positions: npt.NDArray[np.int64]) -> list[bool]:
    """Whether the rows of images are, column by column, those of collected.parquet."""
    rows = table.select(MANIFEST.names).replace_schema_metadata(None)
    if (positions < 0).any():
        listed = [known.rows.slice(max(position, 0), 1) for position in positions.tolist()]
    else:
        expected = known.rows.take(pa.array(positions)).replace_schema_metadata(None)
        if rows.equals(expected):
            return [True] * len(rows)
        listed = [expected.slice(number, 1) for number in range(len(rows))]
    return [rows.slice(number, 1).equals(row) for number, row in enumerate(listed)]


def _faults_of_picture(row: Mapping[str, object], quick: bool) -> Iterator[str]:
    picture = row["image"]
    data = picture.get("bytes") if isinstance(picture, dict) else None
    if not isinstance(data, bytes):
        yield "has no bytes"
        return
    digest = hashlib.sha256(data).hexdigest()
    if digest[:16] != row["image_id"] or digest != row["sha256"]:
        yield f"its bytes hash to {digest[:16]}"
    if quick:
        return
    try:
        size = picture_size(data)
        if size != (row["width"], row["height"]):
            yield f"is {size[0]}x{size[1]} px, not {row['width']}x{row['height']} as stated"
        elif size[0] * size[1] <= _MOST_PIXELS:
            read_image(data)
    except BadImageError as error:
        yield f"cannot be decoded ({error.reason})"


def check_splits(dataset: Path, known: Known) -> list[Fault]:
    """Check that no artist, work, group or image stands in two splits, in the tables and in the lists of splits/."""
    frame = known.rows.select(["split", *UNDIVIDED.values()]).to_pandas()
    found: list[Fault] = []
    for name, key in UNDIVIDED.items():
        for value, splits in frame.groupby(key)["split"].unique().items():
            if len(splits) > 1:
                found.append(
                    Fault(
                        COLLECTED_FILE, f"{key} {value}", f"the {name[:-1]} stands in {' and '.join(sorted(splits))}"
                    )
                )
    for row, split in zip(known.rows.column("image_id").to_pylist(), frame["split"], strict=True):
        if split not in SPLITS:
            found.append(Fault(COLLECTED_FILE, f"image {row}", f"has the split {split!r}"))
    for kind in ("artists", "works"):
        found += _lists(dataset, kind)
    return found


def _lists(dataset: Path, kind: str) -> list[Fault]:
    found: list[Fault] = []
    owner: dict[str, str] = {}
    for split in SPLITS:
        name = f"splits/{split}_{kind}.txt"
        with told_as_fault(found, name):
            for line in read_text(dataset / name).splitlines():
                other = owner.setdefault(line, split)
                if other != split and line.strip() and not line.startswith("#"):
                    found.append(Fault(name, line, f"also stands in the list of {other}"))
    return found

"""Copies among the rows of a manifest: which one stays, what is only noted, and which pictures are placeholders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from liftnet.collect.fetch.journal import Entry
from liftnet.collect.settings import DuplicateSettings
from liftnet.collect.splits.duplicates import choose_kept, same_detail
from liftnet.core.components import Components
from liftnet.core.log import get_logger
from liftnet.data.perceptual_hashes import SYMMETRIES, NearPairs, as_bits, near_pairs

Row = dict[str, Any]
Tie = tuple[int, int]
PLACEHOLDER_ARTISTS = 3  # a picture under more artists than this shows none of their works: "no image available"
LOG = get_logger("collect")


def deduplicate(
    rows: Sequence[Row], images: Sequence[Entry], out: Path, settings: DuplicateSettings, threads: int = 1
) -> list[Tie]:
    """Drop copies, note what looks alike, and tell which rows' pictures tie their works together.

    Of copies the one with a hand-made mask stays, then the larger, then the earlier in the list.

    Args:
        rows: Rows of MANIFEST, exact duplicates marked, with their ids; changed in place.
        images: What became of each row's image.
        out: Folder of the outputs, for the stored files.
        settings: Distances.
        threads: Workers; the result does not depend on them.

    Returns:
        Pairs of row numbers: the same file, or hashes at most `near_duplicate_max_bits` bits apart.
    """
    stored = [number for number, row in enumerate(rows) if row["status"] == "ok"]
    near = near_pairs(as_bits([_hashes(images[number]) for number in stored]), _farthest(settings), threads)
    alike = near.within(settings.near_duplicate_max_bits)
    paths = [out / images[number]["file"] for number in stored]
    agree = same_detail(paths, alike, settings.near_duplicate_min_correlation, threads)
    copies = alike.pairs[agree]
    exact = _exact(rows)
    placeholders = _placeholders(rows, [*exact, *_numbered(copies, stored)])
    _drop_placeholders(rows, placeholders)
    preference = sorted(range(len(stored)), key=lambda index: _worth(rows[stored[index]], stored[index]))
    shown = np.array([number not in placeholders for number in stored], np.bool_)
    dropped = choose_kept(preference, copies[shown[copies].all(axis=1)])
    _note(rows, stored, near, dropped, settings)
    apart = dict(zip(map(frozenset, alike.pairs.tolist()), alike.distances.tolist(), strict=True))
    for index, kept in sorted(dropped.items()):
        _drop(rows, stored[index], stored[kept], apart[frozenset((index, kept))])
    ties = [tie for tie in (*exact, *_numbered(alike.pairs, stored)) if not placeholders.intersection(tie)]
    return [(a, b) for a, b in ties if rows[a]["work_id"] != rows[b]["work_id"]]


def _farthest(settings: DuplicateSettings) -> int:
    return max(settings.near_duplicate_max_bits, settings.near_image_max_bits)


def _hashes(image: Entry) -> Sequence[str]:
    """All eight hashes; a journal of an earlier version has the upright one alone."""
    return image.get("phashes") or [image["phash"]] * len(SYMMETRIES)


def _numbered(pairs: Any, stored: Sequence[int]) -> list[Tie]:
    return [(stored[a], stored[b]) for a, b in pairs.tolist()]


def _exact(rows: Sequence[Row]) -> list[Tie]:
    """Each exact duplicate with the row that holds its file."""
    first = {row["sha256"]: number for number, row in enumerate(rows) if row["status"] == "ok"}
    return [(first[row["sha256"]], number) for number, row in enumerate(rows) if row["status"] == "dup_exact"]


def _placeholders(rows: Sequence[Row], same: Sequence[Tie]) -> set[int]:
    """The rows whose picture stands under too many artists to be of their works."""
    tied = Components()
    for a, b in same:
        tied.tie(f"{a:09d}", f"{b:09d}")
    found: set[int] = set()
    for members in tied.members().values():
        numbers = [int(name) for name in members]
        if len({rows[number]["artist_id"] for number in numbers}) > PLACEHOLDER_ARTISTS:
            found.update(numbers)
    return found


def _drop_placeholders(rows: Sequence[Row], numbers: set[int]) -> None:
    reason = f"the same picture stands under more than {PLACEHOLDER_ARTISTS} artists, so it shows none of their works"
    for number in numbers:
        rows[number] |= {"status": "placeholder", "reason": reason, "image_id": None, "file": None}
    if numbers:
        LOG.warning("%d rows hold a picture that stands under many artists; they are not used", len(numbers))


def _worth(row: Row, number: int) -> tuple[bool, int, int]:
    """Sorts the row to keep first."""
    return row["mask_status"] != "ok", -row["width"] * row["height"], number


def _note(
    rows: Sequence[Row],
    stored: Sequence[int],
    near: NearPairs,
    dropped: Mapping[int, int],
    settings: DuplicateSettings,
) -> None:
    """Write down the nearest other image that stays, up to `near_image_max_bits` bits away."""
    nearest: dict[int, tuple[int, str]] = {}
    for (a, b), distance in zip(near.pairs.tolist(), near.distances.tolist(), strict=True):
        if distance > settings.near_image_max_bits:
            continue
        for one, other in ((a, b), (b, a)):
            image_id = rows[stored[other]]["image_id"]
            if other not in dropped and image_id is not None:
                nearest[one] = min(nearest.get(one, (distance, image_id)), (distance, image_id))
    for index, (distance, image_id) in nearest.items():
        rows[stored[index]] |= {"near_image": image_id, "near_distance": distance}


def _drop(rows: Sequence[Row], number: int, kept: int, distance: int) -> None:
    other = rows[kept]
    bits = "bit" if distance == 1 else "bits"
    rows[number] |= {
        "status": "dup_near",
        "reason": f"a copy of {other['image_id']} ({other['image_url']}); their hashes differ in {distance} {bits}",
        "image_id": None,
        "file": None,
    }

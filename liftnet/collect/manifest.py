"""From what was fetched to the tables of the stage: manifest.parquet and works.tsv."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from liftnet.collect.fetch.journal import Entry
from liftnet.collect.settings import ManifestSettings
from liftnet.collect.sources.records import SourceRecord, Sources
from liftnet.collect.splits.copies import deduplicate
from liftnet.collect.splits.groups import assign_splits
from liftnet.collect.splits.identities import identify
from liftnet.collect.splits.lists import SplitLists, read_given
from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_text
from liftnet.core.log import get_logger
from liftnet.data.codes import SPLITS
from liftnet.data.licences import spdx
from liftnet.data.schemas import MANIFEST, in_groups, read_table, table_writer

Row = dict[str, Any]
ROWS_PER_GROUP = 10_000  # so that a job that wants one work reads a hundredth of a million rows
_AS_RECORDED = (
    "status",
    "reason",
    "final_url",
    "http_status",
    "attempts",
    "bytes",
    "mime",
    "sha256_raw",
    "sha256",
    "phash",
    "etag",
    "last_modified",
    "opt_out",
    "exif_orientation",
    "focal_mm",
    "focal_35mm",
    "camera",
)
_AS_ASKED = (
    "artist",
    "artist_wikidata",
    "artist_died",
    "work",
    "work_wikidata",
    "work_rights",
    "source",
    "source_id",
    "page_url",
    "license",
    "license_url",
    "attribution",
    "credit",
)


@dataclass(frozen=True)
class CollectResult:
    """What a run has collected.

    Attributes:
        out: Folder of the outputs.
        counts: Number of rows by status.
        masks: Number of hand-made masks by status.
        splits: Number of artists by split.
        works: Number of works with an image.
    """

    out: Path
    counts: Mapping[str, int]
    masks: Mapping[str, int] = field(default_factory=dict)
    splits: Mapping[str, int] = field(default_factory=dict)
    works: int = 0

    @property
    def images(self) -> int:
        """Number of stored images."""
        return self.counts.get("ok", 0)

    def manifest(self) -> pa.Table:
        """The table of all rows."""
        return read_table(self.out / "manifest.parquet", MANIFEST)

    def __repr__(self) -> str:
        return f"CollectResult({self.summary()})"

    def summary(self) -> str:
        """One line: how many images of how many, of what, and why the others are not there."""
        total = sum(self.counts.values())
        failed = ", ".join(f"{count} {status}" for status, count in self.counts.items() if status != "ok")
        masks = ", ".join(f"{count} {status}" for status, count in self.masks.items()) or "none"
        splits = ", ".join(f"{self.splits[name]} {name}" for name in SPLITS if name in self.splits)
        return (
            f"{self.images} of {total} images of {self.works} works by {sum(self.splits.values())} artists"
            f" ({splits or 'no split'}); not used: {failed or 'none'}; hand-made masks: {masks}; in {self.out}"
        )


def check_named_artists(sources: Sources, settings: ManifestSettings) -> None:
    """Refuse a listed artist or work whom the sources do not know: a slip of the pen would put him into training.

    Raises:
        LiftnetError: Names him, and whom the sources do know; or the lists that `splits` names cannot be read.
    """
    known = {row.artist for row in sources.rows if row.artist}
    ids = {row.artist_wikidata for row in sources.rows if row.artist_wikidata}
    given = read_given(settings.splits.lists)
    listed = [(entry.names[0] if entry.names else "", entry.wikidata or "") for entry in given.artists.entries]
    for key, wanted in (
        ("val_artists", [(name, name) for name in settings.splits.val_artists]),
        ("test_artists", [(name, name) for name in settings.splits.test_artists]),
        (settings.splits.lists, listed),
    ):
        unknown = sorted(name or wikidata for name, wikidata in wanted if name not in known and wikidata not in ids)
        if unknown:
            names = ", ".join(sorted(known)[:20]) + (", ..." if len(known) > 20 else "")
            raise LiftnetError(key, f"{unknown[0]!r} is no artist of {sources.origin}", f"They are: {names}")
    _check_works(sources, given, settings.splits.lists)


def _check_works(sources: Sources, given: SplitLists, folder: str) -> None:
    titles = {(artist, row.work) for row in sources.rows for artist in (row.artist, row.artist_wikidata)}
    ids = {row.work_wikidata for row in sources.rows}
    for entry in given.works.entries:
        if entry.names[:2] not in titles and (entry.wikidata is None or entry.wikidata not in ids):
            name = entry.line().replace("\t", ", ")
            raise LiftnetError(folder, f"{name!r} is no work of {sources.origin}", "Take it out of the list of works")


def write_manifest(
    sources: Sources,
    out: Path,
    settings: ManifestSettings,
    images: Sequence[Entry],
    masks: Mapping[int, Entry],
    entries: Mapping[str, Entry],
    threads: int = 1,
) -> CollectResult:
    """Write manifest.parquet, works.tsv and splits/, and remove stored files that no row asks for any more.

    Args:
        sources: The rows asked for.
        out: Folder of the outputs.
        settings: For copies and splits.
        images: What became of each row's image.
        masks: What became of the mask of each kept image, by row number.
        entries: All of the journal, earlier runs included.
        threads: Workers that look for copies.

    Raises:
        LiftnetError: A list of splits cannot be read, or `out` cannot be written.
    """
    rows = _rows(sources, images, masks)
    identify(rows)
    ties = deduplicate(rows, images, out, settings.duplicates, threads)
    assign_splits(rows, ties, settings.splits, read_given(settings.splits.lists), out / "splits")
    with table_writer(out / "manifest.parquet", MANIFEST) as write:
        for group in in_groups(rows, ROWS_PER_GROUP):
            write(group)
    works = _write_works(out / "works.tsv", rows)
    # also those of copies and of withheld images, which the next run would fetch again
    used = {entry["file"] for entry in (*images, *masks.values()) if entry["status"] == "ok"}
    for file in {entry["file"] for entry in entries.values() if entry.get("file")} - used:
        (out / file).unlink(missing_ok=True)
    artists = {row["artist_id"]: row["split"] for row in rows if row["status"] == "ok"}
    result = CollectResult(
        out,
        _counted(row["status"] for row in rows),
        _counted(row["mask_status"] for row in rows if row["mask_status"]),
        _counted(artists.values()),
        works,
    )
    if not result.images:
        get_logger("collect").warning("not one image could be used; see status and reason in %s", out)
    return result


def first_of_each(rows: Sequence[SourceRecord], images: Sequence[Entry]) -> Iterator[tuple[int, SourceRecord, Entry]]:
    """The first row, in source order, of every stored image; later ones are exact duplicates."""
    seen: set[str] = set()
    for number, (row, image) in enumerate(zip(rows, images, strict=True)):
        if image["status"] == "ok" and image["sha256"] not in seen:
            seen.add(image["sha256"])
            yield number, row, image


def _rows(sources: Sources, images: Sequence[Entry], masks: Mapping[int, Entry]) -> list[Row]:
    first = {image["sha256"]: (number, wanted) for number, wanted, image in first_of_each(sources.rows, images)}
    rows: list[Row] = []
    for number, (wanted, image) in enumerate(zip(sources.rows, images, strict=True)):
        row: Row = dict.fromkeys(MANIFEST.names) | _asked_for(wanted) | _what_became(image)
        if image["status"] == "ok":
            winner, original = first[image["sha256"]]
            if winner == number:
                row |= {"image_id": image["sha256"][:16], "file": Path(image["file"]).name}
            else:
                row["status"] = "dup_exact"
                row["reason"] = f"the same image as {image['sha256'][:16]} ({original.image.given})"
        if wanted.mask is not None:
            mask = masks.get(number) or {"status": "not_fetched", "reason": "its image is not used"}
            row |= {"mask_url": wanted.mask.given, "mask_status": mask["status"], "mask_reason": mask["reason"]}
        rows.append(row)
    return rows


def _asked_for(wanted: SourceRecord) -> Row:
    return {name: getattr(wanted, name) for name in _AS_ASKED} | {
        "image_url": wanted.image.given,
        "license_spdx": spdx(wanted.license, wanted.license_url),
    }


def _what_became(image: Entry) -> Row:
    width, height = image.get("size", (None, None))
    fetched_at = image.get("fetched_at")
    return {name: image.get(name) for name in _AS_RECORDED} | {
        "fetched_at": datetime.fromisoformat(fetched_at) if fetched_at else None,
        "width": width,
        "height": height,
    }


def _write_works(path: Path, rows: Sequence[Row]) -> int:
    """Write the list of works that the rules read; a plain text file, so that reading it needs no library."""
    counts = Counter((row["work_id"], row["artist_id"], row["split"]) for row in rows if row["status"] == "ok")
    lines = [f"{work}\t{artist}\t{count}\t{split}\n" for (work, artist, split), count in sorted(counts.items())]
    write_text(path, "work_id\tartist_id\tn_images\tsplit\n" + "".join(lines))
    return len(counts)


def _counted(values: Iterable[str]) -> dict[str, int]:
    """Counts by value, most frequent first."""
    counts = Counter(values)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

"""The last step of `collect`: from what was fetched to manifest.parquet, works.tsv, hand_masks/ and splits/."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from liftnet.collect.duplicates import deduplicate
from liftnet.collect.fetch.jobs import read_jobs, read_requested, request_id, way_to_fetch
from liftnet.collect.fetch.journal import VERSION, Entry, Fetched, Journal, is_stored, read_entries
from liftnet.collect.manifest_row import ManifestRow, identify
from liftnet.collect.settings import ManifestSettings, SplitSettings
from liftnet.collect.sources.records import SourceRecord, Sources
from liftnet.collect.split_lists import SplitLists, read_given, read_lists
from liftnet.collect.splits import assign_splits, write_splits
from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.files import own_entries, own_path, write_text
from liftnet.core.log import get_logger
from liftnet.core.opening import read_bytes
from liftnet.core.parallel import default_workers, map_threads
from liftnet.core.text import one_line
from liftnet.data.codes import SPLITS
from liftnet.data.empty_splits import warn_of_empty_splits
from liftnet.data.masks import read_mask, shrink_mask, write_mask
from liftnet.data.schemas import FETCHED, MANIFEST, in_groups, open_table, read_table, table_writer

LOG = get_logger("collect")
ROWS_PER_GROUP = 10_000  # so that a job that wants one work reads a hundredth of a million rows
YOUNG_S = 3600.0


@dataclass(frozen=True)
class CollectResult:
    """What a run has collected.

    Attributes:
        out: Folder of the outputs.
        counts: Number of rows by status.
        masks: Number of manual masks by status.
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

    def check_usable(self) -> None:
        """Refuse to go on without one image, with the reasons of a few rows; all are in the manifest.

        Raises:
            LiftnetError: Not one image could be used.
        """
        if self.images:
            return
        rows = self.manifest().select(["image_url", "status", "reason"]).slice(0, 3).to_pylist()
        told = "".join(f"\n  - {one_line(': '.join(map(str, row.values())))}" for row in rows)
        total = sum(self.counts.values())
        reason = f"not one of {total} images could be used, so nothing can be done next:{told}"
        raise LiftnetError(self.out / "manifest.parquet", reason, "Its columns status and reason say why, row by row")

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
            f" ({splits or 'no split'}); not used: {failed or 'none'}; manual masks: {masks}; in {self.out}"
        )


def make_manifest(out: Path, settings: ManifestSettings | None = None, threads: int | None = None) -> CollectResult:
    """Write manifest, works, masks and splits of what the jobs of the plan in `out` have fetched.

    Stored files that no row asks for any more are removed.

    Args:
        out: Folder of the outputs.
        settings: Splits, duplicates, largest mask.
        threads: Masks and images that look alike decoded at a time; all cores if not given.

    Raises:
        LiftnetError: There is no plan, or a job's table is missing; a list of splits cannot be read; `out` cannot be
            written.
    """
    settings, threads = settings or ManifestSettings(), threads or default_workers()
    sources = read_requested(out / "downloads")
    check_named_artists(sources, settings.splits)
    fetched = _read_fetched(out)
    images = [_image_of(row, sources, fetched) for row in sources.rows]
    with Journal(out / "downloads" / "hand_masks.jsonl") as journal:
        masks = _masks(out, sources, images, fetched, settings.pictures.max_pixels, threads, journal)
        rows = identify(_rows(sources, images, masks))
        rows, ties = deduplicate(rows, images, out, settings.duplicates, threads)
        given, before = read_given(settings.splits.lists), read_lists(out / "splits")
        rows, splits = assign_splits(rows, ties, settings.splits, given, before)
        write_splits(out / "splits", rows, splits, before)
        with table_writer(out / "manifest.parquet", MANIFEST) as write:
            for group in in_groups(rows, ROWS_PER_GROUP):
                write([row.to_row() for row in group])
        works = _write_works(out / "works.tsv", rows)
        _remove_unused(out, [*images, *masks.values()], fetched)
    result = _result(out, rows, works)
    warn_of_empty_splits(LOG, out / "manifest.parquet", result.splits, "artists")
    if not result.images:
        LOG.warning("not one image could be used; see status and reason in %s", out)
    return result


def check_named_artists(sources: Sources, settings: SplitSettings) -> None:
    """Refuse a listed artist or work that the sources do not know: a slip of the pen would put it into training.

    Raises:
        LiftnetError: Names it, and what the sources do know; or the lists that `splits.lists` names cannot be read.
    """
    known = {row.artist for row in sources.rows if row.artist}
    ids = {row.artist_wikidata for row in sources.rows if row.artist_wikidata}
    given = read_given(settings.lists)
    listed = [(entry.names[0] if entry.names else "", entry.wikidata or "") for entry in given.artists.entries]
    for key, named in (
        ("val_artists", [(name, name) for name in settings.val_artists]),
        ("test_artists", [(name, name) for name in settings.test_artists]),
        (settings.lists, listed),
    ):
        unknown = sorted(name or wikidata for name, wikidata in named if name not in known and wikidata not in ids)
        if unknown:
            names = ", ".join(sorted(known)[:20]) + (", ..." if len(known) > 20 else "")
            raise LiftnetError(key, f"{unknown[0]!r} is no artist of {sources.origin}", f"They are: {names}")
    _check_works(sources, given, settings.lists)


def _check_works(sources: Sources, given: SplitLists, folder: str) -> None:
    titles = {(artist, row.work) for row in sources.rows for artist in (row.artist, row.artist_wikidata)}
    ids = {row.work_wikidata for row in sources.rows}
    for entry in given.works.entries:
        if entry.names[:2] not in titles and (entry.wikidata is None or entry.wikidata not in ids):
            name = entry.line().replace("\t", ", ")
            raise LiftnetError(folder, f"{name!r} is no work of {sources.origin}", "Take it out of the list of works")


def _read_fetched(out: Path) -> dict[str, Fetched]:
    """The outcome of every request of the plan."""
    found: dict[str, Fetched] = {}
    for job in read_jobs(out / "downloads"):
        with open_table(out / "fetched" / f"{job.name}.parquet", FETCHED) as file:
            for batch in file.iter_batches(ROWS_PER_GROUP):
                for row in batch.to_pylist():
                    found[row["request"]] = Fetched.from_row(row)
    return found


def _image_of(row: SourceRecord, sources: Sources, fetched: Mapping[str, Fetched]) -> Fetched:
    """The outcome for the image of a row."""
    if row.problem is not None:
        return Fetched(*row.problem, attempts=0)
    return _outcome(fetched, request_id("image", way_to_fetch(row.image, sources), row.image))


def _outcome(fetched: Mapping[str, Fetched], request: str) -> Fetched:
    return fetched.get(request) or Fetched("not_fetched", "no job of the plan has fetched it", attempts=0)


def _masks(
    out: Path,
    sources: Sources,
    images: Sequence[Fetched],
    fetched: Mapping[str, Fetched],
    max_pixels: int,
    threads: int,
    journal: Journal,
) -> dict[int, Fetched]:
    """The outcome for the mask of every kept image, by row number."""
    masks: dict[int, Fetched] = {}
    waiting: dict[int, MaskOfImage] = {}
    for number, row, image in _first_of_each(sources.rows, images):
        if row.mask_problem is not None:
            masks[number] = Fetched(*row.mask_problem, attempts=0)
        elif row.mask is not None:
            raw = _outcome(fetched, request_id("mask", way_to_fetch(row.mask, sources), row.mask))
            if raw.is_ok:
                waiting[number] = MaskOfImage(raw, image)
            else:
                masks[number] = raw
    return masks | fit_masks(out, waiting, max_pixels, threads, journal)


def _first_of_each(
    rows: Sequence[SourceRecord], images: Sequence[Fetched]
) -> Iterator[tuple[int, SourceRecord, Fetched]]:
    """The first row, in source order, of every stored image; later ones are exact duplicates."""
    seen: set[str | None] = set()
    for number, (row, image) in enumerate(zip(rows, images, strict=True)):
        if image.is_ok and image.sha256 not in seen:
            seen.add(image.sha256)
            yield number, row, image


def _rows(sources: Sources, images: Sequence[Fetched], masks: Mapping[int, Fetched]) -> list[ManifestRow]:
    """The rows with their images and masks; of exact duplicates, all but the first say so."""
    first = {image.sha256: (number, record) for number, record, image in _first_of_each(sources.rows, images)}
    rows = []
    for number, (record, image) in enumerate(zip(sources.rows, images, strict=True)):
        row = ManifestRow.of(record, image)
        if image.is_ok:
            kept, original = first[image.sha256]
            if kept == number:
                row = replace(row, image_id=image.image_id, file=Path(str(image.file)).name)
            else:
                reason = f"the same image as {image.image_id} ({original.image.given})"
                row = replace(row, status="dup_exact", reason=reason)
        if record.mask is not None:
            mask = masks.get(number) or Fetched("not_fetched", "its image is not used")
            row = replace(row, mask_url=record.mask.given, mask_status=mask.status, mask_reason=mask.reason)
        rows.append(row)
    return rows


def _write_works(path: Path, rows: Sequence[ManifestRow]) -> int:
    """Write the list of works that the rules read; a plain text file, so that reading it needs no library."""
    counts = Counter((row.work_id, row.artist_id, row.split) for row in rows if row.status == "ok")
    lines = [f"{work}\t{artist}\t{count}\t{split}\n" for (work, artist, split), count in sorted(counts.items())]
    write_text(path, "work_id\tartist_id\tn_images\tsplit\n" + "".join(lines))
    return len(counts)


def _result(out: Path, rows: Sequence[ManifestRow], works: int) -> CollectResult:
    artists = {row.artist_id: row.split for row in rows if row.status == "ok"}
    return CollectResult(
        out,
        _counted(row.status for row in rows),
        _counted(row.mask_status for row in rows if row.mask_status),
        _counted(split for split in artists.values() if split),
        works,
    )


def _counted(values: Iterable[str]) -> dict[str, int]:
    """Counts by value, most frequent first."""
    counts = Counter(values)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _remove_unused(out: Path, used: Sequence[Fetched], fetched: Mapping[str, Fetched]) -> None:
    """Remove stored files and masks as received that no row asks for any more, and what killed writers have left.

    Those of copies and of withheld images stay: the next run would fetch them again.
    """
    for file in set(_ever_stored(out)) - {entry.file for entry in used if entry.is_ok}:
        if (place := own_path(out, file)) is not None:
            place.unlink(missing_ok=True)
    raw = {entry.raw_file for entry in fetched.values()}
    for path in own_entries(out, "downloads/masks"):
        if f"downloads/masks/{path.name}" not in raw:
            path.unlink()
    for folder in ("images", "hand_masks", "downloads", "downloads/masks", "fetched"):
        for path in own_entries(out, folder, ".*.part-*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.lstat().st_mtime > YOUNG_S:  # a younger one may still be in the writing
                    path.unlink()


def _ever_stored(out: Path) -> Iterator[str]:
    """The stored files that any journal names, those of earlier lists and versions included."""
    for path in sorted((out / "downloads").glob("[!.]*.jsonl")):
        for entry in read_entries(path):
            yield from entry.get("replaced", [])
            if entry.get("file"):
                yield entry["file"]


@dataclass(frozen=True)
class MaskOfImage:
    """A mask as received, and the stored image that it is brought to."""

    raw: Fetched
    image: Fetched

    @property
    def key(self) -> str:
        """Names the result."""
        sizes = (*(self.image.size or ()), *(self.image.shown_size or ()))
        parts = (VERSION, self.raw.sha256_raw, self.image.sha256, *sizes)
        return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:24]


def fit_masks(
    out: Path, masks: Mapping[int, MaskOfImage], max_pixels: int, threads: int, journal: Journal
) -> dict[int, Fetched]:
    """Bring masks to the sizes of their images; what the journal has as done is not done again.

    Args:
        out: Folder of the outputs.
        masks: By row number.
        max_pixels: Masks of more pixels are not decoded.
        threads: Masks decoded at a time.
        journal: Of the masks; every result is written down in it.

    Returns:
        The outcome of each, by row number.
    """
    fresh = [mask for mask in masks.values() if not _is_done(out, journal.entries.get(mask.key))]
    for entry in map_threads(lambda mask: _fitted(out, mask, max_pixels), fresh, threads, "collect", "fitting masks"):
        journal.add(entry)
    return {number: Fetched.from_row(journal.entries[mask.key]) for number, mask in masks.items()}


def _is_done(out: Path, entry: Entry | None) -> bool:
    return entry is not None and entry["status"] == "ok" and is_stored(out, entry)


def _fitted(out: Path, mask: MaskOfImage, max_pixels: int) -> Entry:
    """The journal's entry of a mask brought to the size of its stored image."""
    entry: Entry = {"key": mask.key, "asked": mask.raw.asked}
    try:
        data = read_bytes(out / str(mask.raw.raw_file))
        pixels = read_mask(data, mask.image.shown_size, may_be_empty=False, max_pixels=max_pixels)
    except BadImageError as error:
        return entry | {"status": error.status, "reason": error.reason}
    except OSError as error:
        return entry | {"status": "unreadable_file", "reason": f"the received mask cannot be read ({error.strerror})"}
    file = f"hand_masks/{mask.image.image_id}.png"
    write_mask(out / file, pixels if mask.image.size is None else shrink_mask(pixels, mask.image.size))
    return entry | {"status": "ok", "reason": "", "file": file, "stored_bytes": (out / file).stat().st_size}

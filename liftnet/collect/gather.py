"""From the tables of the jobs to the manifest: every row with what became of it, masks brought to their images."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from liftnet.collect.fetch.fetch_status import VERSION
from liftnet.collect.fetch.jobs import kind_of, read_jobs, request_id
from liftnet.collect.fetch.journal import Entry, Journal, read_entries
from liftnet.collect.fetch.requested import read_requested
from liftnet.collect.manifest import CollectResult, check_named_artists, first_of_each, write_manifest
from liftnet.collect.settings import ManifestSettings
from liftnet.collect.sources.records import Sources
from liftnet.core.errors import BadImageError
from liftnet.core.parallel import default_workers, map_threads
from liftnet.data.masks import read_mask, shrink_mask, write_mask
from liftnet.data.schemas import FETCHED, open_table

YOUNG_S = 3600.0


@dataclass(frozen=True)
class _Mask:
    """A mask as received, and the image that it is brought to."""

    number: int
    raw: Entry
    image: Entry

    @property
    def key(self) -> str:
        """Names the result."""
        parts = (VERSION, self.raw["sha256_raw"], self.image["sha256"], *self.image["size"], *self.image["shown_size"])
        return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:24]


def gather(out: Path, settings: ManifestSettings | None = None, threads: int | None = None) -> CollectResult:
    """Write manifest, works and splits of what the jobs of the plan in `out` have fetched.

    Args:
        out: Folder of the outputs.
        settings: Splits, duplicates, largest mask.
        threads: Masks decoded at a time; all cores if not given.

    Raises:
        LiftnetError: There is no plan, or a job's table is missing; `out` cannot be written.
    """
    settings = settings or ManifestSettings()
    sources = read_requested(out / "downloads")
    check_named_artists(sources, settings)
    fetched = _fetched(out)
    images = [
        _problem(*row.problem)
        if row.problem is not None
        else _what_became(fetched, request_id("image", kind_of(row.image, sources), row.image))
        for row in sources.rows
    ]
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(out / "downloads" / "hand_masks.jsonl"))
        masks = _masks(out, sources, images, fetched, settings, threads or default_workers(), journal)
        stored = _ever_stored(out)
        result = write_manifest(sources, out, settings, images, masks, stored, threads or default_workers())
    _remove_raw_masks(out, fetched)
    _remove_torn_files(out)
    return result


def _fetched(out: Path) -> dict[str, Entry]:
    """What became of every request of the plan."""
    entries: dict[str, Entry] = {}
    for job in read_jobs(out / "downloads"):
        with open_table(out / "fetched" / f"{job.name}.parquet", FETCHED) as file:
            for batch in file.iter_batches(10_000):
                for row in batch.to_pylist():
                    entries[row["request"]] = {name: value for name, value in row.items() if value is not None}
    return entries


def _what_became(fetched: Mapping[str, Entry], request: str) -> Entry:
    return fetched.get(request) or _problem("not_fetched", "no job of the plan has fetched it")


def _masks(
    out: Path,
    sources: Sources,
    images: Sequence[Entry],
    fetched: Mapping[str, Entry],
    settings: ManifestSettings,
    threads: int,
    journal: Journal,
) -> dict[int, Entry]:
    """The entry of the mask of every kept image, by row number."""
    masks: dict[int, Entry] = {}
    waiting: list[_Mask] = []
    for number, row, image in first_of_each(sources.rows, images):
        if row.mask_problem is not None:
            masks[number] = _problem(*row.mask_problem)
        elif row.mask is not None:
            raw = _what_became(fetched, request_id("mask", kind_of(row.mask, sources), row.mask))
            if raw["status"] != "ok":
                masks[number] = raw
            else:
                waiting.append(_Mask(number, raw, image))
    fresh = [mask for mask in waiting if not _is_done(out, journal.entries.get(mask.key))]
    for entry in map_threads(lambda mask: _brought(out, mask, settings), fresh, threads, "collect", "fitting masks"):
        journal.add(entry)
    return masks | {mask.number: journal.entries[mask.key] for mask in waiting}


def _is_done(out: Path, entry: Entry | None) -> bool:
    if entry is None or entry["status"] != "ok":
        return False
    path: Path = out / entry["file"]
    return path.exists() and path.stat().st_size == entry["stored_bytes"]


def _brought(out: Path, mask: _Mask, settings: ManifestSettings) -> Entry:
    """A mask at the size of its stored image."""
    entry: Entry = {"key": mask.key, "asked": mask.raw["asked"]}
    width, height = mask.image["size"]
    shown_width, shown_height = mask.image["shown_size"]
    try:
        data, limit = (out / mask.raw["raw_file"]).read_bytes(), settings.pictures.max_pixels
        pixels = read_mask(data, (shown_width, shown_height), may_be_empty=False, max_pixels=limit)
    except BadImageError as error:
        return entry | {"status": error.status, "reason": error.reason}
    except OSError as error:
        return entry | {"status": "unreadable_file", "reason": f"the received mask cannot be read ({error.strerror})"}
    file = f"hand_masks/{mask.image['sha256'][:16]}.png"
    write_mask(out / file, shrink_mask(pixels, (width, height)))
    return entry | {"status": "ok", "reason": "", "file": file, "stored_bytes": (out / file).stat().st_size}


def _ever_stored(out: Path) -> dict[str, Entry]:
    """The stored files that any journal names, those of earlier lists and versions included."""
    return {file: {"key": file, "file": file} for path in _journals(out) for file in _files(path)}


def _journals(out: Path) -> list[Path]:
    return sorted((out / "downloads").glob("[!.]*.jsonl"))


def _files(path: Path) -> Iterator[str]:
    for entry in read_entries(path):
        yield from entry.get("replaced", [])
        if entry.get("file"):
            yield entry["file"]


def _remove_raw_masks(out: Path, fetched: Mapping[str, Entry]) -> None:
    """Remove masks as received that no row names any more."""
    used = {entry["raw_file"] for entry in fetched.values() if "raw_file" in entry}
    for path in (out / "downloads" / "masks").glob("*"):
        if f"downloads/masks/{path.name}" not in used:
            path.unlink()


def _remove_torn_files(out: Path) -> None:
    """Remove what killed writers have left behind; a file as young as an hour may still be in the writing."""
    for folder in ("images", "hand_masks", "downloads", "downloads/masks", "fetched"):
        for path in (out / folder).glob(".*.part-*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > YOUNG_S:
                    path.unlink()


def _problem(status: str, reason: str) -> Entry:
    return {"status": status, "reason": reason, "attempts": 0}

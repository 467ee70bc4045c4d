"""The run of the stage: fetch, check, store, write down; then the manifest."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from liftnet.collect.download import Downloader, Received
from liftnet.collect.errors import FetchError
from liftnet.collect.journal import Entry, Journal
from liftnet.collect.lanes import run_in_lanes
from liftnet.collect.manifest import CollectResult, check_named_artists, first_of_each, write_manifest
from liftnet.collect.museum import serve
from liftnet.collect.picture import normalise, normalise_mask
from liftnet.collect.settings import CollectSettings
from liftnet.collect.sources import Place, Sources
from liftnet.collect.transport import host_of
from liftnet.io.errors import BadImageError
from liftnet.io.files import write_bytes
from liftnet.io.images import write_mask
from liftnet.io.log import get_logger, progress
from liftnet.io.parallel import default_workers

VERSION = "1"  # raised when the same file would be stored differently
LOGGER = get_logger("collect")


def collect(
    sources: Sources, out: Path, settings: CollectSettings | None = None, threads: int | None = None
) -> CollectResult:
    """Fetch every image of `sources`, store the usable ones and write one manifest row for each.

    Writes `images/`, `hand_masks/`, `manifest.parquet`, `works.tsv` and `journal.jsonl` below `out`. A run that was
    killed goes on where it was; rows that failed are tried again. The stored files and the manifest (but for the
    times) do not depend on the number of threads.

    Args:
        sources: What to collect; see `read_csv`, `read_directory`, `read_museum`.
        out: Folder of the outputs.
        settings: Limits, politeness, size, splits.
        threads: Images decoded at a time; all cores if not given.

    Raises:
        LiftnetError: `out` cannot be written, the disk is full, or `val_artists` or `test_artists` name somebody
            whom the sources do not know.
    """
    settings = settings or CollectSettings()
    check_named_artists(sources, settings)
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(serve(sources.origin)) if sources.kind == "museum" else None
        journal = stack.enter_context(Journal(out / "journal.jsonl"))
        collector = _Collector(sources, out, settings, threads or default_workers(), journal, base)
        stack.callback(collector.downloader.close)
        images, masks = collector.run()
    return write_manifest(sources, out, settings, images, masks, journal.entries)


class _Collector:
    """Fetches images, then the masks of those that were kept."""

    def __init__(
        self, sources: Sources, out: Path, settings: CollectSettings, threads: int, journal: Journal, base: str | None
    ) -> None:
        self.sources, self.out, self.settings, self.threads = sources, out, settings, threads
        self.journal, self.base = journal, base
        if base is not None:  # our own server needs no politeness
            settings = settings.model_copy(update={"delay_s": 0.0, "per_host": max(2, threads), "robots": False})
        own = (base.removeprefix("http://"),) if base else ()
        self.downloader = Downloader(settings, own, out / "downloads" / "robots")
        self.decoding = threading.BoundedSemaphore(threads)  # a decoded image can take 300 MB

    def run(self) -> tuple[list[Entry], dict[int, Entry]]:
        """The entry of every row's image, and of the mask of every kept image by row number."""
        keys = [self._key("image", row.image) for row in self.sources.rows]
        places = {key: row.image for key, row in zip(keys, self.sources.rows, strict=True) if row.problem is None}
        self._work_through(places, "fetching images", self._image)
        images = [
            self.journal.entries[key] if row.problem is None else _problem(*row.problem)
            for key, row in zip(keys, self.sources.rows, strict=True)
        ]
        return images, self._masks(images)

    def _masks(self, images: Sequence[Entry]) -> dict[int, Entry]:
        wanted: dict[int, tuple[str, Place, Entry]] = {}
        masks: dict[int, Entry] = {}
        for number, row, image in first_of_each(self.sources.rows, images):
            if row.mask_problem is not None:
                masks[number] = _problem(*row.mask_problem)
            elif row.mask is not None:
                wanted[number] = self._key("mask", row.mask, image["sha256"]), row.mask, image
        images_of = {key: image for key, _, image in wanted.values()}
        self._work_through(
            {key: place for key, place, _ in wanted.values()},
            "fetching hand-made masks",
            lambda key, place: self._mask(key, place, images_of[key]),
        )
        return masks | {number: self.journal.entries[key] for number, (key, _, _) in wanted.items()}

    def _work_through(self, places: dict[str, Place], doing: str, work: Callable[[str, Place], Entry]) -> None:
        """Do what the journal does not hold as done."""
        left = [(key, place) for key, place in places.items() if not self._is_done(key)]
        if len(left) < len(places):
            LOGGER.info("%s: %d of %d are there already", doing, len(places) - len(left), len(places))
        finished = run_in_lanes(
            left,
            lambda item: self.journal.add(work(*item)),
            lambda item: self._host(item[1]),
            lambda host: self.settings.per_host if host else max(2, self.threads),
            max(self.settings.connections, self.threads),
            self.downloader.give_up,
        )
        with contextlib.closing(finished):
            for _ in progress(finished, "collect", doing, len(left)):
                pass
        self.downloader.stop.clear()

    def _is_done(self, key: str) -> bool:
        entry = self.journal.entries.get(key)
        if entry is None or entry["status"] != "ok":
            return False
        file = self.out / entry["file"]
        try:
            return file.stat().st_size == entry["stored_bytes"]
        except OSError:
            return False

    def _host(self, place: Place) -> str:
        if place.path is not None:
            return ""
        try:
            return host_of(place.asked)
        except FetchError:
            return ""

    def _key(self, what: str, place: Place, image: str = "") -> str:
        """Names a file, its version, and the settings that decide what becomes of it."""
        settings = self.settings
        limits = (settings.max_side, settings.min_side, settings.max_bytes, settings.max_pixels)
        parts = (VERSION, what, self.sources.kind, place.asked, place.version, image, *map(str, limits))
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:24]

    def _fetch(self, place: Place) -> Received:
        if self.base is not None:
            received = self.downloader.fetch(f"{self.base}/{quote(place.asked)}")
            # the port changes from run to run
            return Received(received.data, place.asked, received.http_status, received.attempts)
        if place.path is not None:
            return Received(read_local(place.path, self.settings.max_bytes))
        return self.downloader.fetch(place.asked)

    def _image(self, key: str, place: Place) -> Entry:
        entry: Entry = {"key": key, "asked": place.asked, "fetched_at": _now()}
        limits = self.settings
        try:
            received = self._fetch(place)
            entry |= _what_came(received)
            with self.decoding:
                picture = normalise(received.data, place.asked, limits.max_side, limits.min_side, limits.max_pixels)
        except FetchError as error:
            return entry | _failure(error)
        except BadImageError as error:
            return entry | {"status": error.code, "reason": error.reason}
        sha256 = picture.sha256
        name = sha256[:16] + picture.suffix
        write_bytes(self.out / "images" / name, picture.data)
        return entry | {
            "status": "ok",
            "reason": "",
            "mime": picture.mime,
            "file": f"images/{name}",
            "stored_bytes": len(picture.data),
            "sha256": sha256,
            "phash": picture.phash,
            "phashes": list(picture.phashes),
            "size": list(picture.size),
            "shown_size": list(picture.shown_size),
            "exif_orientation": picture.exif.orientation,
            "focal_mm": picture.exif.focal_mm,
            "focal_35mm": picture.exif.focal_35mm,
            "camera": picture.exif.camera,
        }

    def _mask(self, key: str, place: Place, image: Entry) -> Entry:
        entry: Entry = {"key": key, "asked": place.asked, "fetched_at": _now()}
        width, height = image["size"]
        shown_width, shown_height = image["shown_size"]
        try:
            received = self._fetch(place)
            with self.decoding:
                mask = normalise_mask(
                    received.data,
                    place.asked,
                    (shown_width, shown_height),
                    (width, height),
                    self.settings.max_pixels,
                )
        except FetchError as error:
            return entry | _failure(error)
        except BadImageError as error:
            return entry | {"status": error.code, "reason": error.reason}
        file = f"hand_masks/{image['sha256'][:16]}.png"
        write_mask(self.out / file, mask)
        return entry | {
            "status": "ok",
            "reason": "",
            "file": file,
            "stored_bytes": (self.out / file).stat().st_size,
        }


def read_local(path: Path, max_bytes: int) -> bytes:
    """Read a local file under the same cap as a download.

    Raises:
        FetchError: It is missing, not a file, too large or unreadable.
    """
    try:
        if path.exists() and not path.is_file():
            raise FetchError(path, "missing_file", "a folder or device stands there, not a file")
        with open(path, "rb") as file:
            data = file.read(max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FetchError(path, "missing_file", "the file does not exist") from error
    except PermissionError as error:
        raise FetchError(path, "unreadable_file", "no permission to read the file") from error
    except OSError as error:
        raise FetchError(path, "unreadable_file", f"the file cannot be read ({error.strerror})") from error
    if len(data) > max_bytes:
        raise FetchError(path, "too_large", f"longer than max_bytes = {max_bytes:,}")
    return data


def _what_came(received: Received) -> Entry:
    return {
        "bytes": len(received.data),
        "sha256_raw": hashlib.sha256(received.data).hexdigest(),
        "final_url": received.final_url,
        "http_status": received.http_status,
        "attempts": received.attempts,
    }


def _failure(error: FetchError) -> Entry:
    return {
        "status": error.code,
        "reason": error.reason,
        "http_status": error.http_status,
        "attempts": max(error.attempts, 1),
    }


def _problem(status: str, reason: str) -> Entry:
    return {"status": status, "reason": reason, "attempts": 0}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

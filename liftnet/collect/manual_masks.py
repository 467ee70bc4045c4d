"""Manual masks: checked, and brought to the size of their stored images in hand_masks/."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from liftnet.collect.fetch.fetch_status import VERSION
from liftnet.collect.fetch.fetched import Fetched
from liftnet.collect.fetch.journal import Entry, Journal
from liftnet.core.errors import BadImageError
from liftnet.core.parallel import map_threads
from liftnet.data.masks import read_mask, shrink_mask, write_mask


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
        What became of each, by row number.
    """
    fresh = [mask for mask in masks.values() if not _is_done(out, journal.entries.get(mask.key))]
    for entry in map_threads(lambda mask: _fitted(out, mask, max_pixels), fresh, threads, "collect", "fitting masks"):
        journal.add(entry)
    return {number: Fetched.from_row(journal.entries[mask.key]) for number, mask in masks.items()}


def _is_done(out: Path, entry: Entry | None) -> bool:
    if entry is None or entry["status"] != "ok":
        return False
    path: Path = out / entry["file"]
    return path.exists() and path.stat().st_size == entry["stored_bytes"]


def _fitted(out: Path, mask: MaskOfImage, max_pixels: int) -> Entry:
    """The journal's entry of a mask brought to the size of its stored image."""
    entry: Entry = {"key": mask.key, "asked": mask.raw.asked}
    try:
        data = (out / str(mask.raw.raw_file)).read_bytes()
        pixels = read_mask(data, mask.image.shown_size, may_be_empty=False, max_pixels=max_pixels)
    except BadImageError as error:
        return entry | {"status": error.status, "reason": error.reason}
    except OSError as error:
        return entry | {"status": "unreadable_file", "reason": f"the received mask cannot be read ({error.strerror})"}
    file = f"hand_masks/{mask.image.image_id}.png"
    write_mask(out / file, pixels if mask.image.size is None else shrink_mask(pixels, mask.image.size))
    return entry | {"status": "ok", "reason": "", "file": file, "stored_bytes": (out / file).stat().st_size}

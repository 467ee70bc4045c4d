"""What can be known of a run before its first job: what the photographs are taken for, and what it will lack."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from liftnet.core.errors import LiftnetError
from liftnet.core.programs import find_program
from liftnet.core.text import printable
from liftnet.data.csv_lines import open_csv
from liftnet.data.layouts import read_layout
from liftnet.workflow.results_folder import check_results
from liftnet.workflow.sources import Sources

SPLITS = 3  # train, val and test: each wants an artist of its own
WITHOUT_MASKS = "no masks: the segmenter that comes with liftnet masks the photographs; look at them (docs/masks.md)"
_MATCHERS = (("features", "extractor"), ("search", "matcher"))


@dataclass(frozen=True)
class Photographs:
    """What is known of the user's photographs by the names of files, or by the cells of a list.

    Attributes:
        told: What they are taken for, in a line.
        artists: How many artists there are.
        masks: How many masks there are.
        bytes: How much room the files take; 0 where it is not known.
    """

    told: str
    artists: int
    masks: int
    bytes: int


def check_run(config: Mapping[str, Any], home: Path) -> Iterator[str]:
    """Look at all that a run needs; refuse what cannot go on.

    Args:
        config: The whole configuration.
        home: The folder of the Snakefile.

    Yields:
        What the user should know: what his photographs are taken for, and what will be missing at the end.

    Raises:
        LiftnetError: Photographs, a program or a place for the results are missing.
    """
    asked = Sources.of(config)
    asked.check()
    check_results(asked.results, asked.folders(), home)
    check_matcher(config["match"])
    found = read_photographs(asked)
    if found is None:
        return
    yield found.told
    if not asked.entries:
        if not found.masks and not config["segment"]["weights"]:
            yield WITHOUT_MASKS
        yield from _told_of_splits(found)
    yield from _told_of_room(asked.results, found)


def read_photographs(asked: Sources) -> Photographs | None:
    """What the user's folder or list holds; None without one, or where only `collect` can read it.

    Raises:
        LiftnetError: A folder holds no photographs where some are looked for.
    """
    if asked.photos is None:
        return None
    place = Path(asked.photos).expanduser()
    listed = place / "sources.csv"
    if place.is_dir() and not listed.is_file():
        known = read_layout(place)
        works = {known.layout.artist_and_work(path) for path in known.photographs}
        size = sum((place / path).stat().st_size for path in known.photographs if (place / path).is_file())
        told = known.summary(f"{len(known.masks)} masks")
        return Photographs(told, len({artist for artist, _ in works}), len(known.masks), size)
    file = listed if place.is_dir() else place
    return None if file.suffix.lower() == ".parquet" else _read_csv(file)


def _read_csv(file: Path) -> Photographs:
    """What a list in CSV says; `collect` says what is wrong with one."""
    rows, artists, masks = 0, set(), 0
    with suppress(OSError, UnicodeError, csv.Error, LiftnetError), open_csv(file, strict=False) as records:
        reader = iter(records)
        header = [name.strip().lower() for name in next(reader, [])]
        for row in reader:
            cells = dict(zip(header, map(str.strip, row), strict=False))
            rows += 1
            artists.add(cells.get("artist", ""))
            masks += bool(cells.get("mask"))
    told = f"{printable(file)}: {rows} images by {len(artists)} artists, {masks} masks"
    return Photographs(told, len(artists), masks, 0)


def check_matcher(match: Mapping[str, Any]) -> None:
    """Refuse a matcher whose programs are not there; which of them does what, `match` knows.

    Raises:
        LiftnetError: Something is missing.
    """
    chosen = {match[group][key] for group, key in _MATCHERS}
    if "colmap" in chosen and find_spec("pycolmap") is None:
        raise LiftnetError("match", "asks for COLMAP, which is not installed", "pip install pycolmap")
    folder = match["openmvg"]["bin"] or ""
    if "openmvg" in chosen and find_program("openMVG_main_SfMInit_ImageListing", folder) is None:
        where = f"in {folder}" if folder else "on PATH"
        remedy = "Name their folder in match.openmvg.bin; docs/openmvg.md says how to get them"
        raise LiftnetError("match", f"asks for OpenMVG, whose programs are not {where}", remedy)


def _told_of_splits(found: Photographs) -> Iterator[str]:
    if found.artists < SPLITS:
        count = "one artist" if found.artists == 1 else f"{found.artists} artists"
        yield (
            f"{count}: train, val and test each want one of their own, so a split will be empty, and what was learnt "
            "cannot be measured on it (docs/splits.md)"
        )


def _told_of_room(results: str, found: Photographs) -> Iterator[str]:
    place = Path(results).absolute()
    there = next(folder for folder in (place, *place.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if free < found.bytes:
        yield (
            f"{printable(there)} has {free / 1e9:.1f} GB free, and the photographs take {found.bytes / 1e9:.1f} GB: "
            "results hold copies of them"
        )

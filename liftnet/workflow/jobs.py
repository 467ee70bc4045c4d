"""The jobs that a run learns of on its way, and what each asks for: threads, memory in MB, minutes.

A cluster ends a job that takes longer or more than it asked for, so all of them grow with what a job has to do.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from liftnet.core.errors import LiftnetError
from liftnet.core.opening import only_files

_MANY_PAIRS = 2000  # image pairs of a work that one thread would take an hour for
_MANY_IMAGES = 2000
PLAIN = "vision"  # the environment of stages that look at images


@dataclass(frozen=True)
class Work:
    """One row of works.tsv: a sculpture that `collect` found.

    Args:
        artist: Id of the artist.
        images: Number of images.
    """

    artist: str
    images: int


def read_download_plan(path: str) -> dict[str, int]:
    """The jobs of the plan of downloads (downloads/jobs.tsv), with their number of requests."""
    with open(path, newline="", encoding="utf-8", opener=only_files) as file:
        return {row["job"]: int(row["n_requests"]) for row in csv.DictReader(file, delimiter="\t")}


def read_works(path: str) -> dict[str, Work]:
    """The rows of works.tsv by work; read once a run and again when it has changed: thousands of jobs ask for it."""
    return _read_works(path, os.stat(path).st_mtime_ns)


@lru_cache(maxsize=1)
def _read_works(path: str, changed: int) -> dict[str, Work]:
    with open(path, newline="", encoding="utf-8", opener=only_files) as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {row["work_id"]: Work(row["artist_id"], int(row["n_images"])) for row in rows}


def memory_of_fetch(requests: int) -> int:
    """Two gigabytes to decode, and eight kilobytes for each file: its entry in the journal is kept at hand."""
    return 2000 + 8 * requests // 1000


def threads_of_fetch(job: str) -> int:
    """Eight to decode files that are there at once; two for a host, which sends them slowly."""
    return 8 if job in ("local", "museum") else 2


def memory_of_manifest(requests: int) -> int:
    """Four gigabytes, and ten kilobytes for each file of all jobs."""
    return 4000 + 10 * requests // 1000


def pairs_of_work(images: int, exhaustive_images: int, neighbours: int) -> int:
    """About how many image pairs of a work are tried: all of a small work, `neighbours` an image of a large one."""
    return images * neighbours if images > exhaustive_images else images * (images - 1) // 2


def threads_of_work(pairs: int) -> int:
    """One thread for most works, which run side by side; eight for one that alone would take a thread an hour."""
    return 1 if pairs < _MANY_PAIRS else 8


def minutes_of_work(pairs: int, seconds: int = 3) -> int:
    """An hour, and some seconds of a thread for every pair."""
    return 60 + pairs * seconds // (60 * threads_of_work(pairs))


def threads_of_collection(images: int) -> int:
    """One thread for a small collection; eight where thousands of images are described."""
    return 1 if images < _MANY_IMAGES else 8


def minutes_of_collection(images: int, seconds: int = 1) -> int:
    """An hour, and some seconds of a thread for every image."""
    return 60 + images * seconds // (60 * threads_of_collection(images))


def minutes_of_set(name: str, renderer: str) -> int:
    """An hour, and for Blender, which takes seconds a view, a day."""
    return 1440 if renderer == "blender" and name != "scanned" else 60


def check_match(match: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Refuse a matcher that does not compare the features of the extractor.

    Args:
        match: The section of the configuration.
        schema: Its schema, which says what each matcher takes.

    Raises:
        LiftnetError: It does not; says what goes together.
    """
    extractor, matcher = match["features"]["extractor"], match["search"]["matcher"]
    takes: dict[str, list[str]] = schema["properties"]["search"]["properties"]["matcher"]["takes"]
    if extractor in takes[matcher]:
        return
    able = " and ".join(name for name, extractors in takes.items() if extractor in extractors)
    raise LiftnetError(
        f"match.search.matcher {matcher}",
        f"does not compare features of {extractor}, but those of {', '.join(takes[matcher])}",
        f"With match.features.extractor {extractor} go {able}",
    )


def seconds_of_match(match: Mapping[str, Any], schema: Mapping[str, Any]) -> int:
    """How long a pair may take its matcher; arguments as of `check_match`."""
    return int(_of_method(match, schema, "search", "matcher", "seconds"))


def memory_of_match(match: Mapping[str, Any], schema: Mapping[str, Any], threads: int) -> int:
    """Four gigabytes, and what extractor or matcher need in each thread; `match` and `schema` as of `check_match`."""
    chosen = (("features", "extractor"), ("search", "matcher"))
    return 4000 + threads * max(_of_method(match, schema, *names, "megabytes") for names in chosen)


def _of_method(match: Mapping[str, Any], schema: Mapping[str, Any], group: str, key: str, about: str) -> Any:
    """What the schema says about the extractor or the matcher that is chosen."""
    return schema["properties"][group]["properties"][key][about][match[group][key]]


def environment_of_match(match: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The conda environment of `match`: that of its extractor or matcher, that of a graphics card, or the plain one.

    Args:
        match: The section of the configuration.
        schema: Its schema, which says what environment each extractor and matcher needs.
    """
    chosen = (("features", "extractor"), ("search", "matcher"))
    needed = {_of_method(match, schema, *names, "environments") for names in chosen}
    own = sorted(needed - {PLAIN})
    return own[0] if own else "torch" if match["search"]["device"] == "cuda" else PLAIN

"""Matching one work: from the manifest to the table of matches."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from liftnet.io.log import get_logger
from liftnet.io.schemas import MATCHES, write_table
from liftnet.match.features import PairMatches, WorkImage
from liftnet.match.images import work_images
from liftnet.match.settings import USED_BY, MatchSettings


class Matcher(Protocol):
    """Yields every pair of `images` once, a < b, whether it could be matched or not."""

    def __call__(
        self, images: Sequence[WorkImage], settings: MatchSettings, threads: int, seed: int
    ) -> Iterator[PairMatches]:
        """Match the images; the result depends neither on `threads` nor on their order."""


def match_work(root: Path, work: str, out: Path, settings: MatchSettings, threads: int = 1, seed: int = 0) -> None:
    """Match all image pairs of a work and write the table of matches.

    Args:
        root: Folder of `manifest.parquet`, `images/` and, for `mask_first`, `masks/`.
        work: The work_id.
        out: Parquet file to write, one row for each pair (schema `MATCHES`); none for fewer than two images.
        settings: The matcher and its settings.
        threads: Workers; the result does not depend on it.
        seed: Seed of what a matcher draws at random.

    Raises:
        LiftnetError: The manifest cannot be read, the work is unknown, a program is missing or fails, or the table
            cannot be written.
    """
    logger = get_logger("match")
    images = work_images(root, work, settings.mask_first)
    if len(images) < 2:
        logger.info("%s has %d usable image(s): no pair to match", work, len(images))
    pairs = list(load_matcher(settings.matcher)(images, settings, threads, seed)) if len(images) > 1 else []
    write_table(out, table_rows(pairs, settings, seed), MATCHES)
    for problem in sorted({(pair.problem.code, pair.problem.reason) for pair in pairs if pair.problem}):
        logger.warning("%s: %s (%s)", work, problem[1], problem[0])
    logger.info("%s -> %s", summary(work, len(images), pairs), out)


def load_matcher(name: str) -> Matcher:
    """The function behind the setting `matcher`; only the one asked for is imported."""
    if name == "openmvg":
        from liftnet.match.openmvg import match_openmvg

        return match_openmvg
    if name == "colmap":
        from liftnet.match.colmap import match_colmap

        return match_colmap
    from liftnet.match.opencv import match_opencv

    return match_opencv


def table_rows(pairs: Sequence[PairMatches], settings: MatchSettings, seed: int) -> list[dict[str, Any]]:
    """The rows of the table of matches."""
    used = {name: getattr(settings, name) for name in USED_BY[settings.matcher]}
    if settings.matcher == "colmap":
        used["seed"] = seed
    common = {"matcher": settings.matcher, "settings": json.dumps(used, sort_keys=True)}
    return [
        {
            "image_a": pair.image_a,
            "image_b": pair.image_b,
            "status": pair.problem.code if pair.problem else "ok",
            "reason": pair.problem.reason if pair.problem else None,
            "n_keypoints_a": pair.count_a,
            "n_keypoints_b": pair.count_b,
            "x1": pair.points_a[:, 0],
            "y1": pair.points_a[:, 1],
            "x2": pair.points_b[:, 0],
            "y2": pair.points_b[:, 1],
            "score": pair.scores,
            **common,
        }
        for pair in pairs
    ]


def summary(work: str, images: int, pairs: Sequence[PairMatches]) -> str:
    """One line: what was matched, and how many pairs could not be."""
    counts = [len(pair.scores) for pair in pairs if pair.problem is None]
    line = f"{work}: {images} images, {len(pairs)} pairs, {sum(counts)} putative matches"
    if counts:
        line += f" (median per pair {median(counts):.0f})"
    failed = Counter(pair.problem.code for pair in pairs if pair.problem)
    if failed:
        line += "; not matched: " + ", ".join(f"{count} {code}" for code, count in sorted(failed.items()))
    return line

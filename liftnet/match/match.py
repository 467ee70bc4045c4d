"""Matching the images of one work, or of different splits: from the manifest to the table of matches."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.settings import changed
from liftnet.data.schemas import MATCHES, ROWS_PER_GROUP, in_groups, table_writer
from liftnet.match.feature_cache import masked_features, recipe, split_images, work_features
from liftnet.match.registry import matchers, partners
from liftnet.match.settings import MatchSettings
from liftnet.match.work_features import PairMatches, WorkFeatures, work_images

LOG = get_logger("match")


def match_work(root: Path, work: str, out: Path, settings: MatchSettings, threads: int = 1, seed: int = 0) -> None:
    """Match the image pairs of a work and write the table of matches.

    Args:
        root: Folder of `manifest.parquet`, `images/` and, for `mask_first`, `masks/`; features are kept in its folder
            `features/`.
        work: The work_id.
        out: Parquet file to write, one row for each pair tried (schema `MATCHES`); none for fewer than two images.
        settings: The extractor, the matcher and their settings.
        threads: Workers; the result does not depend on it.
        seed: Seed of what a matcher draws at random.

    Raises:
        LiftnetError: The manifest cannot be read, the work is unknown, the settings do not go together, a program is
            missing or fails, or the table cannot be written.
    """
    check_settings(settings)
    images = work_images(root, work, settings.search.mask_first)
    if len(images) < 2:
        LOG.info("%s has %d usable image(s): no pair to match", work, len(images))
    wanted = images if len(images) > 1 else []
    features = work_features(wanted, root / "features" / recipe(settings), settings, threads)
    summary = Summary(work, len(images))
    with table_writer(out, MATCHES) as write:
        for pairs in in_groups(match_pairs(features, settings, threads, seed), ROWS_PER_GROUP):
            write(table_rows(pairs, settings, seed))
            summary.add(pairs)
    for code, reason in sorted(summary.problems):
        LOG.warning("%s: %s (%s)", work, reason, code)
    LOG.info("%s -> %s", summary, out)


def match_across_splits(root: Path, out: Path, settings: MatchSettings, threads: int = 1, seed: int = 0) -> None:
    """Match each image of val and test with the images of other splits that it is most like.

    A work photographed again under another name is invisible to hashes and lists. It shows in matches: `verify`
    decides on the pairs found here as on any others, and what it finds to be one object must not stand in two splits.
    Masks come first, since two works in one gallery match through the room behind them.

    Args:
        root: Folder of `manifest.parquet`, `images/` and `masks/`; features are taken from its folder `features/`,
            and put there where they are missing.
        out: Parquet file to write, one row for each pair tried (schema `MATCHES`).
        settings: The extractor, the matcher, and how many images each is matched with.
        threads: Workers; the result does not depend on it.
        seed: Seed of the vocabulary, and of what a matcher draws at random.

    Raises:
        LiftnetError: The manifest cannot be read, there are no masks, the settings do not go together, a program is
            missing or fails, or the table cannot be written.
    """
    from liftnet.match.retrieval import pairs_across_splits

    check_settings(settings)
    if not (root / "masks").is_dir():
        raise LiftnetError(root / "masks", "is not a folder", "Run `segment predict` first: it is masks that decide")
    known = split_images(root)
    work = masked_features(known, root / "features" / recipe(settings), settings, threads)
    pairs = pairs_across_splits(work, known.splits, settings, threads, seed)
    summary = Summary("across splits", len(known.images))
    matched: Iterator[PairMatches] = iter(())
    if pairs:
        matched = settings.matcher.match(work, pairs, settings, threads, seed)
    with table_writer(out, MATCHES) as write:
        for group in in_groups(matched, ROWS_PER_GROUP):
            write(table_rows(group, changed(settings, mask_first=True), seed))
            summary.add(group)
    if work.problems:
        LOG.warning("%d images have no usable mask or features and are not compared", len(work.problems))
    LOG.info("%s -> %s", summary, out)


def check_settings(settings: MatchSettings) -> None:
    """Refuse settings that do not go together.

    Raises:
        LiftnetError: Says which.
    """
    matcher, extractor, device = settings.matcher, settings.extractor, settings.search.device
    if not matcher.takes(extractor.kind):
        reason = f"does not compare features of {extractor.name}, but those of {', '.join(partners(matcher))}"
        able = [name for name, other in matchers().items() if other.takes(extractor.kind)]
        raise LiftnetError(f"matcher {matcher.name}", reason, f"With {extractor.name} go {' and '.join(able)}")
    if device in matcher.byte_devices and extractor.kind.dtype != "uint8":
        reason = f"compares bytes on {device}, and descriptors of {extractor.name} are none"
        raise LiftnetError(f"matcher {matcher.name}", reason, f"Set device to {matcher.devices[0]}")
    if device not in settings.matcher.devices:
        able = [name for name, matcher in matchers().items() if device in matcher.devices]
        reason = f"{device} is not offered by the matcher {settings.matcher.name}"
        raise LiftnetError("device", reason, f"Set device to {settings.matcher.devices[0]}, or matcher to {able[0]}")


def match_pairs(work: WorkFeatures, settings: MatchSettings, threads: int, seed: int) -> Iterator[PairMatches]:
    """The pairs to try, in ascending order, each with its matches or with the reason why it has none."""
    pairs = pairs_to_try(work, settings, threads, seed)
    matched: Iterator[PairMatches] = iter(())
    if usable := [pair for pair in pairs if work.unmatched(*pair) is None]:
        matched = settings.matcher.match(work, usable, settings, threads, seed)
    for pair in pairs:
        yield work.unmatched(*pair) or next(matched)


def pairs_to_try(work: WorkFeatures, settings: MatchSettings, threads: int, seed: int) -> list[tuple[str, str]]:
    """All pairs (a, b) of the images, a < b, ascending; in a large work those that look most alike."""
    if len(work.images) <= settings.pairs.exhaustive_images:
        return list(combinations(sorted(work.images), 2))
    from liftnet.match.retrieval import similar_pairs

    return similar_pairs(work, settings.pairs.neighbours, threads, seed)


def table_rows(pairs: Iterable[PairMatches], settings: MatchSettings, seed: int) -> list[dict[str, Any]]:
    """The rows of the table of matches."""
    common = {
        "matcher": settings.matcher.name,
        "settings": json.dumps(settings.recorded(seed), sort_keys=True),
        "features": recipe(settings),
    }
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


class Summary:
    """Counts of what was matched; as a string one line, with how many pairs could not be."""

    def __init__(self, work: str, images: int) -> None:
        self.work, self.images = work, images
        self.counts: list[int] = []
        self.failed: Counter[str] = Counter()
        self.problems: set[tuple[str, str]] = set()

    def add(self, pairs: Iterable[PairMatches]) -> None:
        """Count some more pairs."""
        for pair in pairs:
            if pair.problem:
                self.failed[pair.problem.code] += 1
                self.problems.add((pair.problem.code, pair.problem.reason))
            else:
                self.counts.append(len(pair.scores))

    def __str__(self) -> str:
        pairs = len(self.counts) + self.failed.total()
        line = f"{self.work}: {self.images} images, {pairs} pairs, {sum(self.counts)} putative matches"
        if self.counts:
            line += f" (median per pair {median(self.counts):.0f})"
        if self.failed:
            line += "; not matched: " + ", ".join(f"{count} {code}" for code, count in sorted(self.failed.items()))
        return line

"""Matching across splits: the few images of other splits that each held-out image is most like.

A work photographed again under another name is invisible to hashes and lists. It shows in matches: `verify` decides
on the pairs found here as on any others, and what it finds to be one object must not stand in two splits. Masks come
first, since two works in one gallery match through the room behind them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.core.settings import changed
from liftnet.data.features import Floats
from liftnet.data.schemas import MANIFEST, MATCHES, ROWS_PER_GROUP, in_groups, read_table, table_writer
from liftnet.match.descriptors import match_descriptors
from liftnet.match.feature_cache import recipe, work_features
from liftnet.match.match import Summary, check_settings, table_rows
from liftnet.match.retrieval import RATIO, coarsest, sample, vlad, vocabulary
from liftnet.match.settings import MatchSettings
from liftnet.match.work_features import MIN_KEYPOINTS, PairMatches, Problem, WorkFeatures, WorkImage

HELD_OUT = ("val", "test")
SHORTLIST = 20  # images of like looks whose coarse features are compared with those of a held-out one
VOCABULARY_IMAGES = 1000  # the vocabulary is learnt from at most this many
QUERIES, GALLERY = 4096, 256  # images whose vectors (64 kB each) are in memory at a time
LOG = get_logger("match")


@dataclass(frozen=True)
class SplitImages:
    """The stored images of all works.

    Attributes:
        images: With their masks, by ascending id.
        sizes: (width, height) by id.
        splits: By id.
    """

    images: list[WorkImage]
    sizes: dict[str, tuple[int, int]]
    splits: dict[str, str]


def match_across_splits(root: Path, out: Path, settings: MatchSettings, threads: int = 1, seed: int = 0) -> None:
    """Match each image of val and test with the images of other splits that it is most like.

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


def split_images(root: Path) -> SplitImages:
    """The stored images of a manifest and their splits.

    Raises:
        LiftnetError: The manifest cannot be read.
    """
    columns = ["image_id", "status", "file", "split", "width", "height"]
    rows = read_table(root / "manifest.parquet", MANIFEST).select(columns).to_pylist()
    stored = sorted((row for row in rows if row["status"] == "ok" and row["split"]), key=lambda row: row["image_id"])
    images = [
        WorkImage(row["image_id"], root / "images" / row["file"], root / "masks" / f"{row['image_id']}.png")
        for row in stored
    ]
    sizes = {row["image_id"]: (row["width"], row["height"]) for row in stored}
    return SplitImages(images, sizes, {row["image_id"]: row["split"] for row in stored})


def masked_features(known: SplitImages, cache: Path, settings: MatchSettings, threads: int = 1) -> WorkFeatures:
    """The features on the foreground of all images, from the cache; found now where `match` has not.

    Sizes are those of the manifest, so that the images themselves need not be decoded again.
    """
    work = WorkFeatures(known.images)
    missing = []
    for image in known.images:
        file = cache / f"{image.image_id}.safetensors"
        if image.mask is None or not image.mask.is_file():
            work.problems[image.image_id] = Problem("no_mask", f"the image {image.image_id} has no mask")
        elif file.is_file():
            work.files[image.image_id], work.sizes[image.image_id] = file, known.sizes[image.image_id]
        else:
            missing.append(image)
    if missing:
        found = work_features(missing, cache, settings, threads)
        work.problems |= found.problems
        for image_id in found.usable():
            work.files[image_id], work.sizes[image_id] = found.files[image_id], found.sizes[image_id]
    return work


def pairs_across_splits(
    work: WorkFeatures, splits: Mapping[str, str], settings: MatchSettings, threads: int = 1, seed: int = 0
) -> list[tuple[str, str]]:
    """The pairs of images of two splits, one of them held out, that are worth matching.

    For each image of val and test: the images of other splits with the most like aggregated descriptors; of these
    those with at least `min_coarse_matches` matching coarse features; of these the `partners` with the most.

    Args:
        work: The images and their features; those without are noted among its problems.
        splits: The split of each image.
        settings: The two numbers.
        threads: Workers; the result does not depend on it.
        seed: Seed of the vocabulary.

    Returns:
        Pairs (a, b) with a < b, ascending.
    """
    ids = _with_features(work, threads)
    queries = [image_id for image_id in ids if splits[image_id] in HELD_OUT]
    if not queries or len({splits[image_id] for image_id in ids}) < 2:
        LOG.info("there are no two splits to compare")
        return []
    LOG.info("%d images of val and test against %d of other splits", len(queries), len(ids))
    chosen = np.random.default_rng(seed).permutation(len(ids))[:VOCABULARY_IMAGES]
    learnt = [ids[index] for index in sorted(chosen.tolist())]
    centres = vocabulary([sample(work, image_id, len(learnt), seed) for image_id in learnt], seed)
    pairs: set[tuple[str, str]] = set()
    for start in range(0, len(queries), QUERIES):
        shortlist = _shortlist(work, queries[start : start + QUERIES], ids, splits, centres, threads)
        pairs.update(_promising(work, shortlist, settings, threads))
    return sorted(pairs)


def _with_features(work: WorkFeatures, threads: int) -> list[str]:
    """The images with enough features on the foreground, ascending; of the others the reason is noted."""

    def count(image_id: str) -> int | Problem:
        try:
            return len(work.load(image_id))
        except LiftnetError as error:
            return Problem("unusable", str(error))

    ids = work.usable()
    counts = map_threads(count, ids, threads, "match", "reading features")
    for image_id, found in zip(ids, counts, strict=True):
        if isinstance(found, Problem):
            work.problems[image_id] = found
            continue
        work.counts[image_id] = found
        if found < MIN_KEYPOINTS:
            reason = f"the image {image_id} has {found} keypoint(s) on the foreground, fewer than {MIN_KEYPOINTS}"
            work.problems[image_id] = Problem("too_few_keypoints", reason)
    return work.usable()


def _shortlist(
    work: WorkFeatures,
    queries: Sequence[str],
    ids: Sequence[str],
    splits: Mapping[str, str],
    centres: Floats,
    threads: int,
) -> list[tuple[str, str]]:
    """For each query the SHORTLIST images of other splits of most like looks, best first."""

    def describe(image_id: str) -> Floats:
        return vlad(work.load(image_id).descriptors, centres)

    asked = np.stack(list(map_threads(describe, queries, threads, "match", "describing held-out images")))
    names = np.array(ids)
    split_of, own = np.array([splits[i] for i in ids]), np.array([splits[i] for i in queries])
    scores = np.full((len(queries), 0), 0, np.float32)
    best = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(ids), GALLERY):
        block = np.arange(start, min(start + GALLERY, len(ids)))
        vectors = np.stack(list(map_threads(describe, names[block].tolist(), threads, "match", "describing images")))
        found = asked @ vectors.T
        found[own[:, None] == split_of[block]] = -np.inf
        scores, best = _best(np.hstack([scores, found]), np.hstack([best, np.tile(block, (len(queries), 1))]))
    rows, places = np.nonzero(np.isfinite(scores))
    return [(queries[row], ids[best[row, place]]) for row, place in zip(rows.tolist(), places.tolist(), strict=True)]


def _best(scores: Floats, indices: npt.NDArray[np.int64]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The SHORTLIST highest of each row, best first; of equal ones the one that came first."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :SHORTLIST]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(indices, order, 1)


def _promising(
    work: WorkFeatures, shortlist: Sequence[tuple[str, str]], settings: MatchSettings, threads: int
) -> Iterator[tuple[str, str]]:
    """Of the shortlist of each query the pairs with the most matches of coarse features."""

    def count(pair: tuple[str, str]) -> int:
        a, b = (coarsest(work.load(image_id)) for image_id in pair)
        return len(match_descriptors(a, b, RATIO))

    counts = map_threads(count, shortlist, threads, "match", "comparing coarse features")
    of_query: dict[str, list[tuple[int, str]]] = {}
    for (query, other), matches in zip(shortlist, counts, strict=True):
        if matches >= settings.cross_split.min_coarse_matches:
            of_query.setdefault(query, []).append((-matches, other))
    for query, others in of_query.items():
        for _, other in sorted(others)[: settings.cross_split.partners]:
            yield (query, other) if query < other else (other, query)

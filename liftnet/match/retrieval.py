"""Which images of a large work, or of other splits, are worth matching: those of like looks, by a few coarse features.

The shortlist compares one vector an image, its aggregated SIFT descriptors (VLAD): a vocabulary of the work's own
descriptors is learnt by k-means; an image becomes the sum of its descriptors' differences from their words (Jegou et
al. 2010), normalised word by word and as a whole (Arandjelovic and Zisserman 2013). The pairs of the shortlist are
then ranked by how many of their coarsest features match (Wu 2013 stops at such a count; here it only orders).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import faiss
import numpy as np
import numpy.typing as npt

from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.data.features import Descriptors, Features, Floats
from liftnet.match.descriptors import match_descriptors
from liftnet.match.feature_cache import count_keypoints
from liftnet.match.settings import MatchSettings
from liftnet.match.work_features import WorkFeatures

LOG = get_logger("match")

WORDS = 128
VOCABULARY_SAMPLE = 100_000  # descriptors of all images together: hundreds a word
ITERATIONS = 20
SHORTLIST = 4  # times the neighbours asked for
COARSE_FEATURES = 500  # of an image, to rank its shortlist: a hundredth of the time of matching all of 5000
RATIO = 0.8
HELD_OUT = ("val", "test")
SPLIT_SHORTLIST = 20  # images of other splits whose coarse features are compared with those of a held-out one
VOCABULARY_IMAGES = 1000  # the vocabulary is learnt from at most this many images of all splits
QUERIES, GALLERY = 4096, 256  # images whose vectors (64 kB each) are in memory at a time


def similar_pairs(work: WorkFeatures, neighbours: int, threads: int = 1, seed: int = 0) -> list[tuple[str, str]]:
    """The pairs of images of which one is among the `neighbours` most promising partners of the other.

    Args:
        work: The images and their features.
        neighbours: Partners of each image.
        threads: Workers; the result does not depend on it.
        seed: Seed of the vocabulary.

    Returns:
        Pairs (a, b) with a < b, ascending. An image without usable features stands in one pair, so that its reason
        is in the table of matches.
    """
    ids = work.usable()
    LOG.info("%d images: choosing %d partners of each", len(work.images), neighbours)
    unusable = {_ordered(image_id, ids[0]) for image_id in work.problems} if ids else set()
    if len(ids) < 2:
        return sorted(unusable)
    centres = vocabulary([sample(work, image_id, len(ids), seed) for image_id in ids], seed)

    def describe(image_id: str) -> tuple[Floats, Descriptors]:
        features = work.load(image_id)
        return vlad(features.descriptors, centres), coarsest(features)

    described = list(map_threads(describe, ids, threads, "match", "describing images"))
    shortlist = most_similar(np.stack([vector for vector, _ in described]), SHORTLIST * neighbours)
    pairs = np.unique(np.sort(_index_pairs(shortlist), axis=1), axis=0)
    counts = map_threads(
        lambda pair: len(match_descriptors(described[pair[0]][1], described[pair[1]][1], RATIO)),
        pairs.tolist(),
        threads,
        "match",
        "ranking pairs",
    )
    chosen = best_partners(pairs, np.fromiter(counts, np.int64, len(pairs)), len(ids), neighbours)
    return sorted(unusable | {_ordered(ids[i], ids[j]) for i, j in chosen.tolist()})


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
    count_keypoints(work, threads)
    ids = work.usable()
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


def best_partners(
    pairs: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], images: int, neighbours: int
) -> npt.NDArray[np.int64]:
    """The pairs that are among the `neighbours` of highest count of at least one of their images.

    Args:
        pairs: (P, 2) indices of images.
        counts: (P,) matches of each pair; of equal ones the earlier pair is better.
        images: Number of images.
        neighbours: Partners of each image.

    Returns:
        (Q, 2) rows of `pairs`.
    """
    rank = np.empty(len(pairs), np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(pairs))
    chosen = np.zeros(len(pairs), np.bool_)
    image = np.concatenate([pairs[:, 0], pairs[:, 1]])
    row = np.tile(np.arange(len(pairs)), 2)
    order = np.lexsort([rank[row], image])  # the pairs of each image, best first
    starts = np.searchsorted(image[order], np.arange(images))
    place = np.arange(len(order)) - starts[image[order]]
    chosen[row[order[place < neighbours]]] = True
    return pairs[chosen]


def sample(work: WorkFeatures, image_id: str, images: int, seed: int) -> Descriptors:
    """The share of an image in the descriptors of which the vocabulary is learnt, (n, D)."""
    descriptors = work.load(image_id).descriptors
    count = min(-(-VOCABULARY_SAMPLE // images), len(descriptors))
    rng = np.random.default_rng(stable_seed(seed, "vocabulary", image_id))
    return descriptors[np.sort(rng.choice(len(descriptors), count, replace=False))]


def vocabulary(samples: list[Descriptors], seed: int = 0) -> Floats:
    """Centres of the descriptors, (WORDS, D) float32; fewer where there are fewer descriptors."""
    descriptors = np.concatenate(samples).astype(np.float32)
    words = min(WORDS, len(descriptors))
    kmeans = faiss.Kmeans(
        descriptors.shape[1],
        words,
        niter=ITERATIONS,
        seed=seed % 2**31,
        min_points_per_centroid=1,
        max_points_per_centroid=len(descriptors),
    )
    with _one_faiss_thread():
        kmeans.train(descriptors)
    return np.asarray(kmeans.centroids, np.float32)


def vlad(descriptors: Descriptors, centres: Floats) -> Floats:
    """The aggregated descriptor of an image.

    Args:
        descriptors: (N, D), N at least 1.
        centres: (K, D).

    Returns:
        (K * D,) float32 of length 1.
    """
    values = descriptors.astype(np.float32)
    word = (values @ centres.T - 0.5 * np.einsum("kd,kd->k", centres, centres)).argmax(axis=1)
    belongs = np.zeros((len(centres), len(values)), np.float32)
    belongs[word, np.arange(len(values))] = 1
    sums = belongs @ values - belongs.sum(axis=1, keepdims=True) * centres
    sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return (sums / max(float(np.linalg.norm(sums)), 1e-12)).ravel()


def most_similar(vectors: Floats, neighbours: int) -> npt.NDArray[np.int64]:
    """For each of (N, D) vectors the indices of those most like it, itself among them: (N, at most neighbours + 1)."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    with _one_faiss_thread():
        index.add(vectors)
        return np.asarray(index.search(vectors, min(neighbours + 1, len(vectors)))[1])


def coarsest(features: Features) -> Descriptors:
    """The descriptors of the COARSE_FEATURES coarsest features of an image; of those without scales the strongest."""
    if features.scales is None:
        return features.descriptors[:COARSE_FEATURES]
    return features.descriptors[np.argsort(-features.scales, kind="stable")[:COARSE_FEATURES]]


def _index_pairs(partners: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(N, K) partners of each image as (P, 2) pairs without those of an image with itself."""
    pairs = np.column_stack([np.repeat(np.arange(len(partners)), partners.shape[1]), partners.ravel()])
    return pairs[pairs[:, 0] != pairs[:, 1]]


@contextmanager
def _one_faiss_thread() -> Iterator[None]:
    """Keep faiss to one thread, so that sums are taken in one order."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _ordered(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _shortlist(
    work: WorkFeatures,
    queries: Sequence[str],
    ids: Sequence[str],
    splits: Mapping[str, str],
    centres: Floats,
    threads: int,
) -> list[tuple[str, str]]:
    """For each query the SPLIT_SHORTLIST images of other splits of most like looks, best first."""

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
    """The SPLIT_SHORTLIST highest of each row, best first; of equal ones the one that came first."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :SPLIT_SHORTLIST]
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
            yield _ordered(query, other)

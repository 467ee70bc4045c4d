"""How good a descriptor or a detector is: false positives at 95 % recall, precision of matching, separation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix, triu
from scipy.stats import rankdata

from liftnet.core.ids import stable_seed
from liftnet.core.types import BoolArray, FloatArray, Int64Array
from liftnet.drkfs.train.tracks import PointSet
from liftnet.learn.task import LossTerms

RECALL = 0.95


def mean_loss(terms: Sequence[LossTerms]) -> float:
    """The mean of the losses of steps."""
    return float(np.mean([float(step["loss"].mean()) for step in terms]))


def false_positive_rate(first: FloatArray, second: FloatArray, recall: float = RECALL) -> float:
    """FPR95: the fraction of wrong pairs that are as close as 95 % of the right ones (Winder and Brown, CVPR 2007).

    The wrong pairs are as many as the right ones: each first descriptor with the next point's second one.

    Args:
        first: (N, D) descriptors, a row a point, in random order.
        second: (N, D), of the same points in other images.
        recall: The fraction of right pairs.

    Returns:
        In [0, 1], 0 is best; NaN without at least two points.
    """
    if len(first) < 2:
        return float("nan")
    right = np.sort(np.linalg.norm(first - second, axis=1))
    wrong = np.linalg.norm(first - np.roll(second, 1, axis=0), axis=1)
    threshold = right[int(np.ceil(recall * len(right))) - 1]
    return float((wrong <= threshold).mean())


def average_precision(ranking: FloatArray, right: BoolArray, total: int) -> float:
    """Area below the curve of precision over recall, as HPatches measures matching (Balntas et al., CVPR 2017).

    Args:
        ranking: (M,) a distance or ratio of each match, low where it is trusted.
        right: (M,) whether the match is right.
        total: Number of right matches that could have been found.

    Returns:
        In [0, 1]; NaN where nothing could have been found.
    """
    if total == 0:
        return float("nan")
    hits = right[np.argsort(ranking, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum() / total)


def matching_precision(
    first: FloatArray, second: FloatArray, points_first: Int64Array, points_second: Int64Array
) -> float:
    """Average precision of nearest neighbours between the descriptors of two images, trusted by their distance.

    Args:
        first: (N, D) descriptors of one image.
        second: (M, D) of the other.
        points_first: (N,) which point each shows, no number twice in an image.
        points_second: (M,) the same.
    """
    if not len(first) or not len(second):
        return float("nan")
    products = first @ second.T
    squared = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * products
    nearest = squared.argmin(axis=1)
    distance = squared[np.arange(len(first)), nearest]
    total = int(np.isin(points_first, points_second).sum())
    return average_precision(distance, points_first == points_second[nearest], total)


def mean_matching_precision(
    descriptors: FloatArray, points: PointSet, pairs: int = 100, least: int = 20, seed: int = 0
) -> tuple[float, int]:
    """The mean of `matching_precision` over pairs of images that share points.

    Args:
        descriptors: (N, D), of all observations.
        points: The observations; those of an image that the other does not show are there to be confused.
        pairs: Pairs of images at most, drawn by the seed.
        least: Points that a pair shares at least.
        seed: Of the draw.

    Returns:
        The mean, and how many pairs it is of.
    """
    candidates = sharing_pairs(points, least)
    generator = np.random.default_rng(stable_seed(seed, "matching"))
    chosen = candidates[np.sort(generator.permutation(len(candidates))[:pairs])]
    values = []
    for a, b in chosen:
        first, second = np.flatnonzero(points.image == a), np.flatnonzero(points.image == b)
        values.append(
            matching_precision(descriptors[first], descriptors[second], points.track[first], points.track[second])
        )
    return (float(np.mean(values)) if values else float("nan")), len(values)


def sharing_pairs(points: PointSet, least: int) -> Int64Array:
    """(P, 2) pairs of images that show at least `least` of the same points, in order."""
    seen = csr_matrix(
        (np.ones(len(points)), (points.image, points.track)), shape=(len(points.images), max(1, points.tracks))
    )
    shared = triu((seen @ seen.T).tocoo(), k=1)
    enough = shared.data >= least
    pairs = np.stack([shared.row[enough], shared.col[enough]], axis=1).astype(np.int64)
    return pairs[np.lexsort([pairs[:, 1], pairs[:, 0]])]


def separation(positive: FloatArray, negative: FloatArray) -> float:
    """The fraction of pairs in which the positive score is higher: the area below the ROC curve, ties by half."""
    if not len(positive) or not len(negative):
        return float("nan")
    ranks = rankdata(np.concatenate([positive, negative]))[: len(positive)]
    return float((ranks.mean() - (len(positive) + 1) / 2) / len(negative))

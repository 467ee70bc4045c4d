"""How well a distance finds shapes of the same class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from liftnet.shape.mesh import FloatArray


@dataclass(frozen=True)
class Retrieval:
    """Scores of a distance, means over the queries.

    Attributes:
        mean_average_precision: Mean over the queries of the mean precision at each shape of the query's class.
        nearest: Share of the queries whose nearest other shape has their class.
        first_tier: Share of the query's class among its first C - 1, C the size of the class.
        queries: Number of queries: shapes that are not alone in their class.
    """

    mean_average_precision: float
    nearest: float
    first_tier: float
    queries: int


def retrieval(distances: FloatArray, labels: Sequence[str]) -> Retrieval:
    """Query each shape with all others.

    Args:
        distances: (N, N); a shape is never compared with itself, and rows need not be symmetric.
        labels: N classes. A shape that is alone in its class is found, but does not query.

    Raises:
        ValueError: The shapes do not fit, a distance is not a number, or no class has two shapes.
    """
    names = np.asarray(labels)
    if distances.shape != (len(names), len(names)) or np.isnan(distances).any():
        raise ValueError(f"{len(names)} labels need as many distances in square, all numbers, not {distances.shape}")
    same = names[:, None] == names
    queries = np.flatnonzero(same.sum(axis=1) > 1)
    if not len(queries):
        raise ValueError("no class has two shapes, so nothing can be found")
    apart = distances.astype(float)
    np.fill_diagonal(apart, np.inf)
    order = np.argsort(apart, axis=1, kind="stable")
    order = order[order != np.arange(len(names))[:, None]].reshape(len(names), -1)[queries]
    hits = np.take_along_axis(same[queries], order, axis=1)
    relevant = hits.sum(axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    tier = hits & (np.arange(hits.shape[1]) < relevant[:, None])
    return Retrieval(
        float(((precision * hits).sum(axis=1) / relevant).mean()),
        float(hits[:, 0].mean()),
        float((tier.sum(axis=1) / relevant).mean()),
        len(queries),
    )

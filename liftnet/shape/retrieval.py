"""How well a distance finds shapes of the same class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from liftnet.core.types import FloatArray


@dataclass(frozen=True)
class Retrieval:
    """Scores of a distance, means over the queries.

    Attributes:
        mean_average_precision: Mean over the queries of the mean precision at each shape of the query's class.
        nearest: Share of the queries whose nearest shape has their class.
        first_tier: Share of the query's class among its first C answers, C the number of shapes that are right.
        queries: Number of queries.
    """

    mean_average_precision: float
    nearest: float
    first_tier: float
    queries: int


def retrieval(distances: FloatArray, labels: Sequence[str], queries: Sequence[str] | None = None) -> Retrieval:
    """Query shapes by their distances.

    Args:
        distances: (Q, N) of each query from each shape.
        labels: N classes of the shapes.
        queries: Q classes of the queries; without it the shapes query each other (Q = N), none finds itself.

    Returns:
        Means over those queries whose class has another shape.

    Raises:
        ValueError: The numbers do not fit, a distance is not a number, or nothing can be found.
    """
    names, asked = np.asarray(labels), np.asarray(labels if queries is None else queries)
    if distances.shape != (len(asked), len(names)) or np.isnan(distances).any():
        raise ValueError(f"{len(asked)} queries of {len(names)} labels need as many distances, all numbers")
    others = ~np.eye(len(names), dtype=bool) if queries is None else np.ones(distances.shape, bool)
    same = (asked[:, None] == names) & others
    usable = np.flatnonzero(same.any(axis=1))
    if not len(usable):
        raise ValueError("no query has another shape of its class, so nothing can be found")
    order = np.argsort(np.where(others, distances.astype(float), np.inf), axis=1, kind="stable")[usable]
    last = int(others.sum(axis=1).min())  # the query itself comes last
    hits = np.take_along_axis(same[usable], order, axis=1)[:, :last]
    relevant = hits.sum(axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, last + 1)
    tier = hits & (np.arange(last) < relevant[:, None])
    return Retrieval(
        float(((precision * hits).sum(axis=1) / relevant).mean()),
        float(hits[:, 0].mean()),
        float((tier.sum(axis=1) / relevant).mean()),
        len(usable),
    )

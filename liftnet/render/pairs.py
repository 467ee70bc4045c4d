"""The pairs of a shape's views with their exact correspondences, as rows of the table of pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from liftnet.core.ids import stable_seed
from liftnet.data.truth import TrueView
from liftnet.render.correspondences import chosen, correspondences

SHARED = 50  # points that both views of a pair must see: what the paper trains with on ShapeNet
NOT_KEPT = "too_few_shared"


def pair_rows(image_ids: Sequence[str], truths: Sequence[TrueView], limit: int) -> Iterator[dict[str, Any]]:
    """Every pair of views; kept where they share `SHARED` points or more.

    The correspondences stand in a random order fixed by the pair, so that the first N of them are N at random.

    Args:
        image_ids: Of each view.
        truths: Its depth and camera.
        limit: Correspondences of a pair at most.
    """
    order = sorted(range(len(image_ids)), key=lambda number: image_ids[number])  # image_a < image_b
    for a, b in combinations(order, 2):
        points_a, points_b = correspondences(truths[a], truths[b])
        pair_id = f"{image_ids[a]}-{image_ids[b]}"
        kept = len(points_a) >= SHARED
        some = chosen(len(points_a), limit if kept else 0, stable_seed(0, "correspondences", pair_id))
        (height_a, width_a), (height_b, width_b) = truths[a].depth.shape, truths[b].depth.shape
        yield {
            "pair_id": pair_id,
            "image_a": image_ids[a],
            "image_b": image_ids[b],
            **{"width_a": width_a, "height_a": height_a, "width_b": width_b, "height_b": height_b},
            "kept": kept,
            "reason": "kept" if kept else NOT_KEPT,
            "n_putative": int(truths[a].mask.sum()),
            "n_inliers": len(points_a),
            **{"x1": points_a[some, 0], "y1": points_a[some, 1], "x2": points_b[some, 0], "y2": points_b[some, 1]},
            "score": np.ones(len(some), np.float32),
        }

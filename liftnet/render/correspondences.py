"""Exact correspondences between two views of one shape, from their depth and cameras, and the pairs they make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from liftnet.core.ids import stable_seed
from liftnet.core.types import BoolArray, FloatArray, Int64Array
from liftnet.data.truth import TrueView

SLACK = 0.25  # pixel widths by which depth may disagree on a surface that faces the camera
SLANT_SHARE = 0.25  # and, on a slanted one, this share of the range of depth among the four pixels around
STEP = 6.0  # pixel widths: where the four pixels differ by more there is an edge, and visibility cannot be told


def correspondences(source: TrueView, target: TrueView) -> tuple[FloatArray, FloatArray]:
    """Every foreground pixel of `source` that `target` sees, and where.

    The surface point at the centre of each pixel is projected into the target (section 5 of the paper). It is
    visible there if the target's depth, interpolated between the four pixels around, is its own within a tolerance
    that follows the slant of the surface. Points beside an edge of the target are left out.

    Returns:
        (N, 2) pixels of the source, whole numbers in the order of rows, and (N, 2) pixels of the target; exact but for
        the precision of the stored depth.
    """
    rows, columns = np.nonzero(source.mask)
    pixels = np.column_stack([columns, rows]).astype(np.float64)
    points = source.camera.unproject(pixels, source.depth[rows, columns].astype(np.float64))
    found, depth = target.camera.project(points)
    seen = visible(target, found, depth)
    return pixels[seen], found[seen]


def visible(view: TrueView, pixels: FloatArray, depth: FloatArray) -> BoolArray:
    """Which surface points a view sees.

    Args:
        view: Depth and camera.
        pixels: (N, 2) projections of the points into it.
        depth: (N,) their depth in it.

    Returns:
        (N,) bool.
    """
    height, width = view.depth.shape
    if not len(pixels) or not view.mask.any():
        return np.zeros(len(pixels), bool)
    left, top = np.floor(pixels[:, 0]).astype(int), np.floor(pixels[:, 1]).astype(int)
    seen = (depth > 0) & (left >= 0) & (top >= 0) & (left < width - 1) & (top < height - 1)
    at = np.flatnonzero(seen)
    left, top, depth = left[at], top[at], depth[at]
    x, y = pixels[at, 0] - left, pixels[at, 1] - top
    corners = np.stack([view.depth[top + j, left + i] for j in (0, 1) for i in (0, 1)], 1).astype(np.float64)
    weights = np.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], 1)
    spread = np.ptp(corners, axis=1)  # NaN where one of them is off the object, and then nothing below is true
    pixel = 1 / view.camera.pixels_per_unit(float(np.nanmedian(view.depth)))
    error = np.abs(depth - (corners * weights).sum(1))
    seen[at] = (error <= SLACK * pixel + SLANT_SHARE * spread) & (spread <= STEP * pixel)
    return seen


def chosen(count: int, limit: int, seed: int) -> Int64Array:
    """At most `limit` of `count` numbers in a random order fixed by the seed: the first N of them are N at random."""
    return np.random.default_rng(seed).permutation(count)[:limit]


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

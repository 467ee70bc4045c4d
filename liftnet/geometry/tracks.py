"""Tracks: the matches of many pairs of images of one object, joined to points that several images show.

Keypoints are nodes, matches are edges, and a connected component is a track, unless it contradicts itself: it has two
positions in one image, or two of its keypoints do not lie on each other's epipolar lines. Such a component is several
points that wrong matches have tied together. It is cut by joining it anew, the best matches first (Kruskal, 1956), and
leaving out every match that would bring a contradiction about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from liftnet.core.types import BoolArray, Float64Array, Int64Array

Kernel = Any  # numba gives its functions no types


@dataclass(frozen=True)
class Joining:
    """How matches are joined.

    Attributes:
        merge_px: Keypoints of one image that are nearer than this are one.
        tolerance: How far two keypoints of a track may be from their epipolar lines, as a multiple of the threshold of
            their pair; infinite: not asked.

    Raises:
        ValueError: A value is negative.
    """

    merge_px: float = 1.0
    tolerance: float = 2.0

    def __post_init__(self) -> None:
        if not (self.merge_px >= 0 and self.tolerance >= 0):
            raise ValueError(f"merge_px and tolerance must not be negative: {self}")


@dataclass(frozen=True, eq=False)
class MatchedPairs:
    """Pairs of images of one work with their matches.

    Attributes:
        images: (P, 2) the numbers of each pair's images, the lower first; no two pairs are alike.
        models: (P, 3, 3) the fundamental matrix of each pair, (x', y', 1) F (x, y, 1)^T = 0 with (x', y') in the
            second image; NaN where it is not known.
        thresholds: (P,) px, the largest Sampson distance of a match to its model.
        pair: (M,) which pair each match belongs to.
        points_a: (M, 2) px in the first image.
        points_b: (M, 2) px in the second image.
    """

    images: Int64Array
    models: Float64Array
    thresholds: Float64Array
    pair: Int64Array
    points_a: Float64Array
    points_b: Float64Array


@dataclass(frozen=True, eq=False)
class Tracks:
    """Points of an object and where they are in its images.

    Attributes:
        track: (N,) the track of each observation, from 0, ascending.
        image: (N,) its image, ascending within a track, each once.
        points: (N, 2) px, one of the keypoints that were given.
        links: (T,) matches between keypoints of each track.
        contradicted: (T,) whether the track was cut out of a component that contradicts itself.
        components: Connected components of keypoints and matches.
        contradictions: Of these, those that contradict themselves.
    """

    track: Int64Array
    image: Int64Array
    points: Float64Array
    links: Int64Array
    contradicted: BoolArray
    components: int
    contradictions: int

    def __len__(self) -> int:
        return len(self.links)

    def __repr__(self) -> str:
        return f"Tracks({len(self)} of {len(self.track)} observations, {self.contradictions} contradictions cut)"


def join_matches(pairs: MatchedPairs, joining: Joining) -> Tracks:
    """Join matches to tracks.

    The same matches in any order give the same tracks: they are numbered by their first image and the place there.

    Args:
        pairs: Matches of the pairs of one work.
        joining: Which keypoints are one, and when keypoints agree.

    Example:
        >>> import numpy as np
        >>> images, points = np.array([[0, 1], [1, 2]]), np.array([[5.0, 5.0], [9.0, 9.0]])
        >>> unknown = np.full((2, 3, 3), np.nan), np.ones(2)
        >>> pairs = MatchedPairs(images, *unknown, np.array([0, 1]), points, points + [[4, 4], [0, 0]])
        >>> join_matches(pairs, Joining())
        Tracks(1 of 3 observations, 0 contradictions cut)
    """
    image, points, ends = merged_keypoints(pairs, joining.merge_px)
    edges = np.column_stack(np.divmod(np.unique(ends.min(axis=1) * len(image) + ends.max(axis=1)), len(image) or 1))
    count, label = connected_components(_graph(edges, len(image)), directed=False)
    geometry = _Geometry.of(pairs, image, points, joining.tolerance)
    contradicted = geometry.contradicted(label, count)
    joined = label.astype(np.int64)
    torn = contradicted[label[edges[:, 0]]]
    if torn.any():
        own = geometry.split(edges[torn], _order(edges[torn], geometry.distances(edges[torn]), len(image)))
        joined = np.where(contradicted[label], count + own, joined)
    return _numbered(image, points, joined, edges, contradicted[label], (count, int(contradicted.sum())))


def merged_keypoints(pairs: MatchedPairs, merge_px: float) -> tuple[Int64Array, Float64Array, Int64Array]:
    """The keypoints of all images, those nearer than `merge_px` to a better one counted for it.

    Of keypoints that are near each other the one with most matches stays, where it is; among equals the first. So two
    that stay are not nearer than `merge_px`, and each that goes counts for the nearest that stays.

    Returns:
        (K,) image and (K, 2) place of each keypoint, in ascending order of image, x and y; and (M, 2) the keypoints of
        each match.
    """
    image = pairs.images[pairs.pair].T.ravel()
    points = np.concatenate([pairs.points_a, pairs.points_b]).astype(np.float64)
    order = np.lexsort((points[:, 1], points[:, 0], image))
    rows = np.column_stack([image, points])[order]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    keypoint = np.empty(len(rows), np.int64)
    keypoint[order] = np.cumsum(new) - 1
    image, points = image[order][new], points[order][new]
    stands_for = _stand_ins(image, points, np.bincount(keypoint, minlength=len(image)), merge_px)
    stay, keypoint = np.unique(stands_for[keypoint], return_inverse=True)
    return image[stay], points[stay], keypoint.reshape(2, -1).T


def _stand_ins(image: Int64Array, points: Float64Array, weight: Int64Array, radius: float) -> Int64Array:
    """(K,) the keypoint that each counts for: greedy in the order of their weights, in rounds over all at once."""
    chosen = np.arange(len(image))
    if radius <= 0 or not len(image):
        return chosen
    apart = 4 * radius  # of the images, along an axis of their own
    near = KDTree(np.column_stack([points, image * apart])).query_pairs(radius, output_type="ndarray").astype(np.int64)
    near = np.concatenate([near, near[:, ::-1]])
    rank = np.empty(len(image), np.int64)
    rank[np.lexsort((chosen, -weight))] = chosen
    stays, open_ = np.ones(len(image), np.bool_), np.ones(len(image), np.bool_)
    left = near
    while len(left):
        best = rank.copy()
        np.minimum.at(best, left[:, 0], rank[left[:, 1]])
        found = open_ & (best == rank)
        covered = left[found[left[:, 1]], 0]
        stays[covered] = False
        open_ &= ~found
        open_[covered] = False
        left = left[open_[left].all(axis=1)]
    near = near[~stays[near[:, 0]] & stays[near[:, 1]]]
    distance = np.linalg.norm(points[near[:, 0]] - points[near[:, 1]], axis=1)
    near = near[np.lexsort((rank[near[:, 1]], distance, near[:, 0]))]
    gone, nearest = np.unique(near[:, 0], return_index=True)
    chosen[gone] = near[nearest, 1]
    return chosen


def shared_observations(tracks: Tracks, apart_from: Int64Array) -> tuple[Int64Array, Int64Array]:
    """All pairs of observations of one track, but those of some pairs of images.

    Args:
        tracks: Tracks of a work.
        apart_from: (P, 2) numbers of the images of those pairs, the lower first.

    Returns:
        Two (S,) arrays of numbers of observations: the first in the image of the lower number.
    """
    stride = int(max(tracks.image.max(initial=0), apart_from.max(initial=0))) + 1
    apart = np.sort(apart_from[:, 0] * stride + apart_from[:, 1])
    first, second = [], []
    left = np.arange(len(tracks.track))
    step = 1
    while len(left):  # the next observation but `step` of each: as many rounds as the longest track is long
        left = left[left + step < len(tracks.track)]
        left = left[tracks.track[left + step] == tracks.track[left]]
        wanted = left[~_holds(apart, tracks.image[left] * stride + tracks.image[left + step])]
        first.append(wanted)
        second.append(wanted + step)
        step += 1
    nothing = np.empty(0, np.int64)
    return np.concatenate([nothing, *first]), np.concatenate([nothing, *second])


def _holds(ascending: Int64Array, values: Int64Array) -> BoolArray:
    """(N,) whether each value is among the ascending ones."""
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    places = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.asarray(ascending[places] == values)


def _graph(edges: Int64Array, size: int) -> coo_array:
    return coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size))


def _order(edges: Int64Array, distances: Float64Array, size: int) -> Int64Array:
    """The order in which matches are taken: those in most triangles first, then those nearest to their model.

    A triangle, three keypoints of three images matched with each other, is a match that a third image confirms twice.
    """
    graph = _graph(edges, size).tocsr()
    graph = graph + graph.T
    triangles = (graph @ graph)[edges[:, 0], edges[:, 1]]
    return np.lexsort((edges[:, 1], edges[:, 0], distances, -np.asarray(triangles).ravel()))


def _numbered(
    image: Int64Array,
    points: Float64Array,
    joined: Int64Array,
    edges: Int64Array,
    contradicted: BoolArray,
    counts: tuple[int, int],
) -> Tracks:
    """Tracks of at least two keypoints, numbered by their first one, from the label of each keypoint."""
    _, first, label, size = np.unique(joined, return_index=True, return_inverse=True, return_counts=True)
    number = np.full(len(first), -1)
    order = np.argsort(first)
    order = order[size[order] > 1]
    number[order] = np.arange(len(order))
    within = label[edges[:, 0]] == label[edges[:, 1]]
    links = np.bincount(number[label[edges[within, 0]]], minlength=len(order))
    track = number[label]
    rows = np.argsort(track, kind="stable")
    rows = rows[track[rows] >= 0]
    return Tracks(track[rows], image[rows], points[rows], links, contradicted[first[order]], *counts)


@dataclass(frozen=True, eq=False)
class _Geometry:
    """Keypoints and the models of their pairs, as the kernels take them.

    Attributes:
        image: (K,).
        points: (K, 2).
        keys: (P,) number of the pair's images, ascending: first image times `stride` plus second.
        models: (P, 3, 3) in the order of the keys.
        limits: (P,) px, the largest distance; infinite where there is no model.
        stride: Number of images.
    """

    image: Int64Array
    points: Float64Array
    keys: Int64Array
    models: Float64Array
    limits: Float64Array
    stride: int

    @classmethod
    def of(cls, pairs: MatchedPairs, image: Int64Array, points: Float64Array, tolerance: float) -> _Geometry:
        stride = int(pairs.images.max(initial=0)) + 1
        keys = pairs.images[:, 0] * stride + pairs.images[:, 1]
        order = np.argsort(keys)
        known = np.isfinite(pairs.models).all(axis=(1, 2))
        limits = np.where(known, tolerance * pairs.thresholds, np.inf)
        return cls(image, points, keys[order], pairs.models[order], limits[order], stride)

    def contradicted(self, label: Int64Array, count: int) -> BoolArray:
        """(count,) whether each component contradicts itself."""
        order = np.argsort(label, kind="stable")
        ends = np.cumsum(np.bincount(label, minlength=count))
        return np.asarray(_contradicted(order, ends, *self._arrays()))

    def split(self, edges: Int64Array, order: Int64Array) -> Int64Array:
        """(K,) labels of the keypoints after the edges were taken in `order`, as far as they agree."""
        return np.asarray(_joined_in_order(edges, order, *self._arrays()))

    def distances(self, edges: Int64Array) -> Float64Array:
        """(E,) the squared distance of keypoints to their model, as a share of the square of its limit."""
        return np.asarray(_distances(edges, *self._arrays()))

    def _arrays(self) -> tuple[Any, ...]:
        return self.image, self.points, self.keys, self.models, self.limits, self.stride


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _distance(p, q, image, points, keys, models, limits, stride):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The squared Sampson distance of two keypoints over the square of the limit of their pair; 0 without a model.

    See `liftnet.geometry.perspective.fundamental_residuals`. Infinite for two keypoints of one image.
    """
    if image[p] == image[q]:
        return np.inf
    if image[p] > image[q]:
        p, q = q, p
    key = image[p] * stride + image[q]
    row = np.searchsorted(keys, key)
    if row == len(keys) or keys[row] != key or limits[row] == np.inf:
        return 0.0
    f, x, y, u, v = models[row], points[p, 0], points[p, 1], points[q, 0], points[q, 1]
    b0, b1 = f[0, 0] * x + f[0, 1] * y + f[0, 2], f[1, 0] * x + f[1, 1] * y + f[1, 2]
    a0, a1 = f[0, 0] * u + f[1, 0] * v + f[2, 0], f[0, 1] * u + f[1, 1] * v + f[2, 1]
    error = u * b0 + v * b1 + f[2, 0] * x + f[2, 1] * y + f[2, 2]
    return error * error / ((a0 * a0 + a1 * a1 + b0 * b0 + b1 * b1) * limits[row] * limits[row])


@numba.njit(nogil=True, cache=True)
def _agree(p, q, image, points, keys, models, limits, stride):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Whether two keypoints can be one point: of two images, and on each other's epipolar lines where known."""
    return _distance(p, q, image, points, keys, models, limits, stride) <= 1


@numba.njit(nogil=True, cache=True)
def _distances(edges, image, points, keys, models, limits, stride):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    found = np.empty(len(edges))
    for k in range(len(edges)):
        found[k] = _distance(edges[k, 0], edges[k, 1], image, points, keys, models, limits, stride)
    return found


@numba.njit(nogil=True, cache=True)
def _contradicted(order, ends, image, points, keys, models, limits, stride):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Whether two keypoints of each component disagree; `order` sorts keypoints by component, then by image."""
    found = np.zeros(len(ends), np.bool_)
    for component in range(len(ends)):
        start = ends[component - 1] if component else 0
        for k in range(start + 1, ends[component]):
            if image[order[k]] == image[order[k - 1]]:  # first: a component of thousands is seldom free of it
                found[component] = True
                break
        if found[component]:
            continue
        for k in range(start, ends[component]):
            for m in range(k + 1, ends[component]):
                if not _agree(order[k], order[m], image, points, keys, models, limits, stride):
                    found[component] = True
                    break
            if found[component]:
                break
    return found


@numba.njit(nogil=True, cache=True)
def _joined_in_order(edges, order, image, points, keys, models, limits, stride):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The sets that the edges join, in order, each unless two keypoints of the two sets disagree; (K,) labels.

    A set is a ring of its members, so two are joined by exchanging two successors; the smaller takes the label of the
    larger.
    """
    size = len(image)
    label, following, members = np.arange(size), np.arange(size), np.ones(size, np.int64)
    for k in order:
        p, q = edges[k, 0], edges[k, 1]
        if label[p] == label[q]:
            continue
        if members[label[p]] > members[label[q]]:
            p, q = q, p
        agree, one = True, p
        while agree:
            other = q
            while agree:
                agree = _agree(one, other, image, points, keys, models, limits, stride)
                other = following[other]
                if other == q:
                    break
            one = following[one]
            if one == p:
                break
        if agree:
            members[label[q]] += members[label[p]]
            one = p
            while True:
                label[one] = label[q]
                one = following[one]
                if one == p:
                    break
            following[p], following[q] = following[q], following[p]
    return label

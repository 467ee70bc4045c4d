"""Polygons of mesh files, of any number of corners, become triangles that cover the same surface."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from liftnet.core.types import BoolArray, FloatArray, Int64Array, IntArray

FLAT = 1e-10  # area of a triangle as a share of the polygon's longest edge squared: below, its corners lie on a line
CROSSES = 1e-6  # a polygon with less area in its own plane is a sliver, whose corners may lie in any order
MAX_TESTS = 2_000_000_000  # of corners against ears, in all polygons: some seconds


@dataclass(frozen=True, repr=False)
class Polygons:
    """Faces of any number of corners.

    Attributes:
        corners: (C,) indices of vertices, polygon by polygon.
        counts: (P,) how many corners each polygon has.
    """

    corners: Int64Array
    counts: Int64Array

    def __repr__(self) -> str:
        return f"Polygons({len(self.counts)})"

    @property
    def start(self) -> Int64Array:
        """(P,) where the corners of each polygon begin."""
        return np.cumsum(self.counts) - self.counts

    def chosen(self, mask: BoolArray) -> Polygons:
        """Those polygons that a mask (P,) marks."""
        return Polygons(self.corners[np.repeat(mask, self.counts)], self.counts[mask])

    def __len__(self) -> int:
        return len(self.counts)


def triangulate(vertices: FloatArray, polygons: Polygons) -> tuple[Int64Array, int]:
    """Divide polygons into triangles of the same winding, whose areas in the polygon's plane add up to its area.

    Triangles stay as they are, what has fewer corners goes. A convex polygon becomes a fan about its first corner, any
    other is cut ear by ear (Meisters, Polygons have ears, 1975) in the plane of its mean normal (Newell). Corners that
    lie on an edge stay corners, so that no gap opens towards the neighbour.

    Args:
        vertices: (V, 3) coordinates; those that corners name may be anything, also NaN.
        polygons: Indices within the vertices.

    Returns:
        (T, 3) triangles in the order of the polygons, and how many polygons cannot be divided, since their outlines
        cross themselves; those are left out.
    """
    polygons = _without_repeats(polygons)
    if not len(polygons):
        return np.zeros((0, 3), np.int64), 0
    start, counts = polygons.start, polygons.counts
    first = np.cumsum(counts - 2) - (counts - 2)
    owner = np.repeat(np.arange(len(counts)), counts - 2)
    step = np.arange(len(owner)) - first[owner]
    at = start[owner]
    triangles = polygons.corners[np.stack([at, at + step + 1, at + step + 2], axis=1)]
    many = counts > 3
    if not many.any():
        return triangles, 0
    with np.errstate(all="ignore"):  # coordinates that are not finite are counted by whoever reads the file
        normals, longest = _planes(vertices, polygons)
        areas = _signed_areas(vertices, triangles, normals[owner])
    poor = ~(areas > FLAT * longest[owner] ** 2)
    bad = np.flatnonzero((np.bincount(owner, poor & many[owner], len(counts)) > 0) & np.isfinite(longest))
    kept, crossed = np.ones(len(triangles), bool), 0
    if len(bad):
        budget = np.array([MAX_TESTS])
        for polygon in bad:  # only those that are no fan: few, and each is work of its own
            ring = polygons.corners[start[polygon] : start[polygon] + counts[polygon]]
            where = slice(first[polygon], first[polygon] + counts[polygon] - 2)
            if _is_sliver(vertices[triangles[where]], longest[polygon]):
                continue
            least = longest[polygon] ** 2
            whole = bool(0.5 * np.linalg.norm(normals[polygon]) > CROSSES * least)  # or its halves cancel out
            if whole:
                ears, whole = _clip_ears(_in_plane(vertices[ring], normals[polygon]), FLAT * least, budget)
            if whole:
                triangles[where] = ring[ears]
            else:
                kept[where] = False
                crossed += 1
    return triangles[kept], crossed


def _without_repeats(polygons: Polygons) -> Polygons:
    """Polygons without corners that name the vertex of the corner before; those of fewer than three corners go."""
    polygons = polygons.chosen(polygons.counts > 2)
    if not len(polygons) or polygons.counts.max() == 3:
        return polygons
    before = np.roll(polygons.corners, 1)
    last = polygons.start + polygons.counts - 1
    before[polygons.start] = polygons.corners[last]
    owner = np.repeat(np.arange(len(polygons)), polygons.counts)
    repeated = (polygons.corners == before) & (polygons.counts[owner] > 3)
    if not repeated.any():
        return polygons
    counts = polygons.counts - np.bincount(owner, repeated, len(polygons)).astype(np.int64)
    shorter = Polygons(polygons.corners[~repeated], counts)
    return shorter.chosen(counts > 2)


def _planes(vertices: FloatArray, polygons: Polygons) -> tuple[FloatArray, FloatArray]:
    """(P, 3) mean normals, as long as twice the polygon's area in its plane, and (P,) longest edges."""
    points = vertices[polygons.corners]
    origin = np.repeat(points[polygons.start], polygons.counts, axis=0)
    points = points - origin  # far from the origin, products of coordinates would lose the area
    following = np.roll(points, -1, axis=0)
    following[polygons.start + polygons.counts - 1] = 0.0  # the first corner
    normals = np.add.reduceat(np.cross(points, following), polygons.start)
    edges = np.linalg.norm(following - points, axis=1)
    return normals, np.maximum.reduceat(edges, polygons.start)


def _signed_areas(vertices: FloatArray, triangles: IntArray, normals: FloatArray) -> FloatArray:
    """(T,) areas of triangles seen along normals, below 0 where they are wound against them."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    length = np.linalg.norm(normals, axis=1)
    along = (np.cross(b - a, c - a) * normals).sum(1)
    return 0.5 * np.divide(along, length, out=np.zeros_like(along), where=length > 0)


def _is_sliver(corners: FloatArray, longest: float) -> bool:
    """Whether the triangles (N, 3, 3) of a fan have next to no area, so that any way to divide it will do."""
    sides = corners[:, 1:] - corners[:, :1]
    return bool(0.5 * np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1).sum() <= CROSSES * longest**2)


def _in_plane(points: FloatArray, normal: FloatArray) -> FloatArray:
    """(N, 2) coordinates of points (N, 3) seen along a normal, which points towards the eye."""
    axis = int(np.abs(normal).argmax())
    u, v = (axis + 1) % 3, (axis + 2) % 3
    flat = (points - points[0])[:, [u, v] if normal[axis] >= 0 else [v, u]]
    # dropping an axis shrinks areas by the cosine between them; what lies inside what stays the same
    return np.ascontiguousarray(flat, np.float64)


@numba.njit(cache=True, nogil=True)
def _turn(points: FloatArray, a: int, b: int, c: int) -> float:
    """Twice the area of a triangle, positive where it turns counter-clockwise."""
    return (points[b, 0] - points[a, 0]) * (points[c, 1] - points[a, 1]) - (points[b, 1] - points[a, 1]) * (
        points[c, 0] - points[a, 0]
    )


@numba.njit(cache=True, nogil=True)
def _same(points: FloatArray, a: int, b: int) -> bool:
    return points[a, 0] == points[b, 0] and points[a, 1] == points[b, 1]


@numba.njit(cache=True, nogil=True)
def _is_ear(points: FloatArray, after: IntArray, a: int, b: int, c: int, budget: IntArray) -> bool:
    """Whether no other corner lies in, or on, a triangle."""
    at = after[c]
    while at != a:
        budget[0] -= 1
        beside = _same(points, at, a) or _same(points, at, b) or _same(points, at, c)
        if (
            not beside
            and _turn(points, a, b, at) >= 0
            and _turn(points, b, c, at) >= 0
            and _turn(points, c, a, at) >= 0
        ):
            return False
        at = after[at]
    return True


@numba.njit(cache=True, nogil=True)
def _clip_ears(points: FloatArray, flat: float, budget: IntArray) -> tuple[IntArray, bool]:
    """Cut a polygon (N, 2) into (N - 2, 3) triangles, none of which is flat if that can be; whether it went."""
    count = len(points)
    ears = np.zeros((count - 2, 3), np.int64)
    after, before = (np.arange(count) + 1) % count, (np.arange(count) - 1) % count
    at, since, least = 0, 0, flat
    done = 0
    while done < count - 2:
        a, c = before[at], after[at]
        left = count - done
        area = _turn(points, a, at, c)
        if (area > least or (left == 3 and area >= -flat)) and (left == 3 or _is_ear(points, after, a, at, c, budget)):
            ears[done, 0], ears[done, 1], ears[done, 2] = a, at, c
            done += 1
            after[a], before[c] = c, a
            at, since, least = c, 0, flat
            continue
        at, since = c, since + 1
        if budget[0] < 0:
            return ears, False
        if since > left:
            if not least >= 0:
                return ears, False
            least, since = -flat - 1e-300, 0  # what is left has corners on a line: ears without area
    return ears, True

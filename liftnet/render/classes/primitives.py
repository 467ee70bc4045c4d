"""Closed parts from which the shapes of the classes are put together: meshes, z up, faces in either orientation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from liftnet.core.types import FloatArray
from liftnet.mesh.mesh import TriangleMesh

Vector = Sequence[float] | FloatArray


def loft(rings: FloatArray) -> TriangleMesh:
    """The surface through S closed rings of K points, rings (S, K, 3), closed at both ends by fans."""
    rings = np.asarray(rings, float)
    number, around = rings.shape[:2]
    below = np.arange(number * around).reshape(number, around)[:-1].ravel()
    step = np.tile(np.append(np.arange(1, around), 0) - np.arange(around), number - 1)
    sides = [np.stack([below, below + step, below + around], 1)]
    sides.append(np.stack([below + step, below + step + around, below + around], 1))
    start = np.arange(around)
    nearest, last = number * around, (number - 1) * around
    caps = [np.stack([np.full(around, nearest), np.roll(start, -1), start], 1)]
    caps.append(np.stack([np.full(around, nearest + 1), last + start, last + np.roll(start, -1)], 1))
    centres = rings[[0, -1]].mean(1)
    return TriangleMesh(np.concatenate([rings.reshape(-1, 3), centres]), np.concatenate(sides + caps), up="z")


def box(
    centre: Vector, size: Vector, rounding: float | None = None, steps: int = 1, taper: float = 1.0
) -> TriangleMesh:
    """A box of the given full size with bevelled edges.

    Args:
        centre: (3,).
        size: (3,) full size along x, y, z.
        rounding: Radius of the edges; a small bevel where it is not given.
        steps: Facets of a quarter circle of the edges.
        taper: Size of the top in x and y, as a share of that of the bottom.
    """
    half = np.asarray(size, float) / 2
    radius = min(half.min() * 0.2, 0.02) if rounding is None else min(rounding, half.min() * 0.999)
    quarter = np.linspace(0, np.pi / 2, steps + 1)
    angle = np.concatenate([quarter + i * np.pi / 2 for i in range(4)])
    sign = np.repeat([[1, 1], [-1, 1], [-1, -1], [1, -1]], steps + 1, axis=0)
    height = np.concatenate([quarter - np.pi / 2, quarter])
    level = np.repeat([-1, 1], steps + 1) * (half[2] - radius) + radius * np.sin(height)
    flat = sign * (half[:2] - radius) + radius * np.cos(height)[:, None, None] * np.stack(
        [np.cos(angle), np.sin(angle)], 1
    )
    flat = flat * (1 + (taper - 1) * (level + half[2]) / (2 * half[2]))[:, None, None]
    rings = np.concatenate([flat, np.broadcast_to(level[:, None, None], (*flat.shape[:2], 1))], 2)
    return loft(rings + np.asarray(centre, float))


def cushion(centre: Vector, size: Vector, softness: float = 0.4) -> TriangleMesh:
    """A box with well rounded edges; `softness` is their radius as a share of the smallest half size."""
    return box(centre, size, softness * min(size) / 2 * 1.99, steps=5)


def tube(path: FloatArray | Sequence[Vector], radius: float | Sequence[float], sides: int = 16) -> TriangleMesh:
    """A tube along `path` (P, 3) with one radius, or one at each point."""
    points = np.asarray(path, float)
    ahead = np.gradient(points, axis=0) if len(points) > 2 else np.repeat(np.diff(points, axis=0), 2, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    across = [np.cross(ahead[0], np.eye(3)[int(np.argmin(np.abs(ahead[0])))])]
    for way in ahead[1:]:
        across.append(across[-1] - way * (across[-1] @ way))
    first = np.array(across) / np.linalg.norm(across, axis=1, keepdims=True)
    second = np.cross(ahead, first)
    angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    circle = np.cos(angle)[:, None] * first[:, None] + np.sin(angle)[:, None] * second[:, None]
    reach = np.broadcast_to(np.asarray(radius, float), len(points))
    return loft(points[:, None] + reach[:, None, None] * circle)


def rod(start: Vector, end: Vector, radius: float, tip: float | None = None, sides: int = 16) -> TriangleMesh:
    """A straight round bar whose radius goes from `radius` to `tip`."""
    return tube([start, end], (radius, radius if tip is None else tip), sides)


def beam(start: Vector, end: Vector, width: float, thick: float | None = None) -> TriangleMesh:
    """A bar of rectangular section between two points; `width` lies across x as far as possible."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    way = (b - a) / np.linalg.norm(b - a)
    side = np.array([1.0, 0, 0]) if abs(way[0]) < 0.9 else np.array([0, 1.0, 0])
    side = side - way * (side @ way)
    side /= np.linalg.norm(side)
    other = np.cross(way, side) * (width if thick is None else thick) / 2
    corners = np.array([side * width / 2 + other, -side * width / 2 + other])
    return loft(np.array([a, b])[:, None] + np.concatenate([corners, -corners]))


def lathe(
    profile: Sequence[tuple[float, float]], at: Vector = (0, 0, 0), axis: Vector = (0, 0, 1), sides: int = 32
) -> TriangleMesh:
    """The body of revolution of `profile`, pairs of height along `axis` from `at`, and radius."""
    way = np.asarray(axis, float) / np.linalg.norm(axis)
    heights = np.array([height for height, _ in profile])
    first = np.cross(way, np.eye(3)[int(np.argmin(np.abs(way)))])
    first /= np.linalg.norm(first)
    angle = 2 * np.pi * np.arange(sides) / sides
    circle = np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * np.cross(way, first)
    radii = np.maximum([radius for _, radius in profile], 1e-4)
    return loft(np.asarray(at, float) + heights[:, None, None] * way + radii[:, None, None] * circle)


def ball(centre: Vector, radii: Vector | float, steps: int = 12) -> TriangleMesh:
    """An ellipsoid."""
    up = np.linspace(-np.pi / 2, np.pi / 2, steps + 1)
    around = 2 * np.pi * np.arange(2 * steps) / (2 * steps)
    flat = np.cos(up)[:, None, None] * np.stack([np.cos(around), np.sin(around)], 1)
    rings = np.concatenate([flat, np.broadcast_to(np.sin(up)[:, None, None], (*flat.shape[:2], 1))], 2)
    return loft(np.asarray(centre, float) + rings * np.broadcast_to(np.asarray(radii, float), 3))


def ring(centre: Vector, radius: float, thickness: float, axis: int = 0) -> TriangleMesh:
    """A torus about the given axis."""
    around = 2 * np.pi * np.arange(37) / 36
    a, b, c = np.eye(3)[[(axis + 1) % 3, (axis + 2) % 3, axis]]
    out = np.cos(around)[:, None] * a + np.sin(around)[:, None] * b
    angle = 2 * np.pi * np.arange(10) / 10
    section = np.cos(angle)[:, None] * out[:, None] + np.sin(angle)[:, None] * c
    return loft(np.asarray(centre, float) + radius * out[:, None] + thickness * section)


def slab(low: FloatArray, high: FloatArray, width: float, taper: float = 1.0, x: float = 0.0) -> TriangleMesh:
    """A prism along x between two curves of its side view.

    Args:
        low: (P, 2) lower curve, pairs of y and z.
        high: (P, 2) upper curve, of as many points.
        width: Full size along x at the lower curve.
        taper: Width at the upper curve as a share of `width`.
        x: Middle along x.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    half = width / 2
    columns = [
        np.column_stack([np.full(len(curve), x + side), curve])
        for side, curve in ((-half, low), (half, low), (half * taper, high), (-half * taper, high))
    ]
    return loft(np.stack(columns, 1))


def wing(root: Vector, tip: Vector, root_chord: float, tip_chord: float, thick: float) -> TriangleMesh:
    """A wing from `root` to `tip` (middles of the chords, which lie along y), with a rounded nose towards -y."""
    angle = 2 * np.pi * np.arange(24) / 24
    along, up = -np.cos(angle), np.sin(angle) * (0.25 + 0.75 * np.abs(np.cos(angle / 2 + np.pi)) ** 1.5)
    span = np.asarray(tip, float) - np.asarray(root, float)
    normal = np.cross(span, [0, 1.0, 0])
    normal /= np.linalg.norm(normal)
    rings = []
    for share in (0.0, 0.25, 0.5, 0.75, 0.94, 1.0):
        chord = root_chord + (tip_chord - root_chord) * share
        depth = thick * chord / root_chord * (1.0 if share < 0.9 else 0.3 + 0.7 * (1 - share) / 0.1)
        middle = np.asarray(root, float) + share * span
        rings.append(middle + along[:, None] * [0, chord / 2, 0] + (up * depth / 2)[:, None] * normal)
    return loft(np.array(rings))


def turned(part: TriangleMesh, angle: float, axis: int = 2, about: Vector = (0, 0, 0)) -> TriangleMesh:
    """`part` turned by `angle` radians about an axis through `about`."""
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
    pivot = np.asarray(about, float)
    return replace(part, vertices=(part.vertices - pivot) @ matrix.T + pivot)


def moved(part: TriangleMesh, shift: Vector) -> TriangleMesh:
    """`part` moved by `shift`."""
    return replace(part, vertices=part.vertices + np.asarray(shift, float))


def mirrored(*parts: TriangleMesh, axis: int = 0) -> tuple[TriangleMesh, ...]:
    """`parts` and their mirror images across the plane through the origin."""
    flip = np.ones(3)
    flip[axis] = -1
    return (*parts, *(replace(part, vertices=part.vertices * flip) for part in parts))


def plus(point: Vector, shift: Vector) -> FloatArray:
    """`point` (or points) moved by `shift`."""
    return np.asarray(point, float) + np.asarray(shift, float)


def smooth_path(points: Iterable[Vector], number: int = 24) -> FloatArray:
    """A Catmull-Rom curve through the points, (number, D)."""
    given = np.array([np.asarray(point, float) for point in points])
    padded = np.concatenate([2 * given[:1] - given[1:2], given, 2 * given[-1:] - given[-2:-1]])
    at = np.linspace(0, len(given) - 1, number)
    i = np.minimum(at.astype(int), len(given) - 2)
    t = (at - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)

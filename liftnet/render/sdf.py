"""Signed distance fields: primitives and the ways to combine, place and deform them.

A field maps points, a (3, N) float32 array, to (N,) signed distances, negative inside. After a blend, a warp or for an
ellipsoid the value is only close to the true distance near the surface, which is all that meshing needs.
Formulas of the primitives and of the smooth minimum: I. Quilez, "Distance functions" and "Smooth minimum",
https://iquilezles.org/articles/.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from liftnet.core.types import FloatArray
from liftnet.mesh.isosurface import Field

Vector = Sequence[float] | FloatArray


def _column(vector: Vector) -> FloatArray:
    return np.asarray(vector, np.float32).reshape(3, 1)


def vec(x: float, y: float, z: float) -> FloatArray:
    """(3,) vector."""
    return np.array([x, y, z])


def rotation(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> FloatArray:
    """(3, 3) rotation by `roll` about y, then `pitch` about x, then `yaw` about z; radians."""
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_y = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
    return (about_z @ about_x @ about_y).astype(np.float32)


# Primitives


def sphere(center: Vector, radius: float) -> Field:
    """A ball."""
    middle = _column(center)
    return lambda p: np.sqrt(np.square(p - middle).sum(0)) - np.float32(radius)


def ellipsoid(center: Vector, radii: Vector, turn: FloatArray | None = None) -> Field:
    """A ball stretched to `radii`, turned by `turn` about its centre."""
    middle, size = _column(center), _column(radii)

    def field(p: FloatArray) -> FloatArray:
        q = p - middle
        if turn is not None:
            q = turn.T @ q
        q /= size
        first = np.sqrt(np.square(q).sum(0))
        second = np.sqrt(np.square(q / size).sum(0))
        return first * (first - 1) / np.maximum(second, np.float32(1e-6))

    return field


def box(center: Vector, half: Vector, rounding: float = 0.0, turn: FloatArray | None = None) -> Field:
    """A box of half sizes `half` whose edges are rounded by `rounding`."""
    middle, size = _column(center), _column(half) - np.float32(rounding)

    def field(p: FloatArray) -> FloatArray:
        q = p - middle
        if turn is not None:
            q = turn.T @ q
        q = np.abs(q) - size
        outside = np.sqrt(np.square(np.maximum(q, 0)).sum(0))
        return outside + np.minimum(q.max(0), 0) - np.float32(rounding)

    return field


def capsule(start: Vector, end: Vector, first: float, last: float | None = None) -> Field:
    """A limb from `start` to `end` whose radius goes from `first` to `last`."""
    a, axis = _column(start), _column(end) - _column(start)
    change = np.float32((first if last is None else last) - first)
    length = np.float32(max(float((axis**2).sum()), 1e-9))

    def field(p: FloatArray) -> FloatArray:
        q = p - a
        along = np.clip((q * axis).sum(0) / length, 0, 1)
        return np.sqrt(np.square(q - axis * along).sum(0)) - (np.float32(first) + change * along)

    return field


def chain(points: FloatArray, radii: FloatArray, blend: float = 0.0) -> Field:
    """A limb through `points` (K, 3) with the given radius at each, its joints blended."""
    parts = [capsule(points[i], points[i + 1], float(radii[i]), float(radii[i + 1])) for i in range(len(points) - 1)]
    return union(*parts, blend=blend)


def cylinder(center: Vector, radius: float, half_height: float, rounding: float = 0.0) -> Field:
    """An upright cylinder."""
    middle = _column(center)

    def field(p: FloatArray) -> FloatArray:
        q = p - middle
        side = np.hypot(q[0], q[1]) - np.float32(radius - rounding)
        cap = np.abs(q[2]) - np.float32(half_height - rounding)
        outside = np.hypot(np.maximum(side, 0), np.maximum(cap, 0))
        return outside + np.minimum(np.maximum(side, cap), 0) - np.float32(rounding)

    return field


def torus(center: Vector, radius: float, thickness: float, turn: FloatArray | None = None) -> Field:
    """A ring in the plane x, z (facing the front), turned by `turn`."""
    middle = _column(center)

    def field(p: FloatArray) -> FloatArray:
        q = p - middle
        if turn is not None:
            q = turn.T @ q
        return np.hypot(np.hypot(q[0], q[2]) - np.float32(radius), q[1]) - np.float32(thickness)

    return field


def convex(normals: FloatArray, offsets: FloatArray, rounding: float = 0.0) -> Field:
    """The body n.p <= offset for all K planes (normals (K, 3), of length 1), its edges softened by `rounding`."""
    planes, limits = np.asarray(normals, np.float32), np.asarray(offsets, np.float32)

    def field(p: FloatArray) -> FloatArray:
        value = np.full(p.shape[1], -np.inf, np.float32)
        for plane, limit in zip(planes, limits, strict=True):
            distance = plane @ p - limit
            value = smooth_max(value, distance, rounding) if np.isfinite(value[0]) else distance
        return value

    return field


def column(section: Callable[[FloatArray, FloatArray], FloatArray], bottom: float, top: float) -> Field:
    """An upright body between two heights whose half width at azimuth a and height z is `section(a, z)`."""

    def field(p: FloatArray) -> FloatArray:
        reach = np.hypot(p[0], p[1]) - section(np.arctan2(p[1], p[0]), p[2])
        return np.maximum(np.float32(0.8) * reach, np.maximum(np.float32(bottom) - p[2], p[2] - np.float32(top)))

    return field


# Combinations


def smooth_min(a: FloatArray, b: FloatArray, blend: float) -> FloatArray:
    """The smaller of two distances, blended quadratically where they differ by less than `blend`."""
    if blend <= 0:
        return np.minimum(a, b)
    overlap = np.maximum(np.float32(blend) - np.abs(a - b), 0)
    return np.minimum(a, b) - overlap * overlap * np.float32(0.25 / blend)


def smooth_max(a: FloatArray, b: FloatArray, blend: float) -> FloatArray:
    """The larger of two distances, blended."""
    return -smooth_min(-a, -b, blend)


def union(*fields: Field, blend: float = 0.0) -> Field:
    """All bodies together, flowing into each other over `blend`."""

    def field(p: FloatArray) -> FloatArray:
        value = fields[0](p)
        for other in fields[1:]:
            value = smooth_min(value, other(p), blend)
        return value

    return field


def subtract(body: Field, *tools: Field, blend: float = 0.0) -> Field:
    """`body` without what the tools cover."""
    return intersect(body, *map(_complement, tools), blend=blend)


def _complement(body: Field) -> Field:
    return lambda p: -body(p)


def intersect(*fields: Field, blend: float = 0.0) -> Field:
    """What all bodies share."""

    def field(p: FloatArray) -> FloatArray:
        value = fields[0](p)
        for other in fields[1:]:
            value = smooth_max(value, other(p), blend)
        return value

    return field


# Places and deformations


def place(field: Field, turn: FloatArray | None = None, shift: Vector = (0, 0, 0), scale: float = 1.0) -> Field:
    """`field` scaled, turned, then shifted."""
    move, matrix = _column(shift), np.eye(3, dtype=np.float32) if turn is None else turn
    inverse = (matrix.T / scale).astype(np.float32)
    return lambda p: np.float32(scale) * field(inverse @ (p - move))


def stretch(field: Field, factors: Vector) -> Field:
    """`field` stretched along x, y, z."""
    size = _column(factors)
    smallest = np.float32(size.min())
    return lambda p: smallest * field(p / size)


def twist(field: Field, rate: float) -> Field:
    """`field` turned about z by `rate` radians for each unit of height."""

    def warped(p: FloatArray) -> FloatArray:
        angle = np.float32(rate) * p[2]
        c, s = np.cos(angle), np.sin(angle)
        return field(np.stack([c * p[0] + s * p[1], c * p[1] - s * p[0], p[2]])) * np.float32(
            1 / (1 + 0.4 * abs(rate))
        )

    return warped


def bend(field: Field, rate: float) -> Field:
    """`field` sheared along x by a parabola in z, as a leaning back."""

    def warped(p: FloatArray) -> FloatArray:
        return field(np.stack([p[0] - np.float32(rate) * p[2] * p[2], p[1], p[2]])) * np.float32(1 / (1 + abs(rate)))

    return warped


def lumps(field: Field, rng: np.random.Generator, amplitude: float, frequency: float) -> Field:
    """`field` with an uneven, hand-worked surface: a sum of random waves of about `frequency` radians a unit."""
    if amplitude <= 0:
        return field
    directions = rng.normal(size=(7, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    waves = (directions * frequency * rng.uniform(0.5, 1.6, (7, 1))).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, (7, 1)).astype(np.float32)
    return lambda p: field(p) + np.float32(amplitude / 2.6) * np.sin(waves @ p + phases).sum(0)

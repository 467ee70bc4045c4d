"""Refining the relative poses of many pairs of calibrated cameras at once.

Levenberg-Marquardt on the Sampson distances of the points (Hartley & Zisserman, 2nd edition, 11.4.3), on the five
parameters of rotation and direction, with the weights of Geman and McClure. All points of all pairs lie in one array,
those of a pair together; sums over a pair are `numpy.add.reduceat`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from liftnet.core.types import BoolArray, Float64Array, Int64Array

DAMPING = 1e-3  # relative to the diagonal, at the start
SCALE_PX = 1.5  # of the weights: a point at this distance counts a quarter
GENERATORS = np.array(
    [[[0.0, 0, 0], [0, 0, -1], [0, 1, 0]], [[0, 0, 1], [0, 0, 0], [-1, 0, 0]], [[0, -1, 0], [1, 0, 0], [0, 0, 0]]]
)  # [e_k]_x


@dataclass(frozen=True, eq=False)
class View:
    """One image of each of P pairs: a camera without distortion and its points, px.

    Attributes:
        points: (N, 2) of all pairs, those of a pair together.
        focals: (P,) px.
        centres: (P, 2) principal points, px; of a photograph the centre of the image, (width - 1) / 2 and so on.
    """

    points: Float64Array
    focals: Float64Array
    centres: Float64Array

    @property
    def intrinsics(self) -> Float64Array:
        """(P, 3, 3) matrices K."""
        matrices = np.zeros((len(self.focals), 3, 3))
        matrices[:, 0, 0] = matrices[:, 1, 1] = self.focals
        matrices[:, :2, 2] = self.centres
        matrices[:, 2, 2] = 1
        return matrices

    def rays(self, counts: Int64Array) -> Float64Array:
        """(N, 3) the points as (x, y, 1) in the camera, `counts` (P,) of each pair."""
        offsets = (self.points - np.repeat(self.centres, counts, axis=0)) / np.repeat(self.focals, counts)[:, None]
        return np.column_stack([offsets, np.ones(len(offsets))])


@dataclass(frozen=True, eq=False)
class Calibrated:
    """Matched points of P pairs, in the coordinates of their cameras.

    Attributes:
        rays_a: (N, 3), (x, y, 1) of the points of all pairs, those of a pair together: px from the centre of the
            image, divided by the focal length.
        rays_b: (N, 3), the matched points in image b.
        focals_a: (P,) px.
        focals_b: (P,) px.
        counts: (P,) points of each pair, at least one.
    """

    rays_a: Float64Array
    rays_b: Float64Array
    focals_a: Float64Array
    focals_b: Float64Array
    counts: Int64Array

    @classmethod
    def of_pixels(cls, a: View, b: View, counts: Int64Array) -> Calibrated:
        """The points of P pairs in pixels, in the coordinates of their cameras.

        Args:
            a: Points and cameras of the first images.
            b: Of the second images.
            counts: (P,) points of each pair, at least one.
        """
        return cls(a.rays(counts), b.rays(counts), a.focals, b.focals, counts)

    @property
    def starts(self) -> Int64Array:
        """(P,) where the points of each pair begin."""
        return np.cumsum(self.counts) - self.counts

    def per_point(self, values: Float64Array) -> Float64Array:
        """(N, ...) the values (P, ...) of each point's pair."""
        return np.repeat(values, self.counts, axis=0)

    def sums(self, values: Float64Array) -> Float64Array:
        """(P, ...) sums of values (N, ...) over the points of each pair."""
        return np.add.reduceat(values, self.starts, axis=0)

    def at_most(self, number: int) -> Calibrated:
        """The same pairs with at most `number` points each, evenly spread over their order."""
        counts = np.minimum(self.counts, number)
        inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = np.repeat(self.starts, counts) + inside * np.repeat(self.counts, counts) // np.repeat(counts, counts)
        return Calibrated(self.rays_a[rows], self.rays_b[rows], self.focals_a, self.focals_b, counts)


@dataclass(frozen=True, eq=False)
class System:
    """Weighted normal equations: matrix (P, 5, 5), gradient (P, 5), squares, cost and weight (P,)."""

    matrix: Float64Array
    gradient: Float64Array
    squares: Float64Array
    cost: Float64Array
    weight: Float64Array
    tangents: Float64Array


def normal_equations(rotations: Float64Array, directions: Float64Array, points: Calibrated) -> System:
    """The normal equations of the Sampson distances, in px, at the given poses.

    The distance is linear in E but for its denominator, which is held fixed: so the equations of a pair follow from
    the 9x9 moments of its points, whatever the parameters.
    """
    essentials = cross_matrix(directions) @ rotations
    mine = points.per_point(essentials)
    lines_b = np.einsum("nij,nj->ni", mine, points.rays_a)
    lines_a = np.einsum("nij,ni->nj", mine, points.rays_b)
    residual = np.einsum("ni,ni->n", points.rays_b, lines_b)
    slope = (lines_b[:, :2] ** 2).sum(1) / points.per_point(points.focals_b) ** 2
    slope += (lines_a[:, :2] ** 2).sum(1) / points.per_point(points.focals_a) ** 2
    steepness = np.sqrt(np.maximum(slope, 1e-30))
    residual /= steepness
    shrink = 1 / (1 + (residual / SCALE_PX) ** 2)
    weights = shrink**2
    rows = (points.rays_b[:, :, None] * points.rays_a[:, None, :]).reshape(-1, 9) * (shrink / steepness)[:, None]
    i, j = np.triu_indices(9)
    moments = np.empty((len(rotations), 9, 9))
    moments[:, i, j] = moments[:, j, i] = points.sums(rows[:, i] * rows[:, j])
    tangents = _tangents(directions)
    by_rotation = np.einsum("pij,kjl,plm->pkim", cross_matrix(directions), GENERATORS, rotations)
    by_direction = np.einsum("pkij,pjl->pkil", cross_matrix(tangents), rotations)
    jacobian = np.concatenate([by_rotation, by_direction], axis=1).reshape(len(rotations), 5, 9)
    folded = jacobian @ moments
    return System(
        folded @ jacobian.transpose(0, 2, 1),
        np.einsum("pki,pi->pk", folded, essentials.reshape(-1, 9)),
        points.sums(weights * residual**2),
        points.sums(residual**2 * shrink),
        points.sums(weights),
        tangents,
    )


def refine(
    rotations: Float64Array, directions: Float64Array, points: Calibrated, iterations: int
) -> tuple[Float64Array, Float64Array, System]:
    """Levenberg-Marquardt on all pairs at once; a step that does not lower a pair's cost is not taken."""
    damping = np.full(len(rotations), DAMPING)
    system = normal_equations(rotations, directions, points)
    for _ in range(iterations):
        diagonal = np.einsum("pkk->pk", system.matrix)
        damped = system.matrix + np.eye(5) * (damping[:, None] * diagonal + 1e-12 * diagonal.max(1)[:, None])[:, None]
        step = -np.linalg.solve(damped, system.gradient[..., None])[..., 0]
        turned = rotation_of(step[:, :3]) @ rotations
        moved = directions + np.einsum("pk,pki->pi", step[:, 3:], system.tangents)
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        tried = normal_equations(turned, moved, points)
        better = tried.cost < system.cost
        rotations = np.where(better[:, None, None], turned, rotations)
        directions = np.where(better[:, None], moved, directions)
        system = _chosen(better, tried, system)
        damping = np.where(better, damping / 5, damping * 10)
    return rotations, directions, system


def _chosen(better: BoolArray, new: System, old: System) -> System:
    pairs = [(getattr(new, field.name), getattr(old, field.name)) for field in fields(System)]
    return System(*(np.where(better.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs))


def cross_matrix(vectors: Float64Array) -> Float64Array:
    """(..., 3, 3) matrices of the cross products with vectors (..., 3)."""
    return np.einsum("...k,kij->...ij", vectors, GENERATORS)


def _tangents(directions: Float64Array) -> Float64Array:
    """(P, 2, 3) two unit vectors at right angles to each direction."""
    least = np.eye(3)[np.abs(directions).argmin(axis=1)]
    first = np.cross(directions, least)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack([first, np.cross(directions, first)], axis=1)


def rotation_of(vectors: Float64Array) -> Float64Array:
    """(P, 3, 3) rotations about vectors (P, 3) by their length in radians (Rodrigues)."""
    length = np.linalg.norm(vectors, axis=1)
    matrix = cross_matrix(vectors / np.maximum(length, 1e-300)[:, None])
    sine, cosine = np.sin(length)[:, None, None], np.cos(length)[:, None, None]
    return np.eye(3) + sine * matrix + (1 - cosine) * (matrix @ matrix)

"""Angles between calibrated cameras, for many pairs of images at once, and whether they can be believed.

With known focal lengths a fundamental matrix becomes an essential one, E = K_b^T F K_a, and that holds a rotation
(Hartley & Zisserman, 2nd edition, section 9.6). Its four solutions are told apart by the side of the cameras on which
the points lie. The rotation is then refined on the points: Levenberg-Marquardt on their Sampson distances
(11.4.3), on the five parameters of rotation and direction, with the weights of Geman and McClure.

A sculpture seen from afar is nearly affine, and two affine views leave the angle between them free (Koenderink & van
Doorn, Affine structure from motion, JOSA A 8(2), 1991). Then the minimum that was found may be one of several, or
hardly one. So the refinement is also begun elsewhere: the affine epipolar geometry of the points says how the images
are turned in their planes and about which axis the object turned, and the angle about that axis is tried at several
values. An angle is believed only if all minima that explain the points about as well as the best give the same angle,
and if the best one is sharp.

All points of all pairs lie in one array, those of a pair together; sums over a pair are `numpy.add.reduceat`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from liftnet.core.types import BoolArray, Float64Array, Int64Array

SEARCHED = 48  # points of a pair that the search for minima uses
REFINED = 256  # points of a pair that the end uses
TOGETHER = 128  # pairs at a time: what the processor's cache holds
STEPS = 8  # of each refinement
ANGLES = (-35.0, 35.0)  # degrees about the affine axis, where refinements begin
NOISE_PX = 0.15  # least noise of points that is believed
_QUARTER_TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # W of Hartley & Zisserman, result 9.19
DAMPING = 1e-3  # relative to the diagonal, at the start
SCALE_PX = 1.5  # of the weights: a point at this distance counts a quarter
GENERATORS = np.array(
    [[[0.0, 0, 0], [0, 0, -1], [0, 1, 0]], [[0, 0, 1], [0, 0, 0], [-1, 0, 0]], [[0, -1, 0], [1, 0, 0], [0, 0, 0]]]
)  # [e_k]_x


# Points of many pairs and the refinement of their poses


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


# Angles, and whether they can be believed


@dataclass(frozen=True)
class Trust:
    """When an angle is believed.

    Attributes:
        points: Least number of points.
        in_front: Least share of points before both cameras.
        sigma: Largest standard deviation of the angle, degrees.
        apart: Minima whose angles differ by more than this many degrees are different answers.
        margin: By how much a different answer must be worse, in units of the variance of a point: 36 is six
            standard deviations.
    """

    points: int = 30
    in_front: float = 0.95
    sigma: float = 2.0
    apart: float = 5.0
    margin: float = 36.0


@dataclass(frozen=True, eq=False)
class Poses:
    """The second camera of P pairs relative to the first, x_b ~ R x_a + t.

    Attributes:
        rotations: (P, 3, 3).
        directions: (P, 3) t, of unit length.
        angles: (P,) degrees, angle of the rotation, 0 to 180.
        sigmas: (P,) degrees, standard deviation of the angle within its minimum.
        in_front: (P,) share of the points that lie before both cameras.
        margins: (P,) by how much the best answer of another angle is worse, in units of the variance of a point.
        believed: (P,) whether the angle is to be believed.
    """

    rotations: Float64Array
    directions: Float64Array
    angles: Float64Array
    sigmas: Float64Array
    in_front: Float64Array
    margins: Float64Array
    believed: BoolArray


def rotations_of_pairs(
    fundamentals: Float64Array, a: View, b: View, counts: Int64Array, trust: Trust | None = None
) -> Float64Array:
    """The angle between the two cameras of each pair, where it can be believed.

    Args:
        fundamentals: (P, 3, 3), (x', y', 1) F (x, y, 1)^T = 0 in px with (x', y') in image b.
        a: Points and cameras of the first images.
        b: Of the second images.
        counts: (P,) points of each pair.
        trust: When an angle is believed.

    Returns:
        (P,) degrees, 0 to 180; NaN where it is not to be believed.
    """
    trust = trust or Trust()
    angles = np.full(len(counts), np.nan)
    usable = (counts >= trust.points) & np.isfinite(fundamentals).all(axis=(1, 2))
    usable &= np.isfinite(a.focals) & np.isfinite(b.focals) & (a.focals > 0) & (b.focals > 0)
    ends = np.cumsum(counts)
    chosen = np.flatnonzero(usable)
    for part in (chosen[k : k + TOGETHER] for k in range(0, len(chosen), TOGETHER)):
        first, last = part[0], part[-1] + 1
        inside = usable[first:last]
        points = slice(ends[first] - counts[first], ends[last - 1])
        rows = np.repeat(inside, counts[first:last])
        some = [View(v.points[points][rows], v.focals[part], v.centres[part]) for v in (a, b)]
        essentials = some[1].intrinsics.transpose(0, 2, 1) @ fundamentals[part] @ some[0].intrinsics
        poses = relative_poses(essentials, Calibrated.of_pixels(some[0], some[1], counts[part]), trust)
        angles[part] = np.where(poses.believed, poses.angles, np.nan)
    return angles


def relative_poses(essentials: Float64Array, points: Calibrated, trust: Trust | None = None) -> Poses:
    """The relative poses of pairs of calibrated cameras.

    Args:
        essentials: (P, 3, 3) essential matrices up to scale and noise, rays_b^T E rays_a = 0, to start from.
        points: The matched points.
        trust: When an angle is believed.

    Returns:
        The poses, and what speaks for their angles.
    """
    trust = trust or Trust()
    few, many = points.at_most(SEARCHED), points.at_most(REFINED)
    begins = [decompose(essentials, few), *_of_plane(few), *(_turned(few, np.radians(angle)) for angle in ANGLES)]
    found = [refine(*begin, few, STEPS) for begin in begins]
    turns, shifts = np.stack([rotation for rotation, _, _ in found]), np.stack([shift for _, shift, _ in found])
    sides = [in_front(*pose, few)[0] / few.counts for pose in zip(turns, shifts, strict=True)]
    costs = np.where(np.array(sides) >= trust.in_front, np.stack([system.cost for *_, system in found]), np.inf)
    best = costs.argmin(axis=0)
    pairs = np.arange(len(best))
    margins = _margins(np.stack([rotation_angles(rotation) for rotation in turns]), costs, few, trust)
    rotations, directions, system = refine(turns[best, pairs], shifts[best, pairs], many, STEPS)
    angles, sigmas = rotation_angles(rotations), _sigmas(rotations, system, many)
    front = in_front(rotations, directions, many)[0] / many.counts
    believed = (sigmas <= trust.sigma) & (front >= trust.in_front) & (margins >= trust.margin)
    return Poses(rotations, directions, angles, sigmas, front, margins, believed & (points.counts >= trust.points))


def rotation_angles(rotations: Float64Array) -> Float64Array:
    """(...,) degrees, the angles of rotations (..., 3, 3), 0 to 180."""
    odd = np.stack([rotations[..., k - 2, k - 1] - rotations[..., k - 1, k - 2] for k in range(3)], axis=-1)
    trace = np.einsum("...kk->...", rotations)
    return np.degrees(np.arctan2(np.linalg.norm(odd, axis=-1), trace - 1))


def decompose(essentials: Float64Array, points: Calibrated) -> tuple[Float64Array, Float64Array]:
    """Rotation and direction of each essential matrix: of the four solutions the one with most points in front."""
    u, _, vt = np.linalg.svd(essentials)
    u *= np.sign(np.linalg.det(u))[:, None, None]
    vt *= np.sign(np.linalg.det(vt))[:, None, None]
    best, rotations, directions = np.full(len(u), -1.0), np.empty_like(u), np.empty(u.shape[:2])
    for turn in (_QUARTER_TURN, _QUARTER_TURN.T):
        rotation, direction = u @ turn @ vt, u[:, :, 2]
        for count, sign in zip(in_front(rotation, direction, points), (1.0, -1.0), strict=True):
            better = count > best
            best = np.where(better, count, best)
            rotations[better], directions[better] = rotation[better], sign * direction[better]
    return rotations, directions


def in_front(
    rotations: Float64Array, directions: Float64Array, points: Calibrated
) -> tuple[Float64Array, Float64Array]:
    """(P,) twice: points in front of both cameras with x_b ~ R x_a + t, and with the opposite t.

    Their depth in a is the least-squares solution of (x_b x R x_a) d + x_b x t = 0.
    """
    turned = np.einsum("nij,nj->ni", points.per_point(rotations), points.rays_a)
    shift = points.per_point(directions)
    cross = np.cross(points.rays_b, turned)
    depth_a = -np.einsum("ni,ni->n", cross, np.cross(points.rays_b, shift))
    depth_a /= np.maximum(np.einsum("ni,ni->n", cross, cross), 1e-24)
    depth_b = depth_a * turned[:, 2] + shift[:, 2]
    return (
        points.sums(((depth_a > 0) & (depth_b > 0)).astype(float)),
        points.sums(((depth_a < 0) & (depth_b < 0)).astype(float)),
    )


def _of_plane(points: Calibrated) -> list[tuple[Float64Array, Float64Array]]:
    """The two poses of the homography that fits the points best, as if they lay on a plane.

    A plane has two answers, and a relief nearly so (Ma, Soatto, Kosecka & Sastry, An Invitation to 3-D Vision, 2004,
    section 5.3.3). The homography is the direct linear transform (Hartley & Zisserman, section 4.1).
    """
    rows = cross_matrix(points.rays_b)[:, :2, :, None] * points.rays_a[:, None, None, :]
    rows = rows.reshape(-1, 2, 9)
    moments = np.add.reduceat(rows.transpose(0, 2, 1) @ rows, points.starts, axis=0)
    homography = np.linalg.eigh(moments)[1][:, :, 0].reshape(-1, 3, 3)
    homography /= np.linalg.svd(homography, compute_uv=False)[:, 1, None, None]
    side = np.einsum("ni,nij,nj->n", points.rays_b, points.per_point(homography), points.rays_a)
    homography *= np.where(points.sums(side) < 0, -1.0, 1.0)[:, None, None]
    _, values, vt = np.linalg.svd(homography)
    vt = vt * np.linalg.det(vt)[:, None, None]
    spread = np.maximum(values[:, 0] ** 2 - values[:, 2] ** 2, 1e-12)
    first = np.sqrt(np.clip(1 - values[:, 2] ** 2, 0, None) / spread)[:, None] * vt[:, 0]
    third = np.sqrt(np.clip(values[:, 0] ** 2 - 1, 0, None) / spread)[:, None] * vt[:, 2]
    return [_pose_of_plane(homography, vt[:, 1], first + sign * third, points) for sign in (1, -1)]


def _pose_of_plane(
    homography: Float64Array, fixed: Float64Array, other: Float64Array, points: Calibrated
) -> tuple[Float64Array, Float64Array]:
    """Rotation and direction, from two vectors of the plane whose lengths the homography keeps."""
    normal = np.cross(fixed, other)
    moved = [np.einsum("pij,pj->pi", homography, vector) for vector in (fixed, other)]
    before = np.stack([fixed, other, normal], axis=2)
    after = np.stack([*moved, np.cross(*moved)], axis=2)
    u, _, vt = np.linalg.svd(after @ before.transpose(0, 2, 1))
    rotation = u @ vt
    shift = np.einsum("pij,pj->pi", homography - rotation, normal)
    shift /= np.maximum(np.linalg.norm(shift, axis=1, keepdims=True), 1e-12)
    shift[~shift.any(axis=1)] = [1.0, 0, 0]
    ahead, behind = in_front(rotation, shift, points)
    return rotation, np.where((behind > ahead)[:, None], -shift, shift)


def _turned(points: Calibrated, angle: float) -> tuple[Float64Array, Float64Array]:
    """Poses that agree with the affine epipolar geometry of the points, turned by `angle` about its axis.

    n_b . x_b = s n_a . x_a + const is the direction of least variance of the joint points (x_b, x_a), fitted in rays.
    The axis is n_a, in the image plane; the turn within the plane takes n_a to n_b; s is the ratio of the distances.
    """
    joint = np.hstack([points.rays_b[:, :2], points.rays_a[:, :2]])
    mean = points.sums(joint) / points.counts[:, None]
    offsets = joint - points.per_point(mean)
    scatter = points.sums(offsets[:, :, None] * offsets[:, None, :])
    normals = np.linalg.eigh(scatter)[1][:, :, 0]
    along_b, along_a = -normals[:, :2], normals[:, 2:]
    length_b, length_a = (np.maximum(np.linalg.norm(n, axis=1), 1e-6) for n in (along_b, along_a))
    roll = np.arctan2(along_b[:, 1], along_b[:, 0]) - np.arctan2(along_a[:, 1], along_a[:, 0])
    zero = np.zeros(len(mean))
    axis = np.column_stack([along_a / length_a[:, None], zero])
    rotations = rotation_of(np.column_stack([zero, zero, roll])) @ rotation_of(angle * axis)
    centre_b, centre_a = (np.column_stack([part, zero + 1]) for part in (mean[:, :2], mean[:, 2:]))
    distance = np.clip(length_b / length_a, 0.1, 10.0)[:, None]
    shift = distance * centre_b - np.einsum("pij,pj->pi", rotations, centre_a)
    return rotations, shift / np.maximum(np.linalg.norm(shift, axis=1, keepdims=True), 1e-12)


def _margins(angles: Float64Array, costs: Float64Array, points: Calibrated, trust: Trust) -> Float64Array:
    """(P,) how much worse the best answer of another angle is, from (K, P) angles and costs; infinite without one."""
    best = costs.argmin(axis=0)
    pairs = np.arange(len(best))
    least = costs[best, pairs]
    others = np.where(np.abs(angles - angles[best, pairs]) > trust.apart, costs, np.inf).min(axis=0)
    variance = np.maximum(least / np.maximum(points.counts - 5, 1), NOISE_PX**2)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(least), (others - least) / variance, 0.0)


def _sigmas(rotations: Float64Array, system: System, points: Calibrated) -> Float64Array:
    """(P,) degrees, the standard deviation of the angles from the normal equations at the minimum."""
    odd = np.stack([rotations[:, k - 1, k - 2] - rotations[:, k - 2, k - 1] for k in range(3)], axis=1)
    sine = np.linalg.norm(odd, axis=1, keepdims=True)
    axes = np.where(sine > 1e-9, odd / np.maximum(sine, 1e-12), np.eye(3)[2])
    variance = np.maximum(system.squares / np.maximum(system.weight - 5, 1), NOISE_PX**2)
    values, vectors = np.linalg.eigh(system.matrix)
    inverted = 1 / np.maximum(values, 1e-14 * values[:, -1:] + 1e-300)
    along = np.einsum("pk,pki->pi", axes, vectors[:, :3])
    return np.degrees(np.sqrt((along**2 * inverted).sum(axis=1) * variance))

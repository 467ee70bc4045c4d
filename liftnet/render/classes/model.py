"""The model of one shape: its colours, the closed parts it is put together from, and the mesh they make.

Parts are meshes, z up, their faces in either orientation. A part may be put into another one, as in shapes drawn by
hand; the rays see the outermost surface.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from liftnet.core.types import FloatArray, IntArray
from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.random_source import Colour

Vector = Sequence[float] | FloatArray
CREASE = np.cos(np.radians(38.0))  # faces that meet at a wider angle keep their edge
WOODS: tuple[Colour, ...] = ((0.35, 0.18, 0.08), (0.5, 0.3, 0.14), (0.16, 0.08, 0.04), (0.6, 0.45, 0.27))
METALS: tuple[Colour, ...] = ((0.5, 0.5, 0.52), (0.1, 0.1, 0.11), (0.6, 0.55, 0.45))
BLACK: Colour = (0.02, 0.02, 0.022)
GLASS: Colour = (0.03, 0.05, 0.08)
LIGHT: Colour = (0.75, 0.72, 0.6)
WHITE: Colour = (0.75, 0.75, 0.75)


class Model:
    """Parts with their colours, on the way to a mesh."""

    def __init__(self) -> None:
        self._parts: list[tuple[TriangleMesh, Colour]] = []

    def add(self, colour: Colour, *parts: TriangleMesh) -> None:
        """Add parts of one colour."""
        self._parts += [(_facing_out(part), colour) for part in parts]

    def pair(self, colour: Colour, *parts: TriangleMesh, axis: int = 0) -> None:
        """Add parts of one colour, and their mirror images across the plane through the origin."""
        self.add(colour, *mirrored(*parts, axis=axis))

    def mesh(self) -> TriangleMesh:
        """The whole in a unit sphere about the origin, its vertices split where faces meet at an edge."""
        whole, owner = self._joined()
        colours = np.array([colour for _, colour in self._parts], np.float32)
        return _creased(whole.vertices, whole.faces, owner, colours)

    def surface(self) -> TriangleMesh:
        """The same surface with one vertex at each place of a part: every part is closed. Vertices are float32."""
        whole, owner = self._joined()
        one, place = _merged(whole.vertices, owner)
        faces = place[whole.faces]
        faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
        _, same, times = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True, return_counts=True)
        faces = faces[times[same] == 1]  # a tube closed to a ring has two caps back to back, which bound nothing
        used, index = np.unique(faces, return_inverse=True)
        vertices = whole.vertices[one[used]].astype(np.float32)
        return TriangleMesh(vertices, index.reshape(-1, 3).astype(np.int32), up="z")

    def _joined(self) -> tuple[TriangleMesh, IntArray]:
        """All parts in the unit sphere, and the number of the part of each vertex."""
        sizes = [len(part.vertices) for part, _ in self._parts]
        offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        vertices = np.concatenate([part.vertices for part, _ in self._parts])
        faces = np.concatenate([part.faces + offset for (part, _), offset in zip(self._parts, offsets, strict=True)])
        owner = np.repeat(np.arange(len(sizes)), sizes)
        vertices = vertices - (vertices.min(0) + vertices.max(0)) / 2
        vertices = vertices / np.linalg.norm(vertices, axis=1).max()
        return TriangleMesh(vertices, faces, up="z"), owner


def _facing_out(part: TriangleMesh) -> TriangleMesh:
    a, b, c = (part.vertices[part.faces[:, i]] for i in range(3))
    volume = float(np.einsum("ij,ij->", np.cross(a, b), c))
    return part if volume >= 0 else replace(part, faces=part.faces[:, ::-1])


def _merged(vertices: FloatArray, owner: IntArray) -> tuple[IntArray, IntArray]:
    """One vertex for each place of a part: its index (M,), and which of the M each of the (V,) vertices is."""
    grid = np.round((vertices + 1) * (1 << 19)).astype(np.int64) @ np.array([1 << 42, 1 << 21, 1])
    _, place = np.unique(grid, return_inverse=True)
    _, one, place = np.unique(place * (owner.max() + 1) + owner, return_index=True, return_inverse=True)
    return one, place


def _creased(vertices: FloatArray, faces: IntArray, owner: IntArray, colours: FloatArray) -> TriangleMesh:
    """A mesh whose normals are the mean over those faces about a vertex that meet at less than the crease angle.

    Args:
        vertices: (V, 3) in the unit sphere.
        faces: (F, 3).
        owner: (V,) number of the part of each vertex. Vertices of a part at the same place count as one.
        colours: (P, 3) of the parts.
    """
    one, place = _merged(vertices, owner)
    vertices, owner, faces = vertices[one], owner[one], place[faces]
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    keep = area > 1e-9
    faces, cross, area = faces[keep], cross[keep], area[keep]
    at, normals = faces.ravel(), _corner_normals(faces, cross, cross / area[:, None])
    steps = np.round((normals + 1) * (1 << 15)).astype(np.int64) @ np.array([1 << 34, 1 << 17, 1])
    ways, way = np.unique(steps, return_inverse=True)
    _, kept, index = np.unique(at * len(ways) + way, return_index=True, return_inverse=True)
    return TriangleMesh(
        vertices[at[kept]].astype(np.float32),
        index.reshape(-1, 3).astype(np.int32),
        normals[kept].astype(np.float32),
        colours[owner[at[kept]]],
        up="z",
    )


def _corner_normals(faces: IntArray, cross: FloatArray, unit: FloatArray) -> FloatArray:
    """(3 F, 3) normal at each corner of each face: the mean of nearby directions, weighted by area."""
    at, face = faces.ravel(), np.repeat(np.arange(len(faces)), 3)
    order = np.argsort(at, kind="stable")
    mine, other = _pairs_within(np.unique(at, return_counts=True)[1])
    first, second = face[order[mine]], face[order[other]]
    near = np.einsum("ij,ij->i", unit[first], unit[second]) > CREASE
    sums = [np.bincount(mine[near], cross[second[near], axis], len(at)) for axis in range(3)]
    normals = np.empty((len(at), 3))
    normals[order] = np.stack(sums, 1)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _pairs_within(sizes: IntArray) -> tuple[IntArray, IntArray]:
    """All ordered pairs of members of the same group, for groups of `sizes` that follow each other."""
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    per_member = np.repeat(sizes, sizes)
    mine = np.repeat(np.arange(sizes.sum()), per_member)
    first = np.repeat(np.concatenate([[0], np.cumsum(per_member)[:-1]]), per_member)
    return mine, np.repeat(np.repeat(starts, sizes), per_member) + np.arange(len(mine)) - first


# Parts


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

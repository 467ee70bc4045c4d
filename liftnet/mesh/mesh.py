"""What a shape is: a triangle mesh, checked, cleaned, placed, and points of its surface."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.core.types import BoolArray, FloatArray, IntArray

Up = Literal["y", "z"]
Size = Literal["sphere", "side"]
RADIUS = 0.5  # of a mesh of the size "sphere"
MIN_AREA = 1e-12  # of a face, as a share of its longest edge squared: below are only rounding errors
EXTENT = (1e-30, 1e30)  # longest side of a mesh; its squares and cubes are then finite in float64


class BadMeshError(LiftnetError):
    """A mesh that cannot be used; `status` is its code in a table of shapes.

    One of missing, unreadable, too_large, no_faces, not_finite and no_extent; whoever makes meshes may have more.
    """

    def __init__(self, what: object, status: str, reason: str, remedy: str = "") -> None:
        super().__init__(what, reason, remedy)
        self.status = status


@dataclass(frozen=True, repr=False)
class TriangleMesh:
    """A triangle mesh.

    Attributes:
        vertices: (V, 3) world coordinates, finite; float64 where they come from a file.
        faces: (F, 3) indices of vertices, at least one face; int64 where they come from a file.
        normals: (V, 3) outward normals of length 1, or None where nobody has asked for them.
        colours: (V, 3) linear RGB of the vertices, or None where a material gives them.
        up: The axis that points up: +y, the front then faces +z, or +z, the front then faces -y.
    """

    vertices: FloatArray
    faces: IntArray
    normals: FloatArray | None = None
    colours: FloatArray | None = None
    up: Up = "y"

    def __repr__(self) -> str:
        return f"TriangleMesh({len(self.vertices)} vertices, {len(self.faces)} faces)"

    @property
    def corners(self) -> FloatArray:
        """(F, 3, 3) coordinates of the three corners of each face."""
        return self.vertices[self.faces]

    @property
    def known_normals(self) -> FloatArray:
        """The normals.

        Raises:
            ValueError: It has none.
        """
        if self.normals is None:
            raise ValueError("the mesh has no normals; give it some with `with_creases`")
        return self.normals

    def to_up(self, up: Up) -> TriangleMesh:
        """The same mesh turned about x, so that `up` points up: (x, y, z) of a z-up mesh becomes (x, z, -y)."""
        if up == self.up:
            return self
        turn = _from_z_up if up == "y" else _from_y_up
        normals = None if self.normals is None else turn(self.normals)
        return replace(self, vertices=turn(self.vertices), normals=normals, up=up)


def _from_z_up(rows: FloatArray) -> FloatArray:
    return np.stack([rows[:, 0], rows[:, 2], -rows[:, 1]], axis=1) + rows.dtype.type(0)  # no -0


def _from_y_up(rows: FloatArray) -> FloatArray:
    return np.stack([rows[:, 0], -rows[:, 2], rows[:, 1]], axis=1) + rows.dtype.type(0)


@dataclass(frozen=True)
class Dropped:
    """What cleaning has taken from a mesh.

    Attributes:
        merged: Vertices at the very place of another one.
        flat: Faces without area.
        doubled: Faces with the corners of an earlier one, in whatever order.
        unused: Vertices that no remaining face uses.
    """

    merged: int = 0
    flat: int = 0
    doubled: int = 0
    unused: int = 0

    def __str__(self) -> str:
        words = {
            "merged": "vertices at the place of another",
            "flat": "faces of zero area",
            "doubled": "doubled faces",
            "unused": "unused vertices",
        }
        return ", ".join(f"{count:,} {words[name]}" for name, count in vars(self).items() if count) or "nothing"


def check_mesh(vertices: npt.ArrayLike, faces: npt.ArrayLike, name: object = "mesh") -> TriangleMesh:
    """A mesh from arrays, if it is one.

    Nothing is changed but the type of the numbers, and vertices that are not finite go if no face uses them.

    Args:
        vertices: (V, 3) coordinates.
        faces: (F, 3) indices of vertices.
        name: What messages call it, such as its file.

    Raises:
        ValueError: An array has the wrong shape or kind.
        BadMeshError: There are no faces, corners that are not finite, or indices out of range.
    """
    points, corners = np.asarray(vertices), np.asarray(faces)
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind not in "fiu":
        raise ValueError(f"vertices must be numbers (V, 3), not {points.dtype} {points.shape}")
    if corners.size and (corners.ndim != 2 or corners.shape[1] != 3 or corners.dtype.kind not in "iu"):
        raise ValueError(f"faces must be integers (F, 3), not {corners.dtype} {corners.shape}")
    if not len(points) or not corners.size:
        reason = "the mesh is empty" if not len(points) else "it has points or lines, but no faces"
        raise BadMeshError(name, "no_faces", reason, "Export it as a triangle mesh")
    outside = (corners < 0) | (corners >= len(points))
    if outside.any():
        reason = (
            f"{int(outside.sum()):,} corners of its faces name vertices that do not exist (it has {len(points):,})"
        )
        raise BadMeshError(name, "unreadable", reason, "The file is damaged, or its exporter is; export it again")
    points, corners = np.ascontiguousarray(points, np.float64), np.ascontiguousarray(corners, np.int64)
    finite = np.isfinite(points).all(axis=1)
    if not finite[corners].all():
        reason = f"{int((~finite).sum()):,} of its {len(points):,} vertices are NaN or infinite"
        remedy = "Remove them and the faces that use them, or export the mesh again"
        raise BadMeshError(name, "not_finite", reason, remedy)
    if not finite.all():
        points, corners = points[finite], (np.cumsum(finite) - 1)[corners]
    return TriangleMesh(points, corners)


def clean_mesh(mesh: TriangleMesh, name: object = "mesh") -> tuple[TriangleMesh, Dropped]:
    """The same surface without faces of zero area, doubled faces and vertices that are doubled or unused.

    Vertices at exactly the same place become one, so that a surface that a format has torn at its seams (STL, or
    texture coordinates) is connected again. A face whose area is below 1e-12 of its longest edge squared has none.
    Of faces with the same three corners, in whatever order, the first stays: a sheet modelled from both sides is one
    sheet. The order of what stays is kept; the winding is not touched. Normals and colours go, since vertices that
    were torn for their sake are joined.

    Raises:
        BadMeshError: No face is left, or the mesh is too small or too large for the numbers of a computer.
    """
    extent = float(np.ptp(mesh.vertices, axis=0).max())
    if not EXTENT[0] < extent < EXTENT[1]:
        raise BadMeshError(name, "no_extent", f"its longest side is {extent:g} units", "Scale it to ordinary numbers")
    places, first = _places(mesh.vertices)
    faces = places[mesh.faces]
    thick = face_areas(TriangleMesh(mesh.vertices, first[faces]), relative=True) > MIN_AREA
    faces = faces[thick]
    if not len(faces):
        raise BadMeshError(name, "no_faces", "all of its faces have zero area", "Check the mesh in a 3D program")
    kept = _first_of_doubled(faces, len(first))
    faces = faces[kept]
    used = np.zeros(len(first), bool)
    used[faces] = True
    renumbered = np.cumsum(used) - 1
    dropped = Dropped(
        merged=len(mesh.vertices) - len(first),
        flat=int((~thick).sum()),
        doubled=int((~kept).sum()),
        unused=int((~used).sum()),
    )
    return TriangleMesh(mesh.vertices[first[used]], renumbered[faces], up=mesh.up), dropped


def is_closed(mesh: TriangleMesh) -> bool:
    """Whether every edge belongs to an even number of faces, as in a watertight surface or several that touch."""
    edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
    _, counts = np.unique(edges[:, 0] * len(mesh.vertices) + edges[:, 1], return_counts=True)
    return not (counts % 2).any()


def with_creases(mesh: TriangleMesh, angle: float) -> TriangleMesh:
    """The mesh with normals that are smooth but where faces meet at more than `angle` degrees; split there."""
    import trimesh

    plain = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    shaded = trimesh.graph.smooth_shade(plain, angle=np.radians(angle))
    return replace(
        mesh,
        vertices=np.asarray(shaded.vertices),
        faces=np.asarray(shaded.faces),
        normals=np.asarray(shaded.vertex_normals),
        colours=None,
    )


def face_areas(mesh: TriangleMesh, relative: bool = False) -> FloatArray:
    """(F,) areas of faces in square units, or as shares of their longest edges squared (0 where it has no length)."""
    corners = mesh.corners
    edges = corners - np.roll(corners, 1, axis=1)
    areas = 0.5 * np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    if not relative:
        return areas
    longest = (edges**2).sum(-1).max(-1)
    return np.divide(areas, longest, out=np.zeros_like(areas), where=longest > 0)


def face_normals(mesh: TriangleMesh) -> FloatArray:
    """(F, 3) unit normals of faces, counter-clockwise seen from outside; 0 for a face without area."""
    corners = mesh.corners
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)


def _places(vertices: FloatArray) -> tuple[IntArray, IntArray]:
    """(V,) the place of each vertex, numbered by first appearance, and (P,) the first vertex at each place."""
    place = np.unique(vertices[:, 0] + 0.0, return_inverse=True)[1].astype(np.int64)
    for axis in (1, 2):
        coordinate, values = np.unique(vertices[:, axis] + 0.0, return_inverse=True)
        place = np.unique(place * len(coordinate) + values, return_inverse=True)[1].astype(np.int64)
    first = np.full(place.max() + 1, len(vertices))
    np.minimum.at(first, place, np.arange(len(vertices)))
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[place], first[order]


def _first_of_doubled(faces: IntArray, vertices: int) -> BoolArray:
    """(F,) whether no earlier face has the same three corners."""
    low, middle, high = np.sort(faces, axis=1).T
    edge = np.unique(low * vertices + middle, return_inverse=True)[1].astype(np.int64)
    kept = np.zeros(len(faces), bool)
    kept[np.unique(edge * vertices + high, return_index=True)[1]] = True
    return kept


# Place and size


@dataclass(frozen=True)
class Placement:
    """A similarity transform: x becomes scale * rotation x + translation.

    Attributes:
        scale: Positive.
        rotation: (3, 3).
        translation: (3,) world units after scaling.
    """

    scale: float
    rotation: FloatArray
    translation: FloatArray

    def points(self, points: FloatArray) -> FloatArray:
        """(N, 3) points in their new place."""
        return self.scale * points @ self.rotation.T + self.translation

    def mesh(self, mesh: TriangleMesh) -> TriangleMesh:
        """A mesh in its new place."""
        normals = None if mesh.normals is None else mesh.normals @ self.rotation.T
        return replace(mesh, vertices=self.points(mesh.vertices), normals=normals)

    def then(self, later: Placement) -> Placement:
        """This one, and `later` after it."""
        rotation = later.rotation @ self.rotation
        return Placement(later.scale * self.scale, rotation, later.points(self.translation[None])[0])


STAY = Placement(1.0, np.eye(3), np.zeros(3))


def normalising(mesh: TriangleMesh, size: Size = "sphere") -> Placement:
    """What centres the bounding box of a mesh on the origin and scales it.

    Args:
        mesh: The mesh; only vertices that faces use should be in it.
        size: "sphere": the farthest vertex then lies .5 from the origin. "side": the longest side of the bounding box
            is then 1.

    Raises:
        ValueError: All vertices lie at one place.
    """
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    centre = (low + high) / 2
    farthest = np.linalg.norm(mesh.vertices - centre, axis=1).max()
    length = farthest / RADIUS if size == "sphere" else (high - low).max()
    if not length > 0:
        raise ValueError("a mesh without extent cannot be normalised")
    return Placement(1 / float(length), np.eye(3), -centre / length)


def normalise(mesh: TriangleMesh, size: Size = "sphere") -> TriangleMesh:
    """The mesh, centred and scaled as `normalising` says."""
    return normalising(mesh, size).mesh(mesh)


def stand(mesh: TriangleMesh, radius: float = 1.0) -> TriangleMesh:
    """The mesh on the ground over the origin, its farthest vertex `radius` from the middle of its bounding box.

    The ground is where the coordinate that points up is 0. The type of the numbers is kept.
    """
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    middle = (low + high) / 2
    scale = radius / np.linalg.norm(mesh.vertices - middle, axis=1).max()
    up = "xyz".index(mesh.up)
    foot = np.where(np.arange(3) == up, low, middle)
    return replace(mesh, vertices=((mesh.vertices - foot) * scale).astype(mesh.vertices.dtype))


# Points of the surface


@dataclass(frozen=True, repr=False)
class SurfaceSamples:
    """Points on a surface.

    Attributes:
        points: (N, 3) float64 world coordinates.
        normals: (N, 3) float64 unit normals of the faces they lie on, as the faces are wound.
        faces: (N,) int64 indices of those faces.
    """

    points: FloatArray
    normals: FloatArray
    faces: IntArray

    def __repr__(self) -> str:
        return f"SurfaceSamples({len(self.points)} points)"


def sample_surface(mesh: TriangleMesh, count: int, seed: int) -> SurfaceSamples:
    """Draw points independently, each place of the surface as likely as any other.

    Args:
        mesh: The surface; parts that lie inside or upon each other count as surface too.
        count: Number of points.
        seed: The same seed gives the same points.

    Raises:
        ValueError: `count` is below 1, or the mesh has no area.
    """
    if count < 1:
        raise ValueError(f"at least one point must be drawn, not {count}")
    until = np.cumsum(face_areas(mesh))
    if not (np.isfinite(until[-1]) and until[-1] > 0):
        raise ValueError(f"no points can be drawn from a surface with an area of {until[-1]}")
    generator = np.random.default_rng(seed)
    faces = np.searchsorted(until, generator.random(count) * until[-1], side="right").clip(max=len(until) - 1)
    # the square root turns the unit square into a triangle without crowding (Osada et al., Shape Distributions, 2002)
    root, along = np.sqrt(generator.random(count)), generator.random(count)
    weights = np.stack([1 - root, root * (1 - along), root * along], axis=1)
    points = np.einsum("nc,ncd->nd", weights, mesh.vertices[mesh.faces[faces]])
    return SurfaceSamples(points, face_normals(mesh)[faces], faces)

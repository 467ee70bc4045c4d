"""The model of one shape: colours, and parts on the way to a mesh.

A part may be put into another one, as in shapes drawn by hand; the rays see the outermost surface.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from liftnet.core.types import FloatArray, IntArray
from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.random_source import Colour

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

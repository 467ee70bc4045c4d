"""Meshes that networks deform: spheres, grids, their subdivision, and which vertices of a mesh are neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import trimesh
from torch import Tensor


def icosphere(subdivisions: int, radius: float = 1.0) -> tuple[Tensor, Tensor]:
    """A sphere around the origin, from an icosahedron whose faces are divided into four, time after time.

    It is the same under a change of the sign of any coordinate, and its faces are seen counterclockwise from outside.

    Args:
        subdivisions: 0 to 4: 12, 42, 162, 642, 2,562 vertices.
        radius: Of the sphere.

    Returns:
        Vertices (V, 3), float32, and faces (2 V - 4, 3), int64.
    """
    sphere = trimesh.creation.icosphere(subdivisions, radius)
    return torch.from_numpy(sphere.vertices).float(), torch.from_numpy(sphere.faces).long()


def grid(side: int) -> tuple[Tensor, Tensor]:
    """An open square grid over [0, 1] x [0, 1].

    Returns:
        Vertices (side^2, 2), float32, and faces (2 (side - 1)^2, 3), int64.
    """
    along = torch.linspace(0, 1, side)
    vertices = torch.cartesian_prod(along, along)
    number = torch.arange(side * side).view(side, side)
    a, b, c, d = (part.flatten() for part in (number[:-1, :-1], number[1:, :-1], number[:-1, 1:], number[1:, 1:]))
    return vertices, torch.cat([torch.stack([a, b, c], 1), torch.stack([b, d, c], 1)])


def copies(faces: Tensor, vertices: int, count: int) -> Tensor:
    """The faces (count * F, 3) of `count` meshes whose vertices, so many each, stand one mesh after the other."""
    return (faces + vertices * torch.arange(count, device=faces.device)[:, None, None]).flatten(0, 1)


def edges_of(faces: Tensor) -> Tensor:
    """The edges (E, 2) of faces (F, 3), each once, the lower vertex first, in ascending order."""
    return _numbered_edges(faces)[0]


def hinges_of(faces: Tensor) -> Tensor:
    """Where two faces meet: (H, 4) both vertices of their common edge, then the third of each face.

    An edge with one face, or with more than two, has none.
    """
    opposite = faces[:, [2, 0, 1]].T.flatten()
    edges, edge = _numbered_edges(faces)
    order = torch.argsort(edge, stable=True)
    order = order[torch.bincount(edge, minlength=len(edges))[edge[order]] == 2].view(-1, 2)
    return torch.cat([_sides(faces)[order[:, 0]], opposite[order]], 1)


def _sides(faces: Tensor) -> Tensor:
    """The sides (3 F, 2) of faces (F, 3): all the first ones, all the second, all the third."""
    return torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def _numbered_edges(faces: Tensor) -> tuple[Tensor, Tensor]:
    """The edges (E, 2), and which of them each of the sides (3 F,) is."""
    low, high = _sides(faces).sort(1).values.T
    beyond = int(faces.max()) + 1 if len(faces) else 1
    keys, edge = torch.unique(low * beyond + high, return_inverse=True)  # rows of two numbers sort ten times slower
    return torch.stack([keys // beyond, keys % beyond], 1), edge


@dataclass(frozen=True, eq=False)
class Subdivision:
    """A mesh whose faces were divided into four by the midpoints of its edges.

    Attributes:
        faces: (4 F, 3) of the old vertices, then one for each edge.
        edges: (E, 2) old vertices that the new ones lie between.
    """

    faces: Tensor
    edges: Tensor


def subdivide(faces: Tensor, vertices: int) -> Subdivision:
    """Divide each face (F, 3) of a mesh of so many vertices into four."""
    edges, edge = _numbered_edges(faces)
    a, b, c = faces.T
    ab, bc, ca = (vertices + edge).view(3, -1)
    corners = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return Subdivision(torch.cat([torch.stack(corner, 1) for corner in corners]), edges)


def with_midpoints(values: Tensor, edges: Tensor) -> Tensor:
    """Values (..., V + E, C) of the vertices (..., V, C) and, as means, of the midpoints of edges (E, 2)."""
    return torch.cat([values, (values[..., edges[:, 0], :] + values[..., edges[:, 1], :]) / 2], -2)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The neighbours of each vertex along edges, at most D, and their weights.

    Attributes:
        index: (V, D); the vertex itself where it has fewer.
        weight: (V, D); 0 there.
    """

    index: Tensor
    weight: Tensor

    def sums(self, values: Tensor) -> Tensor:
        """Weighted sums (V, ...) of the neighbours' values (V, ...), floats; differentiable."""
        flat = values.flatten(1)
        # half the time of a sparse matrix, a fifth of that of index_add
        weight = self.weight.to(flat.dtype)
        sums = torch.nn.functional.embedding_bag(self.index, flat, per_sample_weights=weight, mode="sum")
        return sums.view(values.shape)


def neighbours(edges: Tensor, vertices: int, symmetric: bool = False) -> Neighbours:
    """The neighbours of the vertices of a mesh.

    Args:
        edges: (E, 2), each once.
        vertices: V.
        symmetric: Weights 1 / sqrt(D_i D_j) of the numbers of neighbours D, the matrix D^-1/2 A D^-1/2 (Kipf and
            Welling, ICLR 2017, without self-loops), whose eigenvalues lie from -1 to 1. Otherwise 1 / D_i: the sums
            are means.
    """
    there = torch.cat([edges, edges.flip(1)])
    own, other = there[torch.argsort(there[:, 0], stable=True)].T
    degree = torch.bincount(own, minlength=vertices)
    place = torch.arange(len(own), device=own.device) - (degree.cumsum(0) - degree)[own]
    most = int(degree.max()) if len(own) else 1
    index = torch.arange(vertices, device=own.device)[:, None].repeat(1, most)
    weight = torch.zeros(vertices, most, device=own.device)
    index[own, place] = other
    weight[own, place] = (degree[own] * degree[other]).rsqrt() if symmetric else 1 / degree[own]
    return Neighbours(index, weight)

"""Meshes as tensors, several of any size at a time, and what makes their sizes comparable; differentiable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from liftnet.mesh.mesh import TriangleMesh

RADIUS = 0.5  # of a normalised shape


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Meshes:
    """B meshes, +y up.

    Attributes:
        vertices: B tensors (V, 3), world coordinates; a gradient goes to them.
        faces: B tensors (F, 3) of indices into the vertices of the same mesh.
    """

    vertices: tuple[Tensor, ...]
    faces: tuple[Tensor, ...]

    def __init__(self, vertices: Tensor | Sequence[Tensor], faces: Tensor | Sequence[Tensor]) -> None:
        """Take one mesh, (V, 3) and (F, 3), or as many of each as there are meshes.

        Raises:
            ValueError: There is none, the numbers differ, or one has no face, vertices that are not finite, faces that
                name others than its vertices, or the wrong shapes or types.
        """
        object.__setattr__(self, "vertices", _listed(vertices))
        object.__setattr__(self, "faces", _listed(faces))
        if not self.vertices or len(self.vertices) != len(self.faces):
            counts = f"{len(self.vertices)} and {len(self.faces)}"
            raise ValueError(f"there must be as many faces as vertices, and at least one mesh, not {counts}")
        for points, triangles in zip(self.vertices, self.faces, strict=True):
            _check(points, triangles)

    @classmethod
    def of(cls, *meshes: TriangleMesh, device: torch.device | None = None) -> Meshes:
        """The same meshes as float32 tensors."""
        vertices = [torch.as_tensor(mesh.vertices, dtype=torch.float32, device=device) for mesh in meshes]
        return cls(vertices, [torch.as_tensor(mesh.faces, dtype=torch.int64, device=device) for mesh in meshes])

    def __len__(self) -> int:
        return len(self.vertices)

    def __repr__(self) -> str:
        return f"Meshes({', '.join(f'{len(v)} vertices' for v in self.vertices)})"

    def normalisation(self) -> Normalisation:
        """What brings the middle of each mesh's box to the origin and its farthest vertex to distance 0.5.

        Vertices that no face uses do not count. It is differentiable in the vertices.

        Raises:
            ValueError: All vertices of a mesh lie on one point.
        """
        centres, lengths = [], []
        for points, triangles in zip(self.vertices, self.faces, strict=True):
            used = points[triangles.unique()]
            centre = (used.amin(0) + used.amax(0)) / 2
            farthest = (used - centre).square().sum(-1).amax().sqrt()
            if not bool(farthest > 0):
                raise ValueError("a shape whose vertices all lie on one point has no size and cannot be normalised")
            centres.append(centre)
            lengths.append(farthest)
        return Normalisation(torch.stack(centres), RADIUS / torch.stack(lengths))


@dataclass(frozen=True, eq=False)
class Normalisation:
    """A shift and a scale of each of B meshes: x becomes (x - centre) * scale.

    Attributes:
        centre: (B, 3).
        scale: (B,).
    """

    centre: Tensor
    scale: Tensor

    def apply(self, meshes: Meshes) -> list[Tensor]:
        """The vertices of each mesh in their new place; a single shift and scale hold for all meshes."""
        alone = len(self.scale) == 1
        rows = [0 if alone else number for number in range(len(meshes))]
        return [(v - self.centre[row]) * self.scale[row] for v, row in zip(meshes.vertices, rows, strict=True)]


def _listed(tensors: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    return (tensors,) if isinstance(tensors, Tensor) and tensors.ndim == 2 else tuple(tensors)


def _check(vertices: Tensor, faces: Tensor) -> None:
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        shapes = f"{tuple(vertices.shape)} and {tuple(faces.shape)}"
        raise ValueError(f"a mesh needs vertices (V, 3) and faces (F, 3), not {shapes}")
    if not vertices.is_floating_point() or faces.is_floating_point():
        raise ValueError(f"a mesh needs real vertices and whole faces, not {vertices.dtype} and {faces.dtype}")
    if not len(faces):
        raise ValueError("a mesh without faces shows nothing and cannot be compared")
    if int(faces.min()) < 0 or int(faces.max()) >= len(vertices):
        raise ValueError(f"faces name vertices {int(faces.min())} to {int(faces.max())} of {len(vertices)}")
    if not bool(vertices.isfinite().all()):
        raise ValueError("the vertices of a mesh must be finite")

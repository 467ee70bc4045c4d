"""Placing two shapes on top of each other before they are rendered; differentiable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

Align = Literal["target", "each", "none"]
RADIUS = 0.5  # of a normalised shape


@dataclass(frozen=True)
class Placement:
    """A shift and a scale: x becomes (x - centre) * scale.

    Attributes:
        centre: (3,).
        scale: ().
    """

    centre: Tensor
    scale: Tensor

    def apply(self, vertices: Tensor) -> Tensor:
        """Place vertices (V, 3)."""
        return (vertices - self.centre) * self.scale

    def detach(self) -> Placement:
        """The same as constants."""
        return Placement(self.centre.detach(), self.scale.detach())


def normalising(vertices: Tensor, faces: Tensor) -> Placement:
    """The placement that brings the middle of a shape's box to the origin and its farthest vertex to distance 0.5.

    Args:
        vertices: (V, 3); those that no face uses do not count.
        faces: (F, 3) indices.

    Returns:
        A placement, differentiable in `vertices`.

    Raises:
        ValueError: All vertices lie on one point.
    """
    used = vertices[faces.unique()]
    centre = (used.amin(0) + used.amax(0)) / 2
    farthest = (used - centre).square().sum(-1).amax().sqrt()
    if not bool(farthest > 0):
        raise ValueError("a shape whose vertices all lie on one point has no size and cannot be normalised")
    return Placement(centre, RADIUS / farthest)


def check_mesh(vertices: Tensor, faces: Tensor) -> None:
    """Raise ValueError if vertices (V, 3) and faces (F, 3) are no mesh with at least one face, or not finite."""
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


def check_align(align: str) -> None:
    """Raise ValueError if there is no such way to align."""
    if align not in get_args(Align):
        raise ValueError(f"align must be one of {', '.join(get_args(Align))}, not {align!r}")

"""Where a mesh lies: similarity transforms, and the one that brings a mesh to a common size and place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from liftnet.core.types import FloatArray
from liftnet.mesh.mesh import TriangleMesh

Size = Literal["sphere", "side"]
RADIUS = 0.5


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

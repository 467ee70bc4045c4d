"""Where two shapes are compared: normalised to one size, and turned onto each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import trimesh

from liftnet.mesh.mesh import FloatArray, TriangleMesh
from liftnet.mesh.sampling import sample_surface
from liftnet.shape.distances import chamfer_l1, nearest

Size = Literal["sphere", "side"]
How = Literal["none", "target", "each", "yaw", "icp"]
RADIUS = 0.5
ALIGNING_POINTS = 2000


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
        return TriangleMesh(self.points(mesh.vertices), mesh.faces)

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


def placements(
    mesh: TriangleMesh,
    target: TriangleMesh,
    how: How = "target",
    size: Size = "sphere",
    turns: int = 36,
    seed: int = 0,
) -> tuple[Placement, Placement]:
    """Where `align` puts a mesh and its target.

    Args:
        mesh: The shape.
        target: What it is compared with.
        how: "none": both stay. "target": the target is normalised and the mesh moves with it, so that its errors of
            size and place count. "each": both are normalised. "yaw": the mesh is also turned about +y, to the best of
            `turns` equal steps by Chamfer distance. "icp": after that it is moved and turned, not scaled, onto the
            target by iterative closest points.
        size: What both are normalised to; see `normalising`.
        turns: Steps of "yaw" and "icp".
        seed: Of the 2,000 points by which they are aligned.
    """
    if how == "none":
        return STAY, STAY
    goal = normalising(target, size)
    if how == "target":
        return goal, goal
    start = normalising(mesh, size)
    if how == "each":
        return start, goal
    if how not in ("yaw", "icp"):
        raise ValueError(f"shapes are aligned by none, target, each, yaw or icp, not {how!r}")
    points = sample_surface(start.mesh(mesh), ALIGNING_POINTS, seed).points
    goals = sample_surface(goal.mesh(target), ALIGNING_POINTS, seed).points
    turned = _best_turn(points, goals, turns)
    if how == "icp":
        turned = turned.then(_closest_points(turned.points(points), goals))
    return start.then(turned), goal


def align(
    mesh: TriangleMesh,
    target: TriangleMesh,
    how: How = "target",
    size: Size = "sphere",
    turns: int = 36,
    seed: int = 0,
) -> tuple[TriangleMesh, TriangleMesh]:
    """The mesh and its target, placed for comparison; see `placements` for what is done."""
    place, goal = placements(mesh, target, how, size, turns, seed)
    return place.mesh(mesh), goal.mesh(target)


def _best_turn(points: FloatArray, target: FloatArray, turns: int) -> Placement:
    angles = np.arange(turns) * 2 * np.pi / turns
    tried = [
        Placement(1.0, trimesh.transformations.rotation_matrix(a, [0, 1, 0])[:3, :3], np.zeros(3)) for a in angles
    ]
    return min(tried, key=lambda turn: chamfer_l1(nearest(turn.points(points), target)))


def _closest_points(points: FloatArray, target: FloatArray) -> Placement:
    matrix = trimesh.registration.icp(points, target, max_iterations=100, reflection=False, scale=False)[0]
    return Placement(1.0, matrix[:3, :3], matrix[:3, 3])

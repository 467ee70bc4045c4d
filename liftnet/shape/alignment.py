"""Where two shapes are compared: normalised to one size, and turned onto each other."""

from __future__ import annotations

from typing import Literal

import numpy as np
import trimesh

from liftnet.core.types import FloatArray
from liftnet.mesh.mesh import STAY, Placement, Size, TriangleMesh, normalising, sample_surface
from liftnet.shape.distances import chamfer_l1, nearest

How = Literal["none", "target", "each", "yaw", "icp"]
ALIGNING_POINTS = 2000


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

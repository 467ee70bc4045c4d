"""A sculpture in a place: rays, plinth, floor, walls and sky."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from liftnet.core.ids import stable_seed
from liftnet.core.types import BoolArray, FloatArray, IntArray
from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.materials import FLOORS, MATERIALS, WALLS, Material, fractal

OBJECT, PLINTH, FLOOR, WALL, SKY = range(5)


@dataclass(frozen=True)
class Hits:
    """What N rays meet first.

    Attributes:
        distance: (N,) float32 in units of the ray's direction; infinite in the sky.
        kind: (N,) OBJECT, PLINTH, FLOOR, WALL or SKY.
        normal: (N, 3) float32 smooth normal, towards the outside.
        occlusion: (N,) float32 share of the surrounding that is open, 1 off the sculpture.
    """

    distance: FloatArray
    kind: IntArray
    normal: FloatArray
    occlusion: FloatArray


class Bodies:
    """Triangle meshes under one Embree acceleration structure."""

    def __init__(self, *meshes: TriangleMesh) -> None:
        from embreex.mesh_construction import TriangleMesh as EmbreeMesh
        from embreex.rtcore_scene import EmbreeScene

        self._scene: Any = EmbreeScene()
        self._kept = [EmbreeMesh(self._scene, mesh.vertices, mesh.faces) for mesh in meshes]

    def first(self, origins: FloatArray, directions: FloatArray) -> dict[str, npt.NDArray[Any]]:
        """What each of (N, 3) rays meets first, (N,) each.

        `geomID` is the mesh's number, -1 for none, `primID` the face's; `u`, `v` are the barycentric weights of the
        face's second and third corner; `tfar` is the distance in units of the direction's length.
        """
        return self._scene.run(_packed(origins), _packed(directions), output=True)

    def distances(self, origins: FloatArray, directions: FloatArray) -> FloatArray:
        """(N,) distance to the first hit, a very large number for none."""
        return self._scene.run(_packed(origins), _packed(directions), query="DISTANCE")

    def blocked(self, origins: FloatArray, directions: FloatArray) -> BoolArray:
        """(N,) bool, True where a ray meets anything."""
        return self._scene.run(_packed(origins), _packed(directions), query="OCCLUDED") != -1


def _packed(rows: FloatArray) -> FloatArray:
    return np.ascontiguousarray(rows, np.float32)


@dataclass(frozen=True)
class Place:
    """A room or a garden with a plinth.

    Attributes:
        plinth: Mesh of the plinth, its top at z = 0, or None where the sculpture stands on the floor.
        floor_z: Height of the floor.
        walls: Distance of the four walls from the middle, infinite outdoors.
        turn: Angle by which the walls are turned about z.
        textures: Materials by kind of surface.
        seed: Seed of the sky.
    """

    plinth: TriangleMesh | None
    floor_z: float
    walls: float
    turn: float
    textures: dict[int, Material]
    seed: int
    bodies: Bodies = field(repr=False)
    sculpture: TriangleMesh = field(repr=False)
    openness: FloatArray = field(repr=False)

    def trace(self, origins: FloatArray, directions: FloatArray) -> Hits:
        """What the rays (N, 3) meet first."""
        found = self.bodies.first(origins, directions)
        count = len(directions)
        kind = np.full(count, SKY)
        distance = np.full(count, np.inf, np.float32)
        normal, occlusion = np.zeros((count, 3), np.float32), np.ones(count, np.float32)
        self._enclosure(origins, directions, kind, distance, normal)
        for number, (label, mesh) in enumerate(((OBJECT, self.sculpture), (PLINTH, self.plinth))):
            hit = np.flatnonzero(found["geomID"] == number)
            if mesh is None or not len(hit):
                continue
            kind[hit], distance[hit] = label, found["tfar"][hit]
            corners = mesh.faces[found["primID"][hit]]
            v, w = found["u"][hit], found["v"][hit]
            weights = np.stack([1 - v - w, v, w], 1)
            smooth = (mesh.known_normals[corners] * weights[:, :, None]).sum(1)
            normal[hit] = smooth / np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-6)
            if label == OBJECT:
                occlusion[hit] = (self.openness[corners] * weights).sum(1)
        return Hits(distance, kind, normal, occlusion)

    def _enclosure(
        self, origins: FloatArray, directions: FloatArray, kind: IntArray, distance: FloatArray, normal: FloatArray
    ) -> None:
        planes = [((0.0, 0.0, 1.0), self.floor_z, FLOOR)]
        if np.isfinite(self.walls):
            angles = self.turn + np.arange(4) * np.pi / 2
            planes += [((-np.cos(a), -np.sin(a), 0.0), -self.walls, WALL) for a in angles]
        for facing, offset, label in planes:
            towards = np.asarray(facing, np.float32)
            speed = directions @ towards
            with np.errstate(divide="ignore", invalid="ignore"):
                reach = (np.float32(offset) - origins @ towards) / speed
            nearer = (speed < -1e-6) & (reach > 0) & (reach < distance)
            kind[nearer], distance[nearer], normal[nearer] = label, reach[nearer], towards

    def sky(self, directions: FloatArray) -> FloatArray:
        """(N, 3) linear colour of the open sky with clouds, over a hedge at the horizon."""
        unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        footprint = np.full(len(unit), 0.002, np.float32)
        cloud, _ = fractal(unit * np.array([1, 1, 2.5], np.float32), footprint, self.seed, 2.0, 6, 0.6)
        leaves, _ = fractal(unit, footprint, self.seed + 9, 22.0, 4, 0.85)
        crown, _ = fractal(unit * np.array([1, 1, 0], np.float32), footprint, self.seed + 19, 5.0, 4, 0.7)
        blue, white = np.array([0.28, 0.45, 0.72], np.float32), np.array([0.85, 0.86, 0.88], np.float32)
        share = np.clip(0.5 + 1.1 * cloud, 0, 1)[:, None]
        colour = blue * (1 - share) + white * share
        hedge = unit[:, 2] < 0.10 + 0.09 * crown
        green = np.array([0.09, 0.14, 0.05], np.float32) * np.clip(1 + 0.9 * leaves, 0.1, 3)[:, None]
        return np.where(hedge[:, None], green, colour).astype(np.float32)


def make_places(sculpture: TriangleMesh, numbers: Iterable[int], seed: int) -> dict[int, Place]:
    """The places of a sculpture of these numbers, each drawn from the seed of the work and its number."""
    openness = ambient_openness(sculpture)
    return {n: make_place(sculpture, openness, stable_seed(seed, "place", str(n))) for n in numbers}


def make_place(sculpture: TriangleMesh, openness: FloatArray, seed: int) -> Place:
    """A place for a sculpture, drawn from `seed`."""
    rng = np.random.default_rng(seed)
    indoors = rng.random() < 0.6
    floor = rng.choice(["tiles", "planks", "gravel"] if indoors else ["grass", "grass", "gravel", "tiles"])
    wall = rng.choice(list(WALLS))
    stands = rng.random() < 0.75
    reach = float(np.abs(sculpture.vertices[:, :2]).max())
    height = float(rng.uniform(0.3, 1.3))
    plinth = None
    if stands:
        plinth = _round_plinth(reach, height, rng) if rng.random() < 0.35 else _square_plinth(sculpture, height, rng)
    textures = {
        PLINTH: MATERIALS[rng.choice(["granite", "plaster", "wood", "sandstone", "marble"])](rng),
        FLOOR: FLOORS[str(floor)](rng),
        WALL: WALLS[str(wall)](rng),
    }
    bodies = Bodies(sculpture, plinth) if plinth is not None else Bodies(sculpture)
    return Place(
        plinth=plinth,
        floor_z=-height if stands else 0.0,
        walls=float(rng.uniform(7, 10)) if indoors else np.inf,
        turn=float(rng.uniform(0, np.pi / 2)),
        textures=textures,
        seed=int(rng.integers(1 << 30)),
        bodies=bodies,
        sculpture=sculpture,
        openness=openness,
    )


def _square_plinth(sculpture: TriangleMesh, height: float, rng: np.random.Generator) -> TriangleMesh:
    half = np.abs(sculpture.vertices[:, :2]).max(0) + rng.uniform(0.03, 0.25)
    return _faceted(np.array([half[0], half[1], height / 2]), -height / 2)


def _faceted(half: FloatArray, middle: float) -> TriangleMesh:
    """A box as six quads with normals of their own."""
    vertices: list[FloatArray] = []
    normals: list[FloatArray] = []
    faces: list[list[int]] = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            a, b = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
            out = np.eye(3)[axis] * side
            start = len(vertices)
            for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                vertices.append((out + s * a * side + t * b) * half + [0, 0, middle])
                normals.append(out)
            faces += [[start, start + 1, start + 2], [start, start + 2, start + 3]]
    return TriangleMesh(
        np.array(vertices, np.float32), np.array(faces, np.int32), np.array(normals, np.float32), up="z"
    )


def _round_plinth(reach: float, height: float, rng: np.random.Generator) -> TriangleMesh:
    """A cylinder of 64 facets with smooth sides and a flat top."""
    radius = reach * 1.1 + rng.uniform(0.03, 0.2)
    angle = np.linspace(0, 2 * np.pi, 65)[:-1]
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
    rim = circle * radius
    below, up = rim - [0, 0, height], np.tile([0.0, 0.0, 1.0], (65, 1))
    vertices = np.concatenate([rim, below, rim, [[0, 0, 0]]])
    normals = np.concatenate([circle, circle, up])
    i, j = np.arange(64), (np.arange(64) + 1) % 64
    top = np.stack([i + 128, j + 128, np.full(64, 192)], 1)
    faces = np.concatenate([np.stack([i, i + 64, j], 1), np.stack([j, i + 64, j + 64], 1), top])
    return TriangleMesh(vertices.astype(np.float32), faces.astype(np.int32), normals.astype(np.float32), up="z")


def ambient_openness(mesh: TriangleMesh, rays: int = 24, reach: float = 0.8) -> FloatArray:
    """(V,) share of the surrounding that each vertex sees within `reach`, over a ground at z = 0."""
    return openness_at(Bodies(mesh), mesh.vertices, mesh.known_normals, rays, reach)


def openness_at(
    bodies: Bodies, points: FloatArray, normals: FloatArray, rays: int, reach: float = 0.8, ground: bool = True
) -> FloatArray:
    """(N,) share of the surrounding that is open within `reach` of points on surfaces.

    The directions are cosine-weighted about the normal: a Fibonacci lattice on the disk, projected up (Malley's
    method).

    Args:
        bodies: What blocks.
        points: (N, 3).
        normals: (N, 3).
        rays: Directions at each point.
        reach: How far a ray goes at most.
        ground: Whether there is a ground at z = 0.
    """
    n = normals
    helper = np.where(np.abs(n[:, :1]) < 0.7, np.array([[1, 0, 0]], np.float32), np.array([[0, 1, 0]], np.float32))
    tangent = np.cross(n, helper)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-6)
    other = np.cross(n, tangent)
    start = points + n * np.float32(0.004)
    total = np.zeros(len(n), np.float32)
    for i in range(rays):
        radius, angle = np.sqrt((i + 0.5) / rays), i * np.pi * (3 - np.sqrt(5))
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        way = (tangent * x + other * y + n * np.sqrt(1 - radius**2)).astype(np.float32)
        distance = np.minimum(bodies.distances(start, way), np.float32(reach))
        if ground:
            down = np.where(way[:, 2] < -1e-3, start[:, 2] / np.maximum(-way[:, 2], 1e-3), np.float32(reach))
            distance = np.minimum(distance, np.maximum(down, 0))
        total += distance
    return (total / np.float32(rays * reach)).astype(np.float32)

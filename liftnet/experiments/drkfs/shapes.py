"""Shapes of the experiments: chairs whose parts can be changed, and what a sphere is turned into."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger
from liftnet.experiments.settings import TargetSettings
from liftnet.mesh.isosurface import isosurface
from liftnet.mesh.mesh import TriangleMesh, normalise
from liftnet.mesh.reading import find_meshes, load_mesh

LOG = get_logger("experiments")
FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.integer]
BoolArray = npt.NDArray[np.bool_]
STEP = 0.045  # longest edge along an axis, so that bent parts are round enough
CORNERS = ((-1, -1), (1, -1), (-1, 1), (1, 1))  # of the seat, where the legs stand: x, z
# limbs of a body: both ends (x, y, z) and the radius at each
FIGURE = (
    ((0.0, 0.02, 0.0), (0.0, 0.34, 0.0), 0.13, 0.15),  # trunk
    ((0.0, 0.58, 0.02), (0.0, 0.64, 0.02), 0.09, 0.09),  # head
    ((0.0, 0.36, 0.0), (0.0, 0.58, 0.0), 0.06, 0.05),  # neck
    ((0.15, 0.36, 0.0), (0.34, 0.12, 0.1), 0.06, 0.045),  # arms
    ((-0.15, 0.36, 0.0), (-0.3, 0.5, 0.12), 0.06, 0.045),
    ((0.08, 0.0, 0.0), (0.16, -0.55, 0.0), 0.09, 0.06),  # legs
    ((-0.08, 0.0, 0.0), (-0.16, -0.55, 0.08), 0.09, 0.06),
)
ANIMAL = (
    ((0.0, 0.0, -0.28), (0.0, 0.03, 0.24), 0.15, 0.16),  # trunk
    ((0.0, 0.06, 0.3), (0.0, 0.3, 0.44), 0.09, 0.07),  # neck
    ((0.0, 0.32, 0.44), (0.0, 0.26, 0.6), 0.09, 0.06),  # head
    ((0.09, -0.05, 0.22), (0.1, -0.42, 0.24), 0.07, 0.05),  # legs
    ((-0.09, -0.05, 0.22), (-0.1, -0.42, 0.2), 0.07, 0.05),
    ((0.09, -0.05, -0.26), (0.1, -0.42, -0.28), 0.08, 0.05),
    ((-0.09, -0.05, -0.26), (-0.1, -0.42, -0.24), 0.08, 0.05),
    ((0.0, 0.06, -0.38), (0.0, 0.2, -0.58), 0.04, 0.03),  # tail
)
MERGE = 0.03  # how far limbs run into each other


@dataclass(frozen=True)
class Chair:
    """A chair in lengths of about its own height; y is up, y = 0 the underside of the seat, +z the front.

    Attributes:
        width: Of the seat, along x.
        depth: Of the seat, along z.
        seat: Thickness of the seat.
        leg_height: From the floor to the seat.
        leg_width: Side of a leg's square section.
        back_height: From the seat to the top.
        back_thickness: Of the back, along z.
        slats: Upright slats of the back; 0 is a closed back.
        bar_height: Centre of the four bars between the legs, above the floor; None is a chair without bars.
        bar_width: Side of a bar's square section.
        missing_legs: Which of the four legs are not there (index of `CORNERS`).
        leg_bend: How far the feet stand outwards, in lengths of the leg.
        back_bend: How far the top of the back leans backwards, in heights of the back.
    """

    width: float = 0.46
    depth: float = 0.44
    seat: float = 0.05
    leg_height: float = 0.44
    leg_width: float = 0.05
    back_height: float = 0.46
    back_thickness: float = 0.04
    slats: int = 0
    bar_height: float | None = None
    bar_width: float = 0.03
    missing_legs: tuple[int, ...] = ()
    leg_bend: float = 0.0
    back_bend: float = 0.0

    def with_legs(self, thicker: float = 1.0, longer: float = 1.0) -> Chair:
        """All legs with this many times their width and their length."""
        return replace(self, leg_width=self.leg_width * thicker, leg_height=self.leg_height * longer)

    def mesh(self) -> TriangleMesh:
        """The surface of the union of all parts, watertight, faces outward."""
        mesh = surface_of_boxes(self._boxes(), STEP)
        return TriangleMesh(self._bent(mesh.vertices), mesh.faces)

    def _leg_centres(self) -> FloatArray:
        """(4, 2) x and z of the legs: flush with the seat where the legs have a twentieth of a length."""
        inset = 0.025
        return np.array(CORNERS) * [self.width / 2 - inset, self.depth / 2 - inset]

    def _boxes(self) -> FloatArray:
        x, z = self.width / 2, self.depth / 2
        boxes = [[[-x, 0, -z], [x, self.seat, z]], *self._back()]
        half = self.leg_width / 2
        for number, (leg_x, leg_z) in enumerate(self._leg_centres()):
            if number not in self.missing_legs:
                low = [leg_x - half, -self.leg_height, leg_z - half]
                boxes.append([low, [leg_x + half, 0, leg_z + half]])
        return np.array([*boxes, *self._bars()])

    def _back(self) -> list[list[list[float]]]:
        x, z = self.width / 2, self.depth / 2
        bottom, top, front = self.seat, self.seat + self.back_height, -z + self.back_thickness
        if not self.slats:
            return [[[-x, bottom, -z], [x, top, front]]]
        rail = 0.2 * self.back_height
        lefts = np.linspace(-x, x - 0.045, self.slats + 2)
        slats = [[[left, bottom, -z], [left + 0.045, top - rail, front]] for left in lefts]
        return [[[-x, top - rail, -z], [x, top, front]], *slats]

    def _bars(self) -> list[list[list[float]]]:
        if self.bar_height is None:
            return []
        (x, z), half = -self._leg_centres()[0], self.bar_width / 2
        low, high = self.bar_height - self.leg_height - half, self.bar_height - self.leg_height + half
        across = [[[-x, low, side - half], [x, high, side + half]] for side in (-z, z)]
        return [*across, *([[side - half, low, -z], [side + half, high, z]] for side in (-x, x))]

    def _bent(self, vertices: FloatArray) -> FloatArray:
        """Legs and back bent as parabolas, which leaves them upright where they meet the seat."""
        below = np.clip(-vertices[:, 1] / self.leg_height, 0, 1)
        above = np.clip((vertices[:, 1] - self.seat) / self.back_height, 0, 1)
        bent = vertices.copy()
        bent[:, 0] += np.sign(vertices[:, 0]) * self.leg_bend * self.leg_height * below**2
        bent[:, 2] -= self.back_bend * self.back_height * above**2
        return bent


def chair_of(seed: int, number: int) -> Chair:
    """One of many different chairs without bars; the same for equal seed and number."""
    random = np.random.default_rng(stable_seed(seed, "chair", str(number)))
    return Chair(
        width=random.uniform(0.42, 0.54),
        depth=random.uniform(0.42, 0.50),
        seat=random.uniform(0.035, 0.06),
        leg_height=random.uniform(0.38, 0.46),
        leg_width=random.uniform(0.04, 0.055),
        back_height=random.uniform(0.42, 0.54),
        back_thickness=random.uniform(0.03, 0.045),
        slats=int(random.choice([0, 0, 1, 2, 3])),
    )


def surface_of_boxes(boxes: FloatArray, step: float) -> TriangleMesh:
    """The surface of a union of axis-aligned boxes.

    The planes of all boxes divide space into cells; the surface is what separates a cell within a box from one
    outside, so parts that touch or overlap leave nothing inside.

    Args:
        boxes: (B, 2, 3) lowest and highest corner.
        step: Longest edge of a cell.

    Returns:
        Triangles that face outward; closed, as long as no two boxes touch in an edge or a corner alone.
    """
    planes = [_divided(np.unique(np.round(boxes[:, :, axis], 9)), step) for axis in range(3)]
    centres = [(p[1:] + p[:-1]) / 2 for p in planes]
    filled = np.zeros(tuple(len(c) for c in centres), bool)
    for low, high in boxes:
        inside = [(c > low[axis]) & (c < high[axis]) for axis, c in enumerate(centres)]
        filled |= inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :]
    quads = np.concatenate([_walls(filled, axis, outward) for axis in range(3) for outward in (-1, 1)])
    sizes = tuple(len(p) for p in planes)
    used, corners = np.unique(np.ravel_multi_index(tuple(np.moveaxis(quads, -1, 0)), sizes), return_inverse=True)
    corners = corners.reshape(-1, 4)
    index = np.unravel_index(used, sizes)
    vertices = np.stack([planes[axis][index[axis]] for axis in range(3)], 1)
    return TriangleMesh(vertices, np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]]).astype(np.int64))


def _divided(planes: FloatArray, step: float) -> FloatArray:
    """Planes with more between them, so that no gap is wider than `step`."""
    parts = [
        np.linspace(low, high, int(np.ceil((high - low) / step - 1e-9)) + 1)[:-1] for low, high in pairwise(planes)
    ]
    return np.concatenate([*parts, planes[-1:]])


def _walls(filled: BoolArray, axis: int, outward: int) -> IntArray:
    """(Q, 4, 3) grid indices of the corners of the walls that face `outward` along `axis`, counterclockwise."""
    padded = np.pad(filled, [(1, 1) if a == axis else (0, 0) for a in range(3)])
    count = filled.shape[axis]
    neighbour = np.take(padded, range(2, count + 2) if outward > 0 else range(count), axis)
    cells = np.argwhere(filled & ~neighbour)
    first, second = [(axis + 1) % 3, (axis + 2) % 3][::outward]
    corners = np.repeat(cells[:, None], 4, 1)
    corners[:, :, axis] += outward > 0
    corners[:, [1, 2], first] += 1
    corners[:, [2, 3], second] += 1
    return corners


def targets_of(settings: TargetSettings, seed: int) -> dict[str, TriangleMesh]:
    """Targets by name, each in a sphere of diameter 1 about the origin; one that cannot be read is left out.

    Raises:
        LiftnetError: None can be read.
    """
    meshes = made(seed) if settings.path is None else _read(Path(settings.path), settings)
    if not meshes:
        raise LiftnetError(settings.path, "has no mesh that can be read", "The log says what is wrong with each")
    return {name: normalise(mesh) for name, mesh in list(meshes.items())[: settings.count]}


def made(seed: int) -> dict[str, TriangleMesh]:
    """A figure, a chair and an animal."""
    chair = replace(chair_of(seed, 0), slats=0)
    return {"figure": body(FIGURE), "chair": chair.mesh(), "animal": body(ANIMAL)}


def body(
    limbs: tuple[tuple[tuple[float, float, float], tuple[float, float, float], float, float], ...],
) -> TriangleMesh:
    """Rounded cones that run into each other, as one closed surface, faces outward.

    The distances of single limbs are joined by a smooth minimum and meshed by marching cubes.
    """
    spacing = 0.025
    low = np.array([-0.6, -0.75, -0.8])
    axes = [np.arange(start, -start + spacing, spacing) for start in low]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    distances = np.stack([_to_limb(points, np.array(a), np.array(b), *radii) for a, b, *radii in limbs])
    joined = -MERGE * np.logaddexp.reduce(-distances / MERGE, axis=0)
    vertices, faces = isosurface(joined, spacing, degenerate=True)
    return TriangleMesh(vertices.astype(np.float64) + low, faces.astype(np.int64))


def _to_limb(points: FloatArray, start: FloatArray, end: FloatArray, first: float, second: float) -> FloatArray:
    """Distance of points (..., 3) to a segment, less a radius that changes along it."""
    along = end - start
    fraction = np.clip(((points - start) @ along) / (along @ along), 0, 1)
    nearest = start + fraction[..., None] * along
    distance: FloatArray = np.linalg.norm(points - nearest, axis=-1) - (first + fraction * (second - first))
    return distance


def _read(path: Path, settings: TargetSettings) -> dict[str, TriangleMesh]:
    """The meshes of a folder, or a mesh."""
    found = find_meshes(path) if path.is_dir() else {path.stem: path}
    meshes: dict[str, TriangleMesh] = {}
    for name, file in found.items():
        if len(meshes) == settings.count:
            break
        try:
            meshes[name] = load_mesh(file, settings.up)
        except LiftnetError as error:
            LOG.warning("%s is left out: %s", name, error)
    return meshes

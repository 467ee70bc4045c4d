"""What a sphere is turned into: meshes of a user, or shapes made here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.experiments.drkfs.chairs import chair_of
from liftnet.experiments.settings import TargetSettings
from liftnet.mesh.isosurface import isosurface
from liftnet.mesh.mesh import TriangleMesh, normalise
from liftnet.mesh.reading import find_meshes, load_mesh

LOG = get_logger("experiments")
FloatArray = npt.NDArray[np.floating]
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

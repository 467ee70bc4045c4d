"""Points drawn evenly from the surface of a mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liftnet.core.types import FloatArray, IntArray
from liftnet.mesh.mesh import TriangleMesh, face_areas, face_normals


@dataclass(frozen=True, repr=False)
class SurfaceSamples:
    """Points on a surface.

    Attributes:
        points: (N, 3) float64 world coordinates.
        normals: (N, 3) float64 unit normals of the faces they lie on, as the faces are wound.
        faces: (N,) int64 indices of those faces.
    """

    points: FloatArray
    normals: FloatArray
    faces: IntArray

    def __repr__(self) -> str:
        return f"SurfaceSamples({len(self.points)} points)"


def sample_surface(mesh: TriangleMesh, count: int, seed: int) -> SurfaceSamples:
    """Draw points independently, each place of the surface as likely as any other.

    Args:
        mesh: The surface; parts that lie inside or upon each other count as surface too.
        count: Number of points.
        seed: The same seed gives the same points.

    Raises:
        ValueError: `count` is below 1, or the mesh has no area.
    """
    if count < 1:
        raise ValueError(f"at least one point must be drawn, not {count}")
    until = np.cumsum(face_areas(mesh))
    if not (np.isfinite(until[-1]) and until[-1] > 0):
        raise ValueError(f"no points can be drawn from a surface with an area of {until[-1]}")
    generator = np.random.default_rng(seed)
    faces = np.searchsorted(until, generator.random(count) * until[-1], side="right").clip(max=len(until) - 1)
    # the square root turns the unit square into a triangle without crowding (Osada et al., Shape Distributions, 2002)
    root, along = np.sqrt(generator.random(count)), generator.random(count)
    weights = np.stack([1 - root, root * (1 - along), root * along], axis=1)
    points = np.einsum("nc,ncd->nd", weights, mesh.vertices[mesh.faces[faces]])
    return SurfaceSamples(points, face_normals(mesh)[faces], faces)

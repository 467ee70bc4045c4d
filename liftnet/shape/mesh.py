"""What a shape is: a triangle mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.integer]


@dataclass(frozen=True, repr=False)
class TriangleMesh:
    """A triangle mesh; +y is up.

    Attributes:
        vertices: (V, 3) float64 world coordinates, finite.
        faces: (F, 3) int64 indices of vertices, at least one face.
    """

    vertices: FloatArray
    faces: IntArray

    def __repr__(self) -> str:
        return f"TriangleMesh({len(self.vertices)} vertices, {len(self.faces)} faces)"

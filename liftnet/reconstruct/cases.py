"""What is to be reconstructed in an evaluation, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from liftnet.core.types import FloatArray
from liftnet.data.codes import Split
from liftnet.data.reconstruction_set import ReconstructionSet, ReconstructionShape
from liftnet.mesh.mesh import TriangleMesh
from liftnet.reconstruct.settings import EvaluateSettings


@dataclass(frozen=True)
class Case:
    """A picture of a shape that is to be reconstructed.

    Attributes:
        shape: What it shows.
        view: Which of the shape's pictures it is.
    """

    shape: ReconstructionShape
    view: int

    @property
    def name(self) -> str:
        """What no other case is called, also as a file."""
        return f"{self.shape.shape_id}-{self.view:03d}"


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A mesh that somebody has made of a picture.

    Attributes:
        mesh: In the shape's own frame, +y up; None where there is none.
        reason: Why there is none.
        surface: Points (N, 3) and normals (N, 3) of its outer surface where the mesh has more than that.
    """

    mesh: TriangleMesh | None
    reason: str = ""
    surface: tuple[FloatArray, FloatArray] | None = None

    @classmethod
    def of_arrays(cls, vertices: FloatArray, faces: FloatArray) -> Reconstruction:
        """A mesh of vertices (V, 3) and faces (F, 3); none where there are no faces, or vertices are not finite."""
        used = vertices[np.unique(faces)] if len(faces) else vertices[:0]
        if not len(faces):
            return cls(None, "the network gave no surface")
        if not np.isfinite(used).all():
            return cls(None, "the network gave vertices that are not finite")
        return cls(TriangleMesh(np.asarray(vertices, np.float64), np.asarray(faces, np.int64)))


Source = Callable[[Sequence[Case]], list[Reconstruction]]
"""Makes reconstructions of some cases, a batch at a time."""


def cases_of(data: ReconstructionSet, split: Split, settings: EvaluateSettings) -> list[Case]:
    """The first pictures of the first shapes of each class, as many as the settings say.

    Raises:
        LiftnetError: A class has no shape in the split.
    """
    chosen: list[Case] = []
    for name in settings.classes or data.classes:
        shapes = data.shapes(split, [name])[: settings.shapes]
        chosen += [Case(shape, view) for shape in shapes for view in range(min(settings.views, shape.n_views))]
    return chosen

"""A shape with what metrics need of it, each made when it is first asked for, or taken from an earlier run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.core.types import FloatArray
from liftnet.mesh.mesh import Placement, TriangleMesh, sample_surface
from liftnet.shape.settings import ComparisonSettings

if TYPE_CHECKING:
    from liftnet.shape.light_field import LightField

Arrays = Mapping[str, npt.NDArray[Any]]
LIGHT_FIELD = ("art", "fourier", "circularity", "eccentricity")
DESCRIPTORS = ("lfd", "shape_google", "mvcnn")


class Described:
    """A shape, points of its surface, and what the metrics lfd, shape_google and mvcnn compare.

    A descriptor depends neither on the place nor on the size of its shape, so that it holds wherever it is placed.
    Heavy modules are loaded when one is asked for.

    Args:
        mesh: The shape, +y up.
        settings: Where the weights of the descriptors are.
        seed: Of the points that are drawn for descriptors.
        surface: Points (N, 3) of its surface and their unit normals (N, 3), in random order, where not all of the
            mesh's surface counts, or they are there already; None: they are drawn from the mesh.
        known: Descriptors of an earlier run, as `arrays` gave them.
    """

    def __init__(
        self,
        mesh: TriangleMesh,
        settings: ComparisonSettings | None = None,
        seed: int = 0,
        surface: tuple[FloatArray, FloatArray] | None = None,
        known: Arrays | None = None,
    ) -> None:
        self.mesh, self.settings, self.seed = mesh, settings or ComparisonSettings(), seed
        self.surface, self.known = surface, known or {}

    def placed(self, place: Placement) -> Described:
        """The same shape moved, turned and scaled."""
        surface = self.surface and (place.points(self.surface[0]), self.surface[1] @ place.rotation.T)
        return Described(place.mesh(self.mesh), self.settings, self.seed, surface, self.known)

    def samples(self, count: int, seed: int) -> tuple[FloatArray, FloatArray]:
        """Points (N, 3) of the surface and their normals (N, 3); `count` of them, or all where fewer are given."""
        if self.surface is not None:
            return self.surface[0][:count], self.surface[1][:count]
        drawn = sample_surface(self.mesh, count, seed)
        return drawn.points, drawn.normals

    @cached_property
    def lfd(self) -> LightField:
        """The light field."""
        from liftnet.shape.light_field import LightField, describe

        if LIGHT_FIELD[0] in self.known:
            return LightField(**{name: self.known[name] for name in LIGHT_FIELD})
        return describe(self.mesh)

    @cached_property
    def shape_google(self) -> FloatArray:
        """(W,) the bag of geometric words."""
        from liftnet.shape.shape_google import describe, load_vocabulary

        if "shape_google" in self.known:
            return self.known["shape_google"]
        points = self.surface and self.surface[0]
        return describe(self.mesh, load_vocabulary(self.settings.vocabulary), self.seed, points)

    @cached_property
    def mvcnn(self) -> FloatArray:
        """(D,) features of a network's views.

        Raises:
            LiftnetError: No network is named, or it cannot be loaded.
        """
        if "mvcnn" in self.known:
            return self.known["mvcnn"]
        if self.settings.mvcnn is None:
            remedy = "Train one with `python -m liftnet drkfs train mvcnn` and give its folder as the setting `mvcnn`"
            raise LiftnetError("mvcnn", "no trained network is named", remedy)
        from liftnet.shape.mvcnn import describe, load_mvcnn

        return describe(self.mesh, load_mvcnn(self.settings.mvcnn))

    def arrays(self, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
        """Descriptors as arrays, for a file.

        Args:
            names: Some of `DESCRIPTORS`.
        """
        found: dict[str, npt.NDArray[Any]] = {}
        for name in names:
            value = getattr(self, name)
            parts = {part: getattr(value, part) for part in LIGHT_FIELD} if name == "lfd" else {name: value}
            found |= {key: np.asarray(part) for key, part in parts.items()}
        return found

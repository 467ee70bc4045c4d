"""Families of everyday shapes that stand in for the 17 classes of ShapeNet which the paper renders (its table 2)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.classes.craft import airplane, watercraft
from liftnet.render.classes.devices import display, lamp, rifle, telephone
from liftnet.render.classes.furniture import bed, bookshelf, cabinet, chair, sofa, speaker, table
from liftnet.render.classes.model import Model
from liftnet.render.classes.vehicles import bus, car, motorbike, train
from liftnet.render.random_source import RandomSource

Source = Callable[[np.random.Generator], RandomSource]
MAKERS: dict[str, Callable[[RandomSource], Model]] = {
    maker.__name__: maker
    for maker in (
        *(rifle, bookshelf, bus, bed, speaker, cabinet, lamp, chair, train, airplane, table, display, motorbike, car),
        *(watercraft, telephone, sofa),
    )
}
CLASSES: tuple[str, ...] = tuple(MAKERS)  # in the order of the paper's table 2


def make_shape(name: str, seed: int, source: Source = RandomSource) -> TriangleMesh:
    """One shape of a class: z up, its front towards -y, in the unit sphere about the origin.

    Args:
        name: One of `CLASSES`.
        seed: Which shape of the class; the same seed and source give the same shape.
        source: What its random numbers come from, made from a generator.

    Returns:
        A mesh of overlapping closed parts, with normals split at sharp edges and a colour at each vertex.

    Raises:
        LiftnetError: There is no such class.
    """
    return _model(name, seed, source).mesh()


def make_surface(name: str, seed: int, source: Source = RandomSource) -> TriangleMesh:
    """The same shape without normals and colours, its vertices not split: every part is a closed surface.

    Args and errors are those of `make_shape`; so are the coordinates.
    """
    return _model(name, seed, source).surface()


def _model(name: str, seed: int, source: Source) -> Model:
    if name not in MAKERS:
        raise LiftnetError(name, "is not a class of generated shapes", f"Choose one of {', '.join(CLASSES)}")
    return MAKERS[name](source(np.random.default_rng(stable_seed(seed, "class", name))))

"""The shapes of the set reconstruction, placed: from a folder of ShapeNetCore in its own splits, or generated.

Generated test shapes have sizes that training does not see. Each random size of a class, such as the length of a leg
or the span of a wing, is uniform in a range. Shapes of train and val draw all of theirs from the middle of the ranges;
those of test draw about every second one from the ends. What kinds a class has, all splits have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from liftnet.core.errors import LiftnetError, nearest
from liftnet.core.ids import stable_seed
from liftnet.data.codes import SPLITS
from liftnet.mesh.mesh import TriangleMesh, Up, normalising, with_creases
from liftnet.mesh.reading import read_mesh
from liftnet.render.classes import CLASSES, make_shape, make_surface
from liftnet.render.random_source import RangedSource
from liftnet.render.set_folder import Listed
from liftnet.render.settings import ReconstructionSetSettings, SetSettings
from liftnet.render.shapes import (
    CREASE,
    GENERATED,
    READING,
    SYNSETS,
    converters,
    shapenet_file,
    shapenet_models,
    shapenet_splits,
)

KEY = "render.reconstruction"


@dataclass(frozen=True)
class PlacedMesh:
    """A shape in the ball of radius .5 about the origin, +y up, its front towards +z.

    Attributes:
        surface: The mesh, each of its parts connected.
        visible: The same with normals, split at creases, and with colours where it has any.
    """

    surface: TriangleMesh
    visible: TriangleMesh


@dataclass(frozen=True)
class PlacedShape(Listed):
    """One shape of the set, before it is read or made.

    Attributes:
        make: Reads or makes it; raises BadMeshError.
    """

    make: Callable[[], PlacedMesh] = field(repr=False)


def placed_shapes(settings: SetSettings, seed: int) -> list[PlacedShape]:
    """The shapes of the set, sorted by class, split (train, val, test) and id.

    Raises:
        LiftnetError: A class is unknown or named twice, the folder is missing or lacks shapes of a class, or its table
            of splits cannot be used.
    """
    asked = settings.reconstruction
    for name in asked.classes:
        if name not in CLASSES or asked.classes.count(name) > 1:
            reason = "is named twice" if name in CLASSES else f"is not a class of shapes{nearest(name, CLASSES)}"
            raise LiftnetError(f"{KEY}.classes: {name}", reason, f"Choose among {', '.join(CLASSES)}")
    listing = _generated(asked, seed) if asked.folder is None else _from_folder(Path(asked.folder), settings, seed)
    return sorted(listing, key=lambda shape: (shape.class_name, SPLITS.index(shape.split), shape.shape_id))


def _counts(asked: ReconstructionSetSettings) -> dict[str, int]:
    return {"train": asked.train_per_class, "val": asked.val_per_class, "test": asked.test_per_class}


def _generated(asked: ReconstructionSetSettings, seed: int) -> Iterator[PlacedShape]:
    for name in asked.classes:
        for split, count in _counts(asked).items():
            for number in range(count):
                shape_id = f"{name}-{split}-{number:05d}"
                own = stable_seed(seed, "reconstruction", shape_id)
                make = partial(_made, name, own, asked.held_out, split != "test")
                yield PlacedShape(shape_id, name, split, GENERATED, own, make)


def _made(name: str, seed: int, held_out: float, inside: bool) -> PlacedMesh:
    source = partial(RangedSource, held_out=held_out, inside=inside)
    surface, visible = (make(name, seed, source).to_up("y") for make in (make_surface, make_shape))
    place = normalising(surface)
    return PlacedMesh(place.mesh(surface), place.mesh(visible))


def _from_folder(root: Path, settings: SetSettings, seed: int) -> Iterator[PlacedShape]:
    if not root.is_dir():
        raise LiftnetError(
            root, "is not a folder", f"Set {KEY}.folder to a folder in ShapeNetCore's layout, or to null"
        )
    splits = shapenet_splits(root)
    for name in settings.reconstruction.classes:
        models = shapenet_models(root, name, splits, seed)
        for split, count in _counts(settings.reconstruction).items():
            chosen = [model for model in models if model.split == split][:count]
            if count and not chosen:
                reason = f"holds no shapes of the class {name} in the split {split}"
                remedy = f"They belong into {SYNSETS[name]}/, splits into all.csv; or set {KEY}.{split}_per_class to 0"
                raise LiftnetError(root, reason, remedy)
            for model in chosen:
                make = partial(_read, shapenet_file(root / model.source), settings.views.up, settings.views.blender)
                yield PlacedShape(**vars(model), make=make)


def _read(path: Path, up: Up, blender: str) -> PlacedMesh:
    mesh = read_mesh(path, up, READING, converters(blender)).mesh
    surface = normalising(mesh).mesh(mesh)
    return PlacedMesh(surface, with_creases(surface, CREASE))

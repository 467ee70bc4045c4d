"""Shapes to be reconstructed from single pictures, as `render set --set reconstruction` writes them, and their reader.

Shapes lie in their own frame, +y up, their front towards +z, the middle of their box at the origin and within the ball
of radius .5. Cameras look at the origin from outside this ball.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_bytes
from liftnet.core.stored_arrays import open_tensors
from liftnet.core.types import BoolArray, Float32Array, UInt8Array
from liftnet.data.codes import split_named
from liftnet.data.pictures import read_rgba
from liftnet.data.schemas import RECONSTRUCTION_SHAPES, VIEWS, read_table

REMEDY = "Delete it and run `render set --set reconstruction` again"
_FORMAT = "liftnet.reconstruction.1"


@dataclass(frozen=True)
class ReconstructionShape:
    """One usable shape of a set.

    Attributes:
        shape_id: Its folder below shapes/.
        class_name: Such as "chair".
        split: train, val or test.
        source: Path below the folder of meshes, or "generated".
        n_views: Pictures of it.
        first_view: The row of the first of them in the table of views.
    """

    shape_id: str
    class_name: str
    split: str
    source: str
    n_views: int
    first_view: int = field(repr=False)


@dataclass(frozen=True, eq=False, repr=False)
class Pictures:
    """K pictures of shapes and how they were taken; the arrays of `liftnet.models.reconstruction.Views`.

    Attributes:
        images: (K, 4, S, S) uint8: red, green, blue (sRGB, black off the shape, not multiplied) and the share of the
            pixel that the shape covers.
        rotation: (K, 3, 3) float32, from the shape's frame to that of the camera: x right, y up, z towards it.
        distance: (K,) float32 of the camera from the shape's origin, which lies on its axis.
        half_width: (K,) float32, tangent of half its viewing angle: what the picture shows at distance 1.
    """

    images: UInt8Array
    rotation: Float32Array
    distance: Float32Array
    half_width: Float32Array

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Pictures({len(self)} of {self.images.shape[-1]} px)"


@dataclass(frozen=True, eq=False, repr=False)
class ShapeTarget:
    """What a network is to reconstruct of a shape.

    Attributes:
        points: (N, 3) float32, drawn evenly from the outer surface; what lies inside the solid is no part of it.
        normals: (N, 3) float32 of these points, of length 1, outwards.
        voxels: By resolution R, (R, R, R) bool, indexed [x, y, z] over the cube from -.5 to .5.
    """

    points: Float32Array
    normals: Float32Array
    voxels: dict[int, BoolArray]

    def __repr__(self) -> str:
        return f"ShapeTarget({len(self.points)} points, voxels {', '.join(map(str, self.voxels))})"


@dataclass(frozen=True, eq=False, repr=False)
class ReconstructionSet:
    """The shapes of a folder; files are read when they are asked for, and checked.

    >>> data = ReconstructionSet.open("results/renders/reconstruction")  # doctest: +SKIP
    >>> shape = data.shapes("train", ["chair"])[0]  # doctest: +SKIP
    >>> pictures, points = data.pictures(shape, [0, 3]), data.surface(shape)[0]  # doctest: +SKIP

    Attributes:
        folder: Where the set lies.
        all_shapes: Its usable shapes, by class, split and id; those set aside are only in shapes.parquet.
    """

    folder: Path
    all_shapes: tuple[ReconstructionShape, ...]
    _rotation: Float32Array
    _distance: Float32Array
    _half_width: Float32Array

    def __repr__(self) -> str:
        return f"ReconstructionSet({len(self.all_shapes)} shapes of {', '.join(self.classes)})"

    @classmethod
    def open(cls, folder: Path | str) -> ReconstructionSet:
        """Read the tables of a set.

        Raises:
            LiftnetError: They are missing, damaged or disagree, or no shape is usable.
        """
        folder = Path(folder)
        table = read_table(folder / "shapes.parquet", RECONSTRUCTION_SHAPES)
        views = read_table(folder / "views.parquet", VIEWS)
        names = views["shape_id"].to_pylist()
        first = {name: row for row, name in reversed(list(enumerate(names)))}
        usable = [row for row in table.to_pylist() if row["status"] == "ok"]
        shapes = tuple(
            ReconstructionShape(
                shape_id=row["shape_id"],
                class_name=row["class"],
                split=row["split"],
                source=row["source"],
                n_views=row["n_views"],
                first_view=first.get(row["shape_id"], 0),
            )
            for row in usable
        )
        if not shapes:
            raise LiftnetError(folder, f"none of its {len(table)} shapes is usable", "shapes.parquet says why")
        if sum(shape.n_views for shape in shapes) != len(views):
            raise LiftnetError(folder / "views.parquet", "does not list the views of shapes.parquet", REMEDY)
        rotation = _numbers(views["rotation"], 9).reshape(-1, 3, 3)
        return cls(folder, shapes, rotation, _numbers(views["distance"]), _numbers(views["half_width"]))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes of its shapes, ascending."""
        return tuple(sorted({shape.class_name for shape in self.all_shapes}))

    def shapes(self, split: str | None = None, classes: Collection[str] = ()) -> tuple[ReconstructionShape, ...]:
        """The shapes of a split, or of all, and of some classes, or of all.

        Raises:
            LiftnetError: A class has none, or there is no such split.
        """
        split = split_named(split) if split else None
        wanted = [shape for shape in self.all_shapes if split in (None, shape.split)]
        for name in classes or self.classes:
            if not any(shape.class_name == name for shape in wanted):
                reason = f"has no usable shapes of the class {name!r}" + (f" in the split {split}" if split else "")
                remedy = f"It has {', '.join(self.classes)}; shapes.parquet says what was set aside and why"
                raise LiftnetError(self.folder, reason, remedy)
        return tuple(shape for shape in wanted if not classes or shape.class_name in classes)

    def pictures(self, shape: ReconstructionShape, views: Sequence[int] | None = None) -> Pictures:
        """Some of a shape's pictures, or all, with their cameras.

        Raises:
            BadImageError: A file is missing or damaged.
            LiftnetError: A file has another size than the first.
        """
        numbers = np.arange(shape.n_views) if views is None else np.asarray(views, np.int64)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= shape.n_views):
            raise ValueError(f"{shape.shape_id} has the views 0 to {shape.n_views - 1}, not {numbers.tolist()}")
        images = [self._image(shape, int(number)) for number in numbers]
        if len({image.shape for image in images}) > 1:
            raise LiftnetError(self.folder / "shapes" / shape.shape_id, "has pictures of several sizes", REMEDY)
        rows = shape.first_view + numbers
        planes = np.stack(images).transpose(0, 3, 1, 2)
        return Pictures(planes, self._rotation[rows], self._distance[rows], self._half_width[rows])

    def _image(self, shape: ReconstructionShape, view: int) -> UInt8Array:
        return read_rgba(picture_path(self.folder, shape.shape_id, view))

    def surface(self, shape: ReconstructionShape) -> tuple[Float32Array, Float32Array]:
        """(N, 3) points of the outer surface and their (N, 3) normals; errors as `read_target`."""
        target = read_target(target_path(self.folder, shape.shape_id), resolutions=())
        return target.points, target.normals

    def voxels(self, shape: ReconstructionShape, resolution: int = 32) -> BoolArray:
        """(R, R, R) bool, indexed [x, y, z] over the cube from -.5 to .5.

        Raises:
            LiftnetError: The file is missing or damaged, or the set has no voxels of this resolution.
        """
        path = target_path(self.folder, shape.shape_id)
        with _opened(path) as file:
            return _voxels(path, file, resolution)

    def target(self, shape: ReconstructionShape) -> ShapeTarget:
        """Points, normals and voxels of all resolutions; errors as `read_target`."""
        return read_target(target_path(self.folder, shape.shape_id))

    def mesh_file(self, shape: ReconstructionShape) -> Path:
        """The shape itself, whose parts may overlap, for `liftnet.mesh.reading.load_mesh`."""
        return mesh_path(self.folder, shape.shape_id)


# Files of a shape


def mesh_path(folder: Path, shape_id: str) -> Path:
    """The mesh of a shape."""
    return folder / "shapes" / shape_id / "mesh.ply"


def target_path(folder: Path, shape_id: str) -> Path:
    """The points, normals and voxels of a shape."""
    return folder / "shapes" / shape_id / "target.safetensors"


def picture_path(folder: Path, shape_id: str, view: int) -> Path:
    """A picture of a shape."""
    return folder / "shapes" / shape_id / f"{view:03d}.png"


def write_target(path: Path, target: ShapeTarget) -> None:
    """Write what is to be reconstructed of a shape, atomically; the same target gives the same bytes."""
    tensors: dict[str, npt.NDArray[np.generic]] = {
        "points": np.ascontiguousarray(target.points, np.float32),
        "normals": np.ascontiguousarray(target.normals, np.float32),
    }
    for resolution, voxels in target.voxels.items():
        tensors[f"voxels_{resolution}"] = np.packbits(voxels)
    write_bytes(path, save(tensors, {"format": _FORMAT}))


def read_target(path: Path, resolutions: Collection[int] | None = None) -> ShapeTarget:
    """Read what `write_target` wrote, with voxels of some resolutions, or of all.

    Raises:
        LiftnetError: The file is missing, damaged or of another format, numbers are not finite, or it has no voxels of
            a resolution.
    """
    with _opened(path) as file:
        points, normals = file.get_tensor("points"), file.get_tensor("normals")
        stored = [int(name.removeprefix("voxels_")) for name in file.keys() if name.startswith("voxels_")]  # noqa: SIM118 (no mapping)
        chosen = sorted(stored) if resolutions is None else resolutions
        voxels = {resolution: _voxels(path, file, resolution) for resolution in chosen}
    for name, rows in (("points", points), ("normals", normals)):
        if rows.dtype != np.float32 or rows.shape != (len(points), 3) or not len(rows):
            raise LiftnetError(path, f"has {name} {rows.dtype} {rows.shape}", REMEDY)
        if not np.isfinite(rows).all():
            raise LiftnetError(path, f"has {name} that are NaN or infinite", REMEDY)
    return ShapeTarget(points, normals, voxels)


@contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    """A file of a target, open to be read; what is wrong with it names the file and the remedy."""
    try:
        with open_tensors(path, "numpy") as file:
            if (file.metadata() or {}).get("format") != _FORMAT:
                raise LiftnetError(path, "is not a file of targets in this version", REMEDY)
            yield file
    except FileNotFoundError as error:
        raise LiftnetError(path, "does not exist", "Run `render set --set reconstruction` again") from error
    except (OSError, SafetensorError) as error:
        raise LiftnetError(path, f"is not a readable file of targets ({error})", REMEDY) from error


def _voxels(path: Path, file: safe_open, resolution: int) -> BoolArray:
    name = f"voxels_{resolution}"
    if name not in file.keys():  # noqa: SIM118 (a file of tensors is no mapping)
        stored = ", ".join(key.removeprefix("voxels_") for key in sorted(file.keys()) if key.startswith("voxels_"))
        remedy = f"It has {stored}; add {resolution} to render.reconstruction.voxels and render the set again"
        raise LiftnetError(path, f"has no voxels of the resolution {resolution}", remedy)
    packed, count = file.get_tensor(name), resolution**3
    if packed.dtype != np.uint8 or packed.shape != (-(-count // 8),):
        raise LiftnetError(path, f"has damaged voxels of the resolution {resolution}", REMEDY)
    return np.unpackbits(packed, count=count).view(np.bool_).reshape((resolution,) * 3)


def _numbers(column: pa.ChunkedArray, width: int = 1) -> Float32Array:
    """A column of numbers, or of lists of `width` of them, one after the other."""
    joined = column.combine_chunks()
    return np.asarray(joined.flatten() if width > 1 else joined, np.float32)

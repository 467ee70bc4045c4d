"""The shapes of a rendered set: from a folder in the layout of the original set, or generated in its place.

A shape is a mesh, or an RGB-D recording of an object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.files import write_text
from liftnet.core.ids import stable_fraction, stable_id, stable_seed
from liftnet.core.log import get_logger, progress
from liftnet.core.types import UInt8Array
from liftnet.core.walking import entries
from liftnet.data.codes import split_in, split_named
from liftnet.data.csv_lines import table_rows
from liftnet.data.masks import read_mask
from liftnet.data.pictures import picture_size, read_image, read_levels
from liftnet.data.truth import TrueView
from liftnet.geometry.cameras import Camera
from liftnet.mesh.isosurface import mesh_field
from liftnet.mesh.mesh import BadMeshError, TriangleMesh, Up, is_closed, normalise, with_creases
from liftnet.mesh.reading import Converters, find_meshes, read_mesh
from liftnet.mesh.settings import ReadingSettings
from liftnet.mesh.writing import write_mesh
from liftnet.render.artists import Work, plan_works
from liftnet.render.classes import CLASSES, make_shape, make_surface
from liftnet.render.intrinsics import read_intrinsics
from liftnet.render.set_folder import Listed
from liftnet.render.settings import SetSettings

LOG = get_logger("render")
READING = ReadingSettings(max_faces=5_000_000)
EXTENT = (1e-9, 1e9)  # longest side of a mesh that is rendered; beyond, something went wrong with its units
CREASE = 40.0  # degrees: faces that meet at a larger angle keep a sharp edge
SCULPTURE = "sculpture"
GENERATED = "generated"
PER_ARTIST = 5
SHAPENET_FRACTIONS = (0.1, 0.2)  # val and test of ShapeNetCore's own splits
SCAN_UNIT = "cm"  # of the depth of a recording, and of a photograph taken in its place
MM_PER_CM = 10.0
PICTURES = (".png", ".jpg", ".jpeg")
SYNSETS = {
    "airplane": "02691156",
    "bed": "02818832",
    "bookshelf": "02871439",
    "bus": "02924116",
    "cabinet": "02933112",
    "car": "02958343",
    "chair": "03001627",
    "display": "03211117",
    "lamp": "03636649",
    "motorbike": "03790512",
    "rifle": "04090263",
    "sofa": "04256520",
    "speaker": "03691459",
    "table": "04379243",
    "telephone": "04401088",
    "train": "04468005",
    "watercraft": "04530566",
}


@dataclass(frozen=True)
class Solid:
    """A mesh with normals, z up, and whether its surface is closed."""

    mesh: TriangleMesh
    watertight: bool


@dataclass(frozen=True)
class Shape(Listed):
    """One shape of a set, before it is read or made.

    Attributes:
        make: Reads or makes it; raises BadMeshError.
        material: Name of its material; None draws one.
    """

    make: Callable[[], Solid | Recording] = field(repr=False)
    material: str | None = None


def shapes_of(name: str, settings: SetSettings, seed: int) -> list[Shape]:
    """The shapes of the set `name`, sorted by class and id.

    Raises:
        LiftnetError: The folder is missing or holds no shapes, or its table of splits cannot be used.
    """
    folder = getattr(settings, name).folder
    if folder is None:
        makers = {"shapenet": _generated_classes, "sketchfab": _generated_sculptures, "scanned": _generated_scans}
        return sorted(makers[name](settings, seed), key=_order)
    root = Path(folder)
    if not root.is_dir():
        raise LiftnetError(root, "is not a folder", f"Set render.{name}.folder to a folder of meshes, or to null")
    listing = {"shapenet": _shapenet, "sketchfab": _sketchfab, "scanned": _scanned}[name]
    shapes = sorted(listing(root, settings, seed), key=_order)
    if not shapes:
        raise LiftnetError(root, "holds no shapes", f"The layouts of {name} are described in docs/rendering.md")
    return shapes


def split_of(name: str, val_fraction: float, test_fraction: float) -> str:
    """The split of a shape by a stable hash of its name: it stays when other shapes come or go."""
    at = stable_fraction(name, "split")
    return "test" if at < test_fraction else "val" if at < test_fraction + val_fraction else "train"


def split_exactly(names: list[str], val_fraction: float, test_fraction: float) -> dict[str, str]:
    """Split a known list so that the fractions hold as exactly as whole numbers allow; at random and fixed."""
    order = sorted(names, key=lambda name: stable_fraction(name, "split"))
    n_test, n_val = round(test_fraction * len(order)), round(val_fraction * len(order))
    parts = ["test"] * n_test + ["val"] * n_val + ["train"] * len(order)
    return dict(zip(order, parts, strict=False))


def _order(shape: Shape) -> tuple[str, str]:
    return shape.class_name, shape.shape_id


# Generated in place of the original data


def _generated_classes(settings: SetSettings, seed: int) -> Iterator[Shape]:
    return class_shapes(CLASSES, settings.shapenet.shapes_per_class, seed)


def class_shapes(classes: Iterable[str], count: int, seed: int) -> Iterator[Shape]:
    """`count` generated shapes of each class, with ShapeNetCore's fractions of val and test."""
    for name in classes:
        ids = [f"{name}-{number:05d}" for number in range(count)]
        splits = split_exactly(ids, *SHAPENET_FRACTIONS)
        for shape_id in ids:
            own = stable_seed(seed, "shapenet", shape_id)
            yield Shape(shape_id, name, splits[shape_id], GENERATED, own, partial(_class_shape, name, own))


def _class_shape(name: str, seed: int) -> Solid:
    return Solid(make_shape(name, seed), watertight=False)  # parts that overlap


def _generated_sculptures(settings: SetSettings, seed: int) -> Iterator[Shape]:
    works = _works(settings.sketchfab.sculptures, stable_seed(seed, "sketchfab"))
    splits = split_exactly(
        [work.work_id for work in works], settings.sketchfab.val_fraction, settings.sketchfab.test_fraction
    )
    for work in works:
        yield _sculpture(work, splits[work.work_id], settings.sketchfab.resolution)


def _generated_scans(settings: SetSettings, seed: int) -> Iterator[Shape]:
    for work in _works(settings.scanned.max_objects, stable_seed(seed, "scanned")):
        yield _sculpture(work, "test", settings.scanned.resolution)


def _works(count: int, seed: int) -> list[Work]:
    """`count` sculptures, of as many artists as there are styles before an artist makes a second one."""
    works = plan_works(-(-count // PER_ARTIST), PER_ARTIST, seed)
    return sorted(works, key=lambda work: stable_fraction(work.work_id, "pick"))[:count]


def _sculpture(work: Work, split: str, resolution: int) -> Shape:
    make = partial(_field_of, work, resolution)
    return Shape(work.work_id, SCULPTURE, split, GENERATED, work.seed, make, work.material)


def _field_of(work: Work, resolution: int) -> Solid:
    return Solid(mesh_field(work.shape(), resolution, up="z"), watertight=True)


# Folders of the user


def read_solid(path: Path, up: Up, blender: str = "") -> Solid:
    """Read a mesh file to be rendered; its parts become one mesh, its materials are left out.

    Args:
        path: The file.
        up: The axis that points up in it, y or z; an FBX file says so itself.
        blender: Where Blender is, for FBX.

    Raises:
        BadMeshError: The file is missing or unreadable, or the mesh has no faces, no extent, coordinates that are not
            finite, or is too large.
    """
    return solid_of(read_mesh(path, up, READING, converters(blender)).mesh, path)


def solid_of(mesh: TriangleMesh, name: object = "mesh") -> Solid:
    """A clean mesh as it is rendered: its longest side 1, its normals smooth but for creases, z up, float32.

    Raises:
        BadMeshError: It is of an absurd size.
    """
    extent = float(np.ptp(mesh.vertices, axis=0).max())
    if not EXTENT[0] < extent < EXTENT[1]:
        raise BadMeshError(name, "no_extent", f"its longest side is {extent:g} units", "Scale it to ordinary numbers")
    creased = with_creases(normalise(mesh, "side").to_up("z"), CREASE)  # numbers far from 1 lose digits in float32
    return Solid(
        replace(
            creased,
            vertices=creased.vertices.astype(np.float32),
            faces=creased.faces.astype(np.int32),
            normals=creased.known_normals.astype(np.float32),
        ),
        is_closed(mesh),
    )


def converters(blender: str = "") -> Converters:
    """Readers of the formats that only Blender knows."""
    return {".fbx": partial(_read_fbx, blender=blender)}


def _read_fbx(path: Path, blender: str) -> TriangleMesh:
    from liftnet.render.blender import BlenderError, read_fbx

    try:
        return read_fbx(path, blender)
    except BlenderError as error:
        raise BadMeshError(path, "unreadable", str(error)) from error
    except LiftnetError as error:
        raise BadMeshError(path, "needs_blender", str(error)) from error


def _sketchfab(root: Path, settings: SetSettings, seed: int) -> Iterator[Shape]:
    """Meshes anywhere below `root`; splits from splits.csv, from folders train, val and test, or by hash."""
    rows = read_splits(root / "splits.csv")
    for name, path in find_meshes(root, converters()).items():
        source = path.relative_to(root).as_posix()
        row = rows.get(source) or rows.get(path.stem) or {}
        folder = source.split("/")[0]
        split = row.get("split") or _split_of_folder(folder)
        if split is None:
            split = split_of(source, settings.sketchfab.val_fraction, settings.sketchfab.test_fraction)
        up: Up = "z" if (row.get("up") or settings.views.up) == "z" else "y"
        make = partial(read_solid, path, up, settings.views.blender)
        shape_id = stable_id(name)
        own = stable_seed(seed, source)
        yield Shape(shape_id, row.get("class") or SCULPTURE, split, source, own, make, path=path, up=up)


def _split_of_folder(name: str) -> str | None:
    """The split that a folder is named after; None for any other name."""
    with suppress(LiftnetError):
        return split_named(name)
    return None


def _scanned(root: Path, settings: SetSettings, seed: int) -> Iterator[Shape]:
    """RGB-D recordings `<object>/{rgb,depth,mask}`, else meshes as in the set sketchfab; all of them test."""
    found = [folder for folder in entries(root) if is_recording(folder)]
    for folder in found[: settings.scanned.max_objects]:
        own = stable_seed(seed, folder.name)
        make = partial(open_recording, folder)
        yield Shape(stable_id(folder.name), SCULPTURE, "test", folder.name, own, make, path=folder)
    if not found:
        meshes = sorted(_sketchfab(root, settings, seed), key=lambda shape: stable_fraction(shape.source, "pick"))
        for shape in meshes[: settings.scanned.max_objects]:
            yield replace(shape, class_name=SCULPTURE, split="test")


def _shapenet(root: Path, settings: SetSettings, seed: int) -> Iterator[Shape]:
    """ShapeNetCore; a model that its table of splits lists and the folder lacks is set aside."""
    splits = shapenet_splits(root)
    for name in SYNSETS:
        for model in shapenet_models(root, name, splits, seed)[: settings.shapenet.shapes_per_class]:
            make = partial(read_solid, shapenet_file(root / model.source), settings.views.up, settings.views.blender)
            yield Shape(**vars(model), make=make)


def shapenet_models(root: Path, name: str, splits: Mapping[str, Mapping[str, str]], seed: int) -> list[Listed]:
    """The models of a class of ShapeNetCore in a random order that stays the same when others come or go.

    They are `<synset>/<model>/models/model_normalized.obj` (or, in version 1, `<synset>/<model>/model.obj`).

    Args:
        root: The folder.
        name: One of `SYNSETS`.
        splits: As `shapenet_splits` gives them; a model that they do not name is split by its name.
        seed: Of the set.
    """
    synset = SYNSETS[name]
    listed = splits.get(synset, {})
    names = {*listed, *(path.name for path in (root / synset).glob("*") if path.is_dir())}
    models = []
    for model in sorted(sorted(names), key=lambda model: stable_fraction(model, "pick")):
        source = f"{synset}/{model}"
        split = listed.get(model) or split_of(source, *SHAPENET_FRACTIONS)
        path = shapenet_file(root / source)
        models.append(Listed(stable_id(name, model), name, split, source, stable_seed(seed, source), path=path))
    return models


def shapenet_file(folder: Path) -> Path:
    """The file of a model: that of version 2, else of version 1."""
    old = folder / "model.obj"
    return old if old.exists() else folder / "models" / "model_normalized.obj"


def shapenet_splits(root: Path) -> dict[str, dict[str, str]]:
    """Split of each model by synset, from the table all.csv; empty without it."""
    path = root / "all.csv"
    splits: dict[str, dict[str, str]] = {}
    if path.exists():
        for row in table_rows(path, ("synsetId", "modelId", "split")):
            splits.setdefault(row["synsetId"].zfill(8), {})[row["modelId"]] = split_in(path, row["split"])
    return splits


def read_splits(path: Path) -> dict[str, dict[str, str]]:
    """The rows of a splits.csv by `file`: a path below its folder or a name without suffix; split, up and class.

    Raises:
        LiftnetError: A column is missing, or a value is unknown.
    """
    if not path.exists():
        return {}
    rows = {row["file"]: row for row in table_rows(path, ("file", "split"))}
    for row in rows.values():
        row["split"] = split_in(path, row["split"])
        if row.get("up") not in (None, "", "y", "z"):
            raise LiftnetError(path, f"has up = {row['up']!r} for {row['file']}", "Use y or z")
    return rows


def write_shapes(out: Path, classes: Sequence[str], count: int, seed: int) -> pd.DataFrame:
    """Write `count` meshes of each class as `<class>/<name>.ply`, y up and facing +z, and the table shapes.csv.

    They are the shapes that `render set --set shapenet` renders with the same seed. Each is made of closed parts that
    may overlap, in the unit sphere about the origin.

    Args:
        out: Folder; its files of the same names are replaced.
        classes: Names of `CLASSES`; all where empty.
        count: Meshes of a class.
        seed: Which shapes.

    Returns:
        The table: class, name, split (train, val, test), faces.

    Raises:
        LiftnetError: An unknown class, no shapes asked for, or the folder cannot be written.
    """
    unknown = sorted(set(classes) - set(CLASSES))
    if unknown:
        raise LiftnetError(
            f"--classes {unknown[0]}", "is not a class of generated shapes", f"Choose among {', '.join(CLASSES)}"
        )
    if count < 1:
        raise LiftnetError(f"--meshes-per-class {count}", "asks for no shapes", "Give a whole number from 1 up")
    shapes = list(class_shapes(list(dict.fromkeys(classes)) or CLASSES, count, seed))
    rows = []
    for shape in progress(shapes, "render", "writing meshes"):
        surface = make_surface(shape.class_name, shape.seed)
        write_mesh(out / shape.class_name / f"{shape.shape_id}.ply", surface)
        rows.append((shape.class_name, shape.shape_id, shape.split, len(surface.faces)))
    table = pd.DataFrame(rows, columns=["class", "name", "split", "faces"])
    write_text(out / "shapes.csv", table.to_csv(index=False, lineterminator="\n"))
    LOG.info("%d meshes of %d classes: %s", len(table), table["class"].nunique(), out)
    return table


# RGB-D recordings of objects, as Choi et al. (2016) publish theirs, with a mask for each frame to be used


@dataclass(frozen=True)
class Recording:
    """An object's frames: colour, depth in mm registered to it, and mask, by name."""

    folder: Path
    names: tuple[str, ...]
    camera: Camera

    def frames(self, count: int) -> Iterator[tuple[str, UInt8Array, TrueView]]:
        """At most `count` frames, evenly spread: name, (H, W, 3) image, and depth in cm over the mask.

        Frames that cannot be read, or have no depth on the mask, are named in the log and left out.
        """
        picked = np.unique(np.linspace(0, len(self.names) - 1, min(count, len(self.names))).round().astype(int))
        for name in (self.names[number] for number in picked):
            try:
                yield name, *self._frame(name)
            except BadImageError as error:
                LOG.warning("%s: frame %s left out: %s", self.folder.name, name, error)

    def _frame(self, name: str) -> tuple[UInt8Array, TrueView]:
        image = read_image(_picture(self.folder / "rgb", name))
        size = (image.shape[1], image.shape[0])
        mask = read_mask(_picture(self.folder / "mask", name), size)
        path = _picture(self.folder / "depth", name)
        levels = read_levels(path)
        measured = (levels > 0) & (levels < np.iinfo(levels.dtype).max)  # the largest: saturated
        depth = levels.astype(np.float32) / np.float32(MM_PER_CM)
        if depth.shape != mask.shape:
            reason = f"has the shape {depth.shape}, its colour image {mask.shape}"
            raise BadImageError(path, "wrong_size", reason, "Register the depth to the colour images")
        known = mask & measured
        if not known.any():
            raise BadImageError(path, "no_depth", "has no depth on the mask", "Leave the frame out")
        return image, TrueView(np.where(known, depth, np.nan).astype(np.float32), self.camera, SCAN_UNIT)


def is_recording(folder: Path) -> bool:
    """Whether a folder has the layout of a recording."""
    return all((folder / name).is_dir() for name in ("rgb", "depth", "mask"))


def open_recording(folder: Path) -> Recording:
    """The frames that have colour, depth and a mask.

    Raises:
        BadMeshError: There are none, or its intrinsics cannot be used.
    """
    names = [
        {path.stem for path in entries(folder / part) if path.suffix.lower() in PICTURES}
        for part in ("rgb", "depth", "mask")
    ]
    shared = sorted(set.intersection(*names))
    if not shared:
        raise BadMeshError(folder, "no_frames", "no frame has colour, depth and a mask of the same name")
    return Recording(folder, tuple(shared), _camera(folder, shared[0]))


def _picture(folder: Path, name: str) -> Path:
    return next(path for path in entries(folder) if path.stem == name and path.suffix.lower() in PICTURES)


def _camera(folder: Path, name: str) -> Camera:
    """The camera of a recording, in cm.

    Raises:
        BadMeshError: Its intrinsics cannot be used, or its pictures cannot be read.
    """
    try:
        size = picture_size(_picture(folder / "rgb", name))
    except BadImageError as error:
        raise BadMeshError(folder, "no_frames", str(error), error.remedy) from error
    return Camera(read_intrinsics(folder, (size[0], size[1])), np.eye(3), np.zeros(3))

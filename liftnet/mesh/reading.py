"""Reading mesh files of others: scenes become one mesh, broken files a clear message."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import trimesh

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.types import FloatArray, IntArray
from liftnet.mesh.formats import DAMAGED, FORMATS, FolderResolver, refuse_large
from liftnet.mesh.mesh import BadMeshError, Dropped, TriangleMesh, Up, check_mesh, clean_mesh
from liftnet.mesh.settings import ReadingSettings

LOG = get_logger("mesh")
SUFFIXES = tuple(FORMATS)
Converter = Callable[[Path], TriangleMesh]
Converters = Mapping[str, Converter]
NO_CONVERTERS: Converters = MappingProxyType({})


@dataclass(frozen=True)
class ReadMesh:
    """A mesh from a file.

    Attributes:
        mesh: Its surface, +y up.
        parts: How many meshes of the file, instances counted, were joined.
        dropped: What was taken away.
    """

    mesh: TriangleMesh
    parts: int
    dropped: Dropped


def load_mesh(path: Path | str, up: Up = "y", settings: ReadingSettings | None = None) -> TriangleMesh:
    """Read a mesh file as one triangle mesh; what was dropped is logged.

    Scenes of several parts are joined, each instance where its transform puts it. Polygons become triangles. Colours,
    textures, normals and units are ignored. A surface may be open, cross itself or be wound inconsistently.

    Args:
        path: PLY, OBJ, OFF, STL, GLB, glTF or 3MF. Other files that it names are read only from its own folder (the
            buffers of glTF); materials and textures are never opened.
        up: The axis that points up in the file: "y", or "z", from which (x, y, z) becomes (x, z, -y).
        settings: The largest file and mesh.

    Returns:
        The mesh, cleaned as `liftnet.mesh.mesh.clean_mesh` says.

    Raises:
        BadMeshError: The file is missing, of another format, damaged, too large, has no faces, or has vertices that
            are not finite or not there.
    """
    read = read_mesh(path, up, settings)
    if read.dropped.flat or read.dropped.doubled:
        LOG.info("%s: dropped %s", path, read.dropped)
    return read.mesh


def read_mesh(
    path: Path | str, up: Up = "y", settings: ReadingSettings | None = None, converters: Converters = NO_CONVERTERS
) -> ReadMesh:
    """As `load_mesh`, with the number of parts and of what was dropped.

    Args:
        path: The file.
        up: The axis that points up in it; what a converter gives says so itself.
        settings: The largest file and mesh.
        converters: Readers of formats that only another program knows, by suffix (".fbx").
    """
    path, settings = Path(path), settings or ReadingSettings()
    if up not in ("y", "z"):
        raise LiftnetError("up", f"it is {up!r}", "Use y or z")
    suffix = path.suffix.lower()
    _check_file(path, (*FORMATS, *converters), settings)
    if suffix in converters:
        given = converters[suffix](path)
        _refuse_many_faces(path, len(given.faces), settings)
        up, parts, joined = given.up, 1, _checked_part(path, given.vertices, given.faces)
    else:
        instances = FORMATS[suffix].instances
        promised = instances(path, settings) if instances else None
        joined, parts = _joined(path, _scene(path, settings), settings)
        if promised is not None and parts != promised:
            reason = f"its components place {promised:,} meshes, of which the reader finds {parts:,}"
            raise BadMeshError(path, "unreadable", reason, "Export it without nested components")
    cleaned, dropped = clean_mesh(TriangleMesh(joined.vertices, joined.faces, up=up), path)
    return ReadMesh(cleaned.to_up("y"), parts, dropped)


def find_meshes(folder: Path | str, converters: Converters = NO_CONVERTERS) -> dict[str, Path]:
    """The mesh files below a folder, sorted, by their names: the path below it without suffix, "chair/a12".

    Raises:
        LiftnetError: There is no such folder, no mesh in it, or two meshes differ in their suffix alone.
    """
    folder, suffixes = Path(folder), (*FORMATS, *converters)
    if not folder.is_dir():
        raise LiftnetError(folder, "there is no such folder", "Give the folder that holds the meshes")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in suffixes or path.name.startswith(".") or not path.is_file():
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            reason = f"{found[name].name} and {path.name} have the same name"
            raise LiftnetError(folder, reason, "Rename one of them, or keep one of the formats")
        found[name] = path
    if not found:
        raise LiftnetError(folder, f"no mesh in it ({', '.join(suffixes)})", "Give the folder that holds the meshes")
    return found


def _check_file(path: Path, suffixes: tuple[str, ...], settings: ReadingSettings) -> None:
    """Refuse what is missing, of no known format, empty or too large."""
    if not path.is_file():
        raise BadMeshError(path, "missing", "there is no such file", "Give the path of a mesh")
    if path.suffix.lower() not in suffixes:
        named = path.suffix.lower() or "a file without suffix"
        remedy = f"Convert it to one of {', '.join(suffixes)}; Blender reads nearly all others"
        raise BadMeshError(path, "unreadable", f"{named} is not a format that is read", remedy)
    size = path.stat().st_size
    refuse_large(path, size, settings.max_bytes)
    if not size:
        raise BadMeshError(path, "unreadable", "it has 0 bytes", "Export or copy it again")


def _scene(path: Path, settings: ReadingSettings) -> trimesh.Scene:
    suffix = path.suffix.lower()
    form = FORMATS[suffix]
    options: dict[str, Any] = {"skip_materials": True} if form.materials else {}
    resolver = FolderResolver(path, settings.max_bytes)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadMeshError(
            path, "unreadable", f"it cannot be read: {error.strerror}", "Check its permissions"
        ) from error
    try:
        checked = form.check(path, data, settings)
        if form.reader is not None:
            return trimesh.Scene(trimesh.Trimesh(*form.reader(checked), process=False))
        stream = io.BytesIO(checked)
        with np.errstate(all="ignore"):  # vertices that are not finite are counted afterwards
            return trimesh.load_scene(stream, file_type=suffix[1:], resolver=resolver, process=False, **options)
    except LiftnetError:
        raise
    except Exception as error:  # readers of damaged files fail in every possible way
        reason = f"it is no {suffix} file, or a damaged one ({type(error).__name__}: {error})"
        raise BadMeshError(path, "unreadable", reason, "Open it in a 3D program and export it again") from error


def _refuse_many_faces(path: Path, count: int, settings: ReadingSettings) -> None:
    if count > settings.max_faces:
        reason = f"it has {count:,} triangles, at most {settings.max_faces:,} are read"
        raise BadMeshError(path, "too_large", reason, "Reduce it, or raise the limit on faces")


def _checked_part(path: Path, vertices: FloatArray, faces: IntArray) -> TriangleMesh:
    try:
        return check_mesh(vertices, faces, path)
    except ValueError as error:
        raise BadMeshError(path, "unreadable", f"a part of it is no mesh ({error})", DAMAGED) from error


def _joined(path: Path, scene: trimesh.Scene, settings: ReadingSettings) -> tuple[TriangleMesh, int]:
    """All instances of all meshes of a scene, in the world; and how many."""
    placed = [(node, *scene.graph[node]) for node in scene.graph.nodes_geometry]
    meshes = [
        (scene.geometry[name], transform)
        for _, transform, name in placed
        if isinstance(scene.geometry[name], trimesh.Trimesh)
    ]
    _refuse_many_faces(path, sum(len(mesh.faces) for mesh, _ in meshes), settings)
    vertices: list[FloatArray] = [np.zeros((0, 3))]
    faces: list[IntArray] = [np.zeros((0, 3), np.int64)]
    count = 0
    for mesh, transform in meshes:
        if not len(mesh.faces):
            continue
        part = _checked_part(path, mesh.vertices, mesh.faces)  # each, or an index could reach into the next part
        vertices.append(trimesh.transform_points(part.vertices, transform))
        # a mirrored part would be wound inside out
        faces.append((part.faces[:, ::-1] if np.linalg.det(transform[:3, :3]) < 0 else part.faces) + count)
        count += len(part.vertices)
    if not count and any(len(shape.vertices) for shape in scene.geometry.values()):
        raise BadMeshError(path, "no_faces", "it has points or lines, but no faces", "Export it as a triangle mesh")
    return check_mesh(np.concatenate(vertices), np.concatenate(faces), path), len(vertices) - 1

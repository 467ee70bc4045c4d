"""Reading mesh files of others: scenes become one mesh, broken files a clear message."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import trimesh

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.types import FloatArray, IntArray
from liftnet.mesh.formats import (
    DAMAGED,
    FolderResolver,
    check_3mf,
    check_gltf,
    check_off,
    check_ply,
    check_stl,
    obj_bytes,
    refuse_large,
)
from liftnet.mesh.mesh import Dropped, TriangleMesh, check_mesh, clean_mesh
from liftnet.mesh.settings import ReadingSettings

LOG = get_logger("mesh")
SUFFIXES = (".ply", ".obj", ".off", ".stl", ".glb", ".gltf", ".3mf")
Up = Literal["y", "z"]
_WITH_MATERIALS = (".ply", ".obj", ".glb", ".gltf")


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
        LiftnetError: The file is missing, of another format, damaged, too large, has no faces, or has vertices that
            are not finite or not there.
    """
    read = read_mesh(path, up, settings)
    if read.dropped.flat or read.dropped.doubled:
        LOG.info("%s: dropped %s", path, read.dropped)
    return read.mesh


def read_mesh(path: Path | str, up: Up = "y", settings: ReadingSettings | None = None) -> ReadMesh:
    """As `load_mesh`, with the number of parts and of what was dropped."""
    path, settings = Path(path), settings or ReadingSettings()
    if up not in ("y", "z"):
        raise LiftnetError("up", f"it is {up!r}", "Use y or z")
    promised = check_3mf(path, settings.max_bytes) if path.suffix.lower() == ".3mf" and path.is_file() else None
    joined, parts = _joined(path, _scene(path, settings), settings)
    if promised is not None and parts != promised:
        reason = f"its components place {promised:,} meshes, of which the reader finds {parts:,}"
        raise LiftnetError(path, reason, "Export it without nested components")
    cleaned, dropped = clean_mesh(joined, path)
    if up == "z":
        turned = np.stack([cleaned.vertices[:, 0], cleaned.vertices[:, 2], -cleaned.vertices[:, 1]], axis=1)
        cleaned = TriangleMesh(turned, cleaned.faces)
    return ReadMesh(cleaned, parts, dropped)


def find_meshes(folder: Path | str) -> dict[str, Path]:
    """The mesh files below a folder, sorted, by their names: the path below it without suffix, "chair/a12".

    Raises:
        LiftnetError: There is no such folder, no mesh in it, or two meshes differ in their suffix alone.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise LiftnetError(folder, "there is no such folder", "Give the folder that holds the meshes")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            reason = f"{found[name].name} and {path.name} have the same name"
            raise LiftnetError(folder, reason, "Rename one of them, or keep one of the formats")
        found[name] = path
    if not found:
        raise LiftnetError(folder, f"no mesh in it ({', '.join(SUFFIXES)})", "Give the folder that holds the meshes")
    return found


def _scene(path: Path, settings: ReadingSettings) -> trimesh.Scene:
    suffix = path.suffix.lower()
    if not path.is_file():
        raise LiftnetError(path, "there is no such file", "Give the path of a mesh")
    if suffix not in SUFFIXES:
        remedy = f"Convert it to one of {', '.join(SUFFIXES)}; Blender reads nearly all others"
        raise LiftnetError(path, f"{suffix or 'a file without suffix'} is not a format that is read", remedy)
    options: dict[str, Any] = {"skip_materials": True} if suffix in _WITH_MATERIALS else {}
    resolver = FolderResolver(path, settings.max_bytes)
    try:
        stream = io.BytesIO(_checked_bytes(path, suffix, settings))
        with np.errstate(all="ignore"):  # vertices that are not finite are counted afterwards
            return trimesh.load_scene(stream, file_type=suffix[1:], resolver=resolver, process=False, **options)
    except LiftnetError:
        raise
    except Exception as error:  # readers of damaged files fail in every possible way
        reason = f"it is no {suffix} file, or a damaged one ({type(error).__name__}: {error})"
        raise LiftnetError(path, reason, "Open it in a 3D program and export it again") from error


def _checked_bytes(path: Path, suffix: str, settings: ReadingSettings) -> bytes:
    """The contents of a file that is worth parsing."""
    try:
        refuse_large(path, path.stat().st_size, settings.max_bytes)
        data = path.read_bytes()
    except OSError as error:
        raise LiftnetError(path, f"it cannot be read: {error.strerror}", "Check its permissions") from error
    if not data:
        raise LiftnetError(path, "it has 0 bytes", "Export or copy it again")
    if suffix == ".obj":
        return obj_bytes(path, data)
    if suffix == ".off":
        check_off(path, data)
    elif suffix == ".ply":
        check_ply(path, data)
    elif suffix == ".stl":
        check_stl(path, data)
    elif suffix in (".glb", ".gltf"):
        check_gltf(path, data, settings.max_faces)
    return data


def _joined(path: Path, scene: trimesh.Scene, settings: ReadingSettings) -> tuple[TriangleMesh, int]:
    """All instances of all meshes of a scene, in the world; and how many."""
    placed = [(node, *scene.graph[node]) for node in scene.graph.nodes_geometry]
    meshes = [
        (scene.geometry[name], transform)
        for _, transform, name in placed
        if isinstance(scene.geometry[name], trimesh.Trimesh)
    ]
    total = sum(len(mesh.faces) for mesh, _ in meshes)
    if total > settings.max_faces:
        reason = f"it has {total:,} triangles, at most {settings.max_faces:,} are read"
        raise LiftnetError(path, reason, "Reduce it, or raise the limit on faces")
    vertices: list[FloatArray] = [np.zeros((0, 3))]
    faces: list[IntArray] = [np.zeros((0, 3), np.int64)]
    count = 0
    for mesh, transform in meshes:
        if not len(mesh.faces):
            continue
        try:
            part = check_mesh(mesh.vertices, mesh.faces, path)  # each, or an index could reach into the next part
        except ValueError as error:
            raise LiftnetError(path, f"a part of it is no mesh ({error})", DAMAGED) from error
        vertices.append(trimesh.transform_points(part.vertices, transform))
        # a mirrored part would be wound inside out
        faces.append((part.faces[:, ::-1] if np.linalg.det(transform[:3, :3]) < 0 else part.faces) + count)
        count += len(part.vertices)
    if not count and any(len(shape.vertices) for shape in scene.geometry.values()):
        raise LiftnetError(path, "it has points or lines, but no faces", "Export it as a triangle mesh")
    return check_mesh(np.concatenate(vertices), np.concatenate(faces), path), len(vertices) - 1

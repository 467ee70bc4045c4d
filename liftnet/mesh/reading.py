"""Reading mesh files of others: scenes become one mesh, broken files a clear message."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.opening import check_file, open_file, read_bytes
from liftnet.core.text import printable
from liftnet.core.types import FloatArray, IntArray
from liftnet.core.walking import tell_unreadable, walk
from liftnet.mesh.formats import FORMATS, OTHER_SUFFIXES, Format, MeshFile, kind_by_content, refuse_large
from liftnet.mesh.mesh import BadMeshError, Dropped, TriangleMesh, Up, check_mesh, clean_mesh
from liftnet.mesh.polygons import triangulate
from liftnet.mesh.readers.pieces import DamagedMeshError, Piece, UnreadMeshError, triangles_of
from liftnet.mesh.settings import ReadingSettings

LOG = get_logger("mesh")
SUFFIXES = tuple(FORMATS)
Converter = Callable[[Path], TriangleMesh]
Converters = Mapping[str, Converter]
DAMAGED = "The file is damaged or was cut off; export or copy it again"
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
        up, pieces = given.up, [Piece(given.vertices, triangles_of(given.faces))]
        joined, parts = _joined(path, pieces, settings)
    else:
        joined, parts = _read(path, FORMATS[suffix], settings)
    cleaned, dropped = clean_mesh(TriangleMesh(joined.vertices, joined.faces, up=up), path)
    return ReadMesh(cleaned.to_up("y"), parts, dropped)


def find_meshes(folder: Path | str, converters: Converters = NO_CONVERTERS) -> dict[str, Path]:
    """The mesh files below a folder, sorted, by their names: the path below it without suffix, "chair/a12".

    Links are followed, and those to nothing are among them: reading one says so. Hidden files are passed over; folders
    that cannot be read and meshes of other formats are named in the log.

    Raises:
        LiftnetError: There is no such folder, no mesh in it, or two meshes differ in their suffix alone.
    """
    folder, suffixes = Path(folder), (*FORMATS, *converters)
    if not folder.is_dir():
        raise LiftnetError(folder, "there is no such folder", "Give the folder that holds the meshes")
    found: dict[str, Path] = {}
    walked = walk(folder)
    tell_unreadable(walked)
    _tell_other_formats(folder, [path for path in walked.files if path.suffix.lower() in OTHER_SUFFIXES - {*suffixes}])
    for path in walked.files:
        if path.suffix.lower() not in suffixes or path.is_dir():
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            reason = f"{found[name].name} and {path.name} have the same name"
            raise LiftnetError(folder, reason, "Rename one of them, or keep one of the formats")
        found[name] = path
    if not found:
        closed = f", and {len(walked.unreadable)} folders that cannot be read" if walked.unreadable else ""
        reason = f"no mesh in it ({', '.join(suffixes)}){closed}"
        raise LiftnetError(folder, reason, "Give the folder that holds the meshes")
    return found


def _tell_other_formats(folder: Path, paths: list[Path]) -> None:
    if paths:
        names = ", ".join(printable(path.relative_to(folder)) for path in paths[:5])
        more = ", ..." if len(paths) > 5 else ""
        text = "%s: left out %d files of formats that are not read; convert them: %s%s"
        LOG.warning(text, printable(folder), len(paths), names, more)


def content_of(path: Path) -> str:
    """16 hex digits of the SHA-256 of what a mesh file holds, the files that a .gltf names included.

    Where it cannot be read, its path, so that nothing is taken for the same.
    """
    digest = hashlib.sha256()
    try:
        with open_file(path) as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
        for named in _files_beside(path):
            with open_file(named) as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError:
        return str(path)
    return digest.hexdigest()[:16]


def _files_beside(path: Path) -> list[Path]:
    """The buffers of a .gltf file that are files, as far as they can be found."""
    if path.suffix.lower() != ".gltf":
        return []
    try:
        buffers = json.loads(read_bytes(path)).get("buffers", [])
        named = [path.parent / unquote(buffer["uri"]) for buffer in buffers if "uri" in buffer]
        return [one for one in named if one.is_file()]
    except (ValueError, AttributeError, TypeError, OSError, RecursionError):
        return []


def _check_file(path: Path, suffixes: tuple[str, ...], settings: ReadingSettings) -> None:
    """Refuse what is missing, of no known format, empty or too large."""
    try:
        check_file(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        reason = "it is a link to a file that does not exist" if path.is_symlink() else "there is no such file"
        raise BadMeshError(path, "missing", reason, "Give the path of a mesh") from error
    except OSError as error:
        raise BadMeshError(path, "unreadable", f"it cannot be read: {error.strerror}", "Give a file") from error
    if path.suffix.lower() not in suffixes:
        named = path.suffix.lower() or "a file without suffix"
        remedy = f"Convert it to one of {', '.join(suffixes)}; Blender reads nearly all others"
        raise BadMeshError(path, "unreadable", f"{named} is not a format that is read", remedy)
    size = path.stat().st_size
    refuse_large(path, size, settings.max_bytes)
    if not size:
        raise BadMeshError(path, "unreadable", "it has 0 bytes", "Export or copy it again")


def _read(path: Path, form: Format, settings: ReadingSettings) -> tuple[TriangleMesh, int]:
    """All meshes of a file as one, and how many they were."""
    try:
        file = MeshFile(path, read_bytes(path), settings)
    except OSError as error:
        reason = f"it cannot be read: {error.strerror}"
        raise BadMeshError(path, "unreadable", reason, "Check its permissions") from error
    try:
        with np.errstate(all="ignore"):  # vertices that are not finite are counted afterwards
            return _joined(path, _pieces(file, form), settings)
    except Exception as error:  # readers of damaged files fail in every possible way
        raise _declared(path, file.data, error) from error


def _declared(path: Path, data: bytes, error: Exception) -> Exception:
    """What is said of a file that cannot be read: what it is, where its suffix tells otherwise, or what is wrong."""
    kind = kind_by_content(data)
    if kind is not None and kind[1] != path.suffix.lower():
        remedy = f"Name it *{kind[1]}" if kind[1] in FORMATS else kind[1]
        return BadMeshError(path, "unreadable", f"by its content it is {kind[0]}", remedy)
    if isinstance(error, LiftnetError):
        return error
    if isinstance(error, DamagedMeshError):
        reason = f"it is no {path.suffix.lower()} file, or a damaged one: {error}"
        return BadMeshError(path, "unreadable", reason, DAMAGED)
    if isinstance(error, UnreadMeshError):
        return BadMeshError(path, error.status, str(error), error.remedy)
    if isinstance(error, MemoryError):
        return BadMeshError(path, "too_large", "it does not fit into the memory", "Reduce it")
    LOG.debug("%s: %s: %s", path, type(error).__name__, error)
    named = f" (it has no {error.args[0]!r:.60})" if isinstance(error, KeyError) and error.args else ""
    reason = f"it is no {path.suffix.lower()} file, or its parts do not fit together{named}"
    return BadMeshError(path, "unreadable", reason, "Open it in a 3D program and export it again")


def _pieces(file: MeshFile, form: Format) -> Iterable[Piece]:
    if form.pieces is not None:
        return form.pieces(file)
    if form.reader is None:
        raise ValueError(f"the format of {file.path} has no reader")
    vertices, faces = form.reader(file.data)
    part = _checked_part(file.path, vertices, faces)
    return [Piece(part.vertices, triangles_of(part.faces))]


def _refuse_many_faces(path: Path, count: int, settings: ReadingSettings) -> None:
    if count > settings.max_faces:
        reason = f"it has {count:,} triangles, at most {settings.max_faces:,} are read"
        raise BadMeshError(path, "too_large", reason, "Reduce it, or raise the limit on faces")


def _checked_part(path: Path, vertices: FloatArray, faces: IntArray) -> TriangleMesh:
    try:
        return check_mesh(vertices, faces, path)
    except ValueError as error:
        raise BadMeshError(path, "unreadable", f"a part of it is no mesh ({error})", DAMAGED) from error


def _joined(path: Path, pieces: Iterable[Piece], settings: ReadingSettings) -> tuple[TriangleMesh, int]:
    """All meshes of a file as one of triangles; and how many there were."""
    vertices: list[FloatArray] = [np.zeros((0, 3))]
    faces: list[IntArray] = [np.zeros((0, 3), np.int64)]
    start = triangles = parts = points = crossed = polygons = 0
    for piece in pieces:
        points += len(piece.vertices)
        if not len(piece.polygons):
            continue
        triangles += int(np.maximum(piece.polygons.counts - 2, 0).sum())
        _refuse_many_faces(path, triangles, settings)
        _check_corners(path, piece)  # of each, or an index could reach into the next one
        found, bad = triangulate(piece.vertices, piece.polygons)
        crossed, polygons = crossed + bad, polygons + len(piece.polygons)
        if len(found):
            vertices.append(piece.vertices)
            faces.append(found + start)
            start, parts = start + len(piece.vertices), parts + piece.count
    if crossed:
        reason = f"{crossed:,} of its {polygons:,} polygons cross themselves, so that their surface is not defined"
        raise BadMeshError(path, "unreadable", reason, "Divide it into triangles in a 3D program")
    if not start and points:
        raise BadMeshError(path, "no_faces", "it has points or lines, but no faces", "Export it as a triangle mesh")
    return check_mesh(np.concatenate(vertices), np.concatenate(faces), path), parts


def _check_corners(path: Path, piece: Piece) -> None:
    corners, count = piece.polygons.corners, len(piece.vertices)
    outside = int(((corners < 0) | (corners >= count)).sum())
    if outside:
        reason = (
            f"a face index is out of bounds: {outside:,} corners name vertices that do not exist (it has {count:,})"
        )
        remedy = "The file is damaged, or its exporter is; export it again"
        raise BadMeshError(path, "unreadable", reason, remedy)

"""3MF: the meshes that the build places, by trimesh; what it might lose without a word is counted beside it."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

import numpy as np
import trimesh
from lxml import etree

from liftnet.mesh.readers.pieces import DamagedMeshError, Piece, UnreadMeshError, triangles_of

MAX_INSTANCES = 10_000
REMEDY = "Export it without nested components"
_BAD_ARCHIVE = (
    *(zipfile.BadZipFile, zlib.error, etree.XMLSyntaxError),
    *(OSError, EOFError, NotImplementedError, RuntimeError, ValueError),
)


@dataclass
class _Model:
    """What a model file places.

    Attributes:
        placed: The objects that each object places.
        faces: How many triangles each object has itself.
        built: The objects that the build places.
        elsewhere: Other model files that it takes objects from.
    """

    placed: dict[str, list[str]] = field(default_factory=dict)
    faces: dict[str, int] = field(default_factory=dict)
    built: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


def read(data: bytes, max_bytes: int) -> Iterator[Piece]:
    """The meshes that a 3MF file places, each instance in its place.

    Args:
        data: Contents of the file.
        max_bytes: The most that it may unpack to.

    Raises:
        DamagedMeshError: It is none, or its components contain themselves.
        UnreadMeshError: It unpacks to more than is read, or places what is not read.
    """
    count, faces = _promised(data, max_bytes)
    if not count:
        raise UnreadMeshError("its build places no object", "Export it anew", "no_faces")
    scene = trimesh.load_scene(io.BytesIO(data), file_type="3mf", process=False)
    found = [(scene.graph[node][0], scene.geometry[scene.graph[node][1]]) for node in scene.graph.nodes_geometry]
    if len(found) != count:
        reason = f"its components place {count:,} meshes, of which the reader finds {len(found):,}"
        raise UnreadMeshError(reason, REMEDY)
    read_faces = sum(len(mesh.faces) for _, mesh in found)
    if faces is not None and read_faces != faces:
        raise UnreadMeshError(f"it places {faces:,} triangles, of which the reader finds {read_faces:,}", REMEDY)
    for transform, mesh in found:
        corners = mesh.faces[:, ::-1] if np.linalg.det(transform[:3, :3]) < 0 else mesh.faces
        yield Piece(trimesh.transform_points(mesh.vertices, transform), triangles_of(np.asarray(corners)))


def _promised(data: bytes, max_bytes: int) -> tuple[int, int | None]:
    """How many meshes, and triangles, a 3MF file places; None triangles where some stand in other model files.

    Components may nest, so that a small file places a great many; the reader gives up on those without a word.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
            if unpacked > max_bytes:
                reason = f"it unpacks to {unpacked / 1e9:.3g} GB, at most {max_bytes / 1e9:.3g} are read"
                raise UnreadMeshError(reason, "Reduce it, or raise the limit", "too_large")
            damaged = archive.testzip()
            if damaged is not None:
                raise DamagedMeshError(f"its part {damaged!r} is damaged")
            models = [name for name in archive.namelist() if "3d/3dmodel.model" in name.lower()]
            if not models:
                raise DamagedMeshError("it is a ZIP archive without the part 3D/3dmodel.model")
            with archive.open(models[0]) as file:
                model = _model(file)
            for name in model.elsewhere:
                _check_elsewhere(archive, name)
    except (DamagedMeshError, UnreadMeshError):
        raise
    except _BAD_ARCHIVE as error:
        raise DamagedMeshError(f"it is no 3MF file ({error})") from error
    counts = _counts(model)
    count, faces = (sum(counts[name][which] for name in model.built) for which in (0, 1))
    if count > MAX_INSTANCES:
        raise UnreadMeshError(f"its components place {count:,} meshes, at most {MAX_INSTANCES:,} are read", REMEDY)
    return count, None if model.elsewhere else faces


def _model(file: IO[bytes]) -> _Model:
    model = _Model()
    tags = ("{*}object", "{*}item", "{*}triangles")
    faces = 0
    for _, element in etree.iterparse(file, tag=tags, resolve_entities=False, no_network=True, load_dtd=False):
        kind = etree.QName(element).localname
        if kind == "triangles":
            faces = len(element)
        elif kind == "item":
            model.built.append(element.get("objectid", ""))
        else:
            name, placed = element.get("id", ""), element.findall("{*}components/{*}component")
            model.placed[name] = [part.get("objectid", "") for part in placed]
            model.faces[name], faces = faces, 0
            model.elsewhere += [
                value.strip("/") for part in placed for key, value in part.items() if key.endswith("path")
            ]
            element.clear()
    return model


def _check_elsewhere(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse a part whose model file holds others too: the reader would take them all for it."""
    if name not in archive.namelist():
        raise DamagedMeshError(f"it takes an object from {name!r:.100}, which is not in it")
    with archive.open(name) as file:
        inner = _model(file)
    if len(inner.placed) > 1 or inner.elsewhere:
        reason = f"it takes an object from {name!r:.100}, which holds {len(inner.placed)}"
        raise UnreadMeshError(reason, "Export it as STL or PLY, or one object a file")


def _counts(model: _Model) -> dict[str, tuple[int, int]]:
    """How many meshes, and triangles, each object that the build places stands for."""
    counts: dict[str, tuple[int, int]] = {}

    def count(name: str, above: tuple[str, ...]) -> tuple[int, int]:
        if name in above or len(above) > 100:
            raise DamagedMeshError(f"its object {name} contains itself, or is nested too deeply")
        if name not in counts:
            below = [count(part, (*above, name)) for part in model.placed.get(name, [])]
            meshes, faces = (sum(part[which] for part in below) for which in (0, 1))
            counts[name] = (meshes, faces) if below else (1, model.faces.get(name, 0))
        return counts[name]

    for name in model.built:
        count(name, ())
    return counts

"""Reading meshes of others: PLY, OBJ, GLB, STL through trimesh, FBX through Blender; broken ones are named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.types import FloatArray
from liftnet.render.mesh import Mesh

SUFFIXES = (".ply", ".obj", ".glb", ".gltf", ".stl", ".off", ".fbx")
MAX_BYTES = 2_000_000_000
MAX_FACES = 5_000_000
CREASE = np.radians(40)  # faces that meet at a larger angle keep a sharp edge
UP = {
    "y": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),  # as in glTF: the front faces +z, and -y afterwards
    "z": np.eye(3),
}


class BadMesh(Exception):
    """A mesh that cannot be rendered: a row of the table of shapes, not the end of the command.

    Attributes:
        status: A short code.
        reason: The same in plain words.
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Solid:
    """A mesh and whether its surface is closed."""

    mesh: Mesh
    watertight: bool


def read_mesh(path: Path, up: str, blender: str = "") -> Solid:
    """Read a mesh file; a scene of several parts becomes one mesh, and a part's own colour is kept.

    Args:
        path: The file.
        up: The axis that points up in it, y or z; an FBX file says so itself.
        blender: Where Blender is, for FBX.

    Raises:
        BadMesh: The file is missing or unreadable, or the mesh has no faces, no extent, coordinates that are not
            finite, or is too large.
    """
    if not path.exists():
        raise BadMesh("missing", f"{path.name} does not exist")
    if path.stat().st_size > MAX_BYTES:
        raise BadMesh("too_large", f"{path.name} has {path.stat().st_size / 1e9:.1f} GB; at most 2 are read")
    if path.suffix.lower() == ".fbx":
        return solid_of(_read_fbx(path, blender), "z")  # Blender has turned it
    return solid_of(_read_parts(path), up)


def solid_of(parts: list[Any], up: str) -> Solid:
    """Check and join the parts (trimesh.Trimesh each) of a mesh; normals are smooth but for creases.

    Raises:
        BadMesh: As `read_mesh`.
    """
    import trimesh

    parts = [part for part in parts if len(part.faces)]
    if not parts:
        raise BadMesh("no_faces", "it has no faces")
    if sum(len(part.faces) for part in parts) > MAX_FACES:
        raise BadMesh("too_large", f"it has more than {MAX_FACES:,} faces")
    for part in parts:
        part.remove_unreferenced_vertices()
    vertices = np.concatenate([part.vertices for part in parts])
    if not np.isfinite(vertices).all():
        raise BadMesh("not_finite", "some of its coordinates are not finite")
    extent = float(np.ptp(vertices, axis=0).max())
    if not 1e-9 < extent < 1e9:
        raise BadMesh("no_extent", f"its longest side is {extent:g} units")
    colours = [_colour(part) for part in parts]  # before merging, which drops them
    for part in parts:
        part.merge_vertices(merge_tex=True, merge_norm=True)
        part.update_faces(part.nondegenerate_faces())
    if not any(len(part.faces) for part in parts):
        raise BadMesh("no_faces", "all of its faces are degenerate")
    watertight = all(part.is_watertight for part in parts)
    shaded = [trimesh.graph.smooth_shade(part, angle=CREASE) if len(part.faces) else part for part in parts]
    return Solid(_joined(shaded, colours, UP[up]), watertight)


def _read_parts(path: Path) -> list[Any]:
    import trimesh

    try:
        scene = trimesh.load_scene(path, process=False)
        return [part for part in scene.dump() if isinstance(part, trimesh.Trimesh)]
    except Exception as error:  # readers of damaged files fail in every possible way
        raise BadMesh("unreadable", f"{path.name} cannot be read ({type(error).__name__}: {error})") from error


def _read_fbx(path: Path, blender: str) -> list[Any]:
    import trimesh

    from liftnet.render.blender import BlenderError, read_fbx

    try:
        mesh = read_fbx(path, blender)
    except BlenderError as error:
        raise BadMesh("unreadable", str(error)) from error
    except LiftnetError as error:
        raise BadMesh("needs_blender", str(error)) from error
    return [trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)]


def _colour(part: Any) -> FloatArray | None:
    """(3,) linear colour of a part, None where the file says nothing."""
    kind = part.visual.kind
    if kind is None:
        return None
    stated = part.visual.material.main_color if kind == "texture" else np.median(part.visual.vertex_colors, axis=0)
    encoded = np.asarray(stated[:3], np.float32) / 255
    return np.where(encoded < 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _joined(parts: list[Any], colours: list[FloatArray | None], turn: FloatArray) -> Mesh:
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    vertices = np.concatenate([part.vertices for part in parts]) @ turn.T
    normals = np.concatenate([part.vertex_normals for part in parts]) @ turn.T
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)])
    known = [colour for colour in colours if colour is not None]
    painted = None
    if known:
        rows = [known[0] if colour is None else colour for colour in colours]
        painted = np.concatenate([np.tile(row, (len(p.vertices), 1)) for row, p in zip(rows, parts, strict=True)])
    # numbers far from 1 would lose their digits in float32
    middle = (vertices.min(0) + vertices.max(0)) / 2
    size = np.ptp(vertices, axis=0).max()
    return Mesh(
        ((vertices - middle) / size).astype(np.float32), faces.astype(np.int32), normals.astype(np.float32), painted
    )

"""The mesh formats that are read. `FORMATS` is the list: a new one is an entry there, and its reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from liftnet.core.opening import read_bytes
from liftnet.core.types import FloatArray, IntArray
from liftnet.mesh.mesh import BadMeshError
from liftnet.mesh.readers import gltf, obj, off, ply, stl, threemf
from liftnet.mesh.readers.pieces import Piece
from liftnet.mesh.settings import ReadingSettings


def refuse_large(path: Path, size: int, limit: int) -> None:
    """Raise `BadMeshError` where a file is larger than what is read."""
    if size > limit:
        reason = f"it has {size / 1e9:.3g} GB, at most {limit / 1e9:.3g} are read"
        raise BadMeshError(path, "too_large", reason, "Reduce it, or raise the limit")


@dataclass(frozen=True)
class MeshFile:
    """A mesh file as a reader is given it.

    Attributes:
        path: Where it lies.
        data: Its contents.
        settings: The largest file and mesh.
    """

    path: Path
    data: bytes
    settings: ReadingSettings

    def beside(self, address: str) -> bytes:
        """The contents of the file that a relative address stands for.

        Raises:
            BadMeshError: It is no file of the mesh's folder, missing, or too large.
        """
        remedy = "Put the file beside it and name it without its folder, or export to .glb, which is one file"
        folder = self.path.parent.resolve()
        try:
            target = (folder / unquote(address)).resolve()
            inside = not (urlparse(address).scheme or address.startswith(("/", "\\")))
            inside = inside and target.is_relative_to(folder)
            there = inside and target.is_file()
        except (OSError, ValueError):  # an address that no system takes
            inside, there = True, False
        if not inside:
            reason = f"it refers to {address!r:.200}, which is not in its folder"
            raise BadMeshError(self.path, "unreadable", reason, remedy)
        if not there:
            reason = f"it refers to {address!r:.200}, which does not exist"
            raise BadMeshError(self.path, "unreadable", reason, remedy)
        refuse_large(target, target.stat().st_size, self.settings.max_bytes)
        return read_bytes(target)


@dataclass(frozen=True)
class Format:
    """How files of a suffix are read: one of the two is given.

    Attributes:
        reader: Gives the vertices and faces that stand in the contents; what it raises says that the file is damaged.
        pieces: Gives the meshes of a file, each in its place, with polygons of any size.
    """

    reader: Callable[[bytes], tuple[FloatArray, IntArray]] | None = None
    pieces: Callable[[MeshFile], Iterable[Piece]] | None = None


def _gltf(file: MeshFile) -> Iterable[Piece]:
    limits = gltf.Limits(3 * file.settings.max_faces, file.settings.max_faces)
    return gltf.read(file.data, file.beside, limits, file.path.suffix.lower() == ".glb")


FORMATS: dict[str, Format] = {
    ".ply": Format(pieces=lambda file: ply.read(file.data)),
    ".obj": Format(pieces=lambda file: obj.read(file.data)),
    ".off": Format(pieces=lambda file: off.read(file.data)),
    ".stl": Format(pieces=lambda file: stl.read(file.data)),
    ".glb": Format(pieces=_gltf),
    ".gltf": Format(pieces=_gltf),
    ".3mf": Format(pieces=lambda file: threemf.read(file.data, file.settings.max_bytes)),
}
OTHER_SUFFIXES = frozenset(  # of meshes, scenes and clouds of points that are not read
    f".{name}"
    for name in re.findall(
        r"\w+",
        "fbx usdz usd usda usdc dae blend 3ds max c4d ma mb lwo abc skp 3dm ztl x3d wrl vrml stp step igs iges brep"
        " vtk vtp msh ctm drc pcd xyz pts las laz e57 splat spz gz",
    )
)
_REMEDY = "Convert it to one of " + ", ".join(FORMATS) + "; Blender reads nearly all others"
_CONTENTS = (  # what stands in the first bytes, in small letters; what such a file is; its suffix, or what to do
    (re.compile(rb"\Aply\s"), "a PLY file", ".ply"),
    (re.compile(rb"\Agltf[\x01\x02]\0\0\0"), "a GLB file", ".glb"),
    (re.compile(rb"\Asolid\b[\s\S]*\bfacet\s"), "an STL file", ".stl"),
    (re.compile(rb"\A(st)?c?n?4?n?off\s"), "an OFF file", ".off"),
    (re.compile(rb"\A\s*\{[\s\S]*\"asset\""), "a glTF file", ".gltf"),
    (re.compile(rb"\Apk\x03\x04"), "a ZIP archive, as 3MF and USDZ files are", ".3mf"),
    (re.compile(rb"\Akaydara fbx"), "an FBX file", _REMEDY),
    (re.compile(rb"<collada"), "a COLLADA file", _REMEDY),
    (re.compile(rb"\A#vrml|\A#x3d|<x3d"), "a VRML or X3D file", _REMEDY),
    (re.compile(rb"\A#usda|\Apxr-usdc"), "a USD file", _REMEDY),
    (re.compile(rb"\Ablender"), "a document of Blender", "Export it from Blender"),
    (re.compile(rb"\Aiso-10303-21"), "a STEP file, which holds no triangles", "Export it as a triangle mesh"),
    (re.compile(rb"\Adraco"), "a mesh packed by Draco", "Export it without compression"),
    (re.compile(rb"\A# \.pcd"), "a cloud of points (PCD)", "Make a surface of it"),
    (re.compile(rb"\A\x1f\x8b"), "gzip-compressed data", "Unpack it"),
    (
        re.compile(rb"\Aversion https://git-lfs"),
        "a Git LFS pointer: the mesh was not checked out",
        "Run `git lfs pull`",
    ),
    (re.compile(rb"\A/annex/objects/"), "a pointer of git-annex: the mesh was not fetched", "Run `git annex get`"),
    (re.compile(rb"\A\s*<(!doctype html|html|\?xml)"), "a page of the web, or XML", "Get the file again"),
    (re.compile(rb"(?m)^v[ \t]+-?[\d.]"), "an OBJ file", ".obj"),
)
_LOOKED_AT = 2048  # bytes


def kind_by_content(data: bytes) -> tuple[str, str] | None:
    """What a file is by its first bytes, in words, and the suffix of its format, or what to do about it."""
    start = data[:_LOOKED_AT].removeprefix(b"\xef\xbb\xbf").lower()
    return next(((words, other) for inside, words, other in _CONTENTS if inside.search(start)), None)

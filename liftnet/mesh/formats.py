"""The mesh formats that are read, and what must be known of a file before it is parsed.

That is its size, its references to other files and promises that it breaks. `FORMATS` is the list: a new one is an
entry there.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlparse

from lxml import etree
from trimesh.resolvers import Resolver

from liftnet.core.types import FloatArray, IntArray
from liftnet.mesh.mesh import BadMeshError
from liftnet.mesh.settings import ReadingSettings

DAMAGED = "The file is damaged or was cut off; export or copy it again"
MAX_INSTANCES = 10_000  # of a 3MF file
_OBJ_ODD = re.compile(rb"^[ \t]*f(?:[ \t][^\n]*)?[ \t](?:-|0[/ \t\r\n])", re.MULTILINE)
_DECODED = ("KHR_materials_", "KHR_texture_", "EXT_texture_", "KHR_lights_", "KHR_mesh_quantization", "KHR_xmp")


_BAD_ARCHIVE = (
    *(zipfile.BadZipFile, zlib.error, etree.XMLSyntaxError),
    *(OSError, EOFError, NotImplementedError, RuntimeError, ValueError),
)


class FolderResolver(Resolver):
    """Gives a reader the files that a mesh file names, if they lie in its folder; all else is refused.

    Args:
        path: The mesh file.
        max_bytes: Largest file that is given.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path, self.folder, self.max_bytes = path, path.parent.resolve(), max_bytes

    def get(self, key: str) -> bytes:
        """The contents of the file that `key`, a relative address, stands for.

        Raises:
            BadMeshError: It is no file of this folder, missing, or too large.
        """
        remedy = "Put the file beside it and name it without its folder, or export to .glb, which is one file"
        outside = BadMeshError(
            self.path, "unreadable", f"it refers to {key!r:.200}, which is not in its folder", remedy
        )
        if urlparse(key).scheme or key.startswith(("/", "\\")):
            raise outside
        target = (self.folder / unquote(key)).resolve()
        if not target.is_relative_to(self.folder):
            raise outside
        if not target.is_file():
            raise BadMeshError(self.path, "unreadable", f"it refers to {key!r:.200}, which does not exist", remedy)
        refuse_large(target, target.stat().st_size, self.max_bytes)
        return target.read_bytes()

    def write(self, name: str, data: Any) -> None:
        """Refused: reading writes nothing."""
        raise BadMeshError(self.path, "unreadable", f"reading it must not write {name!r:.200}")

    def namespaced(self, namespace: str) -> FolderResolver:
        """The same resolver: no format that is read here has folders."""
        return self

    def keys(self) -> Iterator[str]:
        """The names of the files of the folder."""
        return (item.name for item in self.folder.iterdir() if item.is_file())


def refuse_large(path: Path, size: int, limit: int) -> None:
    """Raise `BadMeshError` where a file is larger than what is read."""
    if size > limit:
        reason = f"it has {size / 1e9:.3g} GB, at most {limit / 1e9:.3g} are read"
        raise BadMeshError(path, "too_large", reason, "Reduce it, or raise the limit")


def _damaged(path: Path, reason: str) -> BadMeshError:
    return BadMeshError(path, "unreadable", reason, DAMAGED)


def _check_obj(path: Path, data: bytes, settings: ReadingSettings) -> bytes:
    """An OBJ file whose faces count from the file's first vertex, and whose last line is whole.

    Faces may name vertices counted back from where they stand, as -1. The reader counts them back from the end of the
    file, so they are rewritten.

    Raises:
        BadMeshError: A face names vertex 0 or a vertex before the first, or the file ends within a face.
    """
    last = data.rstrip(b" \t\r\n").rpartition(b"\n")[2].split()
    if last and ((last[0] == b"f" and len(last) < 4) or (last[0] == b"v" and len(last) < 4)):
        raise _damaged(path, "its last line is not whole")
    return _absolute_faces(path, data) if _OBJ_ODD.search(data) else data


def _absolute_faces(path: Path, data: bytes) -> bytes:
    vertices, lines = 0, []
    for line in data.replace(b"\\\n", b" ").splitlines():
        words = line.split()
        if words and words[0] == b"v":
            vertices += 1
        elif words and words[0] == b"f":
            corners = [int(word.split(b"/")[0]) for word in words[1:]]
            if any(corner == 0 or corner < -vertices for corner in corners):
                raise _damaged(path, f"a face names vertex {min(corners)}, which does not exist")
            line = b"f " + b" ".join(b"%d" % (corner + (corner < 0) * (vertices + 1)) for corner in corners)
        lines.append(line)
    return b"\n".join(lines)


def _check_off(path: Path, data: bytes, settings: ReadingSettings) -> bytes:
    """Raise `BadMeshError` where an OFF file has fewer lines than it promises: its reader takes what is there."""
    lines = [line.split(b"#")[0].strip() for line in data.splitlines()]
    words = [line for line in lines if line]
    if words and words[0].upper().endswith(b"OFF"):
        words = words[1:]
    elif words:
        words[0] = re.sub(rb"^\w*OFF\s*", b"", words[0])
    counts = words[0].split() if words else []
    if len(counts) < 2 or not all(count.isdigit() for count in counts):
        raise _damaged(path, "it is no OFF file: the numbers of its vertices and faces are missing")
    promised = int(counts[0]) + int(counts[1])
    if len(words) - 1 < promised:
        raise _damaged(path, f"it promises {promised:,} lines and has {len(words) - 1:,}")
    return data


def _check_ply(path: Path, data: bytes, settings: ReadingSettings) -> bytes:
    """Raise `BadMeshError` where a PLY file in text has fewer lines than it promises; its reader does not look."""
    header, found, _ = data[:100_000].partition(b"end_header")
    if not found or b"format ascii" not in header:
        return data  # the reader compares the length of binary files itself
    promised = sum(int(count) for count in re.findall(rb"^element\s+\w+\s+(\d+)", header, re.MULTILINE))
    lines = [line for line in data[len(header) + len(found) :].splitlines() if line.strip()]
    last = lines[-1].split() if lines else []
    lists = b"property list" in header.rpartition(b"element")[2]
    if len(lines) < promised or (lists and len(last) < int(last[0]) + 1):
        raise _damaged(path, f"it promises {promised:,} lines and has {len(lines):,}, or part of the last")
    return data


def _check_stl(path: Path, data: bytes, settings: ReadingSettings) -> bytes:
    """Raise `BadMeshError` where an STL file is cut off: its reader takes what is there, or nothing."""
    if len(data) >= 84 and len(data) == 84 + 50 * struct.unpack_from("<I", data, 80)[0]:
        return data
    facets, ends = data.count(b"facet normal"), data.count(b"endfacet")
    if not facets:
        raise _damaged(path, "it is no STL file, or its length is not what it says")
    if facets != ends or b"endsolid" not in data[-2000:]:
        raise _damaged(path, f"it begins {facets:,} triangles, ends {ends:,} and does not end itself")
    return data


def _check_gltf(path: Path, data: bytes, settings: ReadingSettings) -> bytes:
    """Look at the header of a glTF or GLB file.

    Raises:
        BadMeshError: It is none, is cut off, promises more than is read, or needs an extension that is not read.
    """
    tree = _gltf_tree(path, data)
    accessors = tree.get("accessors", [])
    for accessor in accessors:
        if not 0 <= int(accessor.get("count", 0)) <= 3 * settings.max_faces:
            reason = (
                f"it promises a list of {accessor['count']:,} numbers, at most {3 * settings.max_faces:,} are read"
            )
            raise BadMeshError(path, "too_large", reason, "Reduce it, or raise the limit on faces")
    needed = tree.get("extensionsRequired", [])
    unread = [name for name in needed if not str(name).startswith(_DECODED)]
    positions = {p.get("attributes", {}).get("POSITION") for m in tree.get("meshes", []) for p in m["primitives"]}
    if any(accessors[index].get("normalized") for index in positions if index is not None):
        unread.append("normalized integers as positions")
    if unread:
        reason = f"it is packed in a way that is not read here: {', '.join(map(str, unread))}"
        raise BadMeshError(path, "unreadable", reason, "Export it without compression")
    return data


def _gltf_tree(path: Path, data: bytes) -> dict[str, Any]:
    if data[:4] == b"glTF":
        if len(data) < 20 or struct.unpack_from("<I", data, 8)[0] > len(data):
            raise _damaged(path, "it is shorter than it says")
        data = data[20 : 20 + struct.unpack_from("<I", data, 12)[0]]
    elif path.suffix.lower() == ".glb":
        raise BadMeshError(path, "unreadable", "it is no GLB file", "Name it by what it is, or export it again")
    try:
        tree = json.loads(data)
    except ValueError as error:
        raise _damaged(path, f"its header is not JSON ({error})") from error
    if not isinstance(tree, dict) or "asset" not in tree:
        raise BadMeshError(path, "unreadable", "it is JSON, but not glTF", "Name it by what it is, or export it again")
    return tree


def _instances_of_3mf(path: Path, settings: ReadingSettings) -> int:
    """Look into a 3MF file, which is a ZIP archive.

    Returns:
        How many meshes it places. Components may nest, so that a small file places a great many; the reader gives up
        on those without a word, which the caller finds by this number.

    Raises:
        BadMeshError: It is none, unpacks to more than is read, or its components contain themselves.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_large(path, sum(item.file_size for item in archive.infolist()), settings.max_bytes)
            damaged = archive.testzip()
            if damaged is not None:
                raise _damaged(path, f"its part {damaged!r} is damaged")
            models = [name for name in archive.namelist() if "3d/3dmodel.model" in name.lower()]
            if not models:
                raise _damaged(path, "it is a ZIP archive without a 3D model")
            with archive.open(models[0]) as model:
                count = _instances(path, *_components(model))
    except _BAD_ARCHIVE as error:
        raise _damaged(path, f"it is no 3MF file ({error})") from error
    if count > MAX_INSTANCES:
        reason = f"its components place {count:,} meshes, at most {MAX_INSTANCES:,} are read"
        raise BadMeshError(path, "unreadable", reason, "Export it without nested components")
    return count


def _components(model: IO[bytes]) -> tuple[dict[str, list[str]], list[str]]:
    """The objects that each object of a 3MF model places, and those that the build places."""
    placed: dict[str, list[str]] = {}
    built: list[str] = []
    tags = ("{*}object", "{*}item")
    for _, element in etree.iterparse(model, tag=tags, resolve_entities=False, no_network=True, load_dtd=False):
        if etree.QName(element).localname == "item":
            built.append(element.get("objectid", ""))
        else:
            parts = element.iterfind("{*}components/{*}component")
            placed[element.get("id", "")] = [part.get("objectid", "") for part in parts]
            element.clear()
    return placed, built


def _instances(path: Path, placed: dict[str, list[str]], built: list[str]) -> int:
    counts: dict[str, int] = {}

    def count(name: str, above: tuple[str, ...]) -> int:
        if name in above or len(above) > 100:
            raise _damaged(path, f"its object {name} contains itself, or is nested too deeply")
        if name not in counts:
            parts = placed.get(name, [])
            counts[name] = sum(count(part, (*above, name)) for part in parts) if parts else 1
        return counts[name]

    return sum(count(name, ()) for name in built)


def _as_it_is(path: Path, data: bytes, settings: ReadingSettings) -> bytes:
    return data


@dataclass(frozen=True)
class Format:
    """How files of a suffix are read.

    Attributes:
        check: Looks at a file's contents before they are parsed; what it returns is parsed in their place.
        reader: Gives the vertices and faces that stand in the contents, for a format that trimesh does not read; what
            it raises says that the file is damaged.
        materials: Whether its reader knows materials and is to be told to leave them alone.
        instances: How many meshes a file is to give, where its reader may lose some without a word.
    """

    check: Callable[[Path, bytes, ReadingSettings], bytes] = _as_it_is
    reader: Callable[[bytes], tuple[FloatArray, IntArray]] | None = None
    materials: bool = False
    instances: Callable[[Path, ReadingSettings], int] | None = None


FORMATS: dict[str, Format] = {
    ".ply": Format(_check_ply, materials=True),
    ".obj": Format(_check_obj, materials=True),
    ".off": Format(_check_off),
    ".stl": Format(_check_stl),
    ".glb": Format(_check_gltf, materials=True),
    ".gltf": Format(_check_gltf, materials=True),
    ".3mf": Format(instances=_instances_of_3mf),
}

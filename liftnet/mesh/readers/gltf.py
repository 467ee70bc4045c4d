"""glTF 2.0 and GLB: the scene that is shown first, with its transforms, instances, skins and shapes of faces (morphs).

Every mesh stands where and as it does before any animation. What is packed by an extension that is not read here is
refused by its name.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np

from liftnet.core.types import FloatArray, Int64Array
from liftnet.mesh.readers.pieces import DamagedMeshError, Piece, UnreadMeshError, strip_triangles, triangles_of

Tree = dict[str, Any]
_ITEMS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_KINDS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_LEAST = {5120: 127, 5121: 255, 5122: 32767, 5123: 65535}  # what stands for 1 in normalized integers
_HARMLESS = ("KHR_materials_", "KHR_texture_", "EXT_texture_", "KHR_lights_", "KHR_xmp", "MSFT_texture_")
_READ = ("KHR_mesh_quantization", "EXT_mesh_gpu_instancing", "KHR_node_visibility")
_PACKED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression")
_POINTS_AND_LINES, _TRIANGLES, _STRIP, _FAN = (0, 1, 2, 3), 4, 5, 6
UNPACKED = "Export it without compression"
MAX_DEPTH = 500  # of nodes within nodes
MAX_INSTANCES = 100_000
MAX_ZEROS = 1_000_000  # rows of a list that the file leaves at 0


@dataclass(frozen=True)
class Limits:
    """The most that a file may ask for.

    Attributes:
        numbers: Items of a list of the file.
        triangles: Triangles of all instances.
    """

    numbers: int
    triangles: int


def read(data: bytes, fetch: Callable[[str], bytes], limits: Limits, is_glb: bool = False) -> Iterator[Piece]:
    """The meshes of the first scene of a glTF or GLB file, each instance in its place in the world.

    Args:
        data: Contents of the file.
        fetch: Gives the contents of a file that it names.
        limits: The most it may ask for.
        is_glb: It is named so.

    Raises:
        DamagedMeshError: It is none, or does not hold what it promises.
        UnreadMeshError: It is packed, or of a version, that is not read.
    """
    tree, chunk = _tree(data, is_glb)
    _check_extensions(tree)
    yield from _Document(tree, chunk, fetch, limits).pieces()


def _tree(data: bytes, is_glb: bool) -> tuple[Tree, bytes | None]:
    """The description, and the buffer that a GLB file holds itself."""
    chunk: bytes | None = None
    if data[:4] == b"glTF":
        version, length = (int.from_bytes(data[at : at + 4], "little") for at in (4, 8))
        if version != 2:
            raise UnreadMeshError(f"it is of version {version} of GLB", "Export it as glTF 2.0")
        if len(data) < 20 or length > len(data):
            raise DamagedMeshError("it is shorter than it says")
        size = int.from_bytes(data[12:16], "little")
        if data[16:20] != b"JSON" or 20 + size > len(data):
            raise DamagedMeshError("its first part is no description")
        rest, data = data[20 + size :], data[20 : 20 + size]
        if rest[4:8] == b"BIN\0":
            chunk = rest[8 : 8 + int.from_bytes(rest[:4], "little")]
    elif is_glb:
        raise UnreadMeshError("it is no GLB file", "Name it by what it is, or export it again")
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedMeshError(f"its header is not JSON ({error})") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("asset"), dict):
        raise UnreadMeshError("it is JSON, but not glTF", "Name it by what it is, or export it again")
    needed = str(tree["asset"].get("minVersion", tree["asset"].get("version", "2.0")))
    if not needed.startswith("2."):
        raise UnreadMeshError(f"it is of version {needed[:20]} of glTF", "Export it as glTF 2.0")
    return tree, chunk


def _check_extensions(tree: Tree) -> None:
    needed = [str(name) for name in tree.get("extensionsRequired", [])]
    unread = [name for name in needed if name not in _READ and not name.startswith(_HARMLESS)]
    if unread:
        raise UnreadMeshError(f"it is packed in a way that is not read here: {', '.join(unread)}", UNPACKED)


def _packed(part: Tree) -> str | None:
    """The extension that packs a part of the file."""
    return next((name for name in _PACKED if name in part.get("extensions", {})), None)


class _Document:
    def __init__(self, tree: Tree, chunk: bytes | None, fetch: Callable[[str], bytes], limits: Limits) -> None:
        self.tree, self.chunk, self.fetch, self.limits = tree, chunk, fetch, limits
        self._buffers: dict[int, bytes] = {}
        self._world: dict[int, FloatArray] = {}
        self._triangles = 0

    def item(self, kind: str, index: Any) -> Tree:
        """An entry of a list of the file."""
        entries = self.tree.get(kind, [])
        if not isinstance(index, int) or isinstance(index, bool) or not isinstance(entries, list):
            raise DamagedMeshError(f"it names {kind} {index!r:.40}")
        if not 0 <= index < len(entries) or not isinstance(entries[index], dict):
            raise DamagedMeshError(f"it names number {index} of its {len(entries)} {kind}")
        entry: Tree = entries[index]
        return entry

    def pieces(self) -> Iterator[Piece]:
        """The meshes of the scene."""
        placed = list(self._placed())
        for number, shown in placed:
            node = self.item("nodes", number)
            if not shown or node.get("mesh") is None:
                continue
            mesh = self.item("meshes", node["mesh"])
            transforms = self._instances(node, self._world[number])
            for primitive in mesh["primitives"]:
                yield from self._primitive(primitive, node, mesh, transforms)
        if not placed and self.tree.get("meshes"):
            raise UnreadMeshError(
                "its scene places none of its meshes", "Export the scene that holds them", "no_faces"
            )

    # Nodes

    def _roots(self) -> list[int]:
        if self.tree.get("scenes"):
            return list(self.item("scenes", self.tree.get("scene", 0)).get("nodes", []))
        inner = {child for node in self.tree.get("nodes", []) for child in node.get("children", [])}
        return [number for number in range(len(self.tree.get("nodes", []))) if number not in inner]

    def _placed(self) -> Iterator[tuple[int, bool]]:
        """The nodes of the scene and whether they are shown; where they stand is kept in `_world`."""
        waiting: list[tuple[int, FloatArray, bool, int]] = [
            (root, np.eye(4), True, 0) for root in reversed(self._roots())
        ]
        while waiting:
            number, above, shown, depth = waiting.pop()
            node = self.item("nodes", number)
            if number in self._world or depth > MAX_DEPTH:
                raise DamagedMeshError(f"its node {number} stands in two places, within itself, or too deep")
            self._world[number] = above @ _local(node)
            visible = node.get("extensions", {}).get("KHR_node_visibility", {}).get("visible", True)
            shown = shown and bool(visible)
            yield number, shown
            children = node.get("children", [])
            waiting += [(child, self._world[number], shown, depth + 1) for child in reversed(children)]

    def _instances(self, node: Tree, world: FloatArray) -> list[FloatArray]:
        """Where a node puts its mesh."""
        found = node.get("extensions", {}).get("EXT_mesh_gpu_instancing")
        if found is None:
            return [world]
        names = {"TRANSLATION": "translation", "ROTATION": "rotation", "SCALE": "scale"}
        lists = {names[key]: self.values(index) for key, index in found["attributes"].items() if key in names}
        counts = {len(values) for values in lists.values()}
        if len(counts) != 1:
            raise DamagedMeshError("its lists of instances are of different lengths")
        if max(counts) > MAX_INSTANCES:
            raise UnreadMeshError(
                f"it places {max(counts):,} instances, at most {MAX_INSTANCES:,} are read", "Reduce it", "too_large"
            )
        return [world @ _local({key: values[i].tolist() for key, values in lists.items()}) for i in range(max(counts))]

    # Meshes

    def _primitive(self, primitive: Tree, node: Tree, mesh: Tree, transforms: list[FloatArray]) -> Iterator[Piece]:
        mode, attributes = primitive.get("mode", _TRIANGLES), primitive.get("attributes", {})
        if mode in _POINTS_AND_LINES and "POSITION" in attributes:
            yield Piece(self.values(attributes["POSITION"], 3), triangles_of(np.zeros((0, 3), np.int64)))
        if mode in _POINTS_AND_LINES or "POSITION" not in attributes:
            return
        position = self.item("accessors", attributes["POSITION"])
        packed = _packed(primitive)
        if packed and "bufferView" not in position:
            raise UnreadMeshError(f"it is packed in a way that is not read here: {packed}", UNPACKED)
        points = self.values(attributes["POSITION"], 3)
        weights = node.get("weights", mesh.get("weights"))
        if weights and primitive.get("targets"):
            points = self._morphed(points, primitive["targets"], weights)
        if primitive.get("indices") is None:
            corners = np.arange(len(points))
        else:
            corners = self.values(primitive["indices"], 1)[:, 0].astype(np.int64)
        faces = _triangles(corners, mode)
        self._triangles += len(faces) * len(transforms)
        if self._triangles > self.limits.triangles:
            reason = f"it has {self._triangles:,} triangles or more, at most {self.limits.triangles:,} are read"
            raise UnreadMeshError(reason, "Reduce it, or raise the limit on faces", "too_large")
        if node.get("skin") is not None and "JOINTS_0" in attributes:
            skinned, mirrored = self._skinned(points, attributes, self.item("skins", node["skin"]))
            yield _piece(skinned, faces, mirrored)
            return
        for transform in transforms:
            placed = points @ transform[:3, :3].T + transform[:3, 3]
            yield _piece(placed, faces, bool(np.linalg.det(transform[:3, :3]) < 0))

    def _morphed(self, points: FloatArray, targets: list[Tree], weights: list[float]) -> FloatArray:
        if len(weights) != len(targets):
            raise DamagedMeshError(f"it has {len(weights)} weights for {len(targets)} targets of its morph")
        for target, weight in zip(targets, weights, strict=True):
            if weight and "POSITION" in target:
                moved = self.values(target["POSITION"], 3)
                if moved.shape != points.shape:
                    raise DamagedMeshError("a target of its morph has another number of vertices")
                points = points + float(weight) * moved
        return points

    def _skinned(self, points: FloatArray, attributes: Tree, skin: Tree) -> tuple[FloatArray, bool]:
        """Where the joints of a skin put vertices, in the world (glTF 2.0, 3.7.3.3), and whether they mirror them."""
        joints = skin["joints"]
        missing = [joint for joint in joints if joint not in self._world]
        if missing:
            raise DamagedMeshError(f"a joint of its skin, node {missing[0]}, is not in the scene")
        inverse: FloatArray = np.broadcast_to(np.eye(4), (len(joints), 4, 4))
        if skin.get("inverseBindMatrices") is not None:
            inverse = self.values(skin["inverseBindMatrices"], 16).reshape(-1, 4, 4).transpose(0, 2, 1)[: len(joints)]
        if len(inverse) != len(joints):
            raise DamagedMeshError(f"its skin has {len(joints)} joints and {len(inverse)} matrices")
        moves = np.stack([self._world[joint] for joint in joints]) @ inverse
        blend, total = np.zeros((len(points), 3, 4)), np.zeros(len(points))
        sets = [name[7:] for name in attributes if name.startswith("JOINTS_") and f"WEIGHTS_{name[7:]}" in attributes]
        for number in sets:
            which = self.values(attributes[f"JOINTS_{number}"], 4).astype(np.int64)
            weights = self.values(attributes[f"WEIGHTS_{number}"], 4)
            if which.shape != weights.shape or len(which) != len(points) or (which[weights > 0] >= len(joints)).any():
                raise DamagedMeshError("the joints of its skin do not fit its vertices")
            which = np.minimum(which, len(joints) - 1)
            for column in range(4):
                blend += weights[:, column, None, None] * moves[which[:, column], :3]
            total += weights.sum(1)
        if not (total > 0).all():
            raise DamagedMeshError(f"{int((~(total > 0)).sum()):,} vertices of its skin hang on no joint")
        blend /= total[:, None, None]
        mirrored = bool(np.median(np.linalg.det(blend[:, :, :3])) < 0) if len(points) else False
        return np.einsum("vij,vj->vi", blend[:, :, :3], points) + blend[:, :, 3], mirrored

    # Numbers

    def values(self, index: Any, width: int | None = None) -> FloatArray:
        """(N, items) the numbers of an accessor as float64; normalized integers between -1 and 1."""
        accessor = self.item("accessors", index)
        kind, items, count = accessor.get("componentType"), _ITEMS.get(accessor.get("type", "")), accessor.get("count")
        if kind not in _KINDS or items is None or not isinstance(count, int) or (width and items != width):
            raise DamagedMeshError(f"its list {index} is of the type {accessor.get('type')!r:.20} {kind!r:.20}")
        if not 0 <= count <= self.limits.numbers:
            reason = f"it promises a list of {count:,} numbers, at most {self.limits.numbers:,} are read"
            raise UnreadMeshError(reason, "Reduce it, or raise the limit on faces", "too_large")
        if accessor.get("bufferView") is None:
            if count > MAX_ZEROS and not accessor.get("sparse"):
                raise DamagedMeshError(f"its list {index} of {count:,} rows holds nothing")
            found: FloatArray = np.zeros((count, items))
        else:
            found = self._rows(accessor, (count, items), _KINDS[kind])
        sparse = accessor.get("sparse")
        if sparse:
            found = self._replaced(found, sparse, _KINDS[kind])
        if accessor.get("normalized"):
            if kind not in _LEAST:
                raise DamagedMeshError(f"its list {index} is normalized, which only small integers can be")
            found = np.maximum(found / _LEAST[kind], -1)
        return found

    def _rows(self, part: Tree, shape: tuple[int, int], kind: str) -> FloatArray:
        """Numbers that lie in a part of a buffer."""
        view = self.item("bufferViews", part["bufferView"])
        packed = _packed(view)
        buffer = self._buffer(view.get("buffer"), packed)
        if packed:
            raise UnreadMeshError(f"it is packed in a way that is not read here: {packed}", UNPACKED)
        start, length = int(view.get("byteOffset", 0)), int(view["byteLength"])
        offset, size = int(part.get("byteOffset", 0)), int(np.dtype(kind).itemsize)
        width = shape[1] * size
        stride = int(view.get("byteStride") or width)
        end = offset + (shape[0] - 1) * stride + width if shape[0] else offset
        if min(start, length, offset) < 0 or stride < width or end > length or start + length > len(buffer):
            raise DamagedMeshError(f"a list of {shape[0]:,} rows reaches beyond the data that it is in")
        if not shape[0]:
            return np.zeros(shape)
        rows = np.ndarray(shape, kind, buffer, start + offset, (stride, size))
        return rows.astype(np.float64)

    def _replaced(self, found: FloatArray, sparse: Tree, kind: str) -> FloatArray:
        """A list in which a sparse one replaces some rows."""
        count = int(sparse["count"])
        if not 0 <= count <= len(found):
            raise DamagedMeshError(f"it replaces {count:,} of {len(found):,} numbers of a list")
        which_kind = _KINDS.get(sparse["indices"].get("componentType"), "<u4")
        rows = self._rows(sparse["indices"], (count, 1), which_kind)[:, 0].astype(np.int64)
        if count and rows.max() >= len(found):
            raise DamagedMeshError(f"it replaces number {rows.max():,} of a list of {len(found):,}")
        replaced = found.copy()
        replaced[rows] = self._rows(sparse["values"], (count, found.shape[1]), kind)
        return replaced

    def _buffer(self, index: Any, packed: str | None) -> bytes:
        if index not in self._buffers:
            buffer = self.item("buffers", index)
            uri = buffer.get("uri")
            if uri is None and self.chunk is not None and index == 0:
                data = self.chunk
            elif uri is None:
                named = packed or _packed(buffer)
                if named:
                    raise UnreadMeshError(f"it is packed in a way that is not read here: {named}", UNPACKED)
                raise DamagedMeshError("its data are missing")
            elif str(uri).startswith("data:"):
                data = _data_uri(str(uri))
            else:
                data = self.fetch(str(uri))
            if len(data) < int(buffer.get("byteLength", 0)):
                raise DamagedMeshError(f"its data have {len(data):,} bytes of {buffer['byteLength']:,}")
            self._buffers[index] = data
        return self._buffers[index]


def _data_uri(uri: str) -> bytes:
    head, _, body = uri.partition(",")
    if not head.endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return base64.b64decode(unquote_to_bytes(body))
    except (binascii.Error, ValueError) as error:
        raise DamagedMeshError(f"its data are not base64 ({error})") from error


def _local(node: Tree) -> FloatArray:
    """(4, 4) the transform of a node, or of an instance, within the one above it."""
    if "matrix" in node:
        matrix = np.array(node["matrix"], np.float64)
        if matrix.shape != (16,) or not np.isfinite(matrix).all():
            raise DamagedMeshError("the matrix of a node is no matrix")
        return matrix.reshape(4, 4).T
    x, y, z, w = (float(number) for number in node.get("rotation", (0, 0, 0, 1)))
    length = math.sqrt(x * x + y * y + z * z + w * w)
    if not 0 < length < math.inf:
        raise DamagedMeshError("the rotation of a node is no quaternion")
    x, y, z, w = x / length, y / length, z / length, w / length
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)), np.float64)
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64)
    if not np.isfinite(matrix).all():
        raise DamagedMeshError("the transform of a node is not finite")
    return matrix


def _triangles(corners: Int64Array, mode: Any) -> Int64Array:
    """(T, 3) triangles of a list of corners, a strip, or a fan."""
    if mode == _TRIANGLES:
        if len(corners) % 3:
            raise DamagedMeshError(f"a list of triangles has {len(corners):,} corners, which is no multiple of 3")
        return corners.reshape(-1, 3)
    if mode == _STRIP:
        return strip_triangles(corners, np.zeros(len(corners), np.int64))
    if mode == _FAN:
        rest = corners[1:]
        first = np.full(max(len(rest) - 1, 0), corners[0] if len(corners) else 0)
        return np.stack([first, rest[:-1], rest[1:]], axis=1) if len(rest) > 1 else np.zeros((0, 3), np.int64)
    raise DamagedMeshError(f"a mesh of it is of the kind {mode!r:.20}, which there is not")


def _piece(vertices: FloatArray, faces: Int64Array, mirrored: bool) -> Piece:
    """A mesh whose outside stays outside where it is mirrored."""
    return Piece(vertices, triangles_of(faces[:, ::-1] if mirrored else faces))

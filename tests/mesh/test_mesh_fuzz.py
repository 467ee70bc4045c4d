"""Files of every format with bytes changed at random: a mesh or the declared error, within bounds, never another."""

import base64
import io
import json
import resource
import time
import zipfile

import numpy as np
import pytest
import trimesh
from byte_damage import damaged

from liftnet.mesh.mesh import BadMeshError
from liftnet.mesh.reading import read_mesh
from liftnet.mesh.settings import ReadingSettings

SECONDS = 1.6  # a kind of file
SLOWEST = 3.0  # seconds; a file of some kilobytes takes milliseconds, also where it promises more
MEMORY = 700_000_000  # bytes that a file of some kilobytes may take at most
PUT_IN = (b"99999999999", b"-1", b"nan", b"1e308", b"{", b'"', b"\n", b" ", b"\0\0\0\0", b"\xff\xff\xff\xff")
STATUSES = {"read", "unreadable", "too_large", "no_faces", "not_finite", "no_extent"}
LIMITS = ReadingSettings(max_faces=100_000, max_bytes=5_000_000)
OFF = "OFF\n5 5 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n.5 .5 1\n4 0 3 2 1\n3 0 1 4 1 0 0\n3 1 2 4\n3 2 3 4\n3 3 0 4\n"
OBJ = (
    "o a\nv 0 0 0\nv 3 0 0\nv 3 3 0\nv 2 3 0\nv 2 1 0\nv 1 1 0\nv 1 3 0\nv 0 3 0\nf 1 2 3 4 5 6 7 8\nf -1/1 -3/2 -4\n"
)
PLY = (
    "ply\nformat {} 1.0\nelement vertex 5\nproperty float x\nproperty float y\nproperty float z\nelement face 2\n"
    "property uchar a\nproperty list uchar int vertex_indices\nproperty list uchar float uv\nend_header\n"
)


def scene(kind: str) -> dict[str, bytes] | bytes:
    ball = trimesh.creation.icosphere(1)
    placed = trimesh.Scene(ball)
    placed.graph.update(frame_to="second", matrix=np.diag([2.0, 2, 2, 1]), geometry=next(iter(placed.geometry)))
    return placed.export(file_type=kind)


def gltf() -> bytes:
    files = scene("gltf")
    tree = json.loads(files.pop("model.gltf"))
    for buffer in tree["buffers"]:
        buffer["uri"] = "data:;base64," + base64.b64encode(files[buffer["uri"]]).decode()
    return json.dumps(tree).encode()


def ply_of_polygons(order: str) -> bytes:
    points = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0.5, 0.5, 1)])
    if order == "ascii":
        rows = "\n".join(" ".join(map(str, row)) for row in points)
        return (PLY.format("ascii") + rows + "\n7 4 0 1 2 3 2 .5 .5\n7 3 0 1 4 0\n").encode()
    end = "<" if order == "binary_little_endian" else ">"
    body = points.astype(end + "f4").tobytes()
    for corners, beside in (((0, 1, 2, 3), (0.5, 0.5)), ((0, 1, 4), ())):
        body += bytes([7, len(corners)]) + np.array(corners, end + "i4").tobytes()
        body += bytes([len(beside)]) + np.array(beside, end + "f4").tobytes()
    return PLY.format(order).encode() + body


KINDS = {
    "text.ply": lambda: ply_of_polygons("ascii"),
    "little.ply": lambda: ply_of_polygons("binary_little_endian"),
    "big.ply": lambda: ply_of_polygons("binary_big_endian"),
    "a.obj": lambda: OBJ.encode(),
    "a.off": lambda: OFF.encode(),
    "binary.stl": lambda: trimesh.creation.icosphere(1).export(file_type="stl"),
    "text.stl": lambda: trimesh.creation.icosphere(0).export(file_type="stl_ascii").encode(),
    "a.glb": lambda: scene("glb"),
    "a.gltf": gltf,
    "a.3mf": lambda: scene("3mf"),
}


def damaged_inside(data: bytes, generator: np.random.Generator) -> bytes:
    """A 3MF whose archive is whole and whose model is damaged: otherwise its checksum finds everything."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(written, "w") as other:
        for name in archive.namelist():
            content = archive.read(name)
            other.writestr(name, damaged(content, generator, PUT_IN) if name.endswith("3dmodel.model") else content)
    return written.getvalue()


@pytest.fixture
def little_memory():
    """Fails what takes far more than a small file needs, instead of filling the machine."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("name", KINDS)
def test_nothing_but_the_declared_error_leaves_the_reader(tmp_path, little_memory, name):
    path = tmp_path / name
    path.write_bytes(KINDS[name]())
    read_mesh(path, settings=LIMITS)  # as it is; kernels are compiled here, not in what is timed
    whole, generator = path.read_bytes(), np.random.default_rng(len(name))
    until, kinds, slowest = time.monotonic() + SECONDS, set(), 0.0
    while time.monotonic() < until:
        inside = path.suffix == ".3mf" and generator.random() < 0.9
        path.write_bytes(damaged_inside(whole, generator) if inside else damaged(whole, generator, PUT_IN))
        start = time.process_time()
        try:
            mesh = read_mesh(path, settings=LIMITS).mesh
        except BadMeshError as error:
            kinds.add(error.status if name in str(error) else f"unnamed: {error}")
        else:
            kinds.add("read")
            assert np.isfinite(mesh.vertices).all()
            assert 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices)
        slowest = max(slowest, time.process_time() - start)
    assert {"read", "unreadable"} <= kinds <= STATUSES, "some are still whole, some are not, all are named"
    assert slowest < SLOWEST

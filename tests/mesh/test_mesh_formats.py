"""Members of each kind of mesh file that people have: what was read is compared with what the file holds."""

import base64
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.mesh.mesh import BadMeshError, face_areas
from liftnet.mesh.reading import load_mesh, read_mesh

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "meshes"
CUBE = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
TRIANGLES = [(a, b, c) for w, x, y, z in QUADS for a, b, c in ((w, x, y), (w, y, z))]
ROOF = [*CUBE, (0.5, 2, 0), (0.5, 2, 1)]  # a house of two pentagons, quads and triangles of the floor
HOUSE = [
    (0, 2, 8, 6, 4),
    (1, 5, 7, 9, 3),
    (0, 1, 3, 2),
    (4, 6, 7, 5),
    (0, 4, 5),
    (0, 5, 1),
    (2, 3, 9, 8),
    (6, 8, 9, 7),
]
HOUSE_AREA, HOUSE_VOLUME = 1 + 2 + 2 * 1.5 + 2 * np.sqrt(1.25), 1.5


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def volume(mesh) -> float:
    return float(np.linalg.det(mesh.corners).sum() / 6)


def assert_cube(path: Path, side=1.0):
    read = read_mesh(path)
    assert (len(read.mesh.vertices), len(read.mesh.faces)) == (8, 12)
    assert face_areas(read.mesh).sum() == pytest.approx(6 * side**2)
    assert abs(volume(read.mesh)) == pytest.approx(side**3)
    return read


# PLY


def ply(vertices, faces, order="<", before="", after="", count="uchar", index="int", extra=b"\x07") -> bytes:
    """A PLY file in either order of bytes, "" for text; `before` and `after` are scalars beside the list."""
    names = {"<": "binary_little_endian", ">": "binary_big_endian", "": "ascii"}
    head = f"ply\nformat {names[order]} 1.0\ncomment by hand\nelement vertex {len(vertices)}\n"
    head += "property float x\nproperty float y\nproperty float z\nproperty uchar red\n"
    head += f"element face {len(faces)}\n{before}property list {count} {index} vertex_indices\n{after}end_header\n"
    if not order:
        rows = [f"{x} {y} {z} 7" for x, y, z in vertices]
        for face in faces:
            rows.append(" ".join(["0.5"] * bool(before) + [str(len(face)), *map(str, face)] + ["9"] * bool(after)))
        return (head + "\n".join(rows) + "\n").encode()
    kinds = {"uchar": "B", "int": "i", "uint": "I", "ushort": "H", "short": "h"}
    body = b"".join(struct.pack(order + "fffB", *map(float, v), 7) for v in vertices)
    for face in faces:
        body += struct.pack(order + "f", 0.5) if before else b""
        body += struct.pack(order + kinds[count] + kinds[index] * len(face), len(face), *face)
        body += struct.pack(order + "H", 9) if after else b""
    return head.encode() + body


@pytest.mark.parametrize("order", ["<", ">", ""])
@pytest.mark.parametrize("before", ["", "property float quality\n"])
@pytest.mark.parametrize("after", ["", "property ushort flags\n"])
def test_ply_of_mixed_polygons_with_properties_around_the_list(tmp_path, order, before, after):
    mesh = load_mesh(write(tmp_path / "house.ply", ply(ROOF, HOUSE, order, before, after)))
    assert (len(mesh.vertices), len(mesh.faces)) == (10, sum(len(face) - 2 for face in HOUSE))
    assert face_areas(mesh).sum() == pytest.approx(HOUSE_AREA)
    assert abs(volume(mesh)) == pytest.approx(HOUSE_VOLUME)


@pytest.mark.parametrize(("count", "index"), [("int", "uint"), ("ushort", "short"), ("uchar", "ushort")])
def test_ply_lists_of_any_integers(tmp_path, count, index):
    assert_cube(write(tmp_path / "cube.ply", ply(CUBE, QUADS, "<", count=count, index=index)))


@pytest.mark.parametrize("order", ["<", ""])
def test_ply_elements_that_are_no_mesh_are_stepped_over(tmp_path, order):
    data = ply(CUBE, QUADS, order)
    head, rest = data.split(b"element vertex", 1)
    own = struct.pack("<Bffi", 2, 1.0, 2.0, 3) if order else b"2 1.0 2.0 3\n"
    head += b"element camera 1\nproperty list uchar float view\nproperty int id\nelement vertex"
    header, body = (head + rest).split(b"end_header\n", 1)
    assert_cube(write(tmp_path / "cube.ply", header + b"end_header\n" + own + body))


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_ply_headers_with_other_line_ends_before_binary_numbers(tmp_path, end):
    head, _, body = ply(CUBE, QUADS, "<").partition(b"end_header\n")
    assert_cube(write(tmp_path / "cube.ply", (head + b"end_header\n").replace(b"\n", end) + body))


def test_ply_strips_keep_their_winding_and_end_at_minus_one(tmp_path):
    head = "ply\nformat ascii 1.0\nelement vertex 5\nproperty float x\nproperty float y\nproperty float z\n"
    head += "element tristrips 2\nproperty list int int vertex_indices\nend_header\n"
    body = "0 0 0\n1 0 0\n0 1 0\n1 1 0\n0 2 0\n9 0 1 2 3 4 -1 0 1 2\n4 0 1 2 3\n"
    mesh = load_mesh(write(tmp_path / "strip.ply", head + body))
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [1, 3, 2], [2, 3, 4]])
    assert face_areas(mesh).sum() == pytest.approx(1.5)


@pytest.mark.parametrize("order", ["<", ">", ""])
def test_ply_that_holds_other_than_it_promises_is_refused(tmp_path, order):
    data = ply(CUBE, QUADS, order)
    for said, instead in ((b"vertex 8", b"vertex 7"), (b"face 6", b"face 5"), (b"face 6", b"face 7")):
        with pytest.raises(LiftnetError, match="odd"):
            load_mesh(write(tmp_path / "odd.ply", data.replace(b"element " + said, b"element " + instead)))
    with pytest.raises(LiftnetError, match="out of bounds"):
        load_mesh(write(tmp_path / "odd.ply", ply(CUBE, [*QUADS, (0, 1, 8)], order)))
    with pytest.raises(LiftnetError, match="no list 'vertex_indices'"):
        load_mesh(write(tmp_path / "odd.ply", data.replace(b"list uchar int vertex_indices", b"int vertex_indices")))


# STL


def stl(facet="facet normal", loop="outer loop", vertex="vertex", end="endsolid x", name="x") -> str:
    lines = [f"solid {name}"]
    for face in TRIANGLES:
        corners = "".join(f"    {vertex} {x:e} {y:.1f} {z}\n" for x, y, z in (CUBE[i] for i in face))
        lines.append(f"{facet} 0 0 0\n  {loop}\n{corners}  endloop\nendfacet")
    return "\n".join([*lines, end, ""])


TEXTS = {
    "upper": stl().upper(),
    "mixed": stl("Facet Normal", "OUTER Loop", "Vertex", "EndSolid"),
    "tabs": stl("facet\t normal", "outer\t\tloop", "vertex \t"),
    "crlf": stl().replace("\n", "\r\n"),
    "cr": stl().replace("\n", "\r"),
    "a name of keywords": stl(name="facet of a vertex", end="endsolid facet of a vertex"),
    "no name": stl(name="", end="endsolid"),
    "one line": " ".join(stl().split()),
    "marked": "\ufeff" + stl(),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_stl_in_text_of_any_case_and_white_space(tmp_path, text):
    assert_cube(write(tmp_path / "cube.stl", text))


def test_stl_of_two_bytes_a_letter(tmp_path):
    assert_cube(write(tmp_path / "cube.stl", stl().encode("utf-16")))


def test_stl_of_several_solids_are_several_parts(tmp_path):
    assert read_mesh(write(tmp_path / "two.stl", stl() + stl().replace("e+00 ", "e+01 "))).parts == 2


def binary_stl(count=12, header=b"solid made by a program") -> bytes:
    rows = [struct.pack("<12fH", 0, 0, 0, *(float(c) for i in face for c in CUBE[i]), 0) for face in TRIANGLES]
    return header.ljust(80) + struct.pack("<I", count) + b"".join(rows)


def test_binary_stl_that_begins_like_text_or_has_a_few_bytes_more(tmp_path):
    for after in (b"", b"\0\0", bytes(500), b"\r\n"):
        assert_cube(write(tmp_path / "cube.stl", binary_stl() + after))


@pytest.mark.parametrize("content", [binary_stl(3), binary_stl(13), stl()[:-60], stl().replace("endfacet", "", 1)])
def test_stl_that_holds_other_than_it_promises_is_refused(tmp_path, content):
    with pytest.raises(LiftnetError, match=r"odd\.stl"):
        load_mesh(write(tmp_path / "odd.stl", content))


# OFF


def off(header="OFF", counts="8 6 12", between="\n", colour="", more="") -> str:
    vertices = "\n".join(f"{x} {y} {z}{more}" for x, y, z in CUBE)
    faces = "\n".join(" ".join(map(str, (len(face), *face))) + colour for face in QUADS)
    return f"{header}{between}{counts}\n{vertices}\n{faces}\n"


OFFS = {
    **{header: off(header) for header in ("OFF", "off", "Off")},
    "without a header": off("", between=""),
    "in one line": off(between=" "),
    "touching": off(between=""),
    "two counts": off(counts="8 6"),
    "counts in lines": off(counts="8\n6\n12"),
    "comments": "# first\n" + off("OFF # said", "8 6 12 # counted", colour=" # a face", more=" # a vertex"),
    "blank lines": off().replace("\n", "\n\n \n"),
    "coloured faces": off(colour="  .1 .2 .3"),
    "faces of one colour and another": off(colour=" 7").replace("2 3 7 6 7", "2 3 7 6 255 0 0 255"),
    "coloured vertices": off("COFF", more=" 255 0 0 255"),
    "with normals": off("nOFF".upper(), more=" 0 0 1"),
    "all in one line": " ".join(off().split()),
    "tabs and returns": off().replace(" ", "\t").replace("\n", "\r\n"),
}


@pytest.mark.parametrize("text", OFFS.values(), ids=OFFS)
def test_off_as_people_write_it(tmp_path, text):
    assert_cube(write(tmp_path / "cube.off", text))


def test_off_of_polygons(tmp_path):
    rows = [" ".join(map(str, v)) for v in ROOF] + [" ".join(map(str, (len(f), *f))) for f in HOUSE]
    mesh = load_mesh(write(tmp_path / "house.off", f"off\n10 {len(HOUSE)} 0\n" + "\n".join(rows)))
    assert face_areas(mesh).sum() == pytest.approx(HOUSE_AREA)
    assert abs(volume(mesh)) == pytest.approx(HOUSE_VOLUME)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (off("OFF BINARY"), "binary OFF"),
        (off("4OFF", more=" 1"), "other than three coordinates"),
        (off(counts="9 6 12"), "fewer corners|promises"),
        (off(counts="8 7 12"), "promises 15 lines and has 14"),
        (off().replace("0 1 0", "0,5 1 0"), "decimal commas"),
        (off().replace("4 0 1 3 2", "4 0 1 3"), "fewer corners"),
    ],
)
def test_off_that_is_not_read_says_why(tmp_path, text, reason):
    with pytest.raises(LiftnetError, match=reason):
        load_mesh(write(tmp_path / "odd.off", text))


# OBJ

CORNERS = "".join(f"v {x} {y} {z}\n" for x, y, z in CUBE)
FACES = "".join("f " + " ".join(str(i + 1) for i in face) + "\n" for face in QUADS)
OBJS = {
    "plain": CORNERS + FACES,
    "coloured": CORNERS.replace("\n", " 0.5 0.5 0.5\n") + FACES,
    "weighted": CORNERS.replace("\n", " 1.0\n") + FACES,
    "textures": CORNERS + "vt 0 0\nvn 0 0 1\n" + FACES.replace("\n", "/1/1\n").replace("1 ", "1/1/1 "),
    "continued": CORNERS + FACES.replace(" 4", " \\\n 4"),
    "comments": "# a cube\n" + CORNERS.replace("\n", " # corner\n") + FACES.replace("\n", " # face\n"),
    "tabs and returns": (CORNERS + FACES).replace(" ", "\t").replace("\n", "\r\n"),
    "indented": (CORNERS + FACES).replace("v ", "  v  ").replace("f ", "\tf  "),
    "capitals": CORNERS.upper() + FACES.upper(),
    "faces first": FACES + CORNERS,
    "backwards": CORNERS + "".join("f " + " ".join(str(i - 8) for i in face) + "\n" for face in QUADS),
    "groups and materials": CORNERS
    + "mtllib a.mtl\ng side\nusemtl b\ns off\n"
    + FACES.replace("\nf 1", "\nusemtl c\nf 1"),
    "lines and points too": CORNERS + "p 1\nl 1 2 3\n" + FACES,
}


@pytest.mark.parametrize("text", OBJS.values(), ids=OBJS)
def test_obj_as_people_write_it(tmp_path, text):
    assert assert_cube(write(tmp_path / "cube.obj", text)).parts == 1


def test_obj_of_a_concave_prism_and_of_objects_that_count_backwards(tmp_path):
    ring = [(0, 0), (3, 0), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)]
    vertices = "".join(f"v {x} {y} {z}\n" for z in (0, 1) for x, y in ring)
    sides = "".join(f"f {i + 1} {(i + 1) % 8 + 1} {(i + 1) % 8 + 9} {i + 9}\n" for i in range(8))
    ends = f"f {' '.join(map(str, range(9, 17)))}\nf {' '.join(map(str, range(8, 0, -1)))}\n"
    mesh = load_mesh(write(tmp_path / "u.obj", vertices + sides + ends))
    assert face_areas(mesh).sum() == pytest.approx(30)
    assert volume(mesh) == pytest.approx(7)
    backwards = CORNERS + "".join("f " + " ".join(str(i - 8) for i in face) + "\n" for face in QUADS)
    second = backwards.replace("v 0", "v 3").replace("v 1", "v 4")
    read = read_mesh(write(tmp_path / "two.obj", f"o a\n{backwards}o b\n{second}"))
    assert (read.parts, len(read.mesh.faces)) == (2, 24)
    assert abs(volume(read.mesh)) == pytest.approx(2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (CORNERS + "f 1 2 4 3 1 9\n", "out of bounds"),
        (CORNERS + "f 1 4 2 3\n" + FACES, "cross themselves"),
        (CORNERS + "f 1 2 x\n" + FACES, "stands where a number"),
        (CORNERS + "f 1.5 2 3\n" + FACES, "whole number"),
        ("v 0 0\n" + CORNERS + FACES, "numbers where there must be 3"),
        (CORNERS + "cstype bezier\nsurf 0 1 0 1 1 2 3 4\nend\n", "curves or surfaces"),
    ],
)
def test_obj_that_is_not_read_says_why(tmp_path, text, reason):
    with pytest.raises(LiftnetError, match=reason):
        load_mesh(write(tmp_path / "odd.obj", text))


# glTF


class Gltf:
    """A glTF file, put together list by list."""

    kinds = {"b": 5120, "B": 5121, "h": 5122, "H": 5123, "I": 5125, "f": 5126}
    types = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}

    def __init__(self):
        self.data, self.views, self.accessors = b"", [], []
        self.tree = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}]}
        self.tree["meshes"] = [{"primitives": [{"attributes": {"POSITION": self.list(CUBE, "f")}}]}]
        self.primitive["indices"] = self.list([[i] for face in TRIANGLES for i in face], "H")

    @property
    def primitive(self):
        return self.tree["meshes"][0]["primitives"][0]

    def view(self, rows, kind):
        flat = [value for row in rows for value in row]
        data = struct.pack(f"<{len(flat)}{kind}", *flat)
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)})
        self.data += data + bytes(-len(data) % 4)
        return len(self.views) - 1

    def list(self, rows, kind, **more):
        about = {"count": len(rows), "type": self.types[len(rows[0])], "componentType": self.kinds[kind]}
        self.accessors.append({"bufferView": self.view(rows, kind), **about, **more})
        return len(self.accessors) - 1

    def write(self, path: Path) -> Path:
        buffer = {"byteLength": len(self.data)}
        tree = self.tree | {"accessors": self.accessors, "bufferViews": self.views, "buffers": [buffer]}
        if path.suffix == ".gltf":
            buffer["uri"] = "data:application/octet-stream;base64," + base64.b64encode(self.data).decode()
            return write(path, json.dumps(tree))
        text = json.dumps(tree).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(self.data), b"BIN\0")
        return write(path, struct.pack("<4sII", b"glTF", 2, 12 + len(chunks) + len(self.data)) + chunks + self.data)


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_gltf_with_and_without_indices(tmp_path, suffix):
    file = Gltf()
    assert_cube(file.write(tmp_path / f"a{suffix}"))
    file.primitive["attributes"]["POSITION"] = file.list([CUBE[i] for face in TRIANGLES for i in face], "f")
    del file.primitive["indices"]
    assert_cube(file.write(tmp_path / f"b{suffix}"))


def test_gltf_sparse_numbers_replace_others_or_zeros(tmp_path):
    file = Gltf()
    high = [(i,) for i, (_, y, _) in enumerate(CUBE) if y]
    values = [(2 * CUBE[i][0], 2, CUBE[i][2]) for (i,) in high]
    file.accessors[0]["sparse"] = {
        "count": 4,
        "indices": {"bufferView": file.view(high, "B"), "componentType": 5121},
        "values": {"bufferView": file.view(values, "f")},
    }
    mesh = load_mesh(file.write(tmp_path / "a.glb"))
    np.testing.assert_allclose(mesh.vertices.max(0), [2, 2, 1])
    assert volume(mesh) == pytest.approx(3), "a prism over trapezia of 1 and 2 by 2"
    del file.accessors[0]["bufferView"]
    assert load_mesh(file.write(tmp_path / "b.glb")).vertices.max() == 2


@pytest.mark.parametrize("indexed", [True, False])
def test_gltf_strips_and_fans(tmp_path, indexed):
    ring = [(0, 0, 0)] + [(np.cos(a), np.sin(a), 0) for a in np.arange(7) * np.pi / 3]
    strip = [(i // 2, i % 2, 0) for i in range(6)]
    for mode, points, area in ((6, ring, 1.5 * np.sqrt(3)), (5, strip, 2)):
        file = Gltf()
        file.primitive.update(mode=mode, attributes={"POSITION": file.list(points, "f")})
        file.primitive["indices"] = file.list([[i] for i in range(len(points))], "H")
        if not indexed:
            del file.primitive["indices"]
        mesh = load_mesh(file.write(tmp_path / "a.glb"))
        assert face_areas(mesh).sum() == pytest.approx(area, rel=1e-6)
        normals = np.cross(*np.diff(mesh.corners, axis=1).transpose(1, 0, 2))
        assert len(set(np.sign(normals[:, 2]))) == 1, "all wound alike"
    for mode in (0, 1, 2, 3):
        file.primitive["mode"] = mode
        with pytest.raises(BadMeshError, match="points or lines, but no faces"):
            load_mesh(file.write(tmp_path / "b.glb"))


def test_gltf_morphs_stand_as_their_weights_say_and_the_node_has_the_last_word(tmp_path):
    file = Gltf()
    taller = [(0, 2 * y, 0) for _, y, _ in CUBE]
    file.primitive["targets"] = [{"POSITION": file.list(taller, "f")}]
    assert_cube(file.write(tmp_path / "none.glb"))
    file.tree["meshes"][0]["weights"] = [1.0]
    assert volume(load_mesh(file.write(tmp_path / "mesh.glb"))) == pytest.approx(3)
    file.tree["nodes"][0]["weights"] = [0.5]
    assert volume(load_mesh(file.write(tmp_path / "node.glb"))) == pytest.approx(2)
    file.tree["nodes"][0]["weights"] = [0.5, 0.5]
    with pytest.raises(LiftnetError, match="morph"):
        load_mesh(file.write(tmp_path / "two.glb"))


def test_gltf_skins_stand_where_their_joints_are_not_where_their_node_is(tmp_path):
    file = Gltf()
    upper = [[0, 1, 0, 0] if y else [0, 0, 0, 0] for _, y, _ in CUBE]
    weights = [[0, 255, 0, 0] if y else [255, 0, 0, 0] for _, y, _ in CUBE]
    file.primitive["attributes"] |= {
        "JOINTS_0": file.list(upper, "B"),
        "WEIGHTS_0": file.list(weights, "B", normalized=True),
    }
    back = np.eye(4)
    back[:3, 3] = (0, -1, 0)
    inverse = file.list([np.eye(4).ravel().tolist(), back.T.ravel().tolist()], "f")  # column by column
    file.tree["skins"] = [{"joints": [1, 2], "inverseBindMatrices": inverse}]
    file.tree["nodes"] = [
        {"mesh": 0, "skin": 0, "translation": [100, 0, 0], "scale": [9, 9, 9]},
        {"translation": [5, 0, 0], "children": [2]},
        {"translation": [0, 4, 0]},
    ]
    file.tree["scenes"] = [{"nodes": [0, 1]}]
    mesh = load_mesh(file.write(tmp_path / "a.glb"))
    np.testing.assert_allclose(mesh.vertices.min(0), [5, 0, 0])
    np.testing.assert_allclose(mesh.vertices.max(0), [6, 4, 1])
    file.tree["scenes"] = [{"nodes": [0]}]
    with pytest.raises(LiftnetError, match="joint"):
        load_mesh(file.write(tmp_path / "b.glb"))


def test_gltf_instances_are_all_placed(tmp_path):
    file = Gltf()
    shifts = file.list([(0, 0, 0), (3, 0, 0), (6, 0, 0)], "f")
    sizes = file.list([(1, 1, 1), (2, 2, 2), (-1, 1, 1)], "f")
    instancing = {"attributes": {"TRANSLATION": shifts, "SCALE": sizes, "_ID": shifts}}
    file.tree["nodes"][0] |= {"extensions": {"EXT_mesh_gpu_instancing": instancing}, "translation": [0, 7, 0]}
    file.tree["extensionsRequired"] = ["EXT_mesh_gpu_instancing"]
    read = read_mesh(file.write(tmp_path / "a.glb"))
    assert (read.parts, len(read.mesh.faces)) == (3, 36)
    assert abs(volume(read.mesh)) == pytest.approx(1 + 8 + 1), "the mirrored one is not inside out"
    np.testing.assert_allclose([read.mesh.vertices.min(0), read.mesh.vertices.max(0)], [[0, 7, 0], [6, 9, 2]])


@pytest.mark.parametrize(("kind", "full"), [("b", 127), ("B", 255), ("h", 32767), ("H", 65535)])
def test_gltf_quantised_positions(tmp_path, kind, full):
    file = Gltf()
    rows = [tuple(c * full for c in corner) for corner in CUBE]
    file.tree["extensionsRequired"] = ["KHR_mesh_quantization"]
    file.primitive["attributes"]["POSITION"] = file.list(rows, kind, normalized=True)
    assert_cube(file.write(tmp_path / "a.glb"))
    file.primitive["attributes"]["POSITION"] = file.list([tuple(c * 100 for c in corner) for corner in CUBE], kind)
    file.tree["nodes"][0]["scale"] = [0.02, 0.02, 0.02]
    assert_cube(file.write(tmp_path / "b.glb"), side=2)


def test_gltf_lists_that_are_woven_into_each_other(tmp_path):
    file = Gltf()
    rows = [(*corner, *corner) for corner in CUBE]
    file.accessors[0]["bufferView"] = file.view(rows, "f")
    file.views[-1]["byteStride"] = 24
    file.accessors[0]["byteOffset"] = 12
    assert_cube(file.write(tmp_path / "a.glb"))


def test_gltf_only_the_scene_is_read_and_mirrored_nodes_stay_outside_out(tmp_path):
    file = Gltf()
    file.tree["nodes"] = [
        {"scale": [-2, 1, 1], "children": [1]},
        {"mesh": 0, "matrix": [0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1, 0, 3, 0, 0, 1]},
        {"mesh": 0, "translation": [50, 0, 0]},
        {"mesh": 0, "extensions": {"KHR_node_visibility": {"visible": False}}, "translation": [0, 50, 0]},
    ]
    file.tree["scenes"] = [{"nodes": [2]}, {"nodes": [0, 3]}]
    file.tree["scene"] = 1
    read = read_mesh(file.write(tmp_path / "a.glb"))
    assert read.parts == 1
    np.testing.assert_allclose([read.mesh.vertices.min(0), read.mesh.vertices.max(0)], [[-6, 0, 0], [-4, 1, 1]])
    assert volume(read.mesh) == pytest.approx(2)
    del file.tree["scene"]
    assert load_mesh(file.write(tmp_path / "b.glb")).vertices.min() == 0, "the first, where none is named"
    del file.tree["scenes"]
    assert read_mesh(file.write(tmp_path / "c.glb")).parts == 2, "all that is shown, where there are no scenes"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f.tree.update(extensionsRequired=["EXT_meshopt_compression"]), "EXT_meshopt_compression"),
        (lambda f: f.views[0].update(extensions={"EXT_meshopt_compression": {}}), "EXT_meshopt_compression"),
        (lambda f: f.tree.update(asset={"version": "1.0"}), "version 1"),
        (lambda f: f.tree.update(nodes=[{"children": [0]}]), "within itself"),
        (lambda f: f.tree.update(nodes=[{"children": [1, 1]}, {"mesh": 0}]), "two places"),
        (lambda f: f.tree.update(scenes=[{"nodes": [7]}]), "number 7 of its 1 nodes"),
        (lambda f: f.tree.update(scenes=[{}]), "places none"),
        (lambda f: f.accessors[0].update(count=9), "reaches beyond"),
        (lambda f: f.accessors[1].update(count=35), "multiple of 3"),
        (lambda f: f.primitive.update(mode=9), "which there is not"),
        (lambda f: f.tree["nodes"][0].update(rotation=[0, 0, 0, 0]), "quaternion"),
    ],
)
def test_gltf_that_is_not_read_says_why(tmp_path, change, reason):
    file = Gltf()
    change(file)
    with pytest.raises(LiftnetError, match=reason):
        load_mesh(file.write(tmp_path / "odd.glb"))


def test_gltf_packed_by_draco_is_refused_though_the_extension_is_only_used(tmp_path):
    file = Gltf()
    file.primitive["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}}
    assert_cube(file.write(tmp_path / "both.glb"))  # the numbers are there unpacked too
    del file.accessors[0]["bufferView"]
    with pytest.raises(LiftnetError, match="KHR_draco_mesh_compression"):
        load_mesh(file.write(tmp_path / "odd.glb"))


# 3MF


def test_3mf_that_takes_objects_from_another_of_its_files(tmp_path):
    def model(inner: str, build: str) -> str:
        space = 'xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02" xmlns:p="urn:p"'
        return f"<model unit='millimeter' {space}><resources>{inner}</resources><build>{build}</build></model>"

    vertices = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in CUBE)
    triangles = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in TRIANGLES)
    cube = f"<mesh><vertices>{vertices}</vertices><triangles>{triangles}</triangles></mesh>"
    part = '<object id="5"><components><component p:path="/3D/Objects/a.model" objectid="1"/></components></object>'

    def written(name: str, objects: str) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("3D/3dmodel.model", model(part, '<item objectid="5"/>'))
            archive.writestr("3D/Objects/a.model", model(objects, ""))
        return tmp_path / name

    assert_cube(written("a.3mf", f'<object id="1">{cube}</object>'))
    with pytest.raises(LiftnetError, match="holds 2"):
        load_mesh(written("b.3mf", f'<object id="1">{cube}</object><object id="2">{cube}</object>'))


# Cases of others


@pytest.mark.real
@pytest.mark.skipif(not CASES.exists(), reason="the cases of others are not beside the project")
@pytest.mark.parametrize(
    ("name", "faces", "area"),
    [
        *((f"concave_obj/u.{suffix}", 28, 30) for suffix in ("obj", "ply", "off")),
        ("concave_obj/dart.obj", 3, 1.5 + np.sqrt(5) / 2),
        ("ply_mixed_binary/pyr.ply", 6, 1 + np.sqrt(5)),
        ("ply_tristrips/strip.ply", 2, 0.5 + np.sqrt(3) / 2),
        *((f"stl_upper/{name}.stl", 12, 22) for name in ("upper", "tabs", "trailing", "endsolid_upper", "two_solids")),
        *((f"off_small/{name}.off", 12, 6) for name in ("lower", "twocounts", "glued", "coff")),
        *((f"glb_odd/{name}.glb", 12, 14) for name in ("sparse", "morph")),
        ("glb_odd/fan.glb", 24, 9),
        ("glb_odd/instancing.glb", 36, 18),
        ("glb_odd/skinned.glb", 12, 6),
    ],
)
def test_cases_of_others(name, faces, area):
    mesh = load_mesh(CASES / name)
    assert len(mesh.faces) == faces
    assert face_areas(mesh).sum() == pytest.approx(area, rel=1e-6)

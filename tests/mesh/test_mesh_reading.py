"""Mesh files of every kind, whole and broken."""

import json
import logging
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh

from liftnet.core.errors import LiftnetError
from liftnet.mesh.formats import FORMATS, Format
from liftnet.mesh.mesh import BadMeshError, face_areas
from liftnet.mesh.reading import SUFFIXES, find_meshes, load_mesh, read_mesh
from liftnet.mesh.settings import ReadingSettings

MESHES = Path(__file__).resolve().parents[3] / "shared" / "data" / "meshes"
SIDES = np.array([1.0, 2.0, 5.0])
WRITTEN = [suffix for suffix, form in FORMATS.items() if form.reader is None]  # those that trimesh can write


def box() -> trimesh.Trimesh:
    return trimesh.creation.box(extents=SIDES)


def write_mesh(mesh, path: Path) -> Path:
    if path.suffix == ".gltf":
        for name, data in trimesh.Scene(mesh).export(file_type="gltf").items():
            (path if name == "model.gltf" else path.with_name(name)).write_bytes(data)
    else:
        mesh.export(path)
    return path


def write_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def volume(mesh) -> float:
    return float(np.linalg.det(mesh.corners).sum() / 6)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_every_format_gives_the_same_closed_box(tmp_path, suffix):
    read = read_mesh(write_mesh(box(), tmp_path / f"box{suffix}"))
    assert (len(read.mesh.vertices), len(read.mesh.faces), read.parts) == (8, 12, 1)
    np.testing.assert_allclose(np.ptp(read.mesh.vertices, axis=0), SIDES, atol=1e-6)
    assert volume(read.mesh) == pytest.approx(10, rel=1e-6)
    assert face_areas(read.mesh).sum() == pytest.approx(34, rel=1e-6)


def test_a_format_that_trimesh_lacks_is_an_entry_with_a_reader(tmp_path, monkeypatch):
    def read_corners(data):
        numbers = json.loads(data)
        return np.array(numbers["vertices"], float), np.array(numbers["faces"])

    monkeypatch.setitem(FORMATS, ".corners", Format(reader=read_corners))
    path = tmp_path / "box.corners"
    contents = {"vertices": box().vertices.tolist(), "faces": box().faces.tolist()}
    path.write_text(json.dumps(contents))
    assert find_meshes(tmp_path) == {"box": path}
    read = read_mesh(path)
    assert (len(read.mesh.vertices), len(read.mesh.faces), read.parts) == (8, 12, 1)
    assert volume(read.mesh) == pytest.approx(10)
    np.testing.assert_allclose(np.ptp(read.mesh.vertices, axis=0), SIDES)
    np.testing.assert_allclose(np.ptp(read_mesh(path, "z").mesh.vertices, axis=0), SIDES[[0, 2, 1]])
    with pytest.raises(BadMeshError) as caught:
        read_mesh(path, settings=ReadingSettings(max_faces=11))
    assert caught.value.status == "too_large"
    for damaged in ("{", json.dumps({"vertices": [[0, 0, 0]]}), json.dumps(contents | {"faces": [[0, 1, 8]]})):
        path.write_text(damaged)
        with pytest.raises(BadMeshError, match=r"box\.corners"):
            read_mesh(path)
    path.write_text(json.dumps(contents | {"faces": []}))
    with pytest.raises(BadMeshError) as caught:
        read_mesh(path)
    assert caught.value.status == "no_faces"


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("share", [0.05, 0.4, 0.7, 0.93])
def test_a_file_that_is_cut_off_is_refused(tmp_path, suffix, share):
    path = write_mesh(trimesh.creation.icosphere(1), tmp_path / f"whole{suffix}")
    data = path.read_bytes()
    cut = path.with_stem("cut")
    part = data[: int(len(data) * share)]
    # a text that ends with a whole line says nothing of what is missing
    cut.write_bytes(part.rsplit(b" ", 1)[0] if suffix == ".obj" else part)
    with pytest.raises(LiftnetError, match=r"cut\."):
        load_mesh(cut)


@pytest.mark.parametrize("suffix", [".ply", ".stl"])
def test_a_text_file_that_is_cut_off_is_refused(tmp_path, suffix):
    kind = "stl_ascii" if suffix == ".stl" else "ply"
    options = {"encoding": "ascii"} if suffix == ".ply" else {}
    data = trimesh.creation.icosphere(1).export(file_type=kind, **options)
    data = data.encode() if isinstance(data, str) else data
    path = tmp_path / f"text{suffix}"
    path.write_bytes(data)
    assert len(load_mesh(path).faces) == 80
    for share in (0.4, 0.8, 0.95):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(LiftnetError):
            load_mesh(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(200), b"just words\n" * 40, b"{}"])
def test_a_file_that_is_no_mesh_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"thing{suffix}"
    path.write_bytes(content)
    with pytest.raises(LiftnetError, match="thing"):
        load_mesh(path)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_random_damage_gives_a_mesh_or_a_clear_message(tmp_path, suffix):
    whole = write_mesh(trimesh.creation.icosphere(1), tmp_path / f"whole{suffix}").read_bytes()
    generator = np.random.default_rng(7)
    path = tmp_path / f"damaged{suffix}"
    for _ in range(15):
        data = bytearray(whole)
        for place in generator.integers(0, len(data), 3):
            data[place] = generator.integers(0, 256)
        path.write_bytes(bytes(data))
        try:
            mesh = load_mesh(path)
        except LiftnetError:  # any other error fails
            continue
        assert np.isfinite(mesh.vertices).all()
        assert mesh.faces.max() < len(mesh.vertices)


def test_files_and_formats_that_are_not_there(tmp_path):
    with pytest.raises(LiftnetError, match="no such file"):
        load_mesh(tmp_path / "absent.ply")
    with pytest.raises(LiftnetError, match="not a format"):
        load_mesh(write_text(tmp_path / "scene.fbx", "x"))
    with pytest.raises(LiftnetError, match="up"):
        load_mesh(write_mesh(box(), tmp_path / "box.ply"), up="x")


def test_z_up_is_turned_so_that_up_is_y_and_nothing_is_mirrored(tmp_path):
    path = write_mesh(box().apply_translation([3, 4, 5]), tmp_path / "box.ply")
    mesh = load_mesh(path, up="z")
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), [1, 5, 2], atol=1e-6)
    np.testing.assert_allclose(mesh.vertices.mean(0), [3, 5, -4], atol=1e-6)
    assert volume(mesh) == pytest.approx(10, rel=1e-6)


@pytest.mark.parametrize("suffix", [".glb", ".gltf", ".3mf"])
def test_a_scene_is_joined_with_its_transforms_and_instances(tmp_path, suffix):
    scene = trimesh.Scene()
    scene.add_geometry(box(), geom_name="box", transform=trimesh.transformations.translation_matrix([10, 0, 0]))
    turned = trimesh.transformations.rotation_matrix(np.pi / 2, [0, 0, 1], [0, 0, 0])
    scene.graph.update(frame_to="second", matrix=turned, geometry="box")
    scene.add_geometry(trimesh.creation.icosphere(1, radius=0.5), transform=np.diag([2.0, 2.0, 2.0, 1]))
    read = read_mesh(write_mesh(scene, tmp_path / f"scene{suffix}"))
    assert (read.parts, len(read.mesh.faces)) == (3, 12 + 12 + 80)
    np.testing.assert_allclose(read.mesh.vertices.min(0), [-1, -1, -2.5], atol=1e-3)
    np.testing.assert_allclose(read.mesh.vertices.max(0), [10.5, 1, 2.5], atol=1e-3)


def test_a_mirrored_part_keeps_its_outside_outside(tmp_path):
    scene = trimesh.Scene()
    scene.add_geometry(box(), transform=np.diag([-1.0, 1, 1, 1]))
    assert volume(load_mesh(write_mesh(scene, tmp_path / "mirrored.glb"))) == pytest.approx(10, rel=1e-6)


def test_textures_and_materials_are_never_opened(tmp_path, monkeypatch):
    textured = box()
    textured.visual = trimesh.visual.TextureVisuals(
        uv=np.random.default_rng(0).random((8, 2)), image=__import__("PIL.Image").Image.new("RGB", (4, 4))
    )
    for suffix in (".obj", ".glb", ".gltf", ".ply"):
        folder = tmp_path / suffix[1:]
        folder.mkdir()
        path = write_mesh(textured, folder / f"box{suffix}")
        for other in folder.iterdir():
            if other.suffix in (".mtl", ".png"):
                other.unlink()
        mesh = load_mesh(path)
        assert (len(mesh.vertices), len(mesh.faces)) == (8, 12), "seams of the texture are closed again"


def test_polygons_become_triangles(tmp_path):
    corners = "".join(f"v {x} {y} {z}\n" for x in (0, 1) for y in (0, 1) for z in (0, 1))
    quads = "f 1 2 4 3\nf 5 7 8 6\nf 1 5 6 2\nf 3 4 8 7\nf 1 3 7 5\nf 2 6 8 4\n"
    mesh = load_mesh(write_text(tmp_path / "cube.obj", corners + quads))
    assert len(mesh.faces) == 12
    assert face_areas(mesh).sum() == pytest.approx(6)
    assert abs(volume(mesh)) == pytest.approx(1)
    off = "OFF\n5 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n0.5 0.5 1\n4 0 1 2 3\n3 0 1 4\n"
    assert len(load_mesh(write_text(tmp_path / "pyramid.off", off)).faces) == 3
    ply = (
        "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n"
    )
    assert len(load_mesh(write_text(tmp_path / "square.ply", ply)).faces) == 2


def test_faces_without_area_doubled_faces_and_unused_vertices_are_dropped_and_counted(tmp_path, caplog):
    text = (
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 2 0 0\nv 0 0 0\nv 9 9 9\nv 0 0 1\n"
        "f 1 2 3\nf 2 3 1\nf 1 3 2\nf 5 2 3\nf 1 2 4\nf 1 1 2\nf 1 2 7\n"
    )
    path = write_text(tmp_path / "dirty.obj", text)
    read = read_mesh(path)
    assert len(read.mesh.faces) == 2
    assert (read.dropped.flat, read.dropped.doubled, read.dropped.merged) == (2, 3, 1)
    assert len(read.mesh.vertices) == 4
    with caplog.at_level(logging.INFO, "mesh"):
        load_mesh(path)
    assert "2 faces of zero area, 3 doubled faces" in caplog.text
    with pytest.raises(LiftnetError, match="zero area"):
        load_mesh(write_text(tmp_path / "flat.obj", "v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n"))


def test_an_open_surface_wound_inconsistently_is_kept_as_it_is(tmp_path):
    mesh = load_mesh(write_text(tmp_path / "open.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nf 1 2 3\nf 2 3 4\n"))
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [1, 2, 3]])


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("points.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\n", "no faces"),
        ("points.off", "OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n", "OFF|off"),
        ("lines.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nl 1 2\nl 2 3\n", "no faces"),
        ("beyond.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "out of bounds"),
        ("zero.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", "vertex 0"),
        ("before.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -1 -2 -5\n", "vertex -5"),
        ("beyond.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "face index"),
        ("short.off", "OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "promises"),
    ],
)
def test_meshes_without_faces_or_with_wrong_indices_are_refused(tmp_path, name, text, reason):
    with pytest.raises(LiftnetError, match=reason) as caught:
        load_mesh(write_text(tmp_path / name, text))
    assert name in str(caught.value)


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".off", ".stl", ".glb"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vertices_that_are_not_finite_are_counted(tmp_path, suffix, value):
    mesh = trimesh.creation.icosphere(1)
    mesh.vertices[[3, 17], 1] = value
    with np.errstate(all="ignore"):
        path = write_mesh(mesh, tmp_path / f"odd{suffix}")
    with pytest.raises(LiftnetError, match=r"of its .* vertices are NaN or infinite"):
        load_mesh(path)


def test_obj_indices_counted_backwards_are_those_before_the_face(tmp_path):
    text = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 0 0 5\nv 1 0 5\nv 0 1 5\nf -3 -2 -1\nf 1/1 -1/-1 2//2\n"
    mesh = load_mesh(write_text(tmp_path / "back.obj", text))
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [3, 4, 5], [0, 5, 1]])


def test_size_limits(tmp_path):
    path = write_mesh(trimesh.creation.icosphere(2), tmp_path / "ball.ply")
    with pytest.raises(LiftnetError, match="320 triangles"):
        load_mesh(path, settings=ReadingSettings(max_faces=319))
    with pytest.raises(LiftnetError, match="GB"):
        load_mesh(path, settings=ReadingSettings(max_bytes=1000))


def test_an_archive_that_unpacks_to_more_than_is_read_is_refused(tmp_path):
    path = tmp_path / "bomb.3mf"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("3D/3dmodel.model", b" " * 30_000_000)
    assert path.stat().st_size < 100_000
    with pytest.raises(LiftnetError, match="GB"):
        load_mesh(path, settings=ReadingSettings(max_bytes=1_000_000))


def nested(path: Path, levels: int) -> Path:
    """A 3MF file whose every object places the one before twice."""
    triangle = (
        '<object id="0" type="model"><mesh><vertices><vertex x="0" y="0" z="0"/><vertex x="1" y="0" z="0"/>'
        '<vertex x="0" y="1" z="0"/></vertices><triangles><triangle v1="0" v2="1" v3="2"/></triangles></mesh></object>'
    )
    objects = [
        f'<object id="{n}"><components><component objectid="{n - 1}"/><component objectid="{n - 1}" '
        f'transform="1 0 0 0 1 0 0 0 1 {2**n} 0 0"/></components></object>'
        for n in range(1, levels + 1)
    ]
    text = (
        '<?xml version="1.0"?><model unit="millimeter" '
        'xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02"><resources>'
        f'{triangle}{"".join(objects)}</resources><build><item objectid="{levels}"/></build></model>'
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("3D/3dmodel.model", text)
    return path


def test_nested_instances_are_all_read_or_refused(tmp_path):
    read = read_mesh(nested(tmp_path / "few.3mf", 3))
    assert (read.parts, len(read.mesh.faces)) == (8, 8)
    with pytest.raises(LiftnetError, match="256 meshes, of which the reader finds"):
        read_mesh(nested(tmp_path / "more.3mf", 8))
    with pytest.raises(LiftnetError, match="at most 10,000"):
        read_mesh(nested(tmp_path / "bomb.3mf", 60))


def gltf_with(path: Path, **changes) -> Path:
    write_mesh(box(), path)
    tree = json.loads(path.read_text())
    for key, value in changes.items():
        if key == "uri":
            tree["buffers"][0]["uri"] = value
        elif key == "count":
            del tree["accessors"][0]["bufferView"]
            tree["accessors"][0]["count"] = value
        elif key == "normalized":
            for accessor in tree["accessors"]:
                accessor["normalized"] = value
        else:
            tree[key] = value
    path.write_text(json.dumps(tree))
    return path


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.bin",
        "/etc/hostname",
        "file:///etc/hostname",
        "http://127.0.0.1:9/a.bin",
        "link.bin",
        "a%2F..%2F..%2Fsecret.bin",
    ],
)
def test_references_out_of_the_folder_are_never_followed(tmp_path, uri):
    (tmp_path / "secret.bin").write_bytes(bytes(100_000))
    folder = tmp_path / "meshes"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    path = gltf_with(folder / "box.gltf", uri=uri)
    with pytest.raises(LiftnetError, match="not in its folder"):
        load_mesh(path)


def test_gltf_that_promises_too_much_or_is_packed_is_refused(tmp_path):
    with pytest.raises(LiftnetError, match="promises a list"):
        load_mesh(gltf_with(tmp_path / "huge.gltf", count=10**12))
    with pytest.raises(LiftnetError, match="KHR_draco_mesh_compression"):
        load_mesh(gltf_with(tmp_path / "packed.gltf", extensionsRequired=["KHR_draco_mesh_compression"]))
    with pytest.raises(LiftnetError, match="normalized"):
        load_mesh(gltf_with(tmp_path / "small.gltf", normalized=True))
    with pytest.raises(LiftnetError, match="does not exist"):
        load_mesh(gltf_with(tmp_path / "alone.gltf", uri="gone.bin"))


def test_headers_that_promise_more_than_there_is_are_refused_at_once(tmp_path):
    ply = (
        "ply\nformat binary_little_endian 1.0\nelement vertex 999999999999\nproperty float x\nproperty float y\n"
        "property float z\nelement face 999999999999\nproperty list uchar int vertex_indices\nend_header\n"
    )
    path = tmp_path / "huge.ply"
    path.write_bytes(ply.encode() + bytes(64))
    with pytest.raises(LiftnetError):
        load_mesh(path)
    path = tmp_path / "huge.stl"
    path.write_bytes(bytes(80) + struct.pack("<I", 2**32 - 1) + bytes(50))
    with pytest.raises(LiftnetError):
        load_mesh(path)


def test_finding_meshes(tmp_path):
    (tmp_path / "chair").mkdir()
    for name in ("chair/a.ply", "chair/b.OBJ", "lamp.stl", ".hidden.ply", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    found = find_meshes(tmp_path)
    assert list(found) == ["chair/a", "chair/b", "lamp"]
    assert found["chair/b"].name == "b.OBJ"
    (tmp_path / "lamp.off").write_bytes(b"x")
    with pytest.raises(LiftnetError, match=r"lamp\.off and lamp\.stl"):
        find_meshes(tmp_path)
    with pytest.raises(LiftnetError, match="no such folder"):
        find_meshes(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LiftnetError, match="no mesh in it"):
        find_meshes(tmp_path / "empty")


@pytest.mark.real
@pytest.mark.skipif(not MESHES.exists(), reason="the real meshes are not beside the project")
def test_real_meshes_are_read_as_trimesh_reads_them():
    found = find_meshes(MESHES)
    assert len(found) > 25
    for name in list(found)[::4]:
        read = read_mesh(found[name])
        theirs = trimesh.load_mesh(found[name], process=False)
        assert len(read.mesh.faces) + read.dropped.flat + read.dropped.doubled == len(theirs.faces)
        assert face_areas(read.mesh).sum() == pytest.approx(theirs.area, rel=1e-3)
        assert np.ptp(read.mesh.vertices, axis=0) == pytest.approx(theirs.extents, abs=1e-3)


def test_folders_of_meshes_are_walked_as_those_of_pictures_are(tmp_path, monkeypatch, caplog):
    for name in ("a/b.stl", "closed/c.stl", ".hidden/d.stl", "__MACOSX/._b.stl"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        write_mesh(box(), tmp_path / "in" / name)
    (tmp_path / "else").mkdir()
    write_mesh(box(), tmp_path / "else" / "e.stl")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "else", target_is_directory=True)
    (tmp_path / "in" / "a" / "up").symlink_to(tmp_path / "in", target_is_directory=True)
    assert list(find_meshes(tmp_path / "in")) == ["a/b", "closed/c", "link/e"]
    real = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with caplog.at_level("WARNING"):
        assert list(find_meshes(tmp_path / "in")) == ["a/b", "link/e"]
    assert "1 folders cannot be read" in caplog.text
    assert "closed" in caplog.text
    with pytest.raises(LiftnetError, match=r"no mesh in it .* and 1 folders that cannot be read"):
        find_meshes(tmp_path / "in" / "closed")


BOX_OBJ = "o a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
WRONGLY_NAMED = {
    "PLY": (b"ply\nformat ascii 1.0\n", ".obj", "Name it *.ply"),
    "OBJ": (BOX_OBJ.encode(), ".ply", "Name it *.obj"),
    "STL": (b"solid a\nfacet normal 0 0 1\n", ".off", "Name it *.stl"),
    "OFF": (b"OFF\n3 1 0\n", ".obj", "Name it *.off"),
    "glTF": (b'{"asset": {"version": "2.0"}}', ".ply", "Name it *.gltf"),
    "GLB": (b"glTF\2\0\0\0", ".stl", "Name it *.glb"),
    "ZIP": (b"PK\3\4" + b"\0" * 100, ".stl", "Name it *.3mf"),
    "FBX": (b"Kaydara FBX Binary  \0\x1a\0", ".obj", "Convert it"),
    "COLLADA": (b'<?xml version="1.0"?><COLLADA>', ".obj", "Convert it"),
    "page": (b"<!DOCTYPE html><html>404", ".glb", "Get the file again"),
    "gzip": (b"\x1f\x8b\x08" + b"\0" * 50, ".ply", "Unpack it"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", ".obj", "git lfs pull"),
}


@pytest.mark.parametrize("kind", WRONGLY_NAMED)
def test_a_file_of_another_kind_than_its_name_says_is_called_what_it_is(tmp_path, kind):
    content, suffix, remedy = WRONGLY_NAMED[kind]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(BadMeshError, match=f"by its content it is .*{kind}") as error:
        read_mesh(path)
    assert error.value.status == "unreadable"
    assert remedy in error.value.remedy


def test_a_3mf_that_builds_nothing_says_so(tmp_path):
    path = write_mesh(box(), tmp_path / "a.3mf")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    model = next(name for name in parts if name.endswith("3dmodel.model"))
    build = parts[model].index(b"<build"), parts[model].index(b"</build>")
    parts[model] = parts[model][: build[0]] + b"<build>" + parts[model][build[1] :]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(BadMeshError, match="its build places no object"):
        read_mesh(path)


def test_what_is_left_out_of_a_folder_of_meshes_is_named_and_links_to_nothing_are_told(tmp_path, caplog):
    write_mesh(box(), tmp_path / "a.ply")
    for name in ("b.usdz", "c.fbx", "a.mtl", "a.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "d.ply").symlink_to(tmp_path / "gone.ply")
    with caplog.at_level(logging.WARNING):
        found = find_meshes(tmp_path)
    assert sorted(found) == ["a", "d"]
    assert "left out 2 files of formats that are not read; convert them: b.usdz, c.fbx" in caplog.text
    with pytest.raises(BadMeshError, match="is a link to a file that does not exist"):
        read_mesh(found["d"])

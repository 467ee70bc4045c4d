"""Meshes and recordings of others: what is read, and what is set aside with which reason."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from liftnet.core.errors import LiftnetError
from liftnet.mesh.mesh import BadMeshError
from liftnet.render.settings import SetSettings, ShapenetSettings, SketchfabSettings
from liftnet.render.shapes import SYNSETS, open_recording, read_solid, read_splits, shapes_of, split_exactly, split_of

MESHES = Path(__file__).resolve().parents[3] / "shared" / "data" / "meshes"


def tall_box() -> trimesh.Trimesh:
    return trimesh.creation.box(extents=(1, 2, 5))


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb", ".stl", ".off"])
def test_every_format_gives_the_same_box(tmp_path, suffix):
    path = tmp_path / f"box{suffix}"
    tall_box().export(path)
    solid = read_solid(path, "z")
    assert solid.watertight
    assert len(solid.mesh.faces) == 12
    np.testing.assert_allclose(np.ptp(solid.mesh.vertices, axis=0), [0.2, 0.4, 1], atol=1e-6)
    assert len(solid.mesh.vertices) == 24  # each face has corners and normals of its own
    assert set(np.abs(solid.mesh.normals).max(1).round(5)) == {1.0}


def test_the_up_axis_turns_without_mirroring(tmp_path):
    path = tmp_path / "box.ply"
    box = tall_box()
    box.vertices[0] += [0.1, 0.2, 0.3]  # so that a mirror image would differ
    box.export(path)
    y, z = read_solid(path, "y").mesh, read_solid(path, "z").mesh
    np.testing.assert_allclose(np.ptp(y.vertices, axis=0), np.ptp(z.vertices, axis=0)[[0, 2, 1]], atol=1e-6)
    volumes = [trimesh.Trimesh(mesh.vertices, mesh.faces).volume for mesh in (y, z)]
    assert volumes[0] == pytest.approx(volumes[1], rel=1e-5)
    assert volumes[0] > 0
    stored = np.unique((box.vertices - box.bounds.mean(0)) / box.extents.max(), axis=0)
    turned = np.unique(y.vertices[:, [0, 2, 1]] * [1, 1, -1], axis=0)  # glTF: up is +y, the front +z
    np.testing.assert_allclose(turned, stored, atol=1e-6)


def test_parts_are_joined_and_their_materials_left_out(tmp_path):
    (tmp_path / "two.mtl").write_text("newmtl red\nKd 1 0 0\nnewmtl blue\nKd 0 0 1\n")
    lines = ["mtllib two.mtl", "v 0 0 0", "v 1 0 0", "v 0 1 0", "v 0 0 1", "usemtl red", "f 1 2 3", "usemtl blue"]
    (tmp_path / "two.obj").write_text("\n".join([*lines, "f 1 3 4"]) + "\n")
    mesh = read_solid(tmp_path / "two.obj", "z").mesh
    assert mesh.colours is None
    assert len(mesh.faces) == 2


def broken(name: str) -> trimesh.Trimesh:
    box = tall_box()
    if name == "no_faces":
        return trimesh.Trimesh(box.vertices, np.empty((0, 3), int), process=False)
    if name == "not_finite":
        box.vertices[3, 1] = np.nan
    if name == "no_extent":
        box.vertices[:] = 1.0
    if name == "absurd":
        box.vertices[0] = 1e12
    if name == "degenerate":
        return trimesh.Trimesh(box.vertices, [[0, 0, 1], [2, 2, 2]], process=False)
    return box


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("no_faces", "no_faces"),
        ("not_finite", "not_finite"),
        ("no_extent", "no_extent"),
        ("absurd", "no_extent"),
        ("degenerate", "no_faces"),
    ],
)
def test_broken_meshes_say_what_is_wrong(tmp_path, name, status):
    broken(name).export(tmp_path / "x.ply", vertex_normal=False)
    with pytest.raises(BadMeshError) as problem:
        read_solid(tmp_path / "x.ply", "z")
    assert problem.value.status == status
    assert problem.value.reason


@pytest.mark.parametrize(
    ("data", "status"), [(b"", "unreadable"), (b"ply\nformat ascii 1.0\nelem", "unreadable"), (None, "missing")]
)
def test_files_that_are_no_meshes(tmp_path, data, status):
    path = tmp_path / "x.ply"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(BadMeshError) as problem:
        read_solid(path, "z")
    assert problem.value.status == status


def test_fbx_without_blender_is_set_aside(tmp_path):
    (tmp_path / "statue.fbx").write_bytes(b"Kaydara FBX Binary  \x00")
    with pytest.raises(BadMeshError) as problem:
        read_solid(tmp_path / "statue.fbx", "z", blender=str(tmp_path / "no-blender"))
    assert problem.value.status == "needs_blender"


def test_a_stray_vertex_does_not_matter(tmp_path):
    box = tall_box()
    stray = trimesh.Trimesh(np.vstack([[[np.nan, 0, 0]], box.vertices]), box.faces + 1, process=False)
    stray.export(tmp_path / "x.ply", vertex_normal=False)
    np.testing.assert_allclose(np.ptp(read_solid(tmp_path / "x.ply", "z").mesh.vertices, axis=0), [0.2, 0.4, 1])


def test_sketchfab_folder_splits_by_table_folder_or_name(tmp_path):
    for name in ("train/a.ply", "val/b.ply", "test/c.ply", "other/d.ply", "other/e.ply"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        tall_box().export(tmp_path / name)
    (tmp_path / "readme.txt").write_text("not a mesh")
    settings = SetSettings(sketchfab=SketchfabSettings(folder=str(tmp_path)))
    found = {shape.source: shape.split for shape in shapes_of("sketchfab", settings, 0)}
    assert found["train/a.ply"] == "train"
    assert found["val/b.ply"] == "val"
    assert found["test/c.ply"] == "test"
    assert found["other/d.ply"] == split_of(
        "other/d.ply", settings.sketchfab.val_fraction, settings.sketchfab.test_fraction
    )
    (tmp_path / "splits.csv").write_text("file,split,up\nother/d.ply,val,y\ne,test,z\ntrain/a.ply,test,\n")
    found = {shape.source: shape.split for shape in shapes_of("sketchfab", settings, 0)}
    assert (found["other/d.ply"], found["other/e.ply"], found["train/a.ply"]) == ("val", "test", "test")


@pytest.mark.parametrize("line", ["a.ply,rest,", "a.ply,test,x"])
def test_a_bad_table_of_splits_is_refused(tmp_path, line):
    (tmp_path / "splits.csv").write_text(f"file,split,up\n{line}\n")
    with pytest.raises(LiftnetError, match=r"splits\.csv"):
        read_splits(tmp_path / "splits.csv")


def test_shapenet_layout_with_its_splits(tmp_path):
    chair, lamp = SYNSETS["chair"], SYNSETS["lamp"]
    for model in (f"{chair}/aaa/models/model_normalized.obj", f"{chair}/bbb/model.obj", f"{lamp}/ccc/model.obj"):
        (tmp_path / model).parent.mkdir(parents=True)
        tall_box().export(tmp_path / model)
    (tmp_path / "99999999" / "zzz").mkdir(parents=True)  # a class that the paper does not use
    rows = [f"1,{int(chair)},x,aaa,test", f"2,{chair},x,bbb,val", f"3,{chair},x,ddd,train"]
    (tmp_path / "all.csv").write_text("id,synsetId,subSynsetId,modelId,split\n" + "\n".join(rows) + "\n")
    shapes = {
        shape.source: shape
        for shape in shapes_of("shapenet", SetSettings(shapenet=ShapenetSettings(folder=str(tmp_path))), 0)
    }
    assert {source: shape.split for source, shape in shapes.items() if shape.class_name == "chair"} == {
        f"{chair}/aaa": "test",
        f"{chair}/bbb": "val",
        f"{chair}/ddd": "train",
    }
    assert shapes[f"{lamp}/ccc"].split in ("train", "val", "test")
    assert len(shapes) == 4
    assert len(shapes[f"{chair}/aaa"].make().mesh.faces) == 12
    with pytest.raises(BadMeshError, match=r"model_normalized.obj: there is no such file"):
        shapes[f"{chair}/ddd"].make()
    limited = SetSettings(shapenet=ShapenetSettings(folder=str(tmp_path), shapes_per_class=1))
    assert len(shapes_of("shapenet", limited, 0)) == 2


def test_the_17_classes_have_generated_families_of_the_same_names():
    from liftnet.render.classes import CLASSES

    assert set(CLASSES) == set(SYNSETS)
    shapes = shapes_of("shapenet", SetSettings(shapenet=ShapenetSettings(shapes_per_class=10)), 0)
    assert len(shapes) == 170
    assert len({shape.shape_id for shape in shapes}) == 170
    splits = [shape.split for shape in shapes if shape.class_name == "lamp"]
    assert (splits.count("train"), splits.count("val"), splits.count("test")) == (7, 1, 2)


def test_425_sculptures_split_as_in_the_paper():
    shapes = shapes_of("sketchfab", SetSettings(), 0)
    splits = [shape.split for shape in shapes]
    assert (splits.count("train"), splits.count("val"), splits.count("test")) == (372, 20, 33)
    assert len({shape.shape_id for shape in shapes}) == 425
    assert set(split_exactly(["a"], 0.0, 1.0).values()) == {"test"}


def test_a_missing_or_empty_folder_is_refused(tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(LiftnetError):
            shapes_of("sketchfab", SetSettings(sketchfab=SketchfabSettings(folder=str(folder))), 0)


def test_a_recording_gives_depth_in_cm(tmp_path, write_recording):
    write_recording(tmp_path, ["000", "001", "002", "003"])
    (tmp_path / "mask" / "003.png").unlink()
    (tmp_path / "intrinsics.json").write_text(json.dumps({"fx": 50, "fy": 50, "cx": 20, "cy": 15}))
    (tmp_path / "depth" / "001.png").write_bytes(b"cut")
    recording = open_recording(tmp_path)
    assert recording.names == ("000", "001", "002")
    frames = list(recording.frames(10))
    assert [name for name, _, _ in frames] == ["000", "002"]  # 001 is damaged
    _, image, truth = frames[0]
    assert image.shape == (30, 40, 3)
    assert truth.unit == "cm"
    assert truth.mask.sum() == 100
    assert np.nanmax(truth.depth) == pytest.approx(123.4)
    assert truth.camera.pixels_per_unit(100.0) == 0.5
    assert len(list(recording.frames(1))) == 1


def test_a_recording_without_frames_or_with_bad_intrinsics_is_set_aside(tmp_path, write_recording):
    write_recording(tmp_path, ["000"])
    (tmp_path / "intrinsics.json").write_text('{"fx": "wide"}')
    with pytest.raises(BadMeshError, match="intrinsics"):
        open_recording(tmp_path)
    (tmp_path / "mask" / "000.png").rename(tmp_path / "mask" / "999.png")
    with pytest.raises(BadMeshError, match="no frame"):
        open_recording(tmp_path)


@pytest.mark.real
@pytest.mark.skipif(not MESHES.exists(), reason="the real meshes are not beside the project")
def test_real_meshes_are_read():
    paths = sorted(MESHES.rglob("*.ply"))
    assert len(paths) > 20
    for path in paths[::3]:
        mesh = read_solid(path, "z").mesh
        assert np.isfinite(mesh.vertices).all()
        assert np.ptp(mesh.vertices, axis=0).max() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-3)
        assert mesh.faces.max() < len(mesh.vertices)

"""Rendered sets: the files of a run, true and exact, resumed to the byte, the same for any number of threads."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh

from liftnet.__main__ import main
from liftnet.core.errors import LiftnetError
from liftnet.data.codes import SPLITS
from liftnet.data.dataset import load_pair, read_pairs
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image
from liftnet.data.schemas import MANIFEST, SHAPES, read_table
from liftnet.data.truth import load_truth, truth_files
from liftnet.geometry.cameras import Camera, OrthographicCamera
from liftnet.render.sets import render_set
from liftnet.render.settings import SetSettings

MESHES = Path(__file__).resolve().parents[3] / "shared" / "data" / "meshes"
TINY = SetSettings.model_validate(
    {
        "views": {"size": 48},
        "sketchfab": {"sculptures": 5, "resolution": 24, "val_fraction": 0.2, "test_fraction": 0.2},
        "scanned": {"max_objects": 2, "resolution": 24},
    }
)


def changed(settings: SetSettings, **groups: dict) -> SetSettings:
    tree = settings.model_dump()
    return SetSettings.model_validate({name: tree[name] | groups.get(name, {}) for name in tree})


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def rows_of(folder: Path, name: str, schema) -> list[dict]:
    return read_table(folder / f"{name}.parquet", schema).to_pylist()


@pytest.fixture(scope="module")
def sculptures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sets") / "sketchfab"
    render_set(folder, "sketchfab", TINY, seed=0, threads=1)
    return folder


def test_a_set_has_the_files_of_a_run(sculptures):
    manifest = rows_of(sculptures, "manifest", MANIFEST)
    assert len(manifest) == 25
    assert len({row["image_id"] for row in manifest}) == 25
    truths = truth_files(sculptures)
    for row in manifest:
        image = read_image(sculptures / "images" / row["file"])
        mask = read_mask(sculptures / "masks" / f"{row['image_id']}.png", (48, 48))
        truth = load_truth(truths[row["image_url"]])
        assert image.shape == (48, 48, 3)
        assert (row["width"], row["height"], row["status"], row["source"]) == (48, 48, "ok", "render")
        np.testing.assert_array_equal(mask, truth.mask)
        assert isinstance(truth.camera, OrthographicCamera)
        assert truth.unit == "half width"
        assert image[mask].std() > 0
    splits = {row["work_id"]: row["split"] for row in manifest}
    assert sorted(splits.values()) == ["test", "train", "train", "train", "val"]
    assert {(row["artist"], row["artist_id"]) for row in manifest} == {("sculpture", "sculpture")}
    assert all(row["group_id"] == row["work_id"] for row in manifest)


def test_the_dataset_holds_exact_correspondences_of_each_split(sculptures):
    manifest = {row["image_id"]: row for row in rows_of(sculptures, "manifest", MANIFEST)}
    truths = truth_files(sculptures)
    seen = 0
    for split in SPLITS:
        for pair in read_pairs(sculptures / "dataset", split):
            a, b = manifest[pair.image_a], manifest[pair.image_b]
            assert a["work_id"] == b["work_id"] == pair.work_id
            assert a["split"] == b["split"] == split
            assert pair.image_a < pair.image_b
            first, second = load_truth(truths[a["image_url"]]), load_truth(truths[b["image_url"]])
            columns, rows = pair.points_a.round().astype(int).T
            points = first.camera.unproject(pair.points_a.astype(float), first.depth[rows, columns].astype(float))
            found, _ = second.camera.project(points)
            assert np.abs(found - pair.points_b).max() <= 1 / 64 + 1e-4  # the precision of the dataset
            seen += len(pair)
    shapes = rows_of(sculptures, "shapes", SHAPES)
    assert seen == sum(row["n_correspondences"] for row in shapes) > 2000


def test_fewer_correspondences_are_the_first_of_the_many(sculptures, tmp_path):
    render_set(tmp_path / "few", "sketchfab", changed(TINY, views={"max_correspondences": 50}), seed=0, threads=1)
    few = list(read_pairs(tmp_path / "few" / "dataset", "train"))
    assert few
    for pair in few:
        many = load_pair(sculptures / "dataset", pair.pair_id)
        assert len(pair) == 50 <= len(many)
        np.testing.assert_array_equal(pair.points_a, many.points_a[:50])
        np.testing.assert_array_equal(pair.points_b, many.points_b[:50])


def test_threads_and_interruptions_leave_the_same_bytes(sculptures, tmp_path):
    again = tmp_path / "again"
    render_set(again, "sketchfab", TINY, seed=0, threads=3)
    wanted = files(sculptures)
    assert files(again) == wanted
    stray = [again / "truth.parquet", sorted((again / "shapes").glob("*"))[1], sorted(again.glob("images/*/*/*"))[12]]
    stray += [sorted((again / "masks").glob("*"))[7], sorted((again / "pairs").glob("*"))[3]]
    for path in stray:
        path.unlink()
    render_set(again, "sketchfab", TINY, seed=0, threads=2)
    assert files(again) == wanted
    before = (again / "truth.parquet").stat().st_mtime_ns
    render_set(again, "sketchfab", TINY, seed=0, threads=2)  # nothing to do
    assert (again / "truth.parquet").stat().st_mtime_ns == before


def test_a_killed_run_goes_on(sculptures, tmp_path):
    out = tmp_path / "killed"
    options = ["--views.size=48", "--sketchfab.sculptures=5", "--sketchfab.resolution=24"]
    options += ["--sketchfab.val-fraction=.2", "--sketchfab.test-fraction=.2"]
    command = [sys.executable, "-m", "liftnet", "render", "set", "--set=sketchfab", f"--out={out}", "--threads=1"]
    process = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL, env={**os.environ})
    while process.poll() is None and len(list(out.glob("shapes/*.json"))) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    render_set(out, "sketchfab", TINY, seed=0, threads=1)
    left = {name: data for name, data in files(out).items() if ".part-" not in name}
    assert left == files(sculptures)


def test_other_settings_or_another_seed_render_anew(tmp_path):
    settings = changed(TINY, sketchfab={"sculptures": 2})
    render_set(tmp_path, "sketchfab", settings, seed=0, threads=1)
    before = files(tmp_path)
    render_set(tmp_path, "sketchfab", changed(settings, shapenet={"shapes_per_class": 3}), seed=0, threads=1)
    assert files(tmp_path) == before  # a setting of another set
    render_set(tmp_path, "sketchfab", changed(settings, orthographic={"backdrop": "plain"}), seed=0, threads=1)
    after = files(tmp_path)
    images = [name for name in before if name.startswith("images/")]
    assert images
    assert all(before[name] != after[name] for name in images)
    assert all(before[name] == after[name] for name in before if name.startswith("masks/"))


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(LiftnetError, match="no rendered set"):
        render_set(tmp_path, "sketchfab", TINY, seed=0, threads=1)


def test_blender_is_looked_for_before_anything_is_written(tmp_path):
    settings = changed(TINY, orthographic={"renderer": "blender"}, views={"blender": str(tmp_path / "no-blender")})
    with pytest.raises(LiftnetError, match="no-blender"):
        render_set(tmp_path / "set", "sketchfab", settings, seed=0, threads=1)
    assert not (tmp_path / "set").exists()


def test_broken_meshes_are_set_aside_and_the_rest_goes_on(tmp_path):
    meshes = tmp_path / "meshes"
    meshes.mkdir()
    trimesh.creation.box(extents=(1, 2, 3)).export(meshes / "box.ply")
    trimesh.creation.icosphere(2).export(meshes / "ball.obj")
    (meshes / "cut.ply").write_bytes((meshes / "box.ply").read_bytes()[:120])
    (meshes / "empty.stl").write_bytes(b"")
    (meshes / "splits.csv").write_text("file,split\nbox,train\nball,test\n")
    settings = changed(TINY, sketchfab={"folder": str(meshes)})
    render_set(tmp_path / "set", "sketchfab", settings, seed=0, threads=2)
    rows = {row["source"]: row for row in rows_of(tmp_path / "set", "shapes", SHAPES)}
    assert {source: row["status"] for source, row in rows.items()} == {
        "ball.obj": "ok",
        "box.ply": "ok",
        "cut.ply": "unreadable",
        "empty.stl": "unreadable",
    }
    assert rows["cut.ply"]["reason"].startswith("it is no .ply file, or a damaged one")
    assert rows["box.ply"]["watertight"]
    assert rows["box.ply"]["n_faces"] == 12
    assert {row["work"] for row in rows_of(tmp_path / "set", "manifest", MANIFEST)} == {"ball.obj", "box.ply"}
    trimesh.creation.icosphere(1).export(meshes / "empty.stl")  # mended
    render_set(tmp_path / "set", "sketchfab", settings, seed=0, threads=1)
    rows = {row["source"]: row for row in rows_of(tmp_path / "set", "shapes", SHAPES)}
    assert rows["empty.stl"]["status"] == "ok"
    for name in ("box.ply", "ball.obj", "empty.stl"):
        (meshes / name).unlink()
    with pytest.raises(LiftnetError, match="none of its 1 shapes"):
        render_set(tmp_path / "set", "sketchfab", settings, seed=0, threads=1)


def test_every_class_of_shapenet_is_rendered(tmp_path):
    settings = changed(TINY, shapenet={"shapes_per_class": 1}, views={"max_correspondences": 50})
    render_set(tmp_path, "shapenet", settings, seed=0, threads=2)
    rows = rows_of(tmp_path, "shapes", SHAPES)
    assert len(rows) == 17
    assert all(row["status"] == "ok" and row["n_views"] == 10 for row in rows)
    classes = {row["artist_id"] for row in rows_of(tmp_path, "manifest", MANIFEST)}
    assert {"rifle", "speaker", "watercraft"} < classes
    assert len(classes) == 17


def test_scans_are_photographs_with_depth_in_cm(tmp_path):
    settings = changed(TINY, scanned={"max_images": 5, "object_height_cm": 30.0})
    render_set(tmp_path, "scanned", settings, seed=0, threads=1)
    manifest = rows_of(tmp_path, "manifest", MANIFEST)
    assert len(manifest) == 5
    assert {row["split"] for row in manifest} == {"test"}
    heights: dict[str, list[float]] = {}
    for row in manifest:
        truth = load_truth(truth_files(tmp_path)[row["image_url"]])
        assert truth.unit == "cm"
        assert isinstance(truth.camera, Camera)
        rows, columns = np.nonzero(truth.mask)
        pixels = np.column_stack([columns, rows]).astype(float)
        points = truth.camera.unproject(pixels, truth.depth[rows, columns].astype(float))
        heights.setdefault(row["work_id"], []).append(points[:, 2].max())
    assert len(heights) == 2
    assert all(25 < max(tops) < 31 for tops in heights.values())  # standing on z = 0


def test_recordings_become_a_set(tmp_path, write_recording):
    for name in ("bust", "torso"):
        write_recording(tmp_path / "given" / name, [f"{number:03d}" for number in range(6)])
    settings = changed(TINY, scanned={"folder": str(tmp_path / "given"), "max_images": 7})
    render_set(tmp_path / "set", "scanned", settings, seed=0, threads=1)
    rows = rows_of(tmp_path / "set", "shapes", SHAPES)
    assert [(row["source"], row["n_views"], row["status"]) for row in rows] == [("bust", 4, "ok"), ("torso", 3, "ok")]
    truth = load_truth(next(iter(truth_files(tmp_path / "set").values())))
    assert np.nanmin(truth.depth) == pytest.approx(123.4)


@pytest.mark.real
@pytest.mark.skipif(not MESHES.exists(), reason="the real meshes are not beside the project")
def test_real_meshes_are_rendered(tmp_path):
    folder = tmp_path / "meshes"
    folder.mkdir()
    for name in ("sculptures/bunny.ply", "sculptures/goathead.ply", "cad/chair/chair_quaternius_furni.ply"):
        (folder / Path(name).name).symlink_to(MESHES / name)
    settings = changed(TINY, sketchfab={"folder": str(folder)}, views={"up": "z"})
    render_set(tmp_path / "set", "sketchfab", settings, seed=0, threads=1)
    rows = rows_of(tmp_path / "set", "shapes", SHAPES)
    assert [row["status"] for row in rows] == ["ok"] * 3
    assert all(row["n_pairs"] >= 2 for row in rows)


def test_a_mesh_of_the_same_size_or_another_split_is_rendered_again(tmp_path):
    meshes = tmp_path / "a {mesh}"
    meshes.mkdir()
    for name in ("one", "two"):
        trimesh.creation.box(extents=(1, 2, 3)).export(meshes / f"{name}.ply")
    settings = changed(TINY, sketchfab={"folder": str(meshes)})

    def render() -> tuple[dict, dict]:
        render_set(tmp_path / "set", "sketchfab", settings, seed=0, threads=1)
        rows = {row["source"]: row for row in rows_of(tmp_path / "set", "shapes", SHAPES)}
        return rows, {str(path): path.read_bytes() for path in sorted((tmp_path / "set" / "truth").rglob("*.npz"))}

    _, first = render()
    before = (meshes / "one.ply").stat()
    trimesh.creation.box(extents=(3, 1, 1)).export(meshes / "one.ply")
    os.utime(meshes / "one.ply", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (meshes / "one.ply").stat().st_size == before.st_size
    _, second = render()
    changed_views = {path for path in first if first[path] != second[path]}
    assert len(changed_views) == len(first) / 2
    (meshes / "splits.csv").write_text("file,split\none,test\ntwo,val\n")
    rows, third = render()
    assert {source: row["split"] for source, row in rows.items()} == {"one.ply": "test", "two.ply": "val"}
    assert third == second


def test_the_command_ends_with_1_where_a_shape_was_set_aside_and_goes_on_with_the_rest(tmp_path, write_recording):
    for name, focal in (("good", 50), ("zero", 0)):
        write_recording(tmp_path / "given" / name, ["000", "001"])
        about = {"fx": focal, "fy": 50, "cx": 20, "cy": 15}
        (tmp_path / "given" / name / "intrinsics.json").write_text(json.dumps(about))
    words = ["render", "set", "--set", "scanned", "--out", str(tmp_path / "set"), "--threads", "1"]
    words += [f"--scanned.folder={tmp_path / 'given'}", "--scanned.max-images=4"]
    assert main(words) == 1
    rows = {row["source"]: row for row in rows_of(tmp_path / "set", "shapes", SHAPES)}
    assert rows["good"]["status"] == "ok"
    assert rows["zero"]["status"] == "bad_intrinsics"
    assert "fx = 0 px" in rows["zero"]["reason"]
    assert "Open3D" in rows["zero"]["reason"], "and what to do"
    assert main([*words, "--lenient"]) == 0
    about = {"width": 40, "height": 30, "intrinsic_matrix": [50, 0, 0, 0, 50, 0, 20, 15, 1]}
    (tmp_path / "given" / "zero" / "intrinsics.json").write_text(json.dumps(about))
    assert main(words) == 0, "mended, and done again"

"""The set reconstruction: pictures from their cameras, points of the outside, sizes that training does not see."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from liftnet.__main__ import main
from liftnet.core.errors import LiftnetError
from liftnet.data.reconstruction_set import ReconstructionSet
from liftnet.data.schemas import RECONSTRUCTION_SHAPES, VIEWS, read_table
from liftnet.mesh.reading import load_mesh
from liftnet.mesh.voxels import contains, voxelise
from liftnet.rasteriser import CameraBatch, render_silhouettes
from liftnet.render.classes import MAKERS
from liftnet.render.classes.model import Model, box
from liftnet.render.reconstruction import Viewpoint, recoloured, render_reconstruction_set, viewpoints
from liftnet.render.reconstruction_shapes import placed_shapes
from liftnet.render.settings import ReconstructionSetSettings, SetSettings
from liftnet.render.shapes import SYNSETS

SMALL = {
    **{"classes": ["chair", "airplane"], "train_per_class": 2, "val_per_class": 1, "test_per_class": 1},
    **{"views": 3, "picture_size": 64, "points": 400, "voxels": [16, 32]},
}
OPTIONS = [
    *("--reconstruction.classes", "chair", "airplane", "--reconstruction.views=3", "--reconstruction.points=400"),
    *("--reconstruction.train-per-class=2", "--reconstruction.val-per-class=1", "--reconstruction.test-per-class=1"),
    *("--reconstruction.picture-size=64", "--reconstruction.voxels", "16", "32"),
]


def settings_of(**values) -> SetSettings:
    return SetSettings.model_validate({"reconstruction": SMALL | values})


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file() and ".part-" not in path.name)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def rows_of(folder: Path) -> dict[str, dict]:
    return {row["shape_id"]: row for row in read_table(folder / "shapes.parquet", RECONSTRUCTION_SHAPES).to_pylist()}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reconstruction") / "set"
    render_reconstruction_set(folder, settings_of(), seed=0, threads=1)
    return folder


def test_the_recorded_camera_sees_the_silhouette_of_the_mesh_in_the_fourth_channel(small):
    data = ReconstructionSet.open(small)
    assert [len(data.shapes(split)) for split in ("train", "val", "test")] == [4, 2, 2]
    for shape in data.all_shapes:
        mesh, pictures = load_mesh(data.mesh_file(shape)), data.pictures(shape)
        for number in range(3):
            to_camera = np.diag([1.0, -1, -1]) @ pictures.rotation[number].astype(np.float64)  # y down, z away
            shift = torch.tensor([[0.0, 0, float(pictures.distance[number])]])
            camera = CameraBatch(torch.from_numpy(to_camera)[None], shift, float(pictures.half_width[number]))
            fine = render_silhouettes(mesh.vertices, mesh.faces, camera, 512)[0]
            covered = fine.reshape(64, 8, 64, 8).mean((1, 3))
            error = np.abs(covered - pictures.images[number, 3] / 255).mean() / covered.mean()
            assert error < 0.1  # four rays a pixel tell coverage to within a quarter at edges


def test_pictures_show_shaded_colours_that_differ_from_picture_to_picture(small):
    data = ReconstructionSet.open(small)
    for shape in data.all_shapes:
        images = data.pictures(shape).images
        assert (images[:, :3].transpose(0, 2, 3, 1)[images[:, 3] == 0] == 0).all()
        means = []
        for image in images:
            solid = image[:3, image[3] == 255].astype(float)
            assert solid.mean(0).std() > 8  # light and shade
            means.append(solid.mean(1) / solid.mean())
        assert max(np.abs(a - b).max() for a in means for b in means) > 0.02
    views = read_table(small / "views.parquet", VIEWS).to_pylist()
    for name in ("light", "light_colour", "ambient", "colour", "rotation"):
        assert len({tuple(view[name]) for view in views}) == len(views) == 24


def test_the_ball_around_a_shape_just_fits_its_picture():
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(20_000, 3))
    ball *= 0.5 / np.linalg.norm(ball, axis=1, keepdims=True)
    for viewpoint in (Viewpoint(0, 0, 10), Viewpoint(75, 55, 22), Viewpoint(200, -10, 15)):
        seen = ball @ viewpoint.rotation.T
        reach = np.linalg.norm(seen[:, :2], axis=1) / (viewpoint.distance - seen[:, 2]) / viewpoint.half_width
        assert 0.995 < reach.max() <= 1 + 1e-9
        pixels, _ = viewpoint.camera(100).project((ball @ [[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]) * 1.8)
        np.testing.assert_allclose(
            (pixels - 49.5) / 50 * [1, -1], seen[:, :2] / (viewpoint.distance - seen[:, 2:]) / viewpoint.half_width
        )


def test_a_camera_before_the_front_sees_right_as_right_and_up_as_up():
    np.testing.assert_allclose(Viewpoint(0, 0, 15).rotation, np.eye(3), atol=1e-12)
    from_right = Viewpoint(90, 0, 15).rotation
    np.testing.assert_allclose(from_right @ [1, 0, 0], [0, 0, 1], atol=1e-12)  # +x points to the camera
    np.testing.assert_allclose(Viewpoint(0, 90 - 1e-6, 15).rotation @ [0, 1, 0], [0, 0, 1], atol=1e-6)


def test_the_ring_has_24_views_15_degrees_apart_and_the_random_rig_its_range():
    ring = viewpoints(ReconstructionSetSettings(rig="ring"), seed=0)
    assert [viewpoint.azimuth for viewpoint in ring] == [15.0 * number for number in range(24)]
    assert {(viewpoint.elevation, viewpoint.distance) for viewpoint in ring} == {(30.0, ring[0].distance)}
    drawn = viewpoints(ReconstructionSetSettings(views=400, lowest=-5, highest=20), seed=0)
    elevations, azimuths = ([getattr(viewpoint, name) for viewpoint in drawn] for name in ("elevation", "azimuth"))
    assert -5 <= min(elevations) < -4 < 19 < max(elevations) <= 20
    assert min(azimuths) < 5 < 355 < max(azimuths)
    assert drawn != viewpoints(ReconstructionSetSettings(views=400, lowest=-5, highest=20), seed=1)


def test_points_lie_on_the_outside_of_the_solid_and_voxels_are_its_centres(small):
    data, added = ReconstructionSet.open(small), 0
    for shape in data.all_shapes:
        mesh, target = load_mesh(data.mesh_file(shape)), data.target(shape)
        assert np.linalg.norm(mesh.vertices, axis=1).max() == pytest.approx(0.5)
        np.testing.assert_allclose(mesh.vertices.min(0) + mesh.vertices.max(0), 0, atol=1e-6)
        assert target.points.shape == target.normals.shape == (400, 3)
        out, within = (target.points + step * target.normals.astype(float) for step in (2e-4, -2e-4))
        assert contains(mesh, out).mean() < 0.01
        assert contains(mesh, within).mean() > 0.97
        for resolution in (16, 32):
            centres = voxelise(mesh, resolution)
            assert not (centres & ~target.voxels[resolution]).any()
            np.testing.assert_array_equal(data.voxels(shape, resolution), target.voxels[resolution])
            added += int((target.voxels[resolution] & ~centres).sum())
    assert added > 20  # legs and wings that no centre lies in


def test_threads_and_interruptions_leave_the_same_bytes_and_more_shapes_keep_the_others(small, tmp_path):
    again = tmp_path / "again"
    render_reconstruction_set(again, settings_of(train_per_class=1), seed=0, threads=2)
    kept = (again / "shapes" / "chair-train-00000" / "000.png").stat().st_mtime_ns
    render_reconstruction_set(again, settings_of(), seed=0, threads=3)
    assert files(again) == files(small)
    assert (again / "shapes" / "chair-train-00000" / "000.png").stat().st_mtime_ns == kept
    for name in ("views.parquet", "done/chair-val-00000.json", "shapes/airplane-test-00000/002.png"):
        (again / name).unlink()
    render_reconstruction_set(again, settings_of(), seed=0, threads=1)
    assert files(again) == files(small)
    render_reconstruction_set(again, settings_of(classes=["chair"]), seed=0, threads=1)
    assert {path.name[:5] for path in (again / "shapes").iterdir()} == {"chair"}
    assert ReconstructionSet.open(again).classes == ("chair",)


def test_a_killed_command_goes_on(small, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "liftnet", "render", "set", "--set=reconstruction", f"--out={out}", "--threads=1"]
    process = subprocess.Popen([*command, *OPTIONS], stderr=subprocess.DEVNULL, env={**os.environ})
    while process.poll() is None and len(list(out.glob("done/*.json"))) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "views.parquet").exists()
    render_reconstruction_set(out, settings_of(), seed=0, threads=1)
    assert files(out) == files(small)


def test_training_draws_sizes_from_the_middle_and_tests_also_from_the_ends(monkeypatch):
    def plank(source):
        model = Model()
        model.add((0.5, 0.5, 0.5), box((0, 0, 0), (source.uniform(1, 2), 1, 1), 0.01))
        return model

    monkeypatch.setitem(MAKERS, "chair", plank)
    found: dict[str, list[float]] = {"train": [], "val": [], "test": []}
    asked = settings_of(classes=["chair"], train_per_class=60, val_per_class=60, test_per_class=60, held_out=0.3)
    for shape in placed_shapes(asked, seed=0):
        size = np.ptp(shape.make().surface.vertices, axis=0)
        found[shape.split].append(size[0] / size[1])
    for split in ("train", "val"):
        assert min(found[split]) >= 1.15 - 1e-5
        assert max(found[split]) <= 1.85 + 1e-5
    ends = [length for length in found["test"] if not 1.15 <= length <= 1.85]
    assert 18 < len(ends) < 42  # about every second one, at both ends
    assert min(found["test"]) < 1.1 < 1.9 < max(found["test"])


def test_colours_change_by_part_and_grey_stays_grey():
    mesh = placed_shapes(settings_of(), seed=0)[0].make().visible
    shades, which = np.unique(mesh.colours, axis=0, return_inverse=True)
    drawn = recoloured(mesh, np.random.default_rng(3))
    for number in range(len(shades)):
        assert len(np.unique(drawn.colours[which.ravel() == number], axis=0)) == 1
    grey = replace(mesh, colours=np.full_like(mesh.colours, 0.3))
    tint = recoloured(grey, np.random.default_rng(0)).colours[0]
    assert tint.max() / tint.min() < 1.25
    bare = recoloured(replace(mesh, colours=None), np.random.default_rng(0)).colours
    assert len(np.unique(bare, axis=0)) == 1


# A folder in ShapeNetCore's layout


def shapenet(root: Path, models: dict[str, tuple[str, object]]) -> SetSettings:
    """Models of chairs by name: their split, and a mesh or the bytes of a file."""
    rows = []
    for name, (split, content) in models.items():
        path = root / SYNSETS["chair"] / name / "models" / "model_normalized.obj"
        path.parent.mkdir(parents=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            content.export(path)
        rows.append(f"1,{SYNSETS['chair']},x,{name},{split}")
    (root / "all.csv").write_text("\n".join(["id,synsetId,subSynsetId,modelId,split", *rows]) + "\n")
    return settings_of(folder=str(root), classes=["chair"], train_per_class=5, views=1)


def test_shapenet_is_read_in_its_splits_and_bad_or_copied_shapes_are_set_aside(tmp_path):
    block, ball = trimesh.creation.box((1, 2, 0.5)), trimesh.creation.icosphere(1)
    moved = block.copy()
    moved.apply_transform(trimesh.transformations.scale_and_translate(3, [1, 2, 3]))
    nan = b"v 0 0 0\nv 1 0 nan\nv 0 1 0\nf 1 2 3\n"
    settings = shapenet(
        tmp_path / "core",
        {
            **{"aa": ("train", block), "bb": ("train", b"v 0 0 0\nf 1"), "cc": ("train", nan), "dd": ("train", None)},
            **{"ee": ("val", ball), "ff": ("test", trimesh.creation.icosphere(2))},
        },
    )
    render_reconstruction_set(tmp_path / "set", settings, seed=0, threads=2)
    rows = {row["source"][-2:]: row for row in rows_of(tmp_path / "set").values()}
    assert {name: row["status"] for name, row in rows.items()} == {
        **{"aa": "ok", "bb": "unreadable", "cc": "not_finite", "dd": "missing", "ee": "ok", "ff": "ok"},
    }
    assert all(row["reason"] for row in rows.values())
    data = ReconstructionSet.open(tmp_path / "set")
    assert [shape.split for shape in data.all_shapes] == ["train", "val", "test"]
    settings = shapenet(tmp_path / "copies", {"aa": ("train", block), "bb": ("val", ball), "cc": ("test", moved)})
    render_reconstruction_set(tmp_path / "set", settings, seed=0, threads=1)  # another folder: rendered anew
    copied = next(row for row in rows_of(tmp_path / "set").values() if row["split"] == "test")
    assert (copied["status"], copied["n_views"]) == ("duplicate", 1)
    assert "of train" in copied["reason"]
    with pytest.raises(LiftnetError, match="'chair' in the split test"):
        ReconstructionSet.open(tmp_path / "set").shapes("test", ["chair"])


def test_the_command_ends_with_1_where_a_shape_was_set_aside(tmp_path):
    ball, spindle = trimesh.creation.icosphere(1), trimesh.creation.cone(1, 2)
    settings = shapenet(tmp_path / "core", {"aa": ("train", ball), "bb": ("val", spindle), "cc": ("test", b"")})
    words = ["render", "set", "--set", "reconstruction", "--out", str(tmp_path / "set"), "--threads", "1"]
    words += ["--settings", settings.model_dump_json()]
    assert main(words) == 1
    assert sorted(row["status"] for row in rows_of(tmp_path / "set").values()) == ["ok", "ok", "unreadable"]
    assert main([*words, "--lenient"]) == 0
    trimesh.creation.box((1, 2, 3)).export(next((tmp_path / "core").glob("*/cc/models/*.obj")))
    assert main(words) == 0, "mended, and done again"


def test_a_changed_file_is_read_again(tmp_path):
    block, ball = trimesh.creation.box((1, 2, 0.5)), trimesh.creation.icosphere(1)
    settings = shapenet(tmp_path / "core", {"aa": ("train", block), "bb": ("val", ball), "cc": ("test", ball)})
    render_reconstruction_set(tmp_path / "set", settings, seed=0, threads=1)
    before = rows_of(tmp_path / "set")
    trimesh.creation.icosphere(2).export(next((tmp_path / "core").glob("*/cc/models/*.obj")))
    render_reconstruction_set(tmp_path / "set", settings, seed=0, threads=1)
    changed = {row["source"][-2:] for name, row in rows_of(tmp_path / "set").items() if row != before[name]}
    assert changed == {"cc"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"classes": ["chiar"]}, "is not a class of shapes; did you mean 'chair'"),
        ({"classes": ["chair", "chair"]}, "is named twice"),
        ({"folder": "nowhere"}, "is not a folder"),
    ],
)
def test_what_cannot_be_listed_is_refused_in_plain_words(tmp_path, values, words):
    with pytest.raises(LiftnetError, match=words):
        render_reconstruction_set(tmp_path, settings_of(**values), seed=0, threads=1)


def test_a_class_without_shapes_is_refused(tmp_path):
    ball = trimesh.creation.icosphere(1)
    settings = shapenet(tmp_path / "core", {"aa": ("train", ball), "bb": ("test", ball)})
    with pytest.raises(LiftnetError, match=r"no shapes of the class chair in the split val.*val_per_class to 0"):
        render_reconstruction_set(tmp_path / "set", settings, seed=0, threads=1)
    settings = shapenet(tmp_path / "bad", {"aa": ("train", b""), "bb": ("val", ball), "cc": ("test", ball)})
    with pytest.raises(LiftnetError, match="none of the shapes of the class chair can be trained on"):
        render_reconstruction_set(tmp_path / "set", settings, seed=0, threads=1)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "shapes").mkdir()
    with pytest.raises(LiftnetError, match="holds files that are no rendered set"):
        render_reconstruction_set(tmp_path, settings_of(), seed=0, threads=1)

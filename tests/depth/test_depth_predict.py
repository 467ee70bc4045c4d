import json

import cv2
import numpy as np
import pytest
import trimesh
from PIL import Image

from liftnet.__main__ import main as command_line
from liftnet.depth.mesh import depth_mesh
from liftnet.depth.model import DepthModel, save_model
from liftnet.depth.network import build_network
from liftnet.depth.outputs import FORMATS, colour_depth, endings
from liftnet.depth.predict import PredictOptions, predict
from liftnet.depth.store import CropOptions
from liftnet.io.errors import LiftnetError

OUTPUTS = endings(list(FORMATS))
WHOLE = PredictOptions()


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, DepthModel(build_network(3, 4, False, 0), CropOptions(32, "mask", 0.1, "keep")))
    return folder


@pytest.fixture
def photos(tmp_path):
    """Two readable images in a tree, one with spaces and umlauts, and two that are none."""
    folder = tmp_path / "photos"
    (folder / "Büste, links").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, size in (("bust.jpg", (60, 40)), ("Büste, links/von vorn.png", (30, 50))):
        Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8)).save(folder / name)
    (folder / "page.jpg").write_text("<html>")
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no image")
    return folder


def test_a_folder_is_mirrored_and_bad_files_are_set_aside(photos, model_folder, tmp_path, caplog):
    out = tmp_path / "out"
    with caplog.at_level("INFO"):
        assert predict([photos], model_folder, out, WHOLE) == 1
    assert {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} == {
        f"{stem}.{ending}" for stem in ("bust", "Büste, links/von vorn") for ending in OUTPUTS
    }
    assert "page.jpg: cannot be decoded" in caplog.text
    assert "empty.png: cannot be decoded" in caplog.text
    assert "predicted depth of 2 images, 0 were there already, 2 left out" in caplog.text


def test_results_agree_with_each_other_and_have_the_image_s_size(photos, model_folder, tmp_path):
    predict([photos / "bust.jpg"], model_folder, tmp_path, WHOLE)
    depth = np.load(tmp_path / "bust.depth.npy", allow_pickle=False)
    values = cv2.imread(str(tmp_path / "bust.depth.png"), cv2.IMREAD_UNCHANGED)
    notes = json.loads((tmp_path / "bust.depth.json").read_text())
    assert depth.shape == values.shape == (40, 60)
    assert values.dtype == np.uint16
    assert np.isfinite(depth).all()
    scale, shift = notes["png"]["scale"], notes["png"]["shift"]
    np.testing.assert_allclose(scale * values.astype(float) + shift, depth, atol=0.51 * scale)
    assert cv2.imread(str(tmp_path / "bust.colour.png")).shape == (40, 60, 3)
    for ending in ("mesh.ply", "mesh.glb"):
        mesh = trimesh.load(tmp_path / f"bust.{ending}", force="mesh")
        assert len(mesh.faces) > 1000
        assert mesh.visual.kind == "vertex"


def test_a_mask_limits_depth_and_mesh(photos, model_folder, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:50] = 255
    Image.fromarray(mask).save(masks / "bust.png")
    predict([photos / "bust.jpg"], model_folder, tmp_path / "out", PredictOptions(str(masks)))
    depth = np.load(tmp_path / "out" / "bust.depth.npy", allow_pickle=False)
    np.testing.assert_array_equal(np.isfinite(depth), mask > 0)
    values = cv2.imread(str(tmp_path / "out" / "bust.depth.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(values > 0, mask > 0)


def test_a_mask_of_the_wrong_size_is_set_aside(photos, model_folder, tmp_path, caplog):
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.fromarray(np.zeros((7, 7), np.uint8)).save(masks / "bust.png")
    assert predict([photos / "bust.jpg"], model_folder, tmp_path / "out", PredictOptions(str(masks))) == 1
    assert "is 7x7 pixels, its image 60x40" in caplog.text


def test_an_image_without_foreground_still_has_its_results(photos, model_folder, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(masks / "bust.png")
    assert predict([photos / "bust.jpg"], model_folder, tmp_path / "out", PredictOptions(str(masks))) == 0
    assert not np.isfinite(np.load(tmp_path / "out" / "bust.depth.npy")).any()
    assert all((tmp_path / "out" / f"bust.{ending}").exists() for ending in OUTPUTS)


def test_what_is_there_is_skipped_unless_forced(photos, model_folder, tmp_path):
    image = photos / "bust.jpg"
    predict([image], model_folder, tmp_path, WHOLE)
    first = (tmp_path / "bust.depth.npy").stat().st_mtime_ns
    predict([image], model_folder, tmp_path, WHOLE)
    assert (tmp_path / "bust.depth.npy").stat().st_mtime_ns == first
    (tmp_path / "bust.mesh.glb").unlink()
    predict([image], model_folder, tmp_path, WHOLE)
    assert (tmp_path / "bust.mesh.glb").exists()
    second = (tmp_path / "bust.depth.npy").stat().st_mtime_ns
    predict([image], model_folder, tmp_path, PredictOptions(force=True))
    assert (tmp_path / "bust.depth.npy").stat().st_mtime_ns > second


def test_an_unknown_device_is_named(photos, model_folder, tmp_path):
    with pytest.raises(LiftnetError, match="--device nonsense"):
        predict([photos / "bust.jpg"], model_folder, tmp_path, PredictOptions(device="nonsense"))


def test_nearer_is_yellow_and_further_is_blue():
    depth = np.array([[0.0, 1.0, np.nan]], np.float32)
    near, far, nothing = colour_depth(depth)[0].astype(int)
    assert near[0] > 200
    assert near[2] < 100
    assert far[2] > far[0]
    assert nothing.tolist() == [255, 255, 255]


def test_mesh_lies_as_the_picture_does_and_faces_the_viewer():
    """Depth that falls from left to right and has a nearer top: z grows to the right and upwards."""
    rows, columns = np.indices((20, 20))
    depth = (-columns + 0.5 * rows).astype(np.float32)
    colours = np.zeros((20, 20, 3), np.uint8)
    colours[0, 0] = (255, 0, 0)
    mesh = depth_mesh(depth, np.ones((20, 20), bool), colours)
    x, y, z = mesh.vertices.T
    assert x.min() == pytest.approx(-0.95)
    assert y.max() == pytest.approx(0.95)
    slope = np.linalg.lstsq(np.column_stack([x, y, np.ones_like(x)]), z, rcond=None)[0]
    assert slope[0] > 0
    assert slope[1] > 0
    assert (mesh.face_normals[:, 2] > 0).all()
    red = np.flatnonzero(mesh.visual.vertex_colors[:, 0] == 255)
    np.testing.assert_allclose(mesh.vertices[red, :2], [[-0.95, 0.95]])
    assert len(mesh.faces) == 2 * 19 * 19


def test_mesh_has_no_triangle_across_a_jump_in_depth_or_off_the_mask():
    depth = np.zeros((32, 32), np.float32)
    depth[:, 16:] = 1
    mask = np.ones((32, 32), bool)
    mask[:5] = False
    mesh = depth_mesh(depth, mask, np.zeros((32, 32, 3), np.uint8))
    assert len(mesh.vertices) == mask.sum()
    assert len(mesh.faces) == 2 * 26 * 15 * 2
    assert np.ptp(mesh.vertices[mesh.faces][:, :, 2], axis=1).max() == 0


def test_a_thin_mask_gives_a_mesh_without_triangles():
    mask = np.zeros((8, 8), bool)
    mask[3] = True
    assert len(depth_mesh(np.zeros((8, 8), np.float32), mask, np.zeros((8, 8, 3), np.uint8)).faces) == 0


def test_the_command_line_trains_evaluates_and_predicts(run_folder, photos, tmp_path, capsys):
    network = ["--image-size=32", "--levels=3", "--width=4", "--iterations=2", "--validate-every=2", "--threads=1"]
    data = ["--root", str(run_folder), "--dataset", str(run_folder / "dataset"), "--model", str(tmp_path / "model")]
    assert command_line(["depth", "train", *data, *network]) == 0
    tables = ["--tables", str(tmp_path / "tables"), "--museum", str(run_folder / "museum"), "--n-examples=1"]
    assert command_line(["depth", "evaluate", *data, *tables, "--threads=1"]) == 0
    assert (tmp_path / "tables" / "depth_demo.csv").exists()
    model, out = ["--model", str(tmp_path / "model")], ["--out", str(tmp_path / "out")]
    assert command_line(["depth", "predict", str(photos / "bust.jpg"), "--mask=none", *model, *out]) == 0
    assert (tmp_path / "out" / "bust.mesh.glb").exists()
    assert command_line(["depth", "predict", str(tmp_path / "none.jpg"), *model, *out]) == 1
    assert command_line(["depth", "train", *data, "--image-size=40"]) == 1


def test_a_photograph_of_a_turned_camera_is_read_upright(photos, model_folder, tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "turned.jpg", exif=exif)
    predict([tmp_path / "turned.jpg"], model_folder, tmp_path / "out", WHOLE)
    assert np.load(tmp_path / "out" / "turned.depth.npy").shape == (60, 40)

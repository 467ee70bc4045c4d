"""From photographs to meshes: as in training, with masks or without, and a word for each that cannot be used."""

import json

import numpy as np
import pytest
import shapes_to_learn as toys
import torch
import trimesh
from PIL import Image

from liftnet.__main__ import main
from liftnet.core.errors import LiftnetError
from liftnet.data.reconstruction_set import ReconstructionSet
from liftnet.models.reconstruction import (
    Camera,
    ReconstructionModel,
    initial_network,
    load_model,
    save_model,
)
from liftnet.models.reconstruction_networks import NetworkSettings
from liftnet.reconstruct import predict as prediction
from liftnet.reconstruct.predict import PredictOptions, predict
from liftnet.reconstruct.shape_views import read_views

WHOLE = PredictOptions(mask="none")
CAMERA = Camera(distance=2.1, half_width=0.27, fill=0.8)


@pytest.fixture(autouse=True)
def ball(monkeypatch):
    toys.use_ball(monkeypatch)


@pytest.fixture
def model_folder(tmp_path):
    network = initial_network(NetworkSettings(), 0).eval()
    save_model(tmp_path / "model", ReconstructionModel(network, CAMERA, {"seed": 0}))
    return tmp_path / "model"


@pytest.fixture
def photos(tmp_path, photo):
    folder = tmp_path / "photos"
    (folder / "inner").mkdir(parents=True)
    photo(1, (60, 40)).save(folder / "bust.jpg")
    photo(2, (40, 50)).save(folder / "inner" / "vase.png")
    return folder


def test_a_folder_of_photographs_becomes_meshes_in_its_form(photos, model_folder, tmp_path):
    assert predict([photos], model_folder, tmp_path / "out", WHOLE) == 0
    for stem in ("bust", "inner/vase"):
        glb = trimesh.load(tmp_path / "out" / f"{stem}.shape.glb", force="mesh", process=False)
        ply = trimesh.load(tmp_path / "out" / f"{stem}.shape.ply", process=False)
        assert len(glb.faces) == len(ply.faces) == 80
        np.testing.assert_allclose(glb.vertices, ply.vertices, atol=1e-6)
    notes = json.loads((tmp_path / "out" / "bust.shape.json").read_text())
    assert notes["faces"] == 80
    assert notes["mask"] is None
    assert notes["frame"].startswith("the shape's own")


def test_the_mesh_is_what_the_network_says_of_the_crop(photos, model_folder, tmp_path):
    predict([photos / "bust.jpg"], model_folder, tmp_path / "out", WHOLE)
    model = load_model(model_folder)
    image = np.asarray(Image.open(photos / "bust.jpg"))
    with torch.inference_mode():
        expected = model.network(model.views(image))[0].numpy()
    mesh = trimesh.load(tmp_path / "out" / "bust.shape.ply", process=False)
    np.testing.assert_allclose(mesh.vertices, expected, atol=1e-6)


def test_a_rendered_picture_is_seen_as_in_training(small_set):
    """A picture of the set laid into a photograph, elsewhere and larger, comes back as the network saw it."""
    data = ReconstructionSet.open(small_set)
    shape = data.all_shapes[0]
    seen = read_views(data, [shape], [0])
    mask = seen.images[0, 3].numpy() > 0.5
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    fill = max(np.ptp(rows) + 1, np.ptp(columns) + 1) / toys.SIDE
    zoom = 4
    pixels = (255 * seen.images[0, :3].permute(1, 2, 0).numpy()).round().astype(np.uint8)
    photograph = np.full((300, 400, 3), 90, np.uint8)
    place = np.s_[50 : 50 + 32 * zoom, 120 : 120 + 32 * zoom]
    large = mask.repeat(zoom, 0).repeat(zoom, 1)
    photograph[place][large] = pixels.repeat(zoom, 0).repeat(zoom, 1)[large]
    where = np.zeros((300, 400), bool)
    where[place] = large
    network = initial_network(NetworkSettings(), 0).eval()
    model = ReconstructionModel(network, Camera(float(seen.distance), float(seen.half_width), fill))
    views = model.views(photograph, where)
    off = [(np.ptp(each) // 2 + each[0]) - toys.SIDE // 2 for each in (rows, columns)]
    centred = np.roll(mask, [-step for step in off], (0, 1))  # a photograph's middle is that of its mask
    overlap = (views.images[0, 3].numpy() > 0.5) & centred
    assert overlap.sum() / ((views.images[0, 3].numpy() > 0.5) | centred).sum() > 0.8
    assert float(views.images[0, :3][:, views.images[0, 3] == 0].abs().max()) == 0  # black off the shape
    assert torch.equal(views.distance, seen.distance)
    assert abs(float(views.images[0, :3].sum() / seen.images[0, :3][:, mask].sum()) - 1) < 0.1


def test_a_mask_that_reaches_beyond_the_picture_is_cut_there():
    model = ReconstructionModel(initial_network(NetworkSettings(), 0), Camera(2, 0.27, 0.5))
    image = np.full((20, 10, 3), 200, np.uint8)
    views = model.views(image, np.ones((20, 10), bool))
    assert views.images[0, 3].mean() == pytest.approx(0.5 * 0.25, abs=0.02)  # 20 x 10 of 40 x 40
    with pytest.raises(ValueError, match="the mask is"):
        model.views(image, np.ones((10, 20), bool))


def test_masks_of_a_folder_decide_the_crop(photos, model_folder, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:30] = 255
    Image.fromarray(mask).save(masks / "bust.png")
    predict([photos / "bust.jpg"], model_folder, tmp_path / "out", PredictOptions(mask=str(masks)))
    predict([photos / "bust.jpg"], model_folder, tmp_path / "whole", WHOLE)
    first, second = (trimesh.load(tmp_path / name / "bust.shape.ply") for name in ("out", "whole"))
    assert not np.allclose(first.vertices, second.vertices)
    assert json.loads((tmp_path / "out" / "bust.shape.json").read_text())["mask"] == str(masks / "bust.png")


def test_without_a_segmenter_beside_the_model_that_of_the_package_masks(photos, model_folder, tmp_path, caplog):
    caplog.set_level("INFO")
    assert predict([photos / "bust.jpg"], model_folder, tmp_path / "out", PredictOptions()) == 0
    assert "masks by the segmenter that comes with liftnet" in caplog.text


def test_what_cannot_be_read_is_named_and_the_rest_is_done(photos, model_folder, tmp_path, caplog):
    (photos / "broken.jpg").write_bytes(b"no picture")
    assert predict([photos], model_folder, tmp_path / "out", WHOLE) == 1
    assert "broken.jpg" in caplog.text
    assert (tmp_path / "out" / "bust.shape.glb").exists()
    assert not (tmp_path / "out" / "broken.shape.json").exists()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("empty", "the network sees no shape in it"),
        ("infinite", "the network gives no mesh"),
        ("many", "its mesh has 80 faces, more than 79"),
    ],
)
def test_what_is_no_mesh_is_left_out_with_a_reason(photos, model_folder, tmp_path, monkeypatch, caplog, how, told):
    def spoilt(self, said):
        vertices, faces = said[0], self.faces
        if how == "empty":
            return [(vertices[:0], faces[:0])]
        return [(vertices * float("inf") if how == "infinite" else vertices, faces)]

    monkeypatch.setattr(toys.Ball, "surfaces", spoilt)
    monkeypatch.setattr(prediction, "MOST_FACES", 79 if how == "many" else 10**6)
    assert predict([photos / "bust.jpg"], model_folder, tmp_path / "out", WHOLE) == 1
    assert f"bust.jpg: {told}" in caplog.text
    assert list((tmp_path / "out").glob("*")) == []


def test_what_is_there_is_not_predicted_again(photos, model_folder, tmp_path, monkeypatch, caplog):
    predict([photos], model_folder, tmp_path / "out", WHOLE)
    (tmp_path / "out" / "bust.shape.json").unlink()  # as if it had been stopped before
    with caplog.at_level("INFO"):
        predict([photos], model_folder, tmp_path / "out", WHOLE)
    assert "predicted 1 shapes, 1 were there already, 0 left out" in caplog.text


def test_a_model_without_its_camera_is_refused(model_folder):
    path = model_folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "camera": {"distance": 2}}))
    with pytest.raises(LiftnetError, match=r"does not say how its pictures were taken.*reconstruct train"):
        load_model(model_folder)


def test_the_command_line_trains_and_predicts(small_set, photos, tmp_path, capsys):
    model, out = tmp_path / "trained", tmp_path / "out"
    command = ["reconstruct", "train", "--root", str(small_set), "--model", str(model), "--threads", "1"]
    quick = ["--iterations", "2", "--batch-size", "2", "--points", "50", "--targets", str(tmp_path / "targets")]
    assert main([*command, *quick, "--losses", '{"vertices": 1}']) == 1  # no file of the package has that name
    assert "--losses" in capsys.readouterr().err
    assert main([*command, *quick]) == 0
    assert (
        main(["reconstruct", "predict", str(photos), "--model", str(model), "--out", str(out), "--mask", "none"]) == 0
    )
    assert (out / "bust.shape.glb").exists()

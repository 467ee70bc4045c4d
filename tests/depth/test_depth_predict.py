import json
import os
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from liftnet.__main__ import main as command_line
from liftnet.core.errors import LiftnetError
from liftnet.data.pictures import read_image
from liftnet.depth.predict import FORMATS, PredictOptions, colour_depth, depth_mesh, endings, parse_formats, predict
from liftnet.models.depth_input import CropBox, put_back
from liftnet.models.depth_networks import InputSettings, NetworkSettings
from liftnet.models.liftnet import DepthModel, initial_network, save_model

OUTPUTS = endings(list(FORMATS))
WHOLE = PredictOptions()


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_model(
        folder,
        DepthModel(
            initial_network(NetworkSettings(levels=3, width=4), 0),
            InputSettings(image_size=32, background="keep"),
        ),
    )
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
    assert "page.jpg: the file is an HTML page" in caplog.text
    assert "empty.png: the file has no bytes" in caplog.text
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
    assert "7x7 px, its image as displayed 60x40" in caplog.text


@pytest.mark.parametrize(("level", "reason"), [(0, "no foreground"), (255, "no background")])
def test_a_mask_that_marks_nothing_or_everything_is_set_aside(photos, model_folder, tmp_path, caplog, level, reason):
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.fromarray(np.full((40, 60), level, np.uint8)).save(masks / "bust.png")
    assert predict([photos / "bust.jpg"], model_folder, tmp_path / "out", PredictOptions(str(masks))) == 1
    assert f"bust.png: {reason}" in caplog.text
    assert not (tmp_path / "out" / "bust.depth.npy").exists()


def test_masks_are_found_by_names_as_people_write_them(photos, model_folder, tmp_path, caplog):
    Image.new("RGB", (60, 40)).save(photos / "Bu\u0308ste.jpg")  # as macOS stores it
    truth = np.zeros((40, 60), np.uint8)
    truth[10:30, 20:50] = 1
    for number, name in enumerate(("bust.jpg.png", "bust_mask.PNG", "B\u00fcste.png")):
        masks = tmp_path / f"masks{number}"
        masks.mkdir()
        Image.fromarray(truth).save(masks / name)
        image = photos / ("Bu\u0308ste.jpg" if "ste" in name else "bust.jpg")
        out = tmp_path / f"out{number}"
        assert predict([image], model_folder, out, PredictOptions(str(masks), formats=("npy",))) == 0
        np.testing.assert_array_equal(np.isfinite(np.load(next(out.glob("*.npy")))), truth > 0)
    with caplog.at_level("WARNING"):
        Image.fromarray(truth).save(tmp_path / "masks0" / "busts.png")
        (tmp_path / "masks0" / "bust.jpg.png").unlink()
        predict([photos / "bust.jpg"], model_folder, tmp_path / "near", PredictOptions(str(tmp_path / "masks0")))
    assert "has no mask; the whole image is taken; the nearest name is busts.png" in caplog.text
    with pytest.raises(LiftnetError, match="is no folder; did you mean 'masks1'"):
        predict([photos / "bust.jpg"], model_folder, tmp_path / "x", PredictOptions(str(tmp_path / "maskss1")))


def test_no_name_ends_a_batch(photos, model_folder, tmp_path, caplog):
    long = photos / ("x" * 251 + ".jpg")
    Image.new("RGB", (20, 20)).save(long)
    raw = photos / os.fsdecode(b"b\xfcste.jpg")
    Image.new("RGB", (20, 20)).save(photos / "plain.jpg")
    (photos / "plain.jpg").rename(raw)
    (photos / "gone.jpg").symlink_to("nowhere")
    Image.new("RGB", (20, 20)).save(photos / "{left}.jpg")
    Image.new("RGB", (1, 1)).save(photos / "dot.png")
    with caplog.at_level("INFO"):
        assert predict([photos], model_folder, tmp_path / "out", PredictOptions(formats=("npy",))) == 1
    assert "gone.jpg: is a link to a file that does not exist" in caplog.text
    assert "predicted depth of 6 images, 0 were there already, 3 left out" in caplog.text
    assert "left out 1 files (.txt), no pictures by their names: notes.txt" in caplog.text
    assert predict([long], model_folder, tmp_path / "out", PredictOptions(formats=("npy",))) == 0


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
    with pytest.raises(LiftnetError, match="device 'nonsense'"):
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
    network = ["--input.image-size=32", "--network.levels=3", "--network.width=4"]
    network += ["--iterations=2", "--validate-every=2", "--threads=1"]
    data = ["--root", str(run_folder), "--dataset", str(run_folder / "dataset"), "--model", str(tmp_path / "model")]
    assert command_line(["depth", "train", *data, *network]) == 0
    tables = ["--tables", str(tmp_path / "tables"), "--museum", str(run_folder / "museum"), "--n-examples=1"]
    assert command_line(["depth", "evaluate", *data, *tables, "--threads=1"]) == 0
    assert (tmp_path / "tables" / "depth_demo.csv").exists()
    model, out = ["--model", str(tmp_path / "model")], ["--out", str(tmp_path / "out")]
    assert command_line(["depth", "predict", str(photos / "bust.jpg"), "--mask=none", *model, *out]) == 0
    assert (tmp_path / "out" / "bust.mesh.glb").exists()
    assert command_line(["depth", "predict", str(tmp_path / "none.jpg"), *model, *out]) == 1
    assert command_line(["depth", "train", *data, "--input.image-size=40"]) == 1


def test_a_photograph_of_a_turned_camera_is_read_upright(photos, model_folder, tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "turned.jpg", exif=exif)
    predict([tmp_path / "turned.jpg"], model_folder, tmp_path / "out", WHOLE)
    assert np.load(tmp_path / "out" / "turned.depth.npy").shape == (60, 40)


def test_only_the_formats_asked_for_are_written_and_looked_for(photos, model_folder, tmp_path):
    def names():
        return {path.name for path in tmp_path.glob("bust.*")}

    few = PredictOptions(formats=parse_formats("npy, glb"))
    predict([photos / "bust.jpg"], model_folder, tmp_path, few)
    assert names() == {"bust.depth.npy", "bust.mesh.glb", "bust.depth.json"}
    before = (tmp_path / "bust.depth.npy").stat().st_mtime_ns
    predict([photos / "bust.jpg"], model_folder, tmp_path, few)
    assert (tmp_path / "bust.depth.npy").stat().st_mtime_ns == before
    predict([photos / "bust.jpg"], model_folder, tmp_path, PredictOptions(formats=parse_formats("png16")))
    assert names() == {"bust.depth.npy", "bust.mesh.glb", "bust.depth.png", "bust.depth.json"}
    assert (tmp_path / "bust.depth.npy").stat().st_mtime_ns == before


@pytest.mark.parametrize(("text", "message"), [("npy,exr", "has no format exr"), (" ,", "names no format")])
def test_an_unknown_format_is_named(text, message):
    with pytest.raises(LiftnetError, match=message):
        parse_formats(text)


def test_batches_and_threads_give_what_single_images_give(photos, model_folder, tmp_path):
    for k in range(5):
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (30 + k, 40, 3), np.uint8)).save(photos / f"{k}.png")
    predict([photos], model_folder, tmp_path / "one", PredictOptions(formats=("npy",), batch_size=1))
    predict([photos], model_folder, tmp_path / "many", PredictOptions(formats=("npy",), batch_size=4, threads=3))
    torch.set_num_threads(1)
    files = sorted((tmp_path / "one").rglob("*.npy"))
    assert len(files) == 7
    for file in files:
        other = np.load(tmp_path / "many" / file.relative_to(tmp_path / "one"))
        np.testing.assert_allclose(other, np.load(file), atol=1e-5)


def test_long_work_is_announced_after_the_first_batch(photos, model_folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("liftnet.depth.predict.LONG", -1.0)
    with caplog.at_level("INFO"):
        predict([photos], model_folder, tmp_path / "out", PredictOptions(batch_size=3))
    assert caplog.text.count("4 images to predict, about 0 s") == 1


class Hungry(torch.nn.Module):
    """A network with memory for so many images at a time."""

    def __init__(self, limit, error):
        super().__init__()
        self.scale, self.limit, self.error, self.seen = torch.nn.Parameter(torch.ones(1)), limit, error, []

    def forward(self, images):
        self.seen.append(len(images))
        if len(images) > self.limit:
            raise self.error
        return images.mean(1) * self.scale


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_where_memory_runs_out_the_batch_is_halved_and_the_work_goes_on(error, tmp_path, monkeypatch, caplog):
    for k in range(7):
        Image.new("RGB", (20, 20), (k, k, k)).save(tmp_path / f"{k}.png")
    network = Hungry(2, error)
    model = DepthModel(network, InputSettings(image_size=32, background="keep"))
    monkeypatch.setattr("liftnet.depth.predict.load_model", lambda *_: model)
    out = tmp_path / "out"
    assert predict([tmp_path], tmp_path / "model", out, PredictOptions(formats=("npy",), device="cpu")) == 0
    assert network.seen == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert "memory ran out with 7 images at a time; continuing with 3. Next time: `--batch-size 3`" in caplog.text
    assert "memory ran out with 3 images at a time; continuing with 1" in caplog.text
    depths = [np.load(out / f"{k}.depth.npy")[10, 10] for k in range(7)]
    np.testing.assert_allclose(depths, np.arange(7) / 127.5 - 1, atol=1e-6)


def test_memory_that_does_not_suffice_for_one_image_ends_with_a_clear_message(photos, tmp_path, monkeypatch):
    model = DepthModel(Hungry(0, MemoryError()), InputSettings(image_size=32, background="keep"))
    monkeypatch.setattr("liftnet.depth.predict.load_model", lambda *_: model)
    with pytest.raises(LiftnetError, match=r"--device cpu: memory does not suffice .* 32 px"):
        predict([photos], tmp_path / "model", tmp_path / "out", PredictOptions(device="cpu"))


def test_other_errors_of_the_network_are_not_taken_for_a_lack_of_memory(photos, tmp_path, monkeypatch):
    model = DepthModel(
        Hungry(0, RuntimeError("shapes do not fit")),
        InputSettings(image_size=32, background="keep"),
    )
    monkeypatch.setattr("liftnet.depth.predict.load_model", lambda *_: model)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        predict([photos], tmp_path / "model", tmp_path / "out", PredictOptions(device="cpu"))


def test_an_image_too_large_for_the_memory_is_left_out_and_the_rest_goes_on(
    photos, model_folder, tmp_path, monkeypatch, caplog
):
    def read(path):
        if path.name == "giant.png":
            raise MemoryError
        return read_image(path)

    Image.new("RGB", (20, 20)).save(photos / "giant.png")
    monkeypatch.setattr("liftnet.depth.predict.read_image", read)
    assert predict([photos], model_folder, tmp_path / "out", WHOLE) == 1
    assert "giant.png: is too large for the memory" in caplog.text
    assert (tmp_path / "out" / "bust.depth.npy").exists()
    assert not (tmp_path / "out" / "giant.depth.json").exists()


def test_a_full_disk_ends_the_work(photos, model_folder, tmp_path):
    (tmp_path / "out").write_text("a file in the way")
    with pytest.raises(LiftnetError, match="a file stands where a folder is needed"):
        predict([photos], model_folder, tmp_path / "out", WHOLE)


@pytest.fixture(scope="module")
def segmenter_folder(tmp_path_factory):
    """A segmenter that was never trained, with which all of an image is foreground."""
    from liftnet.models.segmentation_networks import NetworkSettings
    from liftnet.models.segmenter import SEGMENTER, Segmenter

    torch.manual_seed(0)
    settings = NetworkSettings(encoder="tu-mobilenetv3_small_050", channels=16, image_size=64)
    network = SEGMENTER.build(settings)
    convolution = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    torch.nn.init.zeros_(convolution.weight)
    torch.nn.init.constant_(convolution.bias, 5.0)
    folder = tmp_path_factory.mktemp("segmenter")
    Segmenter(network, settings).save(folder)
    return folder


@pytest.mark.slow
def test_masks_come_from_the_segmenter(photos, model_folder, segmenter_folder, tmp_path):
    out = tmp_path / "out"
    options = PredictOptions("auto", segmenter_folder, ("npy",), device="cpu")
    assert predict([photos], model_folder, out, options) == 1
    assert cv2.imread(str(out / "bust.mask.png"), cv2.IMREAD_UNCHANGED).shape == (40, 60)
    notes = json.loads((out / "Büste, links" / "von vorn.depth.json").read_text())
    assert notes["mask"] == str(out / "Büste, links" / "von vorn.mask.png")
    # a mask that is there is used as it is, and the segmenter is not asked again
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:50] = 255
    Image.fromarray(mask).save(out / "bust.mask.png")
    (out / "bust.depth.npy").unlink()
    predict([photos], model_folder, out, options)
    np.testing.assert_array_equal(np.isfinite(np.load(out / "bust.depth.npy")), mask > 0)


def test_the_mask_is_that_of_segment_images_and_force_makes_it_anew(photos, model_folder, segmenter_folder, tmp_path):
    out, image = tmp_path / "out", photos / "bust.jpg"
    command = ["segment", "images", str(image), "--model", str(segmenter_folder), "--out", str(tmp_path / "masks")]
    assert command_line([*command, "--device", "cpu"]) == 0
    options = PredictOptions("auto", segmenter_folder, ("npy",), device="cpu")
    predict([image], model_folder, out, options)
    expected = (tmp_path / "masks" / "bust.png").read_bytes()
    assert (out / "bust.mask.png").read_bytes() == expected
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(out / "bust.mask.png")
    predict([image], model_folder, out, replace(options, force=True))
    assert (out / "bust.mask.png").read_bytes() == expected


def test_an_image_in_which_the_segmenter_sees_no_foreground_is_taken_whole(
    photos, model_folder, segmenter_folder, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(
        "liftnet.models.photograph_masks.mask_image", lambda _, image, __: (np.zeros(image.shape[:2], bool), 0.0)
    )
    options = PredictOptions("auto", segmenter_folder, ("npy",), device="cpu")
    assert predict([photos / "bust.jpg"], model_folder, tmp_path, options) == 0
    assert "bust.jpg has no mask; the whole image is taken" in caplog.text
    assert not (tmp_path / "bust.mask.png").exists()
    assert np.isfinite(np.load(tmp_path / "bust.depth.npy")).all()


def test_without_a_segmenter_that_of_the_package_masks_and_one_that_is_named_has_to_be_whole(
    photos, model_folder, tmp_path, caplog
):
    caplog.set_level("INFO")
    predict([photos / "bust.jpg"], model_folder, tmp_path / "out", PredictOptions("auto", formats=("npy",)))
    assert "masks by the segmenter that comes with liftnet" in caplog.text
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.safetensors").touch()
    with pytest.raises(LiftnetError, match=r"broken/config\.json: does not exist"):
        predict([photos], model_folder, tmp_path / "out", PredictOptions("auto", tmp_path / "broken"))


def test_the_library_predicts_as_the_command_does(photos, model_folder, tmp_path):
    from liftnet.models import load_model

    image = read_image(photos / "bust.jpg")
    mask = np.zeros(image.shape[:2], bool)
    mask[5:35, 10:30] = True
    model = load_model(model_folder)
    depth = model.predict_image(image, mask)
    assert depth.shape == mask.shape
    np.testing.assert_array_equal(np.isfinite(depth), mask)
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "masks" / "bust.png")
    predict([photos / "bust.jpg"], model_folder, tmp_path / "out", PredictOptions(str(tmp_path / "masks")))
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "bust.depth.npy"), depth)
    assert np.isfinite(model.predict_image(image)).all()
    with pytest.raises(ValueError, match="the mask is"):
        model.predict_image(image, mask[1:])


def test_depth_put_back_lies_where_its_crop_was_cut(model_folder):
    """Of a crop whose depth is its own column and row, in pixels of the image."""
    box = CropBox(-3, 7, 40)
    steps = np.arange(16, dtype=np.float64)
    columns = box.to_image(np.stack([steps, steps], 1), 16)
    for axis in (0, 1):
        values = np.broadcast_to(columns[:, axis], (16, 16)) if axis == 0 else columns[:, [axis]].repeat(16, 1)
        full = put_back(np.ascontiguousarray(values, np.float32), box, (50, 30))
        rows, cols = np.indices((50, 30))
        inside = np.isfinite(full)
        assert inside[7:47].all()
        assert not inside[:7].any()
        assert not inside[47:].any()
        middle = np.zeros_like(inside)
        middle[10:44, 0:30] = True  # half a crop's pixel from the border values no longer grow
        np.testing.assert_allclose(full[middle], (cols if axis == 0 else rows)[middle], atol=0.02)

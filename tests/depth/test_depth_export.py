"""One file for other programs: equal to the model, and complete without it."""

import json

import numpy as np
import pytest
import torch

from liftnet.__main__ import main as command_line
from liftnet.core.errors import LiftnetError
from liftnet.data.pictures import write_image
from liftnet.depth.export import (
    CONFIG_KEY,
    describe,
    export_model,
    load_model_file,
    require_packages,
)
from liftnet.models.depth_networks import InputSettings, NetworkSettings
from liftnet.models.liftnet import DepthModel, initial_network, load_model, save_model

SIZE = 32


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A model whose sign is negative and whose batch normalisation is not the identity."""
    folder = tmp_path_factory.mktemp("model")
    network = initial_network(NetworkSettings(levels=3, width=4), 0)
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
    save_model(
        folder,
        DepthModel(network, InputSettings(image_size=SIZE, background="keep"), -1, {"seed": 7}),
    )
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for k in range(3):
        write_image(folder / f"{k}.png", np.random.default_rng(k).integers(0, 256, (40, 30 + k, 3), np.uint8))
    (folder / "page.jpg").write_text("<html>")
    return folder


def crops_of(count):
    return np.random.default_rng(5).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def predict(model, crops):
    return model.predict(crops, np.ones(crops.shape[:3], bool), len(crops))


@pytest.fixture(scope="module")
def exported(model_folder, photos, tmp_path_factory):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="needs the extra `export`")
    path = tmp_path_factory.mktemp("exported") / "liftnet.onnx"
    export_model(model_folder, path, images=[photos])
    return path


@pytest.mark.parametrize("count", [1, 2, 5])
def test_onnx_predicts_what_the_model_predicts_in_batches_of_any_size(exported, model_folder, count):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    (found,) = session.run(
        ["depth"], {"image": (crops_of(count).transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32)}
    )
    assert found.shape == (count, SIZE, SIZE)
    assert found.dtype == np.float32
    expected = predict(load_model(model_folder), crops_of(count))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_onnx_says_what_it_takes_and_gives_and_nothing_about_this_machine(exported):
    import onnx

    model = onnx.load(exported)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(said["sign"]) == {"applied": True, "of_network": -1}
    assert json.loads(said["config"])["input"] == {
        "background": "keep",
        "crop": "mask",
        "margin": 0.1,
        "image_size": SIZE,
    }
    (given,), (result,) = model.graph.input, model.graph.output
    assert (given.name, result.name) == ("image", "depth")
    assert [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim] == ["batch", 3, SIZE, SIZE]
    assert "value / 127.5 - 1" in given.doc_string
    assert "growing away from the viewer" in result.doc_string
    assert b".py" not in exported.read_bytes()


def test_the_json_beside_it_has_the_differences(exported):
    notes = json.loads(exported.with_suffix(".json").read_text())
    assert notes["check"]["safetensors_reloaded_bit_equal"] is True
    assert notes["check"]["random"]["crops"] == 8
    assert notes["check"]["real"]["crops"] == 3
    for kind in ("random", "real"):
        assert 0 <= notes["check"][kind]["max_abs_difference"] < 1e-5
    assert notes["config"]["seed"] == 7


def test_a_file_that_differs_is_not_written(model_folder, photos, tmp_path, monkeypatch):
    """The graph of another sign: what the check is for."""
    pytest.importorskip("onnxscript", reason="needs the extra `export`")
    monkeypatch.setattr("liftnet.depth.export._Signed.forward", lambda self, image: self.network(image))
    with pytest.raises(LiftnetError, match=r"differs from the model by \d.* on random crops, above 1e-04"):
        export_model(model_folder, tmp_path / "x.onnx", images=[photos])
    assert list(tmp_path.iterdir()) == []


def test_safetensors_is_complete_and_bit_equal(model_folder, tmp_path, capsys):
    options = ["--model", str(model_folder), "--out", str(tmp_path / "one.safetensors"), "--threads=1"]
    assert command_line(["depth", "export", *options]) == 0
    assert "largest difference from the model 0.0e+00 on 8 random crops" in capsys.readouterr().err
    read = load_model_file(tmp_path / "one.safetensors")
    expected = load_model(model_folder)
    assert (read.sign, read.input, read.notes) == (expected.sign, expected.input, expected.notes)
    np.testing.assert_array_equal(predict(read, crops_of(3)), predict(expected, crops_of(3)))
    assert json.loads((tmp_path / "one.json").read_text())["check"]["tolerance"] == 0


def test_safetensors_is_read_by_the_format_s_own_reader(model_folder, tmp_path):
    from safetensors import safe_open

    export_model(model_folder, tmp_path / "one.safetensors", check=False)
    with safe_open(tmp_path / "one.safetensors", framework="numpy") as file:
        config = json.loads(file.metadata()[CONFIG_KEY])
        names = set(file.keys())
    assert config == json.loads((model_folder / "config.json").read_text())
    assert names == set(load_model(model_folder).network.state_dict())
    assert "check" not in json.loads((tmp_path / "one.json").read_text())


def test_bad_requests_are_named(model_folder, tmp_path, monkeypatch):
    with pytest.raises(LiftnetError, match=r"is neither \.onnx nor \.safetensors"):
        export_model(model_folder, tmp_path / "x.pt")
    with pytest.raises(LiftnetError, match="is the model itself"):
        export_model(model_folder, model_folder / "model.safetensors")
    with pytest.raises(LiftnetError, match="does not carry the configuration"):
        load_model_file(model_folder / "model.safetensors")
    with pytest.raises(LiftnetError, match="does not exist"):
        load_model_file(tmp_path / "none.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"12345")
    with pytest.raises(LiftnetError, match="is damaged"):
        load_model_file(tmp_path / "damaged.safetensors")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(LiftnetError, match=r"not installed: onnxscript\. Run `pip install liftnet\[export\]`"):
        require_packages()


@pytest.mark.parametrize(("crop", "said"), [("mask", "square around the mask"), ("full", "around the whole image")])
def test_cropping_is_described(model_folder, crop, said):
    model = load_model(model_folder)
    model.input = InputSettings(image_size=SIZE, crop=crop, margin=0.1)
    assert said in describe(model_folder, model)["crop"]["square"]
    assert "grey" in describe(model_folder, model)["crop"]["background"]

"""The folder of a trained model: what is saved is what is loaded, and what is wrong with it is named."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from pydantic import Field, ValidationError
from torch import nn

import liftnet
from liftnet.core.errors import LiftnetError
from liftnet.core.settings import Settings
from liftnet.models import depth_networks, segmentation_networks
from liftnet.models import folder as model_folders
from liftnet.models.folder import ModelKind, SavedModel, load_model, save_model
from liftnet.models.liftnet import LIFTNET, DepthModel, network_from
from liftnet.models.liftnet import load_model as load_depth_model
from liftnet.models.liftnet import save_model as save_depth_model
from liftnet.models.patch_descriptors import HARDNET, load_network
from liftnet.models.point_detector import POINT_DETECTOR, load_detector
from liftnet.models.reconstruction import RECONSTRUCTION
from liftnet.models.segmenter import SEGMENTER
from liftnet.shape.shape_google import load_vocabulary


class LineSettings(Settings):
    width: int = Field(3, ge=1, description="inputs")


LINE = ModelKind("line", LineSettings, lambda settings: nn.Linear(settings.width, 2), "line train")


@pytest.fixture
def saved(tmp_path):
    model = SavedModel(nn.Linear(5, 2), LineSettings(width=5), {"seed": 3, "training": {"works": 2}})
    save_model(tmp_path, LINE, model)
    return tmp_path, model


def test_what_is_saved_is_what_is_loaded(saved):
    path, model = saved
    loaded = load_model(path, LINE)
    points = torch.randn(4, 5)
    assert torch.equal(loaded.network(points), model.network(points))
    assert (loaded.settings, loaded.notes) == (model.settings, model.notes)
    assert not loaded.network.training
    config = json.loads((path / "config.json").read_text())
    assert (config["format"], config["model"], config["network"]) == (model_folders.FORMAT, "line", {"width": 5})


def test_half_of_the_bits_are_loaded_as_what_the_network_computes_in(tmp_path):
    model = SavedModel(nn.Linear(3, 2), LineSettings())
    save_model(tmp_path, LINE, model, half=True)
    loaded = load_model(tmp_path, LINE)
    assert loaded.network.weight.dtype == torch.float32
    assert torch.equal(loaded.network.weight, model.network.weight.half().float())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("no config", r"config\.json: does not exist"),
        ("no json", r"config\.json: is not valid JSON"),
        ("format", r"config\.json: does not describe a line of format 3\. Train it again with `line train`"),
        ("kind", r"config\.json: does not describe a line"),
        ("setting", r"config\.json: does not describe a network"),
        ("no network", r"config\.json: does not describe a network"),
        ("no weights", r"model\.safetensors: does not exist\. Train it again"),
        ("cut", r"model\.safetensors: is damaged, or does not belong to the config\.json"),
        ("other weights", r"model\.safetensors: is damaged, or does not belong to the config\.json"),
        ("other network", r"model\.safetensors: does not hold a line"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(saved, tmp_path_factory, damage, message):
    path, _ = saved
    config, weights = path / "config.json", path / "model.safetensors"
    held = json.loads(config.read_text())
    changes = {
        "format": {"format": 2},
        "kind": {"model": "circle"},
        "setting": {"network": {"height": 2}},
        "no network": {"network": None},
        "other network": {"network": {"width": 4}},
    }
    if damage in changes:
        config.write_text(json.dumps(held | changes[damage]))
    elif damage == "no config":
        config.unlink()
    elif damage == "no json":
        config.write_text("{")
    elif damage == "no weights":
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-4])
    else:
        other = tmp_path_factory.mktemp("other")
        save_model(other, LINE, SavedModel(nn.Linear(5, 2), LineSettings(width=5)))
        weights.write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(LiftnetError, match=message):
        load_model(path, LINE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": [1]}, "does not describe a network"),
        ({"network": {"width": float("nan")}}, "does not describe a network"),
        ({"network": {"width": "5"}, "sha256": 5}, "does not describe a network"),
        ({"network": {"width": 10**9}}, "does not hold a line: it has no tensor weight of shape"),
        ({"format": float("nan")}, "does not describe a line of format 3"),
        ({"model": ["line"]}, "does not describe a line"),
    ],
)
def test_a_config_that_asks_for_the_absurd_costs_nothing(saved, change, message):
    """A network of 10**9 inputs is compared with the file before any of it is in memory."""
    path, _ = saved
    held = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(held | change))
    start = time.perf_counter()
    with pytest.raises(LiftnetError, match=message):
        load_model(path, LINE)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    "text", ['{"a":' * 100_000, "[" * 900 + "]" * 900, '"' + "x" * 40_000_000 + '"', "\ud800", "1" * 9999]
)
def test_a_config_of_any_form_is_an_error_that_names_it(saved, text):
    path, _ = saved
    (path / "config.json").write_text(text, errors="surrogatepass")
    with pytest.raises(LiftnetError, match=r"config\.json: is "):
        load_model(path, LINE)


@pytest.mark.parametrize(
    "head", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}", (2**40).to_bytes(8, "little") + b"{", b"{" * 5000]
)
def test_a_damaged_head_of_weights_is_an_error(saved, head):
    path, _ = saved
    data = head + (path / "model.safetensors").read_bytes()[: 3 * len(head)]
    (path / "model.safetensors").write_bytes(data)
    held = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(held | {"sha256": hashlib.sha256(data).hexdigest()}))
    with pytest.raises(LiftnetError, match=r"model\.safetensors: (cannot be read as weights|does not hold a line)"):
        load_model(path, LINE)


@pytest.mark.parametrize(
    "name",
    [
        "tu-hf-hub:someone/something",
        "tu-hf_hub:a/b",
        "hf-hub:a/b",
        "tu-",
        "tu-local-dir:/tmp",
        "tu-../x",
        "resnet18/../x",
    ],
)
@pytest.mark.parametrize("architecture", ["encoder_unet", "refinenet"])
def test_no_encoder_of_a_config_asks_a_hub(monkeypatch, name, architecture):
    def no_address(*_, **__):
        raise AssertionError("an address was asked for")

    monkeypatch.setattr(socket, "getaddrinfo", no_address)
    kind = LIFTNET if architecture == "encoder_unet" else SEGMENTER
    with pytest.raises(LiftnetError, match="cannot be built"):
        kind.build(kind.settings.model_validate({"architecture": architecture, "encoder": name}))


@pytest.mark.parametrize("kind", [LIFTNET, SEGMENTER, RECONSTRUCTION, POINT_DETECTOR, HARDNET])
def test_every_kind_can_be_planned_without_memory(kind):
    with torch.device("meta"):
        planned = kind.build(kind.settings()).state_dict()
    built = kind.build(kind.settings()).state_dict()
    assert {name: t.shape for name, t in planned.items()} == {name: t.shape for name, t in built.items()}


@pytest.mark.parametrize(
    "change", [{"sign": float("nan")}, {"sign": 2}, {"mask_prior_weight": 1e999}, {"input": None}]
)
def test_numbers_of_a_depth_model_are_what_they_can_be(tmp_path, change):
    network = network_from(depth_networks.NetworkSettings(levels=2, width=4))
    save_depth_model(tmp_path, DepthModel(network, depth_networks.InputSettings()))
    assert load_depth_model(tmp_path).sign == 1
    held = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(held | change))
    with pytest.raises(LiftnetError, match="does not say what the network sees, or its sign"):
        load_depth_model(tmp_path)


def test_shipped_weights_are_those_that_were_shipped(tmp_path, monkeypatch):
    """All of them: of the networks and of the words of Shape Google."""
    package = model_folders.PACKAGE
    held = {path.relative_to(package).as_posix() for path in package.rglob("*.safetensors")}
    assert held == set(model_folders.SHIPPED_SHA256)
    shutil.copytree(model_folders.SHIPPED, tmp_path / "models" / "shipped")
    (tmp_path / "shape").mkdir()
    shutil.copy(package / "shape" / "vocabulary.safetensors", tmp_path / "shape")
    monkeypatch.setattr(model_folders, "PACKAGE", tmp_path)
    shipped = tmp_path / "models" / "shipped"
    readers = {
        shipped / "detector" / "model.safetensors": load_detector,
        shipped / "hardnet" / "model.safetensors": lambda path: load_network("hardnet", path),
        tmp_path / "shape" / "vocabulary.safetensors": load_vocabulary,
    }
    for weights, load in readers.items():
        load(weights)
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        with pytest.raises(LiftnetError, match="has the SHA-256"):
            load(weights)
        with pytest.raises(LiftnetError, match="not none that is known"):
            load(weights.rename(weights.with_name("other.safetensors")))


def test_a_shipped_model_is_loaded_by_its_name(saved, monkeypatch, tmp_path):
    path, model = saved
    monkeypatch.setattr(model_folders, "SHIPPED", path.parent)
    assert torch.equal(load_model(path.name, LINE).network.weight, model.network.weight)


THRESHOLD = '''
import torch
from torch import nn

from liftnet.models.segmenter import SegmentationNetwork


class Threshold(SegmentationNetwork):
    """Foreground is what is brighter than half."""

    def __init__(self, channels):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(float(channels)))

    def forward(self, images):
        return self.gain * (images.mean(1, keepdim=True) - 0.5)


def build(settings):
    return Threshold(settings.channels)
'''
USE = """
import sys
from pathlib import Path

import numpy as np

from liftnet.models import segmentation_networks
from liftnet.models.segmentation_networks import NetworkSettings, PredictionSettings
from liftnet.models.segmenter import SEGMENTER, Segmenter, mask_image

assert {"refinenet", "threshold"} <= set(segmentation_networks.ARCHITECTURES), segmentation_networks.ARCHITECTURES
assert "_shared" not in segmentation_networks.ARCHITECTURES
settings = NetworkSettings(architecture="threshold", channels=64, image_size=64)
Segmenter(SEGMENTER.build(settings), settings).save(Path(sys.argv[1]))
segmenter = Segmenter.load(sys.argv[1], "cpu")
assert type(segmenter.network).__name__ == "Threshold"
image = np.zeros((64, 96, 3), np.uint8)
image[16:48, 32:64] = 255
mask, confidence = mask_image(segmenter, image, PredictionSettings(test_time_scales=[1.5], outline_radius=0))
assert np.array_equal(mask, image[..., 0] == 255)
assert confidence > 0.99
"""


def linked(package, copy, *inner):
    """A copy of a package by links, whose packages `inner` are folders of their own."""
    copy.mkdir()
    for entry in package.iterdir():
        if inner and entry.name == inner[0]:
            linked(entry, copy / entry.name, *inner[1:])
        elif entry.name != "__pycache__":
            (copy / entry.name).symlink_to(entry)


def test_a_second_segmentation_network_is_one_module(tmp_path):
    """It is built, saved, loaded and used by its name, without another file that knows of it."""
    linked(Path(liftnet.__file__).parent, tmp_path / "liftnet", "models", "segmentation_networks")
    networks = tmp_path / "liftnet" / "models" / "segmentation_networks"
    (networks / "threshold.py").write_text(THRESHOLD)
    (networks / "_shared.py").write_text("")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", USE, str(tmp_path / "model")], env=environment, cwd=tmp_path, check=True)


@pytest.mark.parametrize("networks", [depth_networks, segmentation_networks])
def test_an_unknown_network_is_refused_with_those_there_are(networks):
    with pytest.raises(ValidationError, match="Input should be ") as refused:
        networks.NetworkSettings(architecture="none such")
    assert all(repr(name) in str(refused.value) for name in networks.ARCHITECTURES)

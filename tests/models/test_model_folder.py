"""The folder of a trained model: what is saved is what is loaded, and what is wrong with it is named."""

import json
import os
import subprocess
import sys
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
mask, confidence = mask_image(segmenter, image, PredictionSettings(test_time_scales=[1.5]))
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

"""The examples of docs/python.md run as they stand, in a folder with the files that they name."""

import re
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from run_folder import run_folder, run_views, with_images

from liftnet.data.masks import write_mask
from liftnet.models.depth_networks import InputSettings, NetworkSettings
from liftnet.models.liftnet import DepthModel, initial_network, save_model

__all__ = ["run_folder", "run_views"]
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def desk(tmp_path_factory, run_folder):
    folder = tmp_path_factory.mktemp("desk")
    for number, name in enumerate(("left.jpg", "right.jpg", "photo.jpg")):
        pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((300 + 4 * number, 200)).save(folder / name)
    mask = np.zeros((200, 308), bool)
    mask[50:150, 100:200] = True
    write_mask(folder / "photo.mask.png", mask)
    with_images(run_folder, folder / "dataset")
    model = DepthModel(initial_network(NetworkSettings(levels=3, width=4), 0), InputSettings(image_size=32))
    save_model(folder / "results/models/liftnet", model)
    trimesh.creation.box().export(folder / "chair.obj")
    trimesh.creation.icosphere(2).export(folder / "truth.ply")
    return folder


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(desk, monkeypatch, capsys, example):
    monkeypatch.chdir(desk)
    exec(example, {})
    assert capsys.readouterr().out
    assert len(EXAMPLES) == 4

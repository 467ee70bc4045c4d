"""Figures 4 and 5: pages that need nothing else, pictures, and honest choices of images."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from liftnet.__main__ import main
from liftnet.depth.settings import TrainSettings
from liftnet.experiments.depth.figures import choose_images
from liftnet.models.depth_networks import InputSettings, NetworkSettings
from liftnet.models.liftnet import DepthModel, initial_network, save_model


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    settings = TrainSettings(input={"image_size": 32}, network={"levels": 3, "width": 4}).model_dump()
    for seed, name in enumerate(("one", "two")):
        model = DepthModel(
            initial_network(NetworkSettings(levels=3, width=4), seed),
            InputSettings(image_size=32, background="keep"),
            1,
        )
        model.notes = {"settings": settings}
        save_model(folder / name, model)
    return [folder / "one", folder / "two"]


def draw(number, models, roots, out, *more):
    names = ["--methods", *(f"Method <{path.name}>" for path in models)]
    words = ["--models", *map(str, models), *names, "--roots", *map(str, roots), "--out", str(out / "figure"), *more]
    assert main(["experiments", "figure", "--figure", number, *words, "--threads", "1"]) == 0
    return (out / "figure.html").read_text(), np.asarray(Image.open(out / "figure.png").convert("RGB"))


def test_figure_5_has_methods_side_by_side_and_the_truth(models, run_folder, tmp_path):
    page, picture = draw("5", models, [run_folder], tmp_path, "--images", "1")
    assert re.findall(r'<div class="name">(.*?)</div>', page) == ["Method &lt;one&gt;", "Method &lt;two&gt;", "truth"]
    pictures = re.findall(r'<img src="(data:image/jpeg;base64,[^"]+)"', page)
    assert len(pictures) == 3 * 6
    assert not re.search(r'(src|href)="(?!data:)', page), "the page needs another file"
    depths = pictures[1::6]
    assert len(set(depths)) == 3, "methods show the same depth"
    assert "work-4-4 (test)" in page
    assert picture.std() > 10


def test_figure_4_is_of_the_first_model(models, run_folder, tmp_path):
    page, _ = draw("4", models, [run_folder], tmp_path, "--images", "1")
    assert page.count("<img") == 7
    assert "(b) depth at all points" in page
    assert "truth" not in page


def test_photographs_without_a_test_split_and_without_truth(models, run_folder, tmp_path):
    root = tmp_path / "photographs"
    shutil.copytree(run_folder, root)
    shutil.rmtree(root / "museum")
    split, rows = choose_images(root, "none", 2)
    assert split == "test"
    page, _ = draw("5", models, [root], tmp_path, "--split", "train", "--images", "2")
    assert page.count("(train)") == 2
    assert "truth" not in page
    assert {row["work_id"] for row in rows} == {"work-4-4"}


def test_a_figure_of_nothing_is_refused(models, run_folder, tmp_path, capsys):
    root = tmp_path / "run"
    shutil.copytree(run_folder, root)
    for path in (root / "images").iterdir():
        path.write_bytes(b"no image")
    arguments = ["experiments", "figure", "--figure", "5", "--models", str(models[0]), "--roots", str(root)]
    assert main([*arguments, "--out", str(tmp_path / "f"), "--threads", "1"]) == 1
    assert "no image that can be shown" in capsys.readouterr().err

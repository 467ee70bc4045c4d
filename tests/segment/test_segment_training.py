"""Training: it learns, goes on after a kill, repeats itself, and says what it lacks."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from liftnet.core.errors import LiftnetError
from liftnet.data.pictures import read_image, write_image
from liftnet.learn.settings import learning_rate
from liftnet.models import segmentation_networks
from liftnet.models.segmenter import SegmentationNetwork, Segmenter
from liftnet.segment.evaluate import iou
from liftnet.segment.samples import Division, divide, load_samples, masked_images
from liftnet.segment.settings import SegmentOptimiserSettings, SegmentTrainingSettings
from liftnet.segment.train import (
    AS_TRAINED,
    CHECKPOINT,
    MaskTask,
    initial_network,
    segmenter_card,
    train_segmenter,
    use_given_weights,
)

DRIVER = """
import argparse, sys
import torch
from liftnet.core.log import set_up_logging
from liftnet.segment.cli import add_commands
parser = argparse.ArgumentParser()
add_commands(parser.add_subparsers())
arguments = parser.parse_args(sys.argv[1:])
set_up_logging()
arguments.run(arguments)
"""


def same_weights(first, second) -> bool:
    a, b = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_few_images_are_learnt_and_held_out_ones_found(trained, make_blob):
    segmenter = Segmenter.load(trained / "model")
    pictures = [read_image(image.image) for image in masked_images(trained / "results")]
    scores = [
        iou(segmenter.predict(picture, AS_TRAINED) >= 0.5, make_blob(i)[1]) for i, picture in enumerate(pictures)
    ]
    assert np.mean(scores[:12]) > 0.9  # 60 iterations give .92 to .95, by the seed
    assert np.mean(scores[12:]) > 0.9
    config = json.loads((trained / "model" / "config.json").read_text())
    assert config["training"]["encoder_weights"] == "none"
    assert config["training"]["works"] == 2
    metrics = pd.read_csv(trained / "model" / "metrics.csv")
    assert metrics.iteration.tolist() == [20, 40, 60]
    assert config["training"]["validation_iou"] == metrics.validation_iou.max()


def test_a_killed_training_resumes_to_the_same_weights(trained, tmp_path, tiny_settings):
    folder = tmp_path / "model"
    command = [sys.executable, "-c", DRIVER, "segment", "train", "--root", str(trained / "results")]
    command += ["--model", str(folder), "--tables", str(tmp_path / "tables"), "--threads", "1"]
    command += ["--settings", tiny_settings().model_dump_json(exclude={"folds", "reference_segmenter_onnx"})]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while not (folder / CHECKPOINT).exists():
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (folder / "model.safetensors").exists()
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "resuming after step" in second.stderr
    assert same_weights(folder, trained / "model")
    assert (tmp_path / "tables" / "segmentation.tex").exists()
    card = (folder / "README.md").read_text()
    assert "60 steps of 4 images" in card
    assert "| `network.channels` | 16 | 32 |" in card
    assert (tmp_path / "tables" / "segmentation.md").read_text().strip() in card
    assert "3 held-out images: IoU 0.9" in second.stderr


def test_the_example_of_the_card_runs(trained, tmp_path, monkeypatch, make_blob):
    card = segmenter_card(Segmenter.load(trained / "model"), str(trained / "model"))
    image, truth = make_blob(3)
    write_image(tmp_path / "photo.jpg", image)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(re.search(r"```python\n(.*?)```", card.usage, re.DOTALL)[1], names)
    assert iou(names["mask"], truth) > 0.8


def test_a_finished_training_is_not_repeated(trained, tiny_settings, monkeypatch):
    settings = tiny_settings()
    monkeypatch.setattr("liftnet.segment.train.MaskTask.terms", lambda *_: pytest.fail("trained again"))
    before = load_file(trained / "model" / "model.safetensors")
    division = divide(masked_images(trained / "results"), settings.data, seed=0)
    train_segmenter(division, trained / "model", settings, seed=0, threads=1)
    after = load_file(trained / "model" / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("how", ["damaged", "seed", "settings", "data"])
def test_only_a_whole_checkpoint_of_the_same_run_is_resumed(
    trained, tmp_path, tiny_settings, monkeypatch, caplog, how
):
    settings = tiny_settings(train={"iterations": 61}) if how == "settings" else tiny_settings()
    division = divide(masked_images(trained / "results"), settings.data, seed=0)
    if how == "data":
        division = replace(division, train=division.train[1:])
    held = (trained / "model" / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(held[:5000] if how == "damaged" else held)

    def begun(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("liftnet.segment.train.MaskTask.terms", begun)
    with caplog.at_level("INFO"), pytest.raises(LiftnetError if how == "damaged" else KeyboardInterrupt) as told:
        train_segmenter(division, tmp_path, settings, seed=1 if how == "seed" else 0, threads=1)
    if how == "damaged":
        assert "last.pt: is not a readable checkpoint" in str(told.value)
    else:
        assert "training starts from scratch" in caplog.text


def test_a_full_disk_is_a_clear_error(trained, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LiftnetError, match="the disk is full"):
        Segmenter.load(trained / "model").save(tmp_path / "model")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_learning_rate_rises_then_falls_to_nothing():
    plan = SegmentTrainingSettings(iterations=100, optimiser=SegmentOptimiserSettings(learning_rate=1.0))
    rates = [learning_rate(plan, step) for step in range(100)]
    assert max(rates) == rates[5] == 1
    assert sorted(rates[:6]) == rates[:6]
    assert sorted(rates[5:], reverse=True) == rates[5:]
    assert rates[-1] < 0.01


def test_a_pretrained_encoder_learns_more_slowly(tiny_settings, trained):
    settings = tiny_settings()
    samples = load_samples(masked_images(trained / "results"), 96, threads=1)
    network, _ = initial_network(settings, 0)
    groups = MaskTask(network, samples, samples, settings, 0, pretrained=True).parameter_groups()
    assert groups[0]["rate_factor"] == 0.3
    assert {id(weight) for weight in groups[0]["params"]} == {id(weight) for weight in network.encoder.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    assert MaskTask(network, samples, samples, settings, 0, pretrained=False).parameter_groups()[0]["rate_factor"] == 1


class Plain(SegmentationNetwork):
    """A single convolution, nothing of which others have trained."""

    def __init__(self):
        super().__init__()
        self.only = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, images):
        return self.only(images)


def test_a_network_without_an_encoder_is_trained_and_its_card_claims_none(
    trained, tmp_path, tiny_settings, monkeypatch
):
    module = types.ModuleType(f"{segmentation_networks.__name__}.plain")
    module.build = lambda settings: Plain()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings = tiny_settings(train={"iterations": 2, "validate_every": 2})
    settings = settings.model_copy(update={"network": settings.network.model_copy(update={"architecture": "plain"})})
    division = divide(masked_images(trained / "results"), settings.data, seed=0)
    segmenter = train_segmenter(division, tmp_path, settings, seed=0, threads=1)
    first, _ = initial_network(settings, 0)
    assert not torch.equal(segmenter.network.only.weight, first.only.weight)
    text = segmenter_card(segmenter, "model").write(tmp_path).read_text()
    assert "a plain with 16 channels" in text
    assert "the network started from random weights" in text
    assert "the encoder" not in text


def test_unreadable_training_images_are_one_clear_error(tmp_path, make_results, tiny_settings):
    make_results(tmp_path, [("a", "a1", "train", 2)])
    images = masked_images(tmp_path)
    for image in images:
        image.image.write_bytes(b"<html>")
    with pytest.raises(LiftnetError, match="none of the training images with manual masks can be read"):
        train_segmenter(Division(images, images, [], ""), tmp_path / "model", tiny_settings(), seed=0, threads=1)


def test_given_weights_are_copied_and_predict_the_same(trained, tmp_path, tiny_settings, make_blob):
    use_given_weights(trained / "model", tmp_path / "copy", tiny_settings())
    assert same_weights(trained / "model", tmp_path / "copy")
    image, _ = make_blob(99)
    first, second = (
        Segmenter.load(folder).predict(image, AS_TRAINED) for folder in (trained / "model", tmp_path / "copy")
    )
    assert np.array_equal(first, second)


def test_given_weights_that_are_not_a_segmenter_are_named(tmp_path, tiny_settings):
    with pytest.raises(LiftnetError, match=r"config\.json: does not exist"):
        use_given_weights(tmp_path, tmp_path / "copy", tiny_settings())


def test_a_training_starts_from_the_shipped_segmenter_where_it_can(
    tmp_path, tiny_settings, make_results, caplog, monkeypatch
):
    caplog.set_level("INFO")
    make_results(tmp_path / "r", [("d", "d1", "train", 3), ("c", "c1", "test", 2)])
    network, _ = Segmenter.shipped_config()
    plan = {"init_from": "shipped", "iterations": 1, "validate_every": 1, "optimiser": {"learning_rate": 1e-6}}
    settings = tiny_settings(train=plan, network=network.model_dump())
    division = divide(masked_images(tmp_path / "r"), settings.data, seed=0)
    ours = train_segmenter(division, tmp_path / "model", settings, seed=0, threads=1).network.state_dict()
    assert "training starts from the segmenter in shipped" in caplog.text
    shipped = Segmenter.load("shipped", "cpu").network.state_dict()
    weights = [name for name in shipped if name.endswith("weight")]
    assert all(torch.allclose(shipped[name], ours[name], atol=1e-4) for name in weights)
    train_segmenter(division, tmp_path / "tiny", tiny_settings(train=plan), seed=0, threads=1)
    assert "training starts from scratch: the segmenter that comes with liftnet is another network" in caplog.text
    monkeypatch.setattr(Segmenter, "shipped_config", lambda: (network, {"c1"}))
    caplog.clear()
    scratch = settings.model_copy(update={"network": network.model_copy(update={"encoder_weights": []})})
    train_segmenter(division, tmp_path / "seen", scratch, seed=0, threads=1)
    assert "the segmenter that comes with liftnet has seen works that are held out here" in caplog.text


def test_a_training_can_start_from_a_segmenter_that_has_not_seen_what_is_held_out(
    trained, tmp_path, tiny_settings, make_results
):
    make_results(tmp_path / "r", [("d", "d1", "train", 3), ("c", "c1", "test", 2)])
    plan = {"init_from": str(trained / "model"), "iterations": 1, "validate_every": 1}
    settings = tiny_settings(train=plan | {"optimiser": {"learning_rate": 1e-6}})
    division = divide(masked_images(tmp_path / "r"), settings.data, seed=0)
    train_segmenter(division, tmp_path / "model", settings, seed=0, threads=1)
    before, after = (load_file(folder / "model.safetensors") for folder in (trained / "model", tmp_path / "model"))
    weights = [name for name in before if name.endswith("weight")]
    assert all(torch.allclose(before[name], after[name], atol=1e-4) for name in weights)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["training"]["seen_works"] == ["a1", "b1", "d1"]
    make_results(tmp_path / "s", [("d", "d1", "train", 3), ("a", "a1", "test", 2)])
    seen = divide(masked_images(tmp_path / "s"), settings.data, seed=0)
    with pytest.raises(LiftnetError, match="has seen 1 of the works that are held out, a1"):
        train_segmenter(seen, tmp_path / "other", settings, seed=0, threads=1)
    other = settings.model_copy(update={"network": settings.network.model_copy(update={"channels": 24})})
    with pytest.raises(LiftnetError, match="holds another network: it has channels 16"):
        train_segmenter(division, tmp_path / "other", other, 0, 1)

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from liftnet.core.errors import LiftnetError
from liftnet.depth.objectives import TrainingInputs, load_training_data
from liftnet.depth.pairs import PairTable, hold_out_works
from liftnet.depth.settings import TrainSettings
from liftnet.depth.train import train, training_identity, viewer_sign
from liftnet.learn import loop, task
from liftnet.learn.checkpoint import read_checkpoint
from liftnet.learn.task import ItemTask
from liftnet.models.depth_networks import InputSettings, NetworkSettings
from liftnet.models.liftnet import DepthModel, initial_network, load_model, save_model

TINY = {
    "input": {"image_size": 32},
    "network": {"levels": 3, "width": 8},
    "batch_size": 4,
    "validate_every": 4,
    "correspondences": {"max_per_pair": 64},
}


def tiny(**changes):
    return TrainSettings(**{**TINY, "iterations": 8, **changes})


def sources(root, model, seed=0, dataset=None):
    return TrainingInputs(root, dataset or root / "dataset", None, model, 1, seed)


def run(root, model, settings, seed=0, dataset=None):
    train(sources(root, model, seed, dataset), model, settings)


def started(data, model, settings):
    """A training of these data, without a step done."""
    network = initial_network(settings.network, 0)
    task = ItemTask({"depth": network}, data.train, data.val, settings.batch_size, 0)
    return loop.start(task, settings, loop.Run("depth", model, 0, training_identity(settings, 0, data)))


@pytest.fixture(scope="module")
def trained(run_folder, tmp_path_factory):
    model = tmp_path_factory.mktemp("trained")
    run(run_folder, model, tiny())
    return model


def test_training_writes_a_model_that_loads_and_its_metrics(trained):
    model = load_model(trained)
    assert model.network.levels == 3
    assert model.input == InputSettings(image_size=32)
    assert model.sign in (1, -1)
    metrics = pd.read_csv(trained / "metrics.csv")
    assert metrics["iteration"].tolist() == [4, 8]
    wanted = {"train_loss", "val_loss", "inlier_share", "saturated_share", "camera_scale", "learning_rate", "seconds"}
    assert wanted <= set(metrics)
    assert metrics[list(wanted)].notna().all().all()
    assert model.notes["training"]["works"] == 3
    assert model.notes["training"]["item"] == "pairs of photographs"
    assert model.notes["training"]["validated_on"] == "pairs of the val artists"
    depth = model.predict(np.zeros((2, 32, 32, 3), np.uint8), np.ones((2, 32, 32), bool))
    assert depth.shape == (2, 32, 32)


def test_the_model_is_that_of_the_best_validation(run_folder, tmp_path):
    run(run_folder, tmp_path, tiny(iterations=24, optimiser={"learning_rate": 0.02}))
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    best = int(metrics.loc[metrics["val_loss"].idxmin(), "iteration"])
    assert load_model(tmp_path).notes["training"]["best_iteration"] == best
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    weights = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in state["best"]["depth"].items())


def test_a_stopped_run_goes_on_bit_for_bit(run_folder, trained, tmp_path, monkeypatch):
    """Stopped between two validations, from the checkpoint that the clock asked for."""
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    step = loop.train_step

    def stop_at_six(state, batch):
        if state.state.step == 6:
            raise KeyboardInterrupt
        return step(state, batch)

    monkeypatch.setattr(loop, "train_step", stop_at_six)
    with pytest.raises(KeyboardInterrupt):
        run(run_folder, tmp_path, tiny())
    assert not (tmp_path / "model.safetensors").exists()
    monkeypatch.setattr(loop, "train_step", step)
    run(run_folder, tmp_path, tiny())
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    assert (tmp_path / "config.json").read_bytes() == (trained / "config.json").read_bytes()
    resumed, whole = (pd.read_csv(folder / "metrics.csv").drop(columns="seconds") for folder in (tmp_path, trained))
    pd.testing.assert_frame_equal(resumed, whole, check_exact=True)


@pytest.mark.slow
def test_a_killed_process_leaves_a_checkpoint_to_go_on_from(run_folder, tmp_path):
    settings = {**TINY, "validate_every": 1, "patience": None, "iterations": 100_000}
    code = "import argparse, sys; from liftnet.depth.cli import add_commands; p = argparse.ArgumentParser();"
    code += "add_commands(p.add_subparsers()); a = p.parse_args(); a.run(a)"
    paths = ["--root", run_folder, "--dataset", run_folder / "dataset", "--model", tmp_path]
    command = [sys.executable, "-c", code, "depth", "train", *map(str, paths), "--threads=1"]
    command += ["--settings", json.dumps(settings), "--validate-every=1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 120
    while not (tmp_path / "metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] >= 1
    assert not state["finished"]
    restored = read_checkpoint(tmp_path / "checkpoint.pt")
    assert restored is not None
    assert restored.step == state["step"]


def test_a_finished_run_is_not_trained_again(run_folder, trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    monkeypatch.setattr(loop, "train_step", None)  # a step would raise
    run(run_folder, tmp_path, tiny())
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_other_settings_start_from_scratch(run_folder, trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    run(run_folder, tmp_path, tiny(iterations=4, optimiser={"learning_rate": 0.01}))
    assert pd.read_csv(tmp_path / "metrics.csv")["iteration"].tolist() == [4]


def test_the_inflated_mask_has_its_weight_where_the_model_learns_from_correspondences(run_folder, tmp_path):
    weights = [
        load_training_data(sources(run_folder, tmp_path), tiny(method=method, mask_prior_weight=0.4)).mask_prior_weight
        for method in ("correspondences", "photometric")
    ]
    assert weights == [0.4, 0.0]


def test_all_settings_but_those_of_the_runtime_tell_runs_apart(run_folder, tmp_path):
    data = load_training_data(sources(run_folder, tmp_path), tiny())
    plain = training_identity(tiny(), 0, data)
    assert training_identity(tiny(runtime={"cache_mb": 1, "tensorboard": True}), 0, data) == plain
    others = (
        {"loss": {"tau": 1.0}},
        {"mask_prior_weight": 0.0},
        {"augment": {"flip": False}},
        {"precision": "bfloat16"},
    )
    assert plain not in {training_identity(tiny(**other), 0, data) for other in others}
    assert training_identity(tiny(), 1, data) != plain
    fewer = dataclasses.replace(data, train=dataclasses.replace(data.train, loader=data.val.loader))
    assert training_identity(tiny(), 0, fewer) != plain


def test_a_damaged_checkpoint_is_named(run_folder, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"half a file")
    with pytest.raises(LiftnetError, match=r"checkpoint\.pt.*Delete it"):
        run(run_folder, tmp_path, tiny())


def test_training_stops_when_validation_no_longer_improves(run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(task, "mean_terms", _with_losses(task.mean_terms, [3.0, 2.0, 2.5, 2.6, 1.0]))
    run(run_folder, tmp_path, tiny(iterations=1000, patience=2))
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    assert metrics["val_loss"].tolist() == [3.0, 2.0, 2.5, 2.6]
    assert load_model(tmp_path).notes["training"]["best_iteration"] == 8


def _with_losses(means, losses):
    held_out = iter(losses)
    calls = []

    def replaced(terms):
        calls.append(1)
        found = means(terms)
        return {**found, "loss": next(held_out)} if len(calls) % 2 else found  # validation is averaged first

    return replaced


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_one_pair_is_learnt_by_heart(run_folder, tmp_path, optimiser):
    """On a single pair, validated on another view of nothing else, the training loss falls to a fraction."""
    settings = tiny(
        optimiser={"name": optimiser, "learning_rate": 0.02 if optimiser == "sgd" else 0.005},
        iterations=80,
        patience=None,
        validate_every=10,
        batch_size=2,
        loss={"threshold": 1.0, "tau": 1.0},
        augment={"flip": False, "rotation": 0, "zoom": 0, "colour_jitter": 0},
    )
    data = load_training_data(sources(run_folder, tmp_path), settings)
    data.train.loader.rows[:] = data.train.loader.rows[:1]
    one = started(data, tmp_path, settings)
    loop.steps(one)
    losses = [row["train_loss"] for row in one.state.metrics]
    assert losses[-1] < 0.5 * losses[0]
    assert one.state.metrics[-1]["inlier_share"] > 0.95


def test_gradients_are_clamped_by_value(run_folder, tmp_path):
    settings = tiny(optimiser={"name": "sgd", "learning_rate": 1.0, "momentum": 0.0, "clip_value": 1e-4})
    first = started(load_training_data(sources(run_folder, tmp_path), settings), tmp_path, settings)
    network = first.task.networks["depth"]
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    loop.train_step(first, first.task.batch(0, first.part))
    moved = torch.cat([(p.detach() - before[n]).abs().flatten() for n, p in network.named_parameters()])
    assert moved.max() <= 1e-4 * 1.01
    assert (moved > 0.9e-4).float().mean() > 0.01


def test_works_are_held_out_where_no_artist_validates(run_folder, tmp_path, caplog):
    dataset = tmp_path / "dataset"
    shutil.copytree(run_folder / "dataset", dataset)
    (dataset / "val-00000-of-00001.parquet").unlink()
    with caplog.at_level("INFO"):
        run(run_folder, tmp_path / "model", tiny(iterations=4), dataset=dataset)
    assert "has no pairs in the split val: a training chooses its weights by works" in caplog.text
    model = load_model(tmp_path / "model")
    assert model.notes["training"]["works"] == 2
    assert "1 training works" in model.notes["training"]["validated_on"]
    rows = PairTable(dataset, "train").rows
    kept, held = hold_out_works(rows, 0.15)
    assert not {row.work_id for row in kept} & {row.work_id for row in held}
    assert len(kept) + len(held) == len(rows)


def test_no_training_pair_is_said_in_plain_words(run_folder, tmp_path):
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    for split in ("val", "test"):
        shutil.copy(run_folder / "dataset" / f"{split}-00000-of-00001.parquet", dataset)
    with pytest.raises(LiftnetError, match="has 0 pairs to train on"):
        run(run_folder, tmp_path / "model", tiny(), dataset=dataset)


def test_a_missing_image_costs_its_pairs_alone(run_folder, run_views, tmp_path, caplog):
    root = tmp_path / "run"
    shutil.copytree(run_folder, root)
    (root / "images" / f"{run_views[0].image_id}.png").unlink()
    run(root, tmp_path / "model", tiny(iterations=4))
    assert "2 of 9 training pairs left out" in caplog.text
    assert run_views[0].image_id in caplog.text


def test_the_sign_makes_depth_bulge_towards_the_viewer(run_folder, tmp_path):
    """The network and its negative are one to the loss; the model's sign tells them apart."""
    settings = tiny()
    data = load_training_data(sources(run_folder, tmp_path), settings)
    network = initial_network(NetworkSettings(levels=3, width=8), 0).eval()
    model = DepthModel(network, data.store.input)
    sign = viewer_sign(model, data.store, data.images)
    last = network.up[-1][-1].weight
    with torch.no_grad():
        last.neg_()
    assert viewer_sign(model, data.store, data.images) == -sign


def test_a_saved_model_gives_the_same_depth(tmp_path):
    model = DepthModel(
        initial_network(NetworkSettings(levels=3, width=4), 1).eval(),
        InputSettings(image_size=32, crop="full", margin=0.0),
        -1,
        {"seed": 4},
    )
    save_model(tmp_path, model)
    loaded = load_model(tmp_path)
    crops, masks = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8), np.ones((3, 32, 32), bool)
    np.testing.assert_array_equal(loaded.predict(crops, masks), model.predict(crops, masks))
    assert (loaded.sign, loaded.input, loaded.notes) == (-1, model.input, {"seed": 4})


@pytest.mark.parametrize("damage", ["config", "no config", "weights", "no weights", "other network"])
def test_a_damaged_model_is_named(tmp_path, damage):
    save_model(
        tmp_path,
        DepthModel(
            initial_network(NetworkSettings(levels=3, width=4), 1),
            InputSettings(image_size=32, crop="full", margin=0.0),
        ),
    )
    config, weights = tmp_path / "config.json", tmp_path / "model.safetensors"
    if damage == "config":
        config.write_text("{")
    elif damage == "no config":
        config.unlink()
    elif damage == "weights":
        weights.write_bytes(weights.read_bytes()[:500])
    elif damage == "no weights":
        weights.unlink()
    else:
        config.write_text(config.read_text().replace('"width": 4', '"width": 5'))
    with pytest.raises(LiftnetError):
        load_model(tmp_path)

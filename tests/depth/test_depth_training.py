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
from liftnet.depth import train as training
from liftnet.depth.checkpoint import Checkpoint, fingerprint, read_checkpoint
from liftnet.depth.data.batches import Order, read_ahead
from liftnet.depth.data.pairs import PairTable, hold_out_works
from liftnet.depth.objectives import Sources, load_training
from liftnet.depth.settings import DepthSettings
from liftnet.depth.train import learning_rate, train, viewer_sign
from liftnet.models.depth_networks import InputSettings, NetworkSettings
from liftnet.models.liftnet import DepthModel, initial_network, load_model, save_model

TINY = {"image_size": 32, "levels": 3, "width": 8, "batch_size": 4, "validate_every": 4, "max_correspondences": 64}


def tiny(**changes):
    return DepthSettings(**{**TINY, "iterations": 8, **changes})


def sources(root, model, seed=0, dataset=None):
    return Sources(root, dataset or root / "dataset", None, model, 1, seed)


def run(root, model, settings, seed=0, dataset=None):
    train(sources(root, model, seed, dataset), model, settings)


def started(root, model, settings, seed=0):
    return training.start_run(load_training(sources(root, model, seed), settings), settings, seed, model)


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
    assert model.notes["training"]["validated_on"] == "pairs of the val artists"
    depth = model.predict(np.zeros((2, 32, 32, 3), np.uint8), np.ones((2, 32, 32), bool))
    assert depth.shape == (2, 32, 32)


def test_the_model_is_that_of_the_best_validation(run_folder, tmp_path):
    run(run_folder, tmp_path, tiny(iterations=24, learning_rate=0.02))
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    best = int(metrics.loc[metrics["val_loss"].idxmin(), "iteration"])
    assert load_model(tmp_path).notes["training"]["best_iteration"] == best
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    weights = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in state["best"].items())


def test_a_stopped_run_goes_on_bit_for_bit(run_folder, trained, tmp_path, monkeypatch):
    """Stopped between two validations, from the checkpoint that the clock asked for."""
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    step = training.train_step

    def stop_at_six(state, batch):
        if state.state.iteration == 6:
            raise KeyboardInterrupt
        return step(state, batch)

    monkeypatch.setattr(training, "train_step", stop_at_six)
    with pytest.raises(KeyboardInterrupt):
        run(run_folder, tmp_path, tiny())
    assert not (tmp_path / "model.safetensors").exists()
    monkeypatch.setattr(training, "train_step", step)
    run(run_folder, tmp_path, tiny())
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    assert (tmp_path / "config.json").read_bytes() == (trained / "config.json").read_bytes()
    resumed, whole = (pd.read_csv(folder / "metrics.csv").drop(columns="seconds") for folder in (tmp_path, trained))
    pd.testing.assert_frame_equal(resumed, whole, check_exact=True)


def test_a_killed_process_leaves_a_checkpoint_to_go_on_from(run_folder, tmp_path):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in {**TINY, "validate_every": 1}.items()]
    code = "import argparse, sys; from liftnet.depth.cli import add_commands; p = argparse.ArgumentParser();"
    code += "add_commands(p.add_subparsers()); a = p.parse_args(); a.run(a)"
    paths = ["--root", run_folder, "--dataset", run_folder / "dataset", "--model", tmp_path]
    command = [sys.executable, "-c", code, "depth", "train", *map(str, paths), "--threads=1", *options]
    command += ["--iterations=100000", "--patience=100000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 120
    while not (tmp_path / "metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["iteration"] >= 1
    assert not state["finished"]
    restored = read_checkpoint(tmp_path / "checkpoint.pt", state["identity"])
    assert restored is not None
    assert restored.iteration == state["iteration"]


def test_a_finished_run_is_not_trained_again(run_folder, trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    monkeypatch.setattr(training, "train_step", None)  # a step would raise
    run(run_folder, tmp_path, tiny())
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_other_settings_start_anew(run_folder, trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    run(run_folder, tmp_path, tiny(iterations=4, learning_rate=0.01))
    assert pd.read_csv(tmp_path / "metrics.csv")["iteration"].tolist() == [4]
    assert fingerprint(tiny(), 0, ["a"]) != fingerprint(tiny(), 1, ["a"])
    assert fingerprint(tiny(), 0, ["a"]) != fingerprint(tiny(), 0, ["b"])
    assert fingerprint(tiny(n_examples=3), 0, ["a"]) == fingerprint(tiny(), 0, ["a"])


def test_a_damaged_checkpoint_is_named(run_folder, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"half a file")
    with pytest.raises(LiftnetError, match=r"checkpoint\.pt.*Delete it"):
        run(run_folder, tmp_path, tiny())


def test_training_stops_when_validation_no_longer_improves(run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_means", _with_losses(training._means, [3.0, 2.0, 2.5, 2.6, 1.0]))
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
        optimiser=optimiser,
        learning_rate=0.02 if optimiser == "sgd" else 0.005,
        iterations=80,
        patience=100,
        validate_every=10,
        batch_size=2,
        threshold=1.0,
        tau=1.0,
        flip=False,
        rotation=0,
        zoom=0,
        colour_jitter=0,
    )
    data = load_training(sources(run_folder, tmp_path), settings)
    data.train.loader.rows[:] = data.train.loader.rows[:1]
    one = training.start_run(data, settings, 0, tmp_path)
    training.train_loop(one, tmp_path)
    losses = [row["train_loss"] for row in one.state.metrics]
    assert losses[-1] < 0.5 * losses[0]
    assert one.state.metrics[-1]["inlier_share"] > 0.95


def test_gradients_are_clamped_by_value(run_folder, tmp_path):
    settings = tiny(optimiser="sgd", learning_rate=1.0, momentum=0.0, gradient_clamp=1e-4, batch_size=4)
    first = started(run_folder, tmp_path, settings)
    network = first.networks["depth"]
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    training.train_step(first, next(read_ahead(first.data.train, Order(first.data.train, 4, 0), 0)))
    moved = torch.cat([(p.detach() - before[n]).abs().flatten() for n, p in network.named_parameters()])
    assert moved.max() <= 1e-4 * 1.01
    assert (moved > 0.9e-4).float().mean() > 0.01


def test_works_are_held_out_where_no_artist_validates(run_folder, tmp_path, caplog):
    dataset = tmp_path / "dataset"
    shutil.copytree(run_folder / "dataset", dataset)
    (dataset / "val-00000-of-00001.parquet").unlink()
    with caplog.at_level("INFO"):
        run(run_folder, tmp_path / "model", tiny(iterations=4), dataset=dataset)
    assert "no val artist" in caplog.text
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
    data = load_training(sources(run_folder, tmp_path), settings)
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


def test_a_checkpoint_of_another_run_is_not_used(tmp_path):
    from liftnet.depth.checkpoint import write_checkpoint

    write_checkpoint(tmp_path / "checkpoint.pt", Checkpoint("a run", iteration=7))
    assert read_checkpoint(tmp_path / "checkpoint.pt", "another run") is None
    assert read_checkpoint(tmp_path / "checkpoint.pt", "a run").iteration == 7
    assert read_checkpoint(tmp_path / "none.pt", "a run") is None


def test_the_learning_rate_falls_linearly_or_stays():
    linear = DepthSettings(iterations=10, learning_rate=0.2)
    assert [learning_rate(linear, step) for step in (0, 5, 9)] == pytest.approx([0.2, 0.1, 0.02])
    assert learning_rate(DepthSettings(iterations=10, schedule="constant"), 9) == 0.001

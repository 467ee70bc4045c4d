"""Several processes, mixed precision, memory layout, compilation and TensorBoard."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from liftnet.depth.objectives import TrainingInputs
from liftnet.depth.settings import TrainSettings
from liftnet.depth.train import train
from liftnet.models.liftnet import load_model

TINY = {
    "input": {"image_size": 32},
    "network": {"levels": 3, "width": 8},
    "batch_size": 4,
    "validate_every": 4,
    "correspondences": {"max_per_pair": 64},
}
COMMAND = "import argparse; from liftnet.depth.cli import add_commands; p = argparse.ArgumentParser();"
COMMAND += "add_commands(p.add_subparsers()); a = p.parse_args(); a.run(a)"


def tiny(**changes):
    return TrainSettings(**{**TINY, "iterations": 8, **changes})


def run(root, model, settings):
    train(TrainingInputs(root, root / "dataset", None, model, 1, 0), model, settings)
    return load_file(model / "model.safetensors"), pd.read_csv(model / "metrics.csv")


@pytest.fixture(scope="module")
def plain(run_folder, tmp_path_factory):
    return run(run_folder, tmp_path_factory.mktemp("plain"), tiny())


@pytest.mark.slow
def test_two_processes_share_the_steps_and_write_one_model(run_folder, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(COMMAND)
    paths = ["--root", run_folder, "--dataset", run_folder / "dataset", "--model", tmp_path / "model"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [
            *map(str, launch),
            "depth",
            "train",
            *map(str, paths),
            "--threads=1",
            "--iterations=8",
            "--settings",
            json.dumps(TINY),
        ],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert load_model(tmp_path / "model").notes["training"]["iterations"] == 8
    metrics = pd.read_csv(tmp_path / "model" / "metrics.csv")
    assert metrics["iteration"].tolist() == [4, 8]
    assert metrics["val_loss"].notna().all()


def test_the_memory_layout_changes_rounding_alone(run_folder, plain, tmp_path):
    weights, metrics = run(run_folder, tmp_path, tiny(channels_last=False))
    np.testing.assert_allclose(metrics["val_loss"], plain[1]["val_loss"], rtol=0.02)
    assert weights.keys() == plain[0].keys()


@pytest.mark.slow
def test_compilation_changes_rounding_alone(run_folder, tmp_path):
    """The smallest network and two steps: compiling takes far longer than running."""
    small = {"input": {"image_size": 16}, "network": {"levels": 2, "width": 4}, "iterations": 2, "validate_every": 2}
    (weights, metrics), (expected, expected_metrics) = (
        run(run_folder, tmp_path / str(compiled), tiny(compile=compiled, **small)) for compiled in (True, False)
    )
    np.testing.assert_allclose(metrics["val_loss"], expected_metrics["val_loss"], rtol=1e-3)
    assert weights.keys() == expected.keys()
    load_model(tmp_path / "True")


def test_mixed_precision_trains_float32_weights_to_about_the_same_loss(run_folder, plain, tmp_path):
    weights, metrics = run(run_folder, tmp_path, tiny(precision="bfloat16"))
    assert {tensor.dtype for name, tensor in weights.items() if "num_batches" not in name} == {torch.float32}
    assert not all(torch.equal(weights[name], tensor) for name, tensor in plain[0].items())
    np.testing.assert_allclose(metrics["val_loss"], plain[1]["val_loss"], rtol=0.2)


def test_tensorboard_holds_the_metrics(run_folder, tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    _, metrics = run(run_folder, tmp_path, tiny(runtime={"tensorboard": True}))
    log = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    events = log.Scalars("val_loss")
    assert [event.step for event in events] == [4, 8]
    np.testing.assert_allclose([event.value for event in events], metrics["val_loss"], rtol=1e-5)

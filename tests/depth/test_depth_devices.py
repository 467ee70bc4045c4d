"""Several processes, mixed precision, memory layout, compilation and TensorBoard."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from liftnet.core.errors import LiftnetError
from liftnet.depth import train as training
from liftnet.depth.data.batches import Order, read_ahead
from liftnet.depth.objectives import Sources, load_training
from liftnet.depth.settings import DepthSettings
from liftnet.models.liftnet import load_model

TINY = {"image_size": 32, "levels": 3, "width": 8, "batch_size": 4, "validate_every": 4, "max_correspondences": 64}
COMMAND = "import argparse; from liftnet.depth.cli import add_commands; p = argparse.ArgumentParser();"
COMMAND += "add_commands(p.add_subparsers()); a = p.parse_args(); a.run(a)"


def tiny(**changes):
    return DepthSettings(**{**TINY, "iterations": 8, **changes})


def run(root, model, settings):
    training.train(Sources(root, root / "dataset", None, model, 1, 0), model, settings)
    return load_file(model / "model.safetensors"), pd.read_csv(model / "metrics.csv")


@pytest.fixture(scope="module")
def plain(run_folder, tmp_path_factory):
    return run(run_folder, tmp_path_factory.mktemp("plain"), tiny())


def test_two_processes_share_the_steps_and_write_one_model(run_folder, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(COMMAND)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in {**TINY, "iterations": 8}.items()]
    paths = ["--root", run_folder, "--dataset", run_folder / "dataset", "--model", tmp_path / "model"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*map(str, launch), "depth", "train", *map(str, paths), "--threads=1", *options],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert load_model(tmp_path / "model").notes["training"]["iterations"] == 8
    metrics = pd.read_csv(tmp_path / "model" / "metrics.csv")
    assert metrics["iteration"].tolist() == [4, 8]
    assert metrics["val_loss"].notna().all()


def test_the_processes_of_a_step_divide_its_items(run_folder, tmp_path):
    data = load_training(Sources(run_folder, run_folder / "dataset", None, tmp_path, 1, 0), tiny())
    order = Order(data.train, 4, 0)
    whole = next(read_ahead(data.train, order, 3))
    parts = [next(read_ahead(data.train, order, 3, rank, 2)) for rank in range(2)]
    assert [len(part.images) for part in parts] == [2, 2]
    for rank, part in enumerate(parts):
        assert torch.equal(part.images, whole.images[rank::2])


def test_a_batch_that_cannot_be_divided_is_refused(run_folder, tmp_path, monkeypatch):
    data = load_training(Sources(run_folder, run_folder / "dataset", None, tmp_path, 1, 0), tiny())

    class ThreeProcesses:
        num_processes = 3

    monkeypatch.setattr(training, "Accelerator", lambda **_: ThreeProcesses())
    with pytest.raises(LiftnetError, match="cannot be divided among 3 processes"):
        training.start_run(data, tiny(), 0, tmp_path)


def test_batches_read_ahead_are_those_read_in_turn(run_folder, tmp_path):
    data = load_training(Sources(run_folder, run_folder / "dataset", None, tmp_path, 1, 0), tiny())
    order = Order(data.train, 4, 0)
    far, near = read_ahead(data.train, order, 0, ahead=5), read_ahead(data.train, Order(data.train, 4, 0), 0, ahead=0)
    for _ in range(12):  # over the end of an epoch
        for a, b in zip(next(far)[:4], next(near)[:4], strict=True):
            assert torch.equal(a, b)
    later = read_ahead(data.train, Order(data.train, 4, 0), 11)
    assert not torch.equal(next(later).source_xy, next(far).source_xy)


def test_an_error_while_reading_ahead_reaches_the_loop(run_folder, tmp_path):
    data = load_training(Sources(run_folder, run_folder / "dataset", None, tmp_path, 1, 0), tiny())

    class Broken:
        items, groups, directions = data.train.items, data.train.groups, 2

        def batch(self, chosen, seed):
            raise LiftnetError("shard", "is gone", "Write it again")

    with pytest.raises(LiftnetError, match="is gone"):
        next(read_ahead(Broken(), Order(data.train, 4, 0), 0))


def test_the_memory_layout_changes_rounding_alone(run_folder, plain, tmp_path):
    weights, metrics = run(run_folder, tmp_path, tiny(channels_last=False))
    np.testing.assert_allclose(metrics["val_loss"], plain[1]["val_loss"], rtol=0.02)
    assert weights.keys() == plain[0].keys()


def test_compilation_changes_rounding_alone(run_folder, tmp_path):
    """The smallest network and two steps: compiling takes far longer than running."""
    small = {"image_size": 16, "levels": 2, "width": 4, "iterations": 2, "validate_every": 2}
    (weights, metrics), (expected, expected_metrics) = (
        run(run_folder, tmp_path / str(compiled), tiny(compile=compiled, **small)) for compiled in (True, False)
    )
    np.testing.assert_allclose(metrics["val_loss"], expected_metrics["val_loss"], rtol=1e-3)
    assert weights.keys() == expected.keys()
    load_model(tmp_path / "True")


def test_mixed_precision_trains_float32_weights_to_about_the_same_loss(run_folder, plain, tmp_path):
    weights, metrics = run(run_folder, tmp_path, tiny(precision="bf16"))
    assert {tensor.dtype for name, tensor in weights.items() if "num_batches" not in name} == {torch.float32}
    assert not all(torch.equal(weights[name], tensor) for name, tensor in plain[0].items())
    np.testing.assert_allclose(metrics["val_loss"], plain[1]["val_loss"], rtol=0.2)


def test_tensorboard_holds_the_metrics(run_folder, tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    _, metrics = run(run_folder, tmp_path, tiny(tensorboard=True))
    log = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    events = log.Scalars("val_loss")
    assert [event.step for event in events] == [4, 8]
    np.testing.assert_allclose([event.value for event in events], metrics["val_loss"], rtol=1e-5)

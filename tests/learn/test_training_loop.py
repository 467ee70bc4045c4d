"""One loop for every network: it learns, resumes bit for bit after any step, stops early and says what is wrong."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import learning_toys as toys
import numpy as np
import pandas as pd
import pytest
import torch
from learning_toys import Line, points_task, settings
from torch import nn

from liftnet.core import devices
from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.learn import loop
from liftnet.learn.checkpoint import CHECKPOINT, VERSION, Checkpoint, identity, read_checkpoint, write_checkpoint
from liftnet.learn.loop import read_ahead, train
from liftnet.learn.settings import OptimiserSettings, TrainingSettings, build_optimiser
from liftnet.learn.task import Part


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(folder, task=None, seed=0, **changes):
    task, plan = task or Line(seed), settings(**changes)
    return task, train(task, plan, toys.run(folder, plan, seed))


def weights(task):
    return {
        f"{name}.{key}": value
        for name, network in task.networks.items()
        for key, value in network.state_dict().items()
    }


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_line_is_learnt_to_its_known_slope(tmp_path):
    task, state = trained(tmp_path, Line(dropout=0.0, noise=0.0), iterations=400, validate_every=50)
    assert torch.allclose(task.networks["line"][1].weight, toys.SLOPE, atol=1e-2)
    assert state.best_row["val_loss"] < 1e-3
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    assert metrics.iteration.tolist() == list(range(50, 401, 50))
    assert not task.networks["line"].training


def test_the_first_steps_are_those_of_adam_by_hand(tmp_path):
    """The loop beside the four lines that it stands for."""
    task, _ = trained(tmp_path, Line(dropout=0.0, noise=0.0), iterations=3, validate_every=3)
    plain = Line(dropout=0.0, noise=0.0)
    network = plain.networks["line"]
    optimiser = torch.optim.Adam(network.parameters(), lr=0.05)
    for step in range(3):
        points, values = plain.batch(step, Part())
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / 3)
        optimiser.zero_grad()
        ((network(points) - values) ** 2).mean().backward()
        optimiser.step()
    assert same(weights(task), weights(plain))


@pytest.mark.parametrize("make", [Line, points_task])
@pytest.mark.parametrize("stop", [1, 4, 5, 6, 13, 19])
def test_a_training_stopped_after_any_step_resumes_bit_for_bit(tmp_path, monkeypatch, make, stop):
    whole, whole_state = trained(tmp_path / "whole", make())
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    step = loop.train_step

    def stopping(training, batch):
        if training.state.step == stop:
            raise KeyboardInterrupt
        step(training, batch)

    monkeypatch.setattr(loop, "train_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "halves", make())
    assert read_checkpoint(tmp_path / "halves" / CHECKPOINT).step == stop
    monkeypatch.setattr(loop, "train_step", step)
    halves, state = trained(tmp_path / "halves", make())
    assert same(weights(whole), weights(halves))
    assert (state.best_step, state.best_score) == (whole_state.best_step, whole_state.best_score)
    whole_table, table = (
        pd.read_csv(tmp_path / name / "metrics.csv").drop(columns="seconds", errors="ignore")
        for name in ("whole", "halves")
    )
    pd.testing.assert_frame_equal(whole_table, table, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["line", "points"])
def test_a_killed_process_resumes_to_the_same_weights(tmp_path, kind):
    command = [sys.executable, str(Path(__file__).with_name("learning_toys.py")), kind]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, str(tmp_path / "killed"), "400"], env=environment)
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed" / "metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = read_checkpoint(tmp_path / "killed" / CHECKPOINT)
    assert state is None or not state.finished
    subprocess.run([*command, str(tmp_path / "killed"), "400"], env=environment, check=True)
    toys.program(kind, tmp_path / "whole", 400)
    first, second = (read_checkpoint(tmp_path / folder / CHECKPOINT) for folder in ("killed", "whole"))
    assert (first.step, first.best_step) == (second.step, second.best_step)
    assert same(first.networks["line"], second.networks["line"])
    assert same(first.best["line"], second.best["line"])


def test_the_global_generator_is_left_as_it_was(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    task = Line()
    torch.manual_seed(5)
    trained(tmp_path, task)
    assert torch.equal(torch.rand(3), expected)


def test_a_finished_training_is_not_repeated(tmp_path, monkeypatch):
    first, _ = trained(tmp_path)
    monkeypatch.setattr(loop, "train_step", None)  # a step would raise
    second, state = trained(tmp_path)
    assert state.finished
    assert same(weights(first), weights(second))


@pytest.mark.parametrize("change", ["settings", "seed", "data"])
def test_a_checkpoint_of_another_run_is_not_used(tmp_path, caplog, change):
    trained(tmp_path)
    plan = settings(iterations=5) if change == "settings" else settings()
    seed = 1 if change == "seed" else 0
    with caplog.at_level("INFO"):
        state = train(Line(seed), plan, toys.run(tmp_path, plan, seed, "other" if change == "data" else "toy"))
    assert "training starts from scratch" in caplog.text
    assert pd.read_csv(tmp_path / "metrics.csv").iteration.tolist() == list(range(5, state.step + 1, 5))


def test_identities_tell_settings_seeds_and_data_apart():
    plain = settings()
    known = {
        identity(plain, 0, ["a", "b"]),
        identity(plain, 1, ["a", "b"]),
        identity(plain, 0, ["ab"]),
        identity(plain, 0, ["b", "a"]),
        identity(settings(batch_size=4), 0, ["a", "b"]),
        identity(settings(optimiser={"name": "sgd"}), 0, ["a", "b"]),
    }
    assert len(known) == 6
    assert identity(settings(), 0, ["a", b"b"]) == identity(plain, 0, [b"a", "b"])


@pytest.mark.parametrize("how", ["half", "text", "empty", "other version", "other content", "pickled code"])
def test_a_damaged_checkpoint_is_one_clear_error(tmp_path, how):
    path = tmp_path / CHECKPOINT
    trained(tmp_path)
    if how == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "text":
        path.write_text("no checkpoint")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "other version":
        torch.save(torch.load(path, weights_only=True) | {"version": 0}, path)
    elif how == "other content":
        torch.save({"version": VERSION, "weights": {}}, path)
    else:
        torch.save({"version": VERSION, "code": subprocess.Popen}, path)
    with pytest.raises(
        LiftnetError, match=r"checkpoint\.pt: is not a .*checkpoint.*\. Delete it to train from scratch"
    ):
        trained(tmp_path)


def test_a_full_disk_is_a_clear_error_and_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, Checkpoint("a run", step=7))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LiftnetError, match="the disk is full"):
        write_checkpoint(path, Checkpoint("a run", step=8))
    monkeypatch.undo()
    assert read_checkpoint(path).step == 7
    assert [child.name for child in tmp_path.iterdir()] == [CHECKPOINT]


def test_training_stops_when_validation_no_longer_improves(tmp_path):
    task = Line()
    task.scores = [3.0, 2.0, 2.5, 2.6, 1.0]
    _, state = trained(tmp_path, task, iterations=1000, patience=2)
    assert [row["val_loss"] for row in state.metrics] == [3.0, 2.0, 2.5, 2.6]
    assert (state.best_step, state.step, state.finished) == (10, 20, True)


def test_the_weights_are_those_of_the_best_validation(tmp_path):
    task = Line()
    task.scores = [3.0, 1.0, 2.0, 2.0]
    trained(tmp_path / "whole", task)
    short = Line()
    short.scores = [3.0, 1.0]
    plan = settings(optimiser={"schedule": "constant"})
    constant = Line()
    constant.scores = [3.0, 1.0, 2.0, 2.0]
    train(constant, plan, toys.run(tmp_path / "constant", plan))
    plan = plan.model_copy(update={"iterations": 10})
    train(short, plan, toys.run(tmp_path / "short", plan))
    assert same(weights(constant), weights(short))
    assert not same(weights(task), weights(short))


def test_a_validation_of_nan_never_beats_a_number(tmp_path):
    task = Line()
    task.scores = [float("nan"), 2.0, float("nan"), 3.0]
    _, state = trained(tmp_path, task)
    assert state.best_step == 10


def test_without_a_score_the_last_weights_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(Line, "score", lambda self, row: None)
    task, state = trained(tmp_path)
    assert state.best == {}
    assert same({f"line.{key}": value for key, value in state.networks["line"].items()}, weights(task))


def test_only_the_named_network_is_kept(tmp_path):
    _, state = trained(tmp_path, points_task())
    assert list(state.best) == ["line"]
    assert list(state.networks) == ["line", "beside"]


class Poisoned(Line):
    """A line with a batch normalisation, some of whose steps see what is no number or have no finite gradient."""

    def __init__(self, steps, how):
        super().__init__(dropout=0.0)
        self.networks["line"].insert(1, nn.BatchNorm1d(3))
        self.steps, self.how = steps, how

    def batch(self, step, part):
        points, values = super().batch(step, part)
        if step in self.steps and self.how == "loss":
            values = values * float("nan")
        if step in self.steps and self.how == "statistics":
            points = points * float("inf")
        return points, values, torch.tensor(float(step in self.steps and self.how == "gradient"))

    def terms(self, networks, batch, generator):
        points, values, poison = batch
        terms = super().terms(networks, (points, values), generator)
        if poison:  # a root of 0, whose derivative is infinite
            size = networks["line"][-1].weight.sum()
            terms["loss"] = terms["loss"] + (size - size.detach()).sqrt()
        return terms

    def validate(self, networks, at):
        points, values, _ = self.batch(10_000, at.part)
        loss = float(((networks["line"](points) - values) ** 2).mean())
        return {"iteration": at.step, "val_loss": loss, "steps": len(at.terms)}


@pytest.mark.parametrize("how", ["loss", "gradient", "statistics"])
def test_a_step_without_a_finite_gradient_is_left_out_and_counted(tmp_path, caplog, how):
    """Beside the loop by hand that knows which steps to leave out; its optimiser never hears of them."""
    with caplog.at_level("WARNING"):
        task, state = trained(tmp_path, Poisoned({3, 11, 12}, how), validate_every=10)
    plain = Poisoned(set(), how)
    network = plain.networks["line"]
    optimiser = torch.optim.Adam(network.parameters(), lr=0.05)
    for step in sorted(set(range(20)) - {3, 11, 12}):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / 20)
        generator = torch.Generator().manual_seed(stable_seed(0, "draws", str(step)))
        optimiser.zero_grad()
        plain.terms(plain.networks, plain.batch(step, Part()), generator)["loss"].mean().backward()
        optimiser.step()
    assert same(weights(task), weights(plain))
    assert all(bool(value.isfinite().all()) for value in weights(task).values())
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    assert (metrics.skipped_steps.tolist(), metrics.steps.tolist()) == ([1, 3], [9, 8])
    assert (state.skipped, state.skipped_in_row) == (3, 0)
    assert "1 steps up to step 10 were skipped" in caplog.text
    assert "2 steps up to step 20 were skipped" in caplog.text


@pytest.mark.parametrize("stop", [4, 8, 15])
def test_a_training_that_skips_steps_resumes_bit_for_bit(tmp_path, monkeypatch, stop):
    bad = {3, 7, 8, 14, 15, 16}
    whole, _ = trained(tmp_path / "whole", Poisoned(bad, "gradient"))
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    step = loop.train_step

    def stopping(training, batch):
        if training.state.step == stop:
            raise KeyboardInterrupt
        step(training, batch)

    monkeypatch.setattr(loop, "train_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "halves", Poisoned(bad, "gradient"))
    monkeypatch.setattr(loop, "train_step", step)
    halves, state = trained(tmp_path / "halves", Poisoned(bad, "gradient"))
    assert same(weights(whole), weights(halves))
    assert state.skipped == len(bad)
    tables = [pd.read_csv(tmp_path / name / "metrics.csv") for name in ("whole", "halves")]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


@pytest.mark.parametrize(
    ("how", "first", "reason"),
    [
        ("loss", 7, r"the loss \(nan\) is not finite at step 26, nor was it in the 19 steps before"),
        ("gradient", 7, "the gradient is not finite at step 26, nor was it in the 19 steps before"),
        ("loss", 0, r"the loss \(nan\) is not finite at step 19, nor was it"),
    ],
)
def test_steps_that_stay_infinite_are_said_and_leave_no_trace(tmp_path, monkeypatch, how, first, reason):
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    task = Poisoned(set(range(first, 1000)), how)
    with pytest.raises(LiftnetError, match=rf"toy train: {reason}.*\. Lower the learning rate"):
        trained(tmp_path, task, iterations=100)
    state = read_checkpoint(tmp_path / CHECKPOINT)
    assert state.step == first + 19
    assert all(bool(value.isfinite().all()) for value in state.networks["line"].values())


def test_a_training_of_nothing_but_infinite_steps_has_not_trained(tmp_path):
    with pytest.raises(LiftnetError, match="is not finite at step 4"):
        trained(tmp_path, Poisoned(set(range(5)), "loss"), iterations=5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("adam", lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.01)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.01)),
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5, dampening=0.25, weight_decay=0.01)),
    ],
)
def test_optimisers_are_torchs(name, expected):
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    second.load_state_dict(first.state_dict())
    plan = OptimiserSettings(name=name, learning_rate=0.1, weight_decay=0.01, momentum=0.5, dampening=0.25)
    ours, theirs = build_optimiser([{"params": list(first.parameters())}], plan), expected(second.parameters())
    points = torch.randn(5, 3)
    for _ in range(3):
        for network, optimiser in ((first, ours), (second, theirs)):
            optimiser.zero_grad()
            network(points).square().sum().backward()
            optimiser.step()
    assert torch.equal(first.weight, second.weight)


def test_a_group_moves_by_its_own_rate(tmp_path, monkeypatch):
    def groups(self):
        layer = self.networks["line"][1]
        return [{"params": [layer.weight], "rate_factor": 0.0}, {"params": [layer.bias]}]

    monkeypatch.setattr(Line, "parameter_groups", groups)
    monkeypatch.setattr(Line, "score", lambda self, row: None)
    before = weights(Line())
    task, _ = trained(tmp_path)
    assert torch.equal(task.networks["line"][1].weight, before["line.1.weight"])
    assert not torch.equal(task.networks["line"][1].bias, before["line.1.bias"])


@pytest.mark.parametrize(("clip", "most"), [({"clip_value": 1e-3}, 1e-3), ({"clip_norm": 1e-3}, 1e-3)])
def test_gradients_are_clipped(tmp_path, clip, most):
    before = weights(Line())
    plan = {"name": "sgd", "momentum": 0.0, "learning_rate": 1.0, "schedule": "constant", **clip}
    task, _ = trained(tmp_path, iterations=1, validate_every=1, optimiser=plan)
    moved = torch.cat([(after - before[name]).flatten() for name, after in weights(task).items()])
    size = moved.abs().max() if "clip_value" in clip else moved.norm()
    assert float(size) == pytest.approx(most, rel=1e-3)


def test_bfloat16_and_the_memory_layout_change_rounding_only(tmp_path):
    plain, _ = trained(tmp_path / "plain", points_task())
    mixed, _ = trained(tmp_path / "mixed", points_task(), precision="bfloat16")
    planar, _ = trained(tmp_path / "planar", points_task(), channels_last=False)
    assert same(weights(plain), weights(planar))
    assert not same(weights(plain), weights(mixed))
    assert torch.allclose(plain.networks["line"].weight, mixed.networks["line"].weight, atol=0.1)


def test_batches_read_ahead_are_those_read_in_turn():
    batches = read_ahead(lambda step: step**2, 3)
    assert [next(batches) for _ in range(5)] == [9, 16, 25, 36, 49]
    batches.close()


def test_an_error_while_reading_ahead_reaches_the_loop():
    def read(step):
        raise LiftnetError("file", "is damaged")

    with pytest.raises(LiftnetError, match="is damaged"):
        next(read_ahead(read, 0))


def test_every_item_is_seen_once_an_epoch_and_processes_divide_a_step():
    task = points_task()
    steps = task.order.steps
    seen = np.concatenate([task.order.chosen(step)[:, 0] for step in range(steps)])
    assert len(set(seen.tolist())) == len(seen) == steps * 8
    whole = task.batch(5, Part()).points
    parts = [task.batch(5, Part(rank, 2)).points for rank in range(2)]
    assert all(torch.equal(part, whole[rank::2]) for rank, part in enumerate(parts))


@pytest.mark.slow
def test_two_processes_share_the_steps_and_agree_with_one(tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [str(Path(__file__).with_name("learning_toys.py")), "points"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, *command, str(tmp_path / "two"), "20"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    toys.program("points", tmp_path / "one", 20)
    two, one = (read_checkpoint(tmp_path / name / CHECKPOINT) for name in ("two", "one"))
    assert two.step == one.step == 20
    for name, value in one.networks["line"].items():
        assert torch.allclose(value, two.networks["line"][name], atol=1e-5)
    assert two.metrics[-1]["val_loss"] == pytest.approx(one.metrics[-1]["val_loss"], rel=1e-3)


def test_a_batch_that_cannot_be_divided_is_refused(tmp_path, monkeypatch):
    class ThreeProcesses:
        num_processes, process_index = 3, 0

    monkeypatch.setattr(loop, "Accelerator", lambda **_: ThreeProcesses())
    with pytest.raises(LiftnetError, match="cannot be divided among 3 processes"):
        trained(tmp_path)


def test_tensorboard_records_what_metrics_csv_does(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plan = settings()
    train(Line(), plan, toys.run(tmp_path, plan, tensorboard=True))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    recorded = [(event.step, event.value) for event in events.Scalars("val_loss")]
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    assert [step for step, _ in recorded] == metrics.iteration.tolist()
    assert [value for _, value in recorded] == pytest.approx(metrics.val_loss.tolist())


def test_devices_are_chosen_by_name():
    assert devices.choose_device("cpu").type == "cpu"
    assert devices.choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(LiftnetError, match="is not a device that torch knows"):
        devices.choose_device("toaster")
    if not torch.cuda.is_available():
        with pytest.raises(LiftnetError, match="no GPU can be used"):
            devices.choose_device("cuda")


def test_a_stage_gives_the_common_settings_defaults_of_its_own():
    class Optimiser(OptimiserSettings, defaults={"name": "adamw", "weight_decay": 0.01}):
        pass

    assert (Optimiser().name, Optimiser().weight_decay, Optimiser().momentum) == ("adamw", 0.01, 0.9)
    assert OptimiserSettings().name == "adam"
    assert Optimiser(learning_rate=2.0).weight_decay == 0.01
    assert Optimiser.model_json_schema()["properties"]["name"]["default"] == "adamw"
    assert TrainingSettings().optimiser == OptimiserSettings()

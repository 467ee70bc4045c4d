"""The training loop of every network: steps, validations, early stop, bit-exact resume.

Everything random in a step (its items, augmentation, dropout, RANSAC) comes from a seed derived from the run's seed
and the step's number. There is no generator whose state could be lost: a run that is killed and started again resumes
from its last checkpoint with the same numbers as a run that was never stopped. The same data, settings, seed and
number of torch threads give the same weights bit for bit; with another number of threads (or another processor) sums
are rounded in another order.

Several processes (`torchrun --nproc-per-node 4 -m liftnet depth train ...`) share each step: the batch is divided
among them and their gradients are averaged. Only the first writes.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object, send_to_device
from torch import Tensor, nn

from liftnet.core.devices import channels_last, choose_device, warn_of_slow_precision
from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_text
from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger, meter
from liftnet.learn.checkpoint import CHECKPOINT, Checkpoint, Row, read_checkpoint, write_checkpoint
from liftnet.learn.settings import TrainingSettings, build_optimiser, learning_rate
from liftnet.learn.task import LossTerms, Part, Task, Validation, on_host

SECONDS_BETWEEN_CHECKPOINTS = 60.0
MOST_SKIPPED = 20  # steps in a row that may be skipped
AHEAD = 3  # batches read before they are needed


@dataclass(frozen=True)
class Run:
    """One training: what tells it from others, and where it writes.

    Attributes:
        stage: The logger's name.
        folder: Of the checkpoint and of metrics.csv.
        seed: Its seed.
        identity: Fingerprint of all that decides the weights, see `liftnet.learn.checkpoint.identity`.
        device: "auto", or a device as torch names it.
        tensorboard: Whether a TensorBoard log is written too.
        checkpoint: Name of the checkpoint.
    """

    stage: str
    folder: Path
    seed: int
    identity: str
    device: str = "auto"
    tensorboard: bool = False
    checkpoint: str = CHECKPOINT


@dataclass
class Training:
    """A training in progress.

    Attributes:
        task: What is learnt.
        settings: How.
        run: Where.
        accelerator: Where it computes.
        prepared: The networks as they are called: compiled, and with gradients shared among processes.
        optimiser: Of all networks.
        state: What a checkpoint holds.
        part: Which part of each step is this process's.
        recent: Terms of the steps since the last validation.
    """

    task: Task
    settings: TrainingSettings
    run: Run
    accelerator: Accelerator
    prepared: dict[str, nn.Module]
    optimiser: torch.optim.Optimizer
    state: Checkpoint
    part: Part
    recent: list[LossTerms] = field(default_factory=list)


def train(task: Task, settings: TrainingSettings, run: Run) -> Checkpoint:
    """Train the networks of a task, from the checkpoint of the same run if there is one.

    Args:
        task: What is learnt; in the end its networks hold the best weights, or the last ones where validations do not
            count, and are in evaluation mode.
        settings: How.
        run: Where.

    Returns:
        The final state; its best validation and metrics go into the model's config.json and card.

    Raises:
        LiftnetError: Loss or gradient stay infinite, the batch cannot be divided among the processes, the device is
            not there, the checkpoint is damaged, or a file cannot be written.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        training = start(task, settings, run)
        if not training.state.finished:
            steps(training)
    for name, weights in training.state.best.items():
        task.networks[name].load_state_dict(weights)
    for network in task.networks.values():
        network.eval()
    return training.state


def is_first_process() -> bool:
    """Whether this process is the one that writes; always where there is only one."""
    return int(os.environ.get("RANK", "0")) == 0


def start(task: Task, settings: TrainingSettings, run: Run) -> Training:
    """Place the networks, build the optimiser, and load the checkpoint of the same run if there is one."""
    device = choose_device(run.device)
    if settings.deterministic and device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself only with this
        torch.use_deterministic_algorithms(True)
    AcceleratorState._reset_state()  # a second run in one process may ask for another precision
    warn_of_slow_precision(settings.precision, device.type)
    precision = "bf16" if settings.precision == "bfloat16" else "no"
    accelerator = Accelerator(mixed_precision=precision, cpu=device.type == "cpu")
    part = Part(accelerator.process_index, accelerator.num_processes)
    if settings.batch_size % part.processes:
        raise LiftnetError(
            f"batch_size {settings.batch_size}",
            f"cannot be divided among {part.processes} processes",
            "Use a multiple of their number",
        )
    state = _resumed(run)
    if state is not None:
        for name, network in task.networks.items():
            network.load_state_dict(state.networks[name])
    prepared = {name: _prepared(network, settings, accelerator) for name, network in task.networks.items()}
    optimiser = build_optimiser(task.parameter_groups(), settings.optimiser)
    if state is not None:
        optimiser.load_state_dict(state.optimiser)
    state = state or Checkpoint(run.identity)
    recent = [{name: torch.tensor(values) for name, values in step.items()} for step in state.terms]
    return Training(task, settings, run, accelerator, prepared, optimiser, state, part, recent)


def _resumed(run: Run) -> Checkpoint | None:
    """The checkpoint of the same run, if there is one."""
    logger, path = get_logger(run.stage), run.folder / run.checkpoint
    state = read_checkpoint(path)
    if state is None:
        return None
    if state.identity != run.identity:
        logger.info("settings or data have changed since %s was written; training starts from scratch", path)
        return None
    logger.info("resuming after step %d", state.step)
    return state


def _prepared(network: nn.Module, settings: TrainingSettings, accelerator: Accelerator) -> nn.Module:
    """Place a network on its device, and wrap it as the settings and the number of processes ask for."""
    if settings.channels_last:
        channels_last(network)
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    prepared: nn.Module = accelerator.prepare(network)
    if settings.compile:
        prepared.compile()  # in place: the names of the weights stay as they are
    return prepared


def steps(training: Training) -> None:
    """Step until the iterations are used up or validation has not improved for `patience` times."""
    settings, state, task = training.settings, training.state, training.task
    batches = read_ahead(lambda step: task.batch(step, training.part), state.step)
    begun, saved = time.monotonic() - state.seconds, time.monotonic()
    with meter(training.run.stage, f"training {task.name}, steps", settings.iterations - state.step) as advance:
        while not state.finished:
            before = time.process_time()
            train_step(training, next(batches))
            state.cpu_seconds += time.process_time() - before
            state.step += 1
            last = state.step >= settings.iterations
            state.seconds = time.monotonic() - begun
            due = last or state.step % settings.validate_every == 0
            if due:
                validate(training)
                state.finished = last or state.bad_validations >= (settings.patience or math.inf)
            if due or time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                save(training)
                saved = time.monotonic()
            advance(f", {task.headline} {state.metrics[-1][task.headline]:.4f}" if state.metrics else "")
    batches.close()


def train_step(training: Training, batch: Any) -> None:
    """One step of the optimiser, or none where loss or gradient are not finite.

    Raises:
        LiftnetError: They were not in so many steps in a row that they will not be again.
    """
    task, state, settings = training.task, training.state, training.settings
    _set_mode(training, True)
    statistics = _buffers(training)
    names = (str(state.step), *training.part.names)
    torch.manual_seed(stable_seed(training.run.seed, "dropout", *names))
    generator = torch.Generator().manual_seed(stable_seed(training.run.seed, "draws", *names))
    terms = task.terms(training.prepared, send_to_device(batch, training.accelerator.device), generator)
    rate = learning_rate(settings, state.step)
    for group in training.optimiser.param_groups:
        group["lr"] = rate * group["rate_factor"]
    training.optimiser.zero_grad()
    loss = terms["loss"].mean()
    training.accelerator.backward(loss)
    if not _is_finite(training, loss):
        _put_back(training, statistics)
        _skip(training, float(loss.detach()))
        return
    state.skipped_in_row = 0
    _clip(training)
    training.optimiser.step()
    task.after_step()
    training.recent.append(on_host(terms))


def _buffers(training: Training) -> list[Tensor]:
    """Copies of what networks keep besides their weights: a forward pass changes statistics of batches."""
    return [buffer.clone() for network in training.task.networks.values() for buffer in network.buffers()]


@torch.no_grad()
def _put_back(training: Training, buffers: list[Tensor]) -> None:
    own = (buffer for network in training.task.networks.values() for buffer in network.buffers())
    for buffer, before in zip(own, buffers, strict=True):
        buffer.copy_(before)


@torch.no_grad()
def _is_finite(training: Training, loss: Tensor) -> bool:
    """Whether the loss and all of its gradient are, in every process."""
    weights = [weight for network in training.task.networks.values() for weight in network.parameters()]
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    largest = nn.utils.get_total_norm(gradients, math.inf)  # of the values: a sum of squares could overflow
    finite = (loss.isfinite() & largest.to(loss.device).isfinite()).reshape(1)
    if training.part.processes > 1:
        finite = training.accelerator.gather(finite)
    return bool(finite.all())


def _skip(training: Training, loss: float) -> None:
    state = training.state
    state.skipped += 1
    state.skipped_in_row += 1
    get_logger(training.run.stage).debug("step %d is skipped: loss %s, gradient not finite", state.step, loss)
    most = min(MOST_SKIPPED, training.settings.iterations)
    if state.skipped_in_row >= most:
        what, infinite = f"{training.run.stage} train", "the gradient" if math.isfinite(loss) else f"the loss ({loss})"
        reason = f"{infinite} is not finite at step {state.step}, nor was it in the {most - 1} steps before"
        raise LiftnetError(what, reason, "Lower the learning rate, or look for what is no number in the data")


def _clip(training: Training) -> None:
    weights = [weight for network in training.task.networks.values() for weight in network.parameters()]
    optimiser = training.settings.optimiser
    if optimiser.clip_value is not None:
        nn.utils.clip_grad_value_(weights, optimiser.clip_value)
    if optimiser.clip_norm is not None:
        nn.utils.clip_grad_norm_(weights, optimiser.clip_norm)


def _set_mode(training: Training, training_mode: bool) -> None:
    for network in training.prepared.values():
        network.train(training_mode)


@torch.no_grad()
def validate(training: Training) -> None:
    """Measure the networks, note the row, and keep the weights if it is the best so far."""
    _set_mode(training, False)
    state, task, run = training.state, training.task, training.run
    alone = training.part.processes == 1
    gather: Callable[[list[LossTerms]], list[LossTerms]] = list if alone else gather_object
    torch.manual_seed(stable_seed(run.seed, "validation dropout", str(state.step)))
    at = Validation(
        step=state.step,
        terms=gather(training.recent),
        learning_rate=learning_rate(training.settings, state.step - 1),
        seconds=state.seconds,
        cpu_seconds=state.cpu_seconds,
        device=training.accelerator.device,
        part=training.part,
        gather=gather,
    )
    row = task.validate(training.prepared, at) | {"skipped_steps": state.skipped}
    training.recent.clear()
    before = state.metrics[-1]["skipped_steps"] if state.metrics else 0
    if state.skipped > before:
        text = "%d steps up to step %d were skipped: their loss or gradient was not finite"
        get_logger(run.stage).warning(text, state.skipped - before, at.step)
    state.metrics.append(row)
    score = task.score(row)
    if score is None:
        return
    state.bad_validations += 1
    if state.best_score is None or _sortable(score) > _sortable(state.best_score):
        state.best_score, state.best_step, state.best_row, state.bad_validations = score, state.step, row, 0
        state.best = {name: _copy(task.networks[name].state_dict()) for name in task.kept()}


def _sortable(score: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(-math.inf if math.isnan(value) else value for value in score)


def save(training: Training) -> None:
    """Write checkpoint and metrics, by the first process alone."""
    if not training.accelerator.is_main_process:
        return
    state, run = training.state, training.run
    state.networks = {name: _copy(network.state_dict()) for name, network in training.task.networks.items()}
    state.optimiser = training.optimiser.state_dict()
    state.terms = [{name: value.tolist() for name, value in step.items()} for step in training.recent]
    if state.metrics:
        write_metrics(run.folder, state.metrics)
    if state.metrics and run.tensorboard and not training.recent:  # right after a validation
        write_tensorboard(run.folder, state.metrics[-1], state.step)
    write_checkpoint(run.folder / run.checkpoint, state)


def write_metrics(folder: Path, metrics: Sequence[Row]) -> None:
    """Write metrics.csv, one row per validation."""
    write_text(folder / "metrics.csv", pd.DataFrame(metrics).to_csv(index=False, lineterminator="\n"))


def write_tensorboard(folder: Path, row: Row, step: int) -> None:
    """Add the numbers of one validation to the TensorBoard log below `folder`.

    Raises:
        LiftnetError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise LiftnetError(
            "tensorboard", "is not installed", "Run `pip install tensorboard`, or leave the setting off"
        ) from error
    with SummaryWriter(str(folder / "tensorboard")) as writer:
        for name, value in row.items():
            if name != "iteration" and isinstance(value, int | float):
                writer.add_scalar(name, value, step)


def _copy(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}


def read_ahead(read: Callable[[int], Any], start: int) -> Generator[Any, None, None]:
    """The batches of the steps from `start` on, read by a thread of its own while the step before computes.

    Args:
        read: From the number of steps done to a batch.
        start: Number of steps done.
    """
    with ThreadPoolExecutor(1, "batches") as reader:
        waiting: list[Future[Any]] = []
        try:
            for step in count(start):
                waiting.append(reader.submit(read, step))
                if len(waiting) > AHEAD:
                    yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()

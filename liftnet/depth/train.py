"""Training a depth network: a plain loop over batches, with validation, early stop and bit-exact resume.

Everything random in a step (its items, their order, augmentation, RANSAC) comes from a seed derived from the run's
seed and the step's number. There is no generator whose state could be lost: a run that is killed and started again
goes on from its last checkpoint with the same numbers as a run that was never stopped.

Several processes (`torchrun --nproc-per-node 4 -m liftnet depth train ...`) share each step: the batch is divided
among them and their gradients are averaged. Only the first writes.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from torch import Tensor, nn

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.core.log import duration, get_logger, meter
from liftnet.depth.checkpoint import Checkpoint, fingerprint, read_checkpoint, write_checkpoint, write_metrics
from liftnet.depth.data.batches import Order, read_ahead
from liftnet.depth.data.crops import CropStore
from liftnet.depth.data.pairs import in_directions
from liftnet.depth.objectives import Sources, Terms, Training, load_training
from liftnet.depth.settings import DepthSettings
from liftnet.models.depth_priors import inflated_depth
from liftnet.models.liftnet import DepthModel, initial_network, network_from, save_model

LOG = get_logger("depth")
SECONDS_BETWEEN_CHECKPOINTS = 60.0
SIGN_IMAGES = 256  # training images that choose the sign of depth


@dataclass
class Run:
    """A training run in progress.

    Attributes:
        settings: Its settings.
        seed: Its seed.
        data: What it learns from.
        accelerator: Where it computes.
        networks: The networks, with the weights that checkpoints hold.
        prepared: The same as they are called: compiled, and with gradients shared among processes.
        optimiser: Of all networks.
        state: What a checkpoint holds.
        since_validation: Terms of the steps since the last validation.
    """

    settings: DepthSettings
    seed: int
    data: Training
    accelerator: Accelerator
    networks: dict[str, nn.Module]
    prepared: dict[str, nn.Module]
    optimiser: torch.optim.Optimizer
    state: Checkpoint
    since_validation: list[Terms] = field(default_factory=list)


def train(sources: Sources, model_folder: Path, settings: DepthSettings) -> None:
    """Train with the method of the settings, and write the best model.

    Raises:
        LiftnetError: There is nothing to train on, or a file cannot be read or written.
    """
    torch.set_num_threads(sources.threads)
    start = time.monotonic()
    run = start_run(load_training(sources, settings), settings, sources.seed, model_folder)
    if run.state.iteration:
        LOG.info("going on from step %d", run.state.iteration)
    if not run.state.finished:
        train_loop(run, model_folder)
    if not run.accelerator.is_main_process:
        return
    network = network_from(settings.network)
    network.load_state_dict(run.state.best)
    model = DepthModel(network.eval(), run.data.store.input)
    if not run.data.signed:
        model.sign = viewer_sign(model, run.data.store, run.data.images)
    if settings.method == "correspondences":
        model.mask_prior_weight = settings.rounded_share
    model.notes = _notes(run)
    save_model(model_folder, model)
    LOG.info(
        "trained on %d items of %d works for %d steps in %s; best validation loss %.4f at step %d; %s",
        len(run.data.train.items),
        run.data.works,
        run.state.iteration,
        duration(time.monotonic() - start),
        run.state.best_loss,
        run.state.best_iteration,
        model_folder,
    )


def start_run(data: Training, settings: DepthSettings, seed: int, folder: Path) -> Run:
    """Build networks and optimiser, and load the checkpoint of the same run if there is one.

    Raises:
        LiftnetError: The batch cannot be divided among the processes, or the checkpoint is damaged.
    """
    if settings.deterministic and torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself only with this
        torch.use_deterministic_algorithms(True)
    AcceleratorState._reset_state()  # a second run in one process may ask for another precision
    accelerator = Accelerator(mixed_precision=settings.precision, cpu=not torch.cuda.is_available())
    if settings.batch_size % accelerator.num_processes:
        raise LiftnetError(
            f"depth.batch_size {settings.batch_size}",
            f"cannot be divided among {accelerator.num_processes} processes",
            "Use a multiple of their number",
        )
    networks: dict[str, nn.Module] = {"depth": initial_network(settings.network, seed), **data.networks}
    identity = fingerprint(settings, seed, [*data.train.items, *data.val.items])
    state = read_checkpoint(folder / "checkpoint.pt", identity)
    if state is not None:
        for name, network in networks.items():
            network.load_state_dict(state.networks[name])
    prepared = {name: _prepared(network, settings, accelerator) for name, network in networks.items()}
    optimiser = _optimiser(networks, settings)
    if state is not None:
        optimiser.load_state_dict(state.optimiser)
    state = state or Checkpoint(identity)
    terms = [{name: torch.tensor(values) for name, values in step.items()} for step in state.terms]
    return Run(settings, seed, data, accelerator, networks, prepared, optimiser, state, terms)


def _prepared(network: nn.Module, settings: DepthSettings, accelerator: Accelerator) -> nn.Module:
    """Place a network on its device, and wrap it as the settings and the number of processes ask for."""
    if settings.channels_last:
        network.to(memory_format=torch.channels_last)
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    prepared: nn.Module = accelerator.prepare(network)
    if settings.compile:
        prepared.compile()  # in place: the names of the weights stay as they are
    return prepared


def _optimiser(networks: dict[str, nn.Module], settings: DepthSettings) -> torch.optim.Optimizer:
    parameters = [parameter for network in networks.values() for parameter in network.parameters()]
    if settings.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=settings.learning_rate, momentum=settings.momentum)
    return torch.optim.Adam(parameters, lr=settings.learning_rate)


def train_loop(run: Run, folder: Path) -> None:
    """Step until the iterations are used up or validation has not improved for `patience` times."""
    settings, state, accelerator = run.settings, run.state, run.accelerator
    order = Order(run.data.train, settings.batch_size, run.seed)
    batches = read_ahead(run.data.train, order, state.iteration, accelerator.process_index, accelerator.num_processes)
    start, saved = time.monotonic() - state.seconds, time.monotonic()
    with meter("depth", "training steps", settings.iterations - state.iteration) as advance:
        while not state.finished:
            _set_mode(run, training=True)
            run.since_validation.append(train_step(run, next(batches)))
            state.iteration += 1
            last = state.iteration >= settings.iterations
            state.seconds = time.monotonic() - start
            if last or state.iteration % settings.validate_every == 0:
                validate(run)
                state.finished = last or state.bad_validations >= settings.patience
                _save(run, folder)
                saved = time.monotonic()
            elif time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                _save(run, folder)
                saved = time.monotonic()
            advance(f", best validation loss {state.best_loss:.4f}")
    batches.close()


def _set_mode(run: Run, training: bool) -> None:
    for network in run.prepared.values():
        network.train(training)


def train_step(run: Run, batch: Any) -> Terms:
    """One step of the optimiser; returns the terms, detached and on the host."""
    names = ["draws", str(run.state.iteration)]
    if run.accelerator.num_processes > 1:
        names.append(str(run.accelerator.process_index))
    generator = torch.Generator().manual_seed(stable_seed(run.seed, *names))
    terms = run.data.train.terms(run.prepared, batch.to(run.accelerator.device), generator)
    for group in run.optimiser.param_groups:
        group["lr"] = learning_rate(run.settings, run.state.iteration)
    run.optimiser.zero_grad()
    run.accelerator.backward(terms["loss"].mean())
    for network in run.networks.values():
        nn.utils.clip_grad_value_(network.parameters(), run.settings.gradient_clamp)
    run.optimiser.step()
    return _detached(terms)


def _detached(terms: Terms) -> Terms:
    """The terms on the host, brought there together: each transfer from a GPU waits for it."""
    stacked = torch.stack([term.detach().float() for term in terms.values()]).cpu()
    return dict(zip(terms, stacked, strict=True))


def learning_rate(settings: DepthSettings, iteration: int) -> float:
    """The learning rate of the step after `iteration` steps; a pure function of it, so that a resumed run agrees."""
    left = 1 - iteration / settings.iterations if settings.schedule == "linear" else 1.0
    return settings.learning_rate * left


@torch.no_grad()
def validate(run: Run) -> None:
    """Measure the terms on the held-out items, note them, and keep the weights if the loss is the best so far."""
    _set_mode(run, training=False)
    state, objective, size, here = run.state, run.data.val, run.settings.batch_size, run.accelerator
    order = in_directions(torch.arange(len(objective.items)).numpy(), objective.directions)
    terms = []
    for start in range(size * here.process_index, len(order), size * here.num_processes):
        seed = stable_seed(run.seed, "validation", str(start))
        batch = objective.batch(order[start : start + size], seed).to(here.device)
        terms.append(_detached(objective.terms(run.prepared, batch, torch.Generator().manual_seed(seed))))
    held_out, training = _means(gathered(run, terms)), _means(gathered(run, run.since_validation))
    run.since_validation.clear()
    state.metrics.append(
        {
            "iteration": state.iteration,
            "train_loss": training.pop("loss"),
            "val_loss": held_out["loss"],
            **training,
            **{f"val_{name}": value for name, value in held_out.items() if name != "loss"},
            "learning_rate": learning_rate(run.settings, state.iteration - 1),
            "seconds": round(state.seconds, 2),
        }
    )
    state.bad_validations += 1
    if held_out["loss"] < state.best_loss:
        state.best_loss, state.best_iteration, state.bad_validations = held_out["loss"], state.iteration, 0
        weights = run.networks["depth"].state_dict()
        state.best = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}


def gathered(run: Run, terms: list[Terms]) -> list[Terms]:
    """The terms of all processes."""
    return terms if run.accelerator.num_processes == 1 else gather_object(terms)


def _means(terms: list[Terms]) -> dict[str, float]:
    """The mean of each term over items."""
    names = terms[0] if terms else {"loss": torch.empty(0)}
    columns = {name: [step[name] for step in terms] for name in names}
    return {name: float(torch.cat(values).mean()) if values else math.nan for name, values in columns.items()}


def _save(run: Run, folder: Path) -> None:
    """Write checkpoint and metrics, by the first process alone."""
    if not run.accelerator.is_main_process:
        return
    run.state.networks = {name: _on_host(network.state_dict()) for name, network in run.networks.items()}
    run.state.optimiser = run.optimiser.state_dict()
    run.state.terms = [{name: value.tolist() for name, value in step.items()} for step in run.since_validation]
    write_checkpoint(folder / "checkpoint.pt", run.state)
    write_metrics(folder, run.state.metrics, run.settings.tensorboard)


def _on_host(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu() for name, tensor in weights.items()}


def _notes(run: Run) -> dict[str, Any]:
    state, data = run.state, run.data
    return {
        "settings": run.settings.model_dump(),
        "seed": run.seed,
        "training": {
            "items": len(data.train.items),
            "works": data.works,
            "validation_items": len(data.val.items),
            "validated_on": data.held_out,
            "best_iteration": state.best_iteration,
            "best_validation_loss": state.best_loss,
            "iterations": state.iteration,
        },
    }


def viewer_sign(model: DepthModel, store: CropStore, images: Sequence[str]) -> int:
    """1 or -1: the sign under which predicted depth agrees with the inflated masks of images."""
    rows = [store.index[image] for image in images if image in store][:SIGN_IMAGES]
    depth = model.predict(store.images[rows], store.masks[rows])
    agreement = 0.0
    for predicted, mask in zip(depth, store.masks[rows], strict=True):
        if mask.sum() > 1:
            ours, rounded = predicted[mask] - predicted[mask].mean(), inflated_depth(mask)[mask]
            length = np.linalg.norm(ours) * np.linalg.norm(rounded - rounded.mean())
            agreement += float(ours @ (rounded - rounded.mean()) / length) if length > 0 else 0.0
    return -1 if agreement < 0 else 1

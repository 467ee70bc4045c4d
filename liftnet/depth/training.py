"""Training LiftNet: a plain loop over batches of pairs, with validation, early stop and bit-exact resume.

Everything random in a step (its pairs, their order, augmentation, RANSAC) comes from a seed derived from the run's
seed and the step's number. There is no generator whose state could be lost: a run that is killed and started again
goes on from its last checkpoint with the same numbers as a run that was never stopped.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from liftnet.depth.checkpoint import Checkpoint, fingerprint, read_checkpoint, write_checkpoint, write_metrics
from liftnet.depth.loss import CorrespondenceLoss, correspondence_terms
from liftnet.depth.model import DepthModel, save_model
from liftnet.depth.network import build_network
from liftnet.depth.pairs import Augmentation, Batch, PairLoader, PairRow, PairTable, epoch_order, sample_depth
from liftnet.depth.priors import inflated_depth
from liftnet.depth.settings import DepthSettings
from liftnet.depth.store import CropOptions, CropStore
from liftnet.io.errors import LiftnetError
from liftnet.io.ids import stable_fraction, stable_seed
from liftnet.io.log import LineMeter, duration, get_logger

LOG = get_logger("depth")
SECONDS_BETWEEN_CHECKPOINTS = 60.0
SIGN_IMAGES = 256  # training images that choose the sign of depth


@dataclass(frozen=True)
class TrainingData:
    """What a run trains and validates on."""

    train: PairLoader
    val: PairLoader
    held_out: str  # in words


@dataclass
class Run:
    """A training run in progress."""

    settings: DepthSettings
    seed: int
    data: TrainingData
    accelerator: Accelerator
    network: torch.nn.Module
    optimiser: torch.optim.Optimizer
    state: Checkpoint
    since_validation: list[CorrespondenceLoss] = field(default_factory=list)


def train(root: Path, dataset: Path, model_folder: Path, settings: DepthSettings, seed: int, threads: int) -> None:
    """Train on the pairs of `dataset`, whose images and masks lie in `root`, and write the best model.

    Raises:
        LiftnetError: There is no pair to train on, or a file cannot be read or written.
    """
    torch.set_num_threads(threads)
    start = time.monotonic()
    data = load_data(root, dataset, settings, threads, model_folder)
    run = start_run(data, settings, seed, model_folder)
    if run.state.iteration:
        LOG.info("going on from step %d", run.state.iteration)
    if not run.state.finished:
        train_loop(run, model_folder)
    network = run.accelerator.unwrap_model(run.network)
    network.load_state_dict(run.state.best)
    model = DepthModel(network.eval(), data.train.store.options)
    model.sign = viewer_sign(model, data.train)
    model.notes = _notes(run)
    save_model(model_folder, model)
    LOG.info(
        "trained on %d pairs of %d works for %d steps in %s; best validation loss %.4f px^2 at step %d; %s",
        len(data.train.rows),
        len({row.work_id for row in data.train.rows}),
        run.state.iteration,
        duration(time.monotonic() - start),
        run.state.best_loss,
        run.state.best_iteration,
        model_folder,
    )


def load_data(root: Path, dataset: Path, settings: DepthSettings, threads: int, scratch: Path) -> TrainingData:
    """Read the pairs' list and decode their images.

    Raises:
        LiftnetError: No pair to train or to validate on.
    """
    table, val_table = PairTable(dataset, "train"), PairTable(dataset, "val")
    train_rows, val_rows = table.rows, val_table.rows
    held_out = "pairs of the val artists"
    if not val_rows:
        val_table = table
        train_rows, val_rows = hold_out_works(table.rows, settings.held_out_share)
        held_out = f"pairs of {len({row.work_id for row in val_rows})} training works, as no val artist has any"
        LOG.info("validating on %s", held_out)
    options = CropOptions(settings.image_size, settings.crop, settings.crop_margin, settings.background)
    image_ids = [image for row in (*train_rows, *val_rows) for image in (row.image_a, row.image_b)]
    scratch.mkdir(parents=True, exist_ok=True)
    store = CropStore(root, image_ids, options, threads, settings.cache_mb, scratch)
    augmentation = Augmentation(settings.flip, settings.rotation, settings.zoom, settings.colour_jitter)
    limit = settings.max_correspondences
    data = TrainingData(
        PairLoader(table, train_rows, store, limit, augmentation),
        PairLoader(val_table, limit_rows(val_rows, settings.validation_pairs), store, limit, Augmentation()),
        held_out,
    )
    lost = len(train_rows) - len(data.train.rows)
    if lost:
        LOG.warning("%d of %d training pairs left out, as an image of theirs cannot be read", lost, len(train_rows))
    if not data.train.rows or not data.val.rows:
        raise LiftnetError(
            dataset,
            f"has {len(data.train.rows)} pairs to train on and {len(data.val.rows)} to validate on; it takes both",
            "Collect more works with several photographs each, or loosen `verify`",
        )
    return data


def hold_out_works(rows: list[PairRow], share: float) -> tuple[list[PairRow], list[PairRow]]:
    """Set about `share` of the works aside, at least one where there are two; chosen by a hash of their ids."""
    works = sorted({row.work_id for row in rows}, key=lambda work: (stable_fraction(work, "held out"), work))
    chosen = set(works[: min(max(round(share * len(works)), 1), len(works) - 1)]) if works else set()
    return [row for row in rows if row.work_id not in chosen], [row for row in rows if row.work_id in chosen]


def limit_rows(rows: list[PairRow], limit: int) -> list[PairRow]:
    """At most `limit` pairs, chosen by a hash of their ids, in their order."""
    chosen = sorted(rows, key=lambda row: (stable_fraction(row.pair_id, "validation"), row.pair_id))[:limit]
    return sorted(chosen, key=lambda row: row.pair_id)


def start_run(data: TrainingData, settings: DepthSettings, seed: int, folder: Path) -> Run:
    """Build network and optimiser, and load the checkpoint of the same run if there is one."""
    accelerator = Accelerator(mixed_precision=settings.precision)
    network: torch.nn.Module = build_network(settings.levels, settings.width, settings.align_corners, seed)
    if settings.optimiser == "sgd":
        optimiser: torch.optim.Optimizer = torch.optim.SGD(
            network.parameters(), lr=settings.learning_rate, momentum=settings.momentum
        )
    else:
        optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    pairs = [row.pair_id for loader in (data.train, data.val) for row in loader.rows]
    identity = fingerprint(settings, seed, pairs)
    state = read_checkpoint(folder / "checkpoint.pt", identity)
    if state is None:
        state = Checkpoint(identity)
    else:
        network.load_state_dict(state.network)
        optimiser.load_state_dict(state.optimiser)
    network, optimiser = accelerator.prepare(network, optimiser)
    terms = [CorrespondenceLoss(*map(torch.tensor, values)) for values in state.terms]
    return Run(settings, seed, data, accelerator, network, optimiser, state, terms)


def train_loop(run: Run, folder: Path) -> None:
    """Step until the iterations are used up or validation has not improved for `patience` times."""
    settings, state = run.settings, run.state
    meter = LineMeter("depth", "training steps", settings.iterations - state.iteration)
    start, saved = time.monotonic() - state.seconds, time.monotonic()
    position = _Position(run)
    while not state.finished:
        run.network.train()
        run.since_validation.append(train_step(run, position.next_batch(state.iteration)))
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
        meter.advance(f", best validation loss {state.best_loss:.4f}")


class _Position:
    """Where in the data a step is: a function of the step's number."""

    def __init__(self, run: Run) -> None:
        self.run, self.epoch, self.order = run, -1, np.empty((0, 2), np.int64)
        self.groups = [row.group for row in run.data.train.rows]
        self.size = min(run.settings.batch_size, 2 * len(self.groups))
        self.steps = 2 * len(self.groups) // self.size  # an epoch's last pairs that fill no batch wait for the next

    def next_batch(self, iteration: int) -> Batch:
        epoch, step = divmod(iteration, self.steps)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, epoch_order(self.groups, self.run.seed, epoch)
        chosen = self.order[step * self.size : (step + 1) * self.size]
        return self.run.data.train.batch(chosen, stable_seed(self.run.seed, "batch", str(iteration)))


def train_step(run: Run, batch: Batch) -> CorrespondenceLoss:
    """One step of the optimiser; returns the loss terms, detached."""
    generator = torch.Generator().manual_seed(stable_seed(run.seed, "draws", str(run.state.iteration)))
    terms = batch_loss(run, batch, generator)
    for group in run.optimiser.param_groups:
        group["lr"] = learning_rate(run.settings, run.state.iteration)
    run.optimiser.zero_grad()
    run.accelerator.backward(terms.loss.mean())
    run.accelerator.clip_grad_value_(run.network.parameters(), run.settings.gradient_clamp)
    run.optimiser.step()
    return CorrespondenceLoss(*(term.detach().cpu() for term in terms))


def learning_rate(settings: DepthSettings, iteration: int) -> float:
    """The learning rate of the step after `iteration` steps; a pure function of it, so that a resumed run agrees."""
    left = 1 - iteration / settings.iterations if settings.schedule == "linear" else 1.0
    return settings.learning_rate * left


def batch_loss(run: Run, batch: Batch, generator: torch.Generator) -> CorrespondenceLoss:
    """Predict depth of the batch's images and measure how well it explains the correspondences."""
    settings = run.settings
    batch = batch.to(run.accelerator.device)
    depth = sample_depth(run.network(batch.images).float(), batch.source_xy)
    tau = settings.tau if settings.robust else math.inf
    return correspondence_terms(
        batch.source_xy, depth, batch.target_xy, batch.mask, settings.threshold, tau, generator, settings.draws
    )


@torch.no_grad()
def validate(run: Run) -> None:
    """Measure the loss on the held-out pairs, note it, and keep the weights if it is the best so far."""
    run.network.eval()
    state, loader, size = run.state, run.data.val, run.settings.batch_size
    order = np.stack([np.repeat(np.arange(len(loader.rows)), 2), np.tile([0, 1], len(loader.rows))], axis=1)
    terms = []
    for start in range(0, len(order), size):
        seed = stable_seed(run.seed, "validation", str(start))
        terms.append(
            batch_loss(run, loader.batch(order[start : start + size], seed), torch.Generator().manual_seed(seed))
        )
    held_out, training = _means(terms), _means(run.since_validation)
    run.since_validation.clear()
    state.metrics.append(
        {
            "iteration": state.iteration,
            "train_loss": training["loss"],
            "val_loss": held_out["loss"],
            "val_median_px": held_out["median_error"],
            "inlier_share": training["inlier_share"],
            "saturated_share": training["saturated_share"],
            "camera_scale": training["camera_scale"],
            "val_inlier_share": held_out["inlier_share"],
            "learning_rate": learning_rate(run.settings, state.iteration - 1),
            "seconds": round(state.seconds, 2),
        }
    )
    state.bad_validations += 1
    if held_out["loss"] < state.best_loss:
        state.best_loss, state.best_iteration, state.bad_validations = held_out["loss"], state.iteration, 0
        weights = run.accelerator.unwrap_model(run.network).state_dict()
        state.best = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}


def _means(terms: list[CorrespondenceLoss]) -> dict[str, float]:
    def mean(values: list[Tensor]) -> float:
        return float(torch.cat([value.float().cpu() for value in values]).mean()) if values else math.nan

    return {name: mean([getattr(term, name) for term in terms]) for name in CorrespondenceLoss._fields}


def _save(run: Run, folder: Path) -> None:
    run.state.network = run.accelerator.unwrap_model(run.network).state_dict()
    run.state.optimiser = run.optimiser.state_dict()
    run.state.terms = [[value.tolist() for value in terms] for terms in run.since_validation]
    write_checkpoint(folder / "checkpoint.pt", run.state)
    write_metrics(folder, run.state.metrics, run.settings.tensorboard)


def viewer_sign(model: DepthModel, loader: PairLoader) -> int:
    """1 or -1: the sign under which predicted depth agrees with the inflated masks of training images."""
    images = sorted({image for row in loader.rows for image in (row.image_a, row.image_b)})[:SIGN_IMAGES]
    rows = [loader.store.index[image] for image in images]
    depth = model.predict(loader.store.images[rows], loader.store.masks[rows])
    agreement = 0.0
    for predicted, mask in zip(depth, loader.store.masks[rows], strict=True):
        if mask.sum() > 1:
            ours, rounded = predicted[mask] - predicted[mask].mean(), inflated_depth(mask)[mask]
            length = np.linalg.norm(ours) * np.linalg.norm(rounded - rounded.mean())
            agreement += float(ours @ (rounded - rounded.mean()) / length) if length > 0 else 0.0
    return -1 if agreement < 0 else 1


def _notes(run: Run) -> dict[str, Any]:
    state, data = run.state, run.data
    return {
        "settings": run.settings.model_dump(),
        "seed": run.seed,
        "training": {
            "pairs": len(data.train.rows),
            "works": len({row.work_id for row in data.train.rows}),
            "validation_pairs": len(data.val.rows),
            "validated_on": data.held_out,
            "best_iteration": state.best_iteration,
            "best_validation_loss": state.best_loss,
            "iterations": state.iteration,
        },
    }

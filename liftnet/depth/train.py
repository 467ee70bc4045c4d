"""Training a depth network with the method of the settings, by the loop of `liftnet.learn`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from liftnet.core.log import duration, get_logger
from liftnet.depth.crops import CropStore
from liftnet.depth.objectives import TrainingData, TrainingInputs, load_training_data
from liftnet.depth.settings import RuntimeSettings, TrainSettings
from liftnet.learn.checkpoint import Checkpoint, identity
from liftnet.learn.loop import Run, is_first_process
from liftnet.learn.loop import train as run_training
from liftnet.learn.task import ItemTask
from liftnet.models.depth_input import inflated_depth
from liftnet.models.liftnet import DepthModel, initial_network, network_from, save_model

LOG = get_logger("depth")
SIGN_IMAGES = 256  # training images that choose the sign of depth


def train(inputs: TrainingInputs, model_folder: Path, settings: TrainSettings) -> None:
    """Train with the method of the settings, and write the best model.

    Raises:
        LiftnetError: There is nothing to train on, or a file cannot be read or written.
    """
    torch.set_num_threads(inputs.threads)
    start = time.monotonic()
    network = initial_network(settings.network, inputs.seed)
    network.check_side(settings.input.image_size)
    data = load_training_data(inputs, settings)
    networks = {"depth": network, **data.networks}
    task = ItemTask(networks, data.train, data.val, settings.batch_size, inputs.seed, "depth", settings.method)
    run = Run(
        "depth",
        model_folder,
        inputs.seed,
        training_identity(settings, inputs.seed, data),
        tensorboard=settings.runtime.tensorboard,
    )
    state = run_training(task, settings, run)
    if not is_first_process():
        return
    save_model(model_folder, trained_model(state, data, settings, inputs.seed))
    LOG.info(
        "trained on %d items of %d works for %d steps in %s; best validation loss %.4f at step %d; %s",
        len(data.train.items),
        data.works,
        state.step,
        duration(time.monotonic() - start),
        state.best_row["val_loss"],
        state.best_step,
        model_folder,
    )


def training_identity(settings: TrainSettings, seed: int, data: TrainingData) -> str:
    """What tells one run from another: all settings but those of the runtime, the seed, the items."""
    decisive = settings.model_copy(update={"runtime": RuntimeSettings()})
    return identity(decisive, seed, [*data.train.items, *data.val.items])


def trained_model(state: Checkpoint, data: TrainingData, settings: TrainSettings, seed: int) -> DepthModel:
    """The model of the best validation, with its sign and with what config.json says of its training."""
    network = network_from(settings.network)
    network.load_state_dict(state.best["depth"])
    model = DepthModel(network.eval(), data.store.input)
    if not data.signed:
        model.sign = viewer_sign(model, data.store, data.images)
    model.mask_prior_weight = data.mask_prior_weight
    model.notes = _notes(state, data, settings, seed)
    return model


def _notes(state: Checkpoint, data: TrainingData, settings: TrainSettings, seed: int) -> dict[str, Any]:
    return {
        "settings": settings.model_dump(),
        "seed": seed,
        "training": {
            "learnt_from": data.learnt_from,
            "item": data.items,
            "items": len(data.train.items),
            "works": data.works,
            "validation_items": len(data.val.items),
            "validated_on": data.held_out,
            "best_iteration": state.best_step,
            "best_validation_loss": state.best_row["val_loss"],
            "iterations": state.step,
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

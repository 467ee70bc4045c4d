"""Training MVCNN in its two stages: views one by one, then views together. It can be killed and goes on."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from liftnet.core.errors import LiftnetError
from liftnet.core.files import atomic_path, write_json, write_text
from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger, meter, progress
from liftnet.models.mvcnn import ViewNetwork
from liftnet.shape.collection import LabelledMesh, labelled_meshes, read_or_none
from liftnet.shape.mvcnn.card import write_card
from liftnet.shape.mvcnn.model import Mvcnn
from liftnet.shape.mvcnn.settings import MvcnnSettings
from liftnet.shape.mvcnn.views import UInt8Array, shaded_views

LOG = get_logger("drkfs")
STAGES = ("single", "multi")


@dataclass
class State:
    """All that a run needs to go on.

    Attributes:
        identity: Fingerprint of settings, seed and meshes.
        start: What the backbone started from, in words.
        epoch: Epochs done, of both stages together.
        best: Epoch of the best validation; -1 before the first.
        best_accuracy: Its accuracy.
        best_loss: Its loss.
        metrics: A row for each epoch.
        network: Weights now.
        optimiser: State of Adam.
        best_network: Weights at the best validation.
    """

    identity: str
    start: str = "none"
    epoch: int = 0
    best: int = -1
    best_accuracy: float = 0.0
    best_loss: float = math.inf
    metrics: list[dict[str, Any]] = field(default_factory=list)
    network: dict[str, Tensor] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    best_network: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class ViewSet:
    """Rendered shapes: views (N, V, S, S) uint8 and the numbers (N,) of their classes."""

    views: UInt8Array
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def train_mvcnn(meshes: Path, model: Path, settings: MvcnnSettings, seed: int = 0) -> Mvcnn:
    """Train on the shapes of a folder and write model.safetensors, config.json, metrics.csv and README.md.

    The first stage classifies single views, the second the maximum over the views of a shape (Su et al., section 4).
    The best epoch of the second stage on the shapes of `val` is kept. After each epoch the state is written, and the
    same command goes on from it.

    Args:
        meshes: Folder of `<class>/<name>.ply`, as `render shapes` writes it.
        model: Folder of the model.
        settings: Views, backbone and recipe.
        seed: Of everything random.

    Raises:
        LiftnetError: The folder cannot be used, or there are fewer than two classes.
    """
    shapes = [shape for shape in labelled_meshes(meshes) if shape.split != "test"]
    classes = tuple(sorted({shape.label for shape in shapes if shape.split == "train"}))
    if len(classes) < 2:
        raise LiftnetError(meshes, f"has {len(classes)} classes to train on", "Give at least two folders of meshes")
    known = [shape for shape in shapes if shape.label in classes]
    network, optimiser, state = _begin(model, settings, classes, known, seed)
    epochs = settings.single_epochs + settings.multi_epochs
    if state.epoch < epochs:
        train, val = (render_all(known, classes, settings, split) for split in ("train", "val"))
        with meter("drkfs", "training MVCNN, epochs", epochs - state.epoch) as advance:
            while state.epoch < epochs:
                row = _epoch(network, optimiser, state, train, val, settings, seed)
                _keep(model, state, network, optimiser, row, settings)
                advance(f", accuracy {row['val_accuracy']:.3f}")
    network.load_state_dict(state.best_network or network.state_dict())
    trained = Mvcnn(network.eval(), settings, classes)
    trained.save(model / "model.safetensors")
    about = {"classes": classes, "seed": seed, "start": state.start, "best_epoch": state.best}
    config = settings.model_dump() | about
    write_json(model / "config.json", config)
    write_card(model / "README.md", trained, pd.DataFrame(state.metrics), config, *_sizes(known))
    LOG.info("MVCNN of %d classes, accuracy on val %.3f: %s", len(classes), state.best_accuracy, model)
    return trained


def _sizes(shapes: list[LabelledMesh]) -> tuple[int, int]:
    """How many of the shapes train and how many validate."""
    train = sum(shape.split == "train" for shape in shapes)
    return train, len(shapes) - train


def render_all(shapes: list[LabelledMesh], classes: tuple[str, ...], settings: MvcnnSettings, split: str) -> ViewSet:
    """The views of all shapes of a split that can be read."""
    chosen = [shape for shape in shapes if shape.split == split]
    size = (settings.views, settings.image_size, settings.image_size)
    labels: list[int] = []
    views = np.zeros((len(chosen), *size), np.uint8)
    for shape in progress(chosen, "drkfs", f"rendering the shapes of {split}"):
        mesh = read_or_none(shape)
        if mesh is not None:
            views[len(labels)] = shaded_views(mesh, settings)
            labels.append(classes.index(shape.label))
    return ViewSet(views[: len(labels)], torch.tensor(labels, dtype=torch.int64))


def _begin(
    folder: Path, settings: MvcnnSettings, classes: tuple[str, ...], shapes: list[LabelledMesh], seed: int
) -> tuple[ViewNetwork, torch.optim.Adam, State]:
    """The network, its optimiser and the state: new, or as an earlier run of the same training left them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_seed(seed, "mvcnn"))
        network = ViewNetwork(settings.backbone, len(classes))
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    about = [settings.model_dump(), seed, [(s.label, s.name, s.split, s.path.stat().st_size) for s in shapes]]
    identity = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    state = _read(folder / "checkpoint.pt", identity)
    if state is None:
        return network, optimiser, State(identity, network.start(settings.init_from))
    network.load_state_dict(state.network)
    optimiser.load_state_dict(state.optimiser)
    LOG.info("going on after epoch %d", state.epoch)
    return network, optimiser, state


def _epoch(
    network: ViewNetwork,
    optimiser: torch.optim.Adam,
    state: State,
    train: ViewSet,
    val: ViewSet,
    settings: MvcnnSettings,
    seed: int,
) -> dict[str, Any]:
    """One pass over the shapes, then the validation with all views; a row of metrics."""
    single = state.epoch < settings.single_epochs
    length = settings.single_epochs if single else settings.multi_epochs
    done = state.epoch if single else state.epoch - settings.single_epochs
    generator = torch.Generator().manual_seed(stable_seed(seed, "epoch", str(state.epoch)))
    batches = list(_batches(train, settings, generator))
    network.train()
    losses = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_seed(seed, "dropout", str(state.epoch)))
        for step, (views, labels) in enumerate(batches):
            share = (done + step / len(batches)) / length
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
            if single:  # each view is a shape of one view
                views, labels = views.flatten(0, 1)[:, None], labels.repeat_interleave(views.shape[1])
            loss = nn.functional.cross_entropy(network(views), labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
    accuracy, val_loss = evaluate(network, val)
    return {
        "epoch": state.epoch,
        "stage": STAGES[0 if single else 1],
        "loss": float(np.mean(losses)),
        "val_loss": val_loss,
        "val_accuracy": accuracy,
    }


def _batches(train: ViewSet, settings: MvcnnSettings, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Shapes in random order with some of their views each, half of the shapes mirrored."""
    order = torch.randperm(len(train), generator=generator)
    total = train.views.shape[1]
    some = min(settings.step_views, total)
    groups = [order[i : i + settings.batch] for i in range(0, len(order), settings.batch)]
    for group in groups:
        if len(group) < 2 and len(groups) > 1:
            continue  # a shape alone has no batch statistics worth the name
        chosen = torch.rand((len(group), total), generator=generator).argsort(1)[:, :some]
        mirrored = torch.rand(len(group), generator=generator) < 0.5
        views = torch.from_numpy(train.views[group.numpy()[:, None], chosen.numpy()])
        yield torch.where(mirrored[:, None, None, None], views.flip(-1), views), train.labels[group]


@torch.inference_mode()
def evaluate(network: ViewNetwork, shapes: ViewSet) -> tuple[float, float]:
    """Accuracy and cross-entropy of shapes by all of their views; 0 and NaN without shapes."""
    if not len(shapes):
        return 0.0, math.nan
    network.eval()
    logits = torch.cat([network(torch.from_numpy(shapes.views[i : i + 4])) for i in range(0, len(shapes), 4)])
    loss = nn.functional.cross_entropy(logits, shapes.labels)
    return float((logits.argmax(1) == shapes.labels).float().mean()), float(loss)


def _keep(
    folder: Path,
    state: State,
    network: ViewNetwork,
    optimiser: torch.optim.Adam,
    row: dict[str, Any],
    settings: MvcnnSettings,
) -> None:
    """Take an epoch into the state and write it."""
    state.metrics.append(row)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    counts = row["stage"] == "multi" or not settings.multi_epochs
    loss = math.inf if math.isnan(row["val_loss"]) else row["val_loss"]
    better = (row["val_accuracy"], -loss) > (state.best_accuracy, -state.best_loss)
    if counts and (better or state.best < 0 or math.isinf(loss)):
        state.best, state.best_accuracy, state.best_loss = state.epoch, row["val_accuracy"], loss
        state.best_network = weights
    state.epoch += 1
    state.network, state.optimiser = weights, optimiser.state_dict()
    write_text(folder / "metrics.csv", pd.DataFrame(state.metrics).to_csv(index=False, lineterminator="\n"))
    with atomic_path(folder / "checkpoint.pt") as temporary:
        torch.save(vars(state), temporary)


def _read(path: Path, identity: str) -> State | None:
    """The state of the same training; None where there is none.

    Raises:
        LiftnetError: The file is damaged.
    """
    if not path.exists():
        return None
    try:
        state = State(**torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LiftnetError(path, f"is not a readable checkpoint ({reason})", "Delete it to train anew") from error
    if state.identity != identity:
        LOG.info("settings or meshes have changed since %s was written; training starts anew", path)
        return None
    return state

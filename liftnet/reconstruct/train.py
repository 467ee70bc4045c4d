"""Training a reconstruction network with the losses of the settings, by the loop of `liftnet.learn`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.core.log import duration, get_logger
from liftnet.core.opening import read_bytes
from liftnet.data.reconstruction_set import ReconstructionSet, ReconstructionShape
from liftnet.learn.checkpoint import Checkpoint, identity
from liftnet.learn.loop import Run, is_first_process
from liftnet.learn.loop import train as run_training
from liftnet.learn.task import ItemTask
from liftnet.models.folder import Card, paragraph, read_config, table
from liftnet.models.reconstruction import (
    RECONSTRUCTION,
    Camera,
    ReconstructionModel,
    ReconstructionNetwork,
    initial_network,
    load_model,
    save_model,
)
from liftnet.models.voxel_network import VoxelNetwork, best_level, ious_at_levels
from liftnet.reconstruct.settings import TrainSettings
from liftnet.reconstruct.shape_views import NETWORK, ShapeViews, divided, read_views
from liftnet.reconstruct.targets import ShapeTargets
from liftnet.reconstruct.weighted_losses import WeightedLosses

LOG = get_logger("reconstruct")
LOOKED_AT = 64  # pictures that say how pictures of the set are taken
USE = """```python
from liftnet.data.pictures import read_image
from liftnet.models.reconstruction import load_model

mesh = load_model("{folder}").reconstruct(read_image("photo.jpg"))
```

Or `python -m liftnet reconstruct predict photo.jpg --model {folder} --out results`."""
LIMITS = """It knows shapes of these classes, alone before an empty background, from where the cameras of its pictures
    stood. What it cannot see of a shape it makes up from others. Size and distance are not known from one picture: the
    shape's radius is 0.5."""


@dataclass(frozen=True)
class TrainingInputs:
    """What a run reads, where it writes, and with what.

    Attributes:
        root: Folder of the set of shapes.
        model: Folder of the model.
        targets: Folder in which rendered targets are kept.
        threads: Worker threads.
        seed: The run's seed.
        device: "auto", or a device as torch names it.
    """

    root: Path
    model: Path
    targets: Path
    threads: int
    seed: int
    device: str = "auto"


@dataclass(frozen=True)
class Lesson:
    """What a run learns, and from what.

    Attributes:
        network: What learns, initialised.
        losses: What is minimised.
        train: Its objective.
        val: The same on held-out shapes.
        start: SHA-256 of the weights that it goes on from; "" for random ones.
    """

    network: ReconstructionNetwork
    losses: WeightedLosses
    train: ShapeViews
    val: ShapeViews
    start: str


def train(inputs: TrainingInputs, settings: TrainSettings) -> None:
    """Train with the losses of the settings, and write the best model with its card.

    A run that is stopped goes on from its last checkpoint, with the numbers of one that was not.

    Raises:
        LiftnetError: There are no shapes to learn from, the model to go on from is of another network, or a file
            cannot be read or written.
    """
    torch.set_num_threads(max(1, inputs.threads))
    start = time.monotonic()
    lesson = load_lesson(inputs, settings)
    task = ItemTask(
        {NETWORK: lesson.network},
        lesson.train,
        lesson.val,
        settings.batch_size,
        inputs.seed,
        name=settings.network.architecture,
    )
    run = Run(
        "reconstruct",
        inputs.model,
        inputs.seed,
        training_identity(lesson, settings, inputs.seed),
        inputs.device,
        settings.tensorboard,
    )
    state = run_training(task, settings, run)
    if not is_first_process():
        return
    if isinstance(lesson.network, VoxelNetwork):
        choose_level(lesson.network, lesson.val)
    save_model(inputs.model, trained_model(lesson, state, settings, inputs.seed))
    write_card(inputs.model, state)
    LOG.info(
        "trained %s on %d shapes for %d steps in %s; best validation loss %.4f at step %d; %s",
        settings.network.architecture,
        len(lesson.train.items),
        state.step,
        duration(time.monotonic() - start),
        state.best_row["val_loss"],
        state.best_step,
        inputs.model,
    )


def load_lesson(inputs: TrainingInputs, settings: TrainSettings) -> Lesson:
    """Build the network, divide the shapes and render what its losses need."""
    data = ReconstructionSet.open(inputs.root)
    network, start = starting_network(settings, inputs.seed)
    losses = WeightedLosses.of(network, settings.losses)
    learnt, validated = divided(data, settings)
    targets = ShapeTargets(data, inputs.targets, settings.rendering)
    targets.prepare([*learnt, *validated], losses.needs, inputs.threads)
    train, val = (ShapeViews(targets, shapes, network, losses, settings) for shapes in (learnt, validated))
    return Lesson(network, losses, train, val, start)


def starting_network(settings: TrainSettings, seed: int) -> tuple[ReconstructionNetwork, str]:
    """The network at the start, and the SHA-256 of the weights that it goes on from, "" without any.

    Raises:
        LiftnetError: The model to go on from cannot be read, or is of another network.
    """
    if settings.init_from is None:
        return initial_network(settings.network, stable_seed(seed, "network")), ""
    model = load_model(settings.init_from)
    if model.network.settings != settings.network:
        theirs, ours = model.network.settings.model_dump(), settings.network.model_dump()
        named = ", ".join(f"{name} {theirs[name]}, not {ours[name]}" for name in ours if theirs[name] != ours[name])
        raise LiftnetError(settings.init_from, f"is of another network: {named}", "Name a model of the same network")
    config = read_config(Path(settings.init_from), RECONSTRUCTION.name, "Train it again")
    return model.network, str(config["sha256"])


def training_identity(lesson: Lesson, settings: TrainSettings, seed: int) -> str:
    """What tells one run from another: all settings that decide weights, the seed, the shapes, where it starts."""
    decisive = settings.model_copy(update={"tensorboard": False, "init_from": None})
    folder = lesson.train.targets.data.folder
    tables = [read_bytes(folder / name) for name in ("shapes.parquet", "views.parquet")]
    return identity(decisive, seed, [lesson.start, *tables, *lesson.train.items, *lesson.val.items])


def trained_model(lesson: Lesson, state: Checkpoint, settings: TrainSettings, seed: int) -> ReconstructionModel:
    """The model of the best validation, with how its pictures were taken and what config.json says of its training."""
    shapes, validated = lesson.train.shapes, lesson.val.shapes
    notes = {
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "training": {
            "losses": dict(lesson.losses.weights),
            "instead": dict(lesson.losses.instead),
            "start": lesson.start,
            "shapes": dict(sorted(Counter(shape.class_name for shape in shapes).items())),
            "validation_shapes": len(validated),
            "steps": state.step,
            "skipped_steps": state.skipped,
            "cpu_seconds": round(state.cpu_seconds, 1),
            "best_step": state.best_step,
            "best_validation_loss": state.best_row["val_loss"],
        },
    }
    return ReconstructionModel(lesson.network, usual_camera(lesson.train.targets.data, shapes), notes)


@torch.inference_mode()
def choose_level(network: VoxelNetwork, held_out: ShapeViews) -> None:
    """Let a network cut its meshes at the probability that is best on the shapes held out, each in its first picture.

    It is the same rule for every network of volumes, whatever it was trained with.
    """
    data, device = held_out.targets.data, network.level.device
    found = []
    for shape in held_out.shapes:
        prediction = network(read_views(data, [shape], [0]).to(device))
        truth = torch.from_numpy(data.voxels(shape, network.voxels))[None]
        found.append(ious_at_levels(network.occupancy(prediction).float().cpu(), truth))
    network.level.fill_(best_level(torch.cat(found)))
    LOG.info("meshes are cut at the probability %.2f", float(network.level))


def usual_camera(data: ReconstructionSet, shapes: Sequence[ReconstructionShape]) -> Camera:
    """How pictures of the shapes are taken: medians over some of them."""
    seen = shapes[:: -(-len(shapes) // LOOKED_AT)]
    views = read_views(data, seen, [number % shape.n_views for number, shape in enumerate(seen)])
    masks = views.images[:, 3] > 0.5
    side = masks.shape[-1]
    extents = [max(int(mask.any(0).sum()), int(mask.any(1).sum()), 1) / side for mask in masks]
    return Camera(float(views.distance.median()), float(views.half_width.median()), float(np.median(extents)))


def write_card(folder: Path, state: Checkpoint) -> None:
    """Write README.md beside a model, from what its config.json and its validations say."""
    config = read_config(folder, RECONSTRUCTION.name, f"Train it again with `{RECONSTRUCTION.command}`")
    training, network = config["training"], config["network"]
    shapes = training["shapes"]
    facts = [
        f"Losses: {_sum(training['losses'])}"
        + (f"; for shapes without a surface {_sum(training['instead'])}" if training["instead"] else "")
        + ".",
        f"{training['steps']:,} steps, {training['cpu_seconds']:,.0f} CPU seconds, seed {config['seed']}"
        + (f"; {training['skipped_steps']} without a finite gradient were left out" * bool(training["skipped_steps"]))
        + ".",
        f"Start: {'the model ' + training['start'][:16] if training['start'] else 'random weights'}.",
        f"Kept is the best of {len(state.metrics)} validations on {training['validation_shapes']} shapes, after step "
        f"{training['best_step']:,}.",
    ]
    classes = ", ".join(f"{name} {count:,}" for name, count in shapes.items())
    Card(
        title=f"{network['architecture']}, {network['size']}: 3D shape from one image",
        licence="other",
        tags=("single-view-reconstruction", "3d", network["architecture"]),
        summary=paragraph("A network that gives the shape that one image shows, a mesh in the ball of radius 0.5."),
        usage=USE.format(folder=folder),
        data=paragraph(f"{sum(shapes.values()):,} shapes ({classes}), each in pictures drawn at random."),
        training="\n".join(f"- {fact}" for fact in facts),
        evaluation=table([_shown(row) for row in state.metrics]),
        limits=paragraph(LIMITS),
        settings=config["settings"],
        defaults=TrainSettings(),
        weights=f"SHA-256 of the weights: `{config['sha256']}`",
    ).write(folder)


def _sum(losses: dict[str, float]) -> str:
    return " + ".join(f"{weight:g} {name}" for name, weight in losses.items())


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """What a card shows of a validation."""
    return {name: value for name, value in row.items() if name not in ("learning_rate", "seconds")}

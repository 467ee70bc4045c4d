"""Training MVCNN in its two stages: views one by one, then views together. It can be killed and resumes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger, progress
from liftnet.core.types import UInt8Array
from liftnet.learn import loop
from liftnet.learn.checkpoint import CHECKPOINT, Row, identity
from liftnet.learn.loop import Run, write_metrics
from liftnet.learn.settings import OptimiserSettings, TrainingSettings
from liftnet.learn.task import LossTerms, Networks, Part, Task, Validation, mean_terms
from liftnet.models.folder import Card, paragraph, table
from liftnet.models.mvcnn import ViewNetwork
from liftnet.shape.collection import LabelledMesh, labelled_meshes, read_or_none
from liftnet.shape.mvcnn import Mvcnn, initial_network, network_settings, shaded_views
from liftnet.shape.settings import MvcnnSettings

LOG = get_logger("drkfs")
Stage = Literal["single", "multi"]
USE = """```python
from liftnet.mesh.reading import load_mesh
from liftnet.shape.mvcnn import describe, distance, load_mvcnn

model = load_mvcnn("FOLDER OF THIS FILE")
print(distance(describe(load_mesh("a.obj"), model), describe(load_mesh("b.obj"), model)))
```"""


@dataclass(frozen=True)
class ViewSet:
    """Rendered shapes: views (N, V, S, S) uint8 and the numbers (N,) of their classes."""

    views: UInt8Array
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


class MvcnnTask(Task):
    """One of the two stages.

    Args:
        network: What is trained.
        train: Shapes to learn from.
        val: Shapes that are validated on.
        settings: Shapes in a step, views of each.
        seed: Of the order of shapes, of views and mirror images.
        stage: "single": each view is a shape of one view. "multi": the views of a shape are seen together.
    """

    headline = "val_accuracy"

    def __init__(
        self, network: ViewNetwork, train: ViewSet, val: ViewSet, settings: MvcnnSettings, seed: int, stage: Stage
    ) -> None:
        self.networks = {"mvcnn": network}
        self.train, self.val, self.settings, self.seed, self.stage = train, val, settings, seed, stage
        self.name = f"MVCNN on {'single' if stage == 'single' else 'all'} views"
        self.epochs = settings.single_epochs if stage == "single" else settings.multi_epochs
        self.first = 0 if stage == "single" else settings.single_epochs  # epochs before this stage
        self.steps = len(self._drawn(0))
        self._epoch: tuple[int, list[tuple[Tensor, Tensor, Tensor]]] = (0, self._drawn(0))

    def batch(self, step: int, part: Part) -> tuple[Tensor, Tensor]:
        """Views (B, V, S, S) and classes (B,): shapes in random order with some of their views each."""
        epoch, within = divmod(step, self.steps)
        if epoch != self._epoch[0]:
            self._epoch = epoch, self._drawn(epoch)
        group, chosen, mirrored = (drawn[part.rank :: part.processes] for drawn in self._epoch[1][within])
        views = torch.from_numpy(self.train.views[group.numpy()[:, None], chosen.numpy()])
        views, labels = torch.where(mirrored[:, None, None, None], views.flip(-1), views), self.train.labels[group]
        if self.stage == "multi":
            return views, labels
        return views.flatten(0, 1)[:, None], labels.repeat_interleave(views.shape[1])

    def _drawn(self, epoch: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        """For each step of an epoch: its shapes (B,), their views (B, V), and which of them are mirrored (B,)."""
        generator = torch.Generator().manual_seed(stable_seed(self.seed, "epoch", str(self.first + epoch)))
        order = torch.randperm(len(self.train), generator=generator)
        total = self.train.views.shape[1]
        some = min(self.settings.step_views, total)
        drawn = []
        for group in order.split(self.settings.batch_size):
            if len(group) < 2 and len(order) > len(group):
                continue  # a shape alone has no batch statistics worth the name
            chosen = torch.rand((len(group), total), generator=generator).argsort(1)[:, :some]
            drawn.append((group, chosen, torch.rand(len(group), generator=generator) < 0.5))
        return drawn

    def terms(self, networks: Networks, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> LossTerms:
        """Cross-entropy."""
        views, labels = batch
        return {"loss": nn.functional.cross_entropy(networks["mvcnn"](views), labels)}

    def validate(self, networks: Networks, at: Validation) -> Row:
        """Accuracy and cross-entropy by all views of each shape."""
        accuracy, loss = evaluate(networks["mvcnn"], self.val, at.device)
        return {
            "epoch": self.first + at.step // self.steps - 1,
            "stage": self.stage,
            "loss": mean_terms(at.terms)["loss"],
            "val_loss": loss,
            "val_accuracy": accuracy,
        }

    def score(self, row: Row) -> tuple[float, ...] | None:
        """Accuracy, then loss, of the stage that comes last; without shapes to validate on the last epoch is kept."""
        last = self.stage == "multi" or not self.settings.multi_epochs
        return (row["val_accuracy"], -row["val_loss"]) if last and not math.isnan(row["val_loss"]) else None

    def plan(self) -> TrainingSettings:
        """The settings of the loop: Adam with a cosine over the stage, a validation after each epoch."""
        chosen = self.settings
        optimiser = OptimiserSettings(
            name="adam",
            learning_rate=chosen.learning_rate,
            schedule="cosine",
            weight_decay=chosen.weight_decay,
        )
        return TrainingSettings(
            iterations=self.epochs * self.steps,
            batch_size=chosen.batch_size,
            validate_every=self.steps,
            optimiser=optimiser,
        )


def train_mvcnn(meshes: Path, model: Path, settings: MvcnnSettings, seed: int = 0) -> Mvcnn:
    """Train on the shapes of a folder and write model.safetensors, config.json, metrics.csv and README.md.

    The first stage classifies single views, the second the maximum over the views of a shape (Su et al., section 4);
    each begins with a fresh Adam and has a cosine of its own. The best epoch of the second stage on the shapes of
    `val` is kept. After each epoch the state is written, and the same command resumes from it.

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
    train, val = (render_all(known, classes, settings, split) for split in ("train", "val"))
    network, start = initial_network(settings, len(classes), stable_seed(seed, "mvcnn"))
    metrics: list[Row] = []
    best = -1
    for stage in ("single", "multi"):
        task = MvcnnTask(network, train, val, settings, seed, stage)
        if task.epochs:
            state = loop.train(task, task.plan(), run_of(task, model, known))
            metrics += state.metrics
            best = int((state.best_row or state.metrics[-1])["epoch"])  # whose weights were kept
    write_metrics(model, metrics)
    trained = Mvcnn(network.eval(), network_settings(settings, classes))
    counts = {split: sum(shape.split == split for shape in known) for split in ("train", "val")}
    about = {"settings": settings.model_dump(), "seed": seed, "start": start, "best_epoch": best, "shapes": counts}
    trained.save(model, about)
    _card(trained, settings, metrics, about).write(model)
    accuracy = next((row["val_accuracy"] for row in metrics if row["epoch"] == best), math.nan)
    LOG.info("MVCNN of %d classes, accuracy on val %.3f: %s", len(classes), accuracy, model)
    return trained


def run_of(task: MvcnnTask, folder: Path, shapes: list[LabelledMesh]) -> Run:
    """The training of a stage: which settings, seed and meshes decide it, and its checkpoint."""
    names = [f"{shape.label}/{shape.name} {shape.split} {shape.path.stat().st_size}" for shape in shapes]
    key = identity(task.settings, task.seed, [task.stage, *names])
    checkpoint = CHECKPOINT if task.stage == "multi" else f"single-{CHECKPOINT}"
    return Run("drkfs", folder, task.seed, key, device="cpu", checkpoint=checkpoint)


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


@torch.inference_mode()
def evaluate(network: nn.Module, shapes: ViewSet, device: torch.device | None = None) -> tuple[float, float]:
    """Accuracy and cross-entropy of shapes by all of their views; 0 and NaN without shapes."""
    if not len(shapes):
        return 0.0, math.nan
    network.eval()
    logits = torch.cat(
        [network(torch.from_numpy(shapes.views[i : i + 4]).to(device)).cpu() for i in range(0, len(shapes), 4)]
    )
    loss = nn.functional.cross_entropy(logits, shapes.labels)
    return float((logits.argmax(1) == shapes.labels).float().mean()), float(loss)


def _card(model: Mvcnn, settings: MvcnnSettings, metrics: list[Row], about: dict[str, Any]) -> Card:
    """What it is, how it was trained, how to use it, its metrics."""
    classes, counts = model.classes, about["shapes"]
    facts = [
        f"Backbone: {settings.backbone}, started from {about['start']}.",
        f"Views: {settings.image_size} px, {settings.elevation:g} degrees above the horizon, gray before black.",
        f"Classes: {', '.join(classes)}.",
        f"Trained on {counts['train']} shapes, seed {about['seed']}: {settings.single_epochs} epochs on single views, "
        f"{settings.multi_epochs} on {min(settings.step_views, settings.views)} views of a shape together, Adam at "
        f"{settings.learning_rate:g}. The best epoch of the second stage by {counts['val']} shapes of val is kept: "
        f"epoch {about['best_epoch']}.",
    ]
    limits = "The descriptor knows what tells these classes apart. What lies outside them it was not asked to tell."
    what = f"""A network that describes a 3D shape by {settings.views} shaded views from around it, after Su et al.,
        Multi-view Convolutional Neural Networks for 3D Shape Recognition (ICCV 2015). The features of the views, the
        largest over all views, scaled to length 1, are the shape's descriptor; two shapes are compared by the
        Euclidean distance of their descriptors."""
    return Card(
        title=f"MVCNN of {len(classes)} classes",
        licence="other",
        tags=("3d-shape-retrieval", "mvcnn"),
        summary=paragraph(what),
        usage=USE,
        training="\n".join(f"- {fact}" for fact in facts),
        evaluation=table(metrics),
        limits=limits,
    )

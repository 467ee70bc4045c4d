"""What a network can be trained to do: a method is a module of this folder.

It has a function `load(inputs, settings)` that gives `TrainingData`, and says for the model card what its models are
`LEARNT_FROM` and what its `ITEMS` are. Where its models leave more open than scale and offset of depth, it has a
function `limits(settings)` that says so, as items of a list in Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType

from torch import nn

from liftnet.depth.crops import CropStore
from liftnet.depth.settings import TrainSettings
from liftnet.learn.task import Objective

SCALE_AND_OFFSET = ("- **Ambiguity.** Scale and offset of depth are free: it is no distance and has no unit.",)


@dataclass(frozen=True)
class TrainingInputs:
    """Where a run learns from.

    Attributes:
        root: Folder with manifest.parquet, images/ and masks/.
        dataset: Folder of the shards of correspondences.
        targets: Folder with truth.parquet, for methods that learn from depth.
        scratch: Folder for a scratch file, where crops do not fit into memory.
        threads: Worker threads.
        seed: The run's seed.
    """

    root: Path
    dataset: Path
    targets: Path | None
    scratch: Path
    threads: int
    seed: int


@dataclass(frozen=True)
class TrainingData:
    """What a run trains and validates on.

    Attributes:
        train: Its objective.
        val: The same on held-out items.
        held_out: What these are, in words.
        store: The crops of both.
        images: Ids of training images.
        works: Number of training works.
        learnt_from: What the models of the method are learnt from, in words.
        items: What an item is, in words, in the plural.
        networks: Networks trained beside the depth network, by name, initialised.
        signed: Whether the objective tells depth from its negative; where not, the sign is chosen after training.
        mask_prior_weight: Weight of the inflated mask in the predictions of the model.
    """

    train: Objective
    val: Objective
    held_out: str
    store: CropStore
    images: Sequence[str]
    works: int
    learnt_from: str
    items: str
    networks: dict[str, nn.Module] = field(default_factory=dict)
    signed: bool = False
    mask_prior_weight: float = 0.0


def load_training_data(inputs: TrainingInputs, settings: TrainSettings) -> TrainingData:
    """Read what `settings.method` learns from: the function `load` of the module of that name.

    Raises:
        LiftnetError: There is nothing to train or to validate on, or a file cannot be read.
    """
    data: TrainingData = _method(settings).load(inputs, settings)
    return data


def limits(settings: TrainSettings) -> Sequence[str]:
    """What the models of `settings.method` leave open: items of a list in Markdown."""
    stated: Callable[[TrainSettings], Sequence[str]] | None = getattr(_method(settings), "limits", None)
    return SCALE_AND_OFFSET if stated is None else stated(settings)


def _method(settings: TrainSettings) -> ModuleType:
    return import_module(f"{__name__}.{settings.method}")

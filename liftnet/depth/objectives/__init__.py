"""What a network can be trained to do: a method is a module of this folder.

It has a function `load(inputs, settings)` that gives `TrainingData`, and says for the model card what its models are
`LEARNT_FROM` and what its `ITEMS` are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from torch import nn

from liftnet.depth.crops import CropStore
from liftnet.depth.settings import TrainSettings
from liftnet.learn.task import Objective


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


def load_training_data(inputs: TrainingInputs, settings: TrainSettings) -> TrainingData:
    """Read what `settings.method` learns from: the function `load` of the module of that name.

    Raises:
        LiftnetError: There is nothing to train or to validate on, or a file cannot be read.
    """
    data: TrainingData = import_module(f"{__name__}.{settings.method}").load(inputs, settings)
    return data

"""What a network can be trained to do; the loop of `liftnet.depth.train` is the same for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from liftnet.depth.data.crops import CropStore
from liftnet.depth.settings import DepthSettings

IntArray = npt.NDArray[np.int64]
Networks = Mapping[str, nn.Module]
Terms = dict[str, Tensor]


class Objective(Protocol):
    """Items to learn from and how well a network does on them."""

    @property
    def items(self) -> Sequence[str]:
        """Name of each item (a pair, an image); with settings and seed they tell one run from another."""
        ...

    @property
    def groups(self) -> Sequence[int]:
        """Row group of each item; items of one group are read together."""
        ...

    @property
    def directions(self) -> int:
        """2 where an item is learnt in both directions (a pair), 1 otherwise."""
        ...

    def batch(self, chosen: IntArray, seed: int) -> Any:
        """Read items on the host.

        Args:
            chosen: (n, 2) item and direction.
            seed: Where all that is random in the batch comes from.

        Returns:
            A named tuple of tensors with a method `to(device)`.
        """
        ...

    def terms(self, networks: Networks, batch: Any, generator: torch.Generator) -> Terms:
        """Run the networks on a batch, on its device.

        Args:
            networks: "depth", (B, 3, S, S) in [-1, 1] to (B, S, S) in [-1, 1], and those of `Training.networks`.
            batch: What `batch` gave.
            generator: Where all that is random in the loss comes from; on the host.

        Returns:
            (B,) each: "loss", whose mean is minimised, and others that are only logged.
        """
        ...


@dataclass(frozen=True)
class Sources:
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
class Training:
    """What a run trains and validates on.

    Attributes:
        train: Its objective.
        val: The same on held-out items.
        held_out: What these are, in words.
        store: The crops of both.
        images: Ids of training images.
        works: Number of training works.
        networks: Networks trained beside the depth network, by name, initialised.
        signed: Whether the objective tells depth from its negative; where not, the sign is chosen after training.
    """

    train: Objective
    val: Objective
    held_out: str
    store: CropStore
    images: Sequence[str]
    works: int
    networks: dict[str, nn.Module] = field(default_factory=dict)
    signed: bool = False


def load_training(sources: Sources, settings: DepthSettings) -> Training:
    """Read what `settings.method` learns from: the function `load` of the module of that name.

    Raises:
        LiftnetError: There is nothing to train or to validate on, or a file cannot be read.
    """
    training: Training = import_module(f"{__name__}.{settings.method}").load(sources, settings)
    return training

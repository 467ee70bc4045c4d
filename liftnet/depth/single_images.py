"""What methods that learn from single images share: which images train and which validate, and reading them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_fraction
from liftnet.core.log import get_logger
from liftnet.data.empty_splits import warn_of_empty_splits
from liftnet.data.manifest import stored_images
from liftnet.depth.augment import Augmentation, Changes, change_images, draw_changes
from liftnet.depth.crops import CropStore
from liftnet.depth.objectives import TrainingInputs
from liftnet.depth.pairs import hold_out_works
from liftnet.depth.settings import TrainSettings
from liftnet.learn.task import IntArray
from liftnet.models.depth_input import network_input

LOG = get_logger("depth")


class ImageBatch(NamedTuple):
    """Images and what is known of their depth.

    Attributes:
        images: (B, S, S, 3) uint8 crops.
        targets: Of each image, as the method wants it; the first axis is B.
        relations: (B, N) of pairs of points, or empty.
        changes: Augmentation drawn for the images and not yet applied.
    """

    images: Tensor
    targets: Tensor
    relations: Tensor
    changes: Changes = Changes()

    def network_images(self) -> Tensor:
        """(B, 3, S, S) float32 network input in [-1, 1], augmented."""
        return change_images(network_input(self.images), self.changes)


@dataclass(frozen=True)
class ImageSplit:
    """Images that train and images that validate.

    Attributes:
        train: Ids of training images.
        val: Ids of the others.
        works: Number of training works.
        held_out: What validates, in words.
    """

    train: Sequence[str]
    val: Sequence[str]
    works: int
    held_out: str


def crops_of(inputs: TrainingInputs, settings: TrainSettings, wanted: Collection[str]) -> CropStore:
    """The crops of the training and validation images among those wanted."""
    images = stored_images(inputs.root).values()
    ids = [image.image_id for image in images if image.split != "test" and image.image_id in wanted]
    inputs.scratch.mkdir(parents=True, exist_ok=True)
    return CropStore(inputs.root, ids, settings.input, inputs.threads, settings.runtime.cache_mb, inputs.scratch)


def split_images(inputs: TrainingInputs, settings: TrainSettings, usable: Collection[str]) -> ImageSplit:
    """Divide images by the split of the manifest; training works are held out where no val image is usable.

    Args:
        inputs: Where they are.
        settings: Settings of the run.
        usable: Ids of images that have a target.

    Raises:
        LiftnetError: No image to train or to validate on.
    """
    images = stored_images(inputs.root)
    rows = [images[name] for name in sorted(images) if name in usable]
    counts = Counter(row.split for row in rows)
    warn_of_empty_splits(LOG, inputs.root / "manifest.parquet", counts, "images with a target")
    train = [row for row in rows if row.split == "train"]
    val = [row for row in rows if row.split == "val"]
    held_out = "images of the val artists"
    if not val and train:
        train, val = hold_out_works(train, settings.validation.val_fraction)
        held_out = f"images of {len({row.work_id for row in val})} training works, as no val image has a target"
    if not train or not val:
        raise LiftnetError(
            inputs.targets,
            f"has targets for {len(train)} images to train on and {len(val)} to validate on; it takes both",
            f"Give a folder (--targets) that belongs to {inputs.root}",
        )
    limited = sorted(val, key=lambda row: (stable_fraction(row.image_id, "validation"), row.image_id))
    return ImageSplit(
        [row.image_id for row in train],
        sorted(row.image_id for row in limited[: settings.validation.max_pairs]),
        len({row.work_id for row in train}),
        held_out,
    )


@dataclass(frozen=True)
class ImageItems:
    """Single images as items of an objective.

    Attributes:
        store: The crops.
        images: Ids of the items, each in the store.
        augmentation: How images are changed.
    """

    store: CropStore
    images: Sequence[str]
    augmentation: Augmentation
    directions: int = 1

    @property
    def items(self) -> Sequence[str]:
        """The ids of the images."""
        return self.images

    @property
    def groups(self) -> Sequence[int]:
        """One group: all crops are in memory."""
        return [0] * len(self.images)

    def rows(self, chosen: IntArray) -> list[int]:
        """Rows of the store of chosen (item, direction)."""
        return [self.store.index[self.images[item]] for item in chosen[:, 0].tolist()]

    def read(self, rows: list[int], seed: int) -> tuple[Tensor, Changes]:
        """Crops (B, S, S, 3) uint8 of rows of the store, and the changes drawn for them."""
        changes = draw_changes(self.augmentation, len(rows), np.random.default_rng(seed))
        return torch.from_numpy(self.store.images[rows]), changes


def augmentation_of(settings: TrainSettings) -> Augmentation:
    """The augmentation that the settings ask for."""
    return Augmentation(**settings.augment.model_dump())


def targets_folder(inputs: TrainingInputs, method: str) -> Path:
    """The folder or file of targets.

    Raises:
        LiftnetError: None was given.
    """
    if inputs.targets is None:
        raise LiftnetError(
            "--targets",
            f"is missing: the method {method} learns from depth",
            "Name a folder with truth.parquet: a rendered set, the museum, or what `depth sfm` wrote",
        )
    return inputs.targets

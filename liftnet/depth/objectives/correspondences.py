"""LiftNet: depth that explains correspondences (section 3 of the paper)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.data.dataset import count_pairs
from liftnet.data.empty_splits import warn_of_empty_splits
from liftnet.depth.augment import Augmentation
from liftnet.depth.crops import CropStore
from liftnet.depth.objectives import TrainingData, TrainingInputs
from liftnet.depth.pairs import Batch, PairLoader, PairTable, hold_out_works, limit_rows, sample_depth
from liftnet.depth.reprojection import CameraModel, Criterion, correspondence_terms
from liftnet.depth.settings import LossSettings, TrainSettings
from liftnet.learn.task import IntArray, LossTerms, Networks

LOG = get_logger("depth")
LEARNT_FROM = (
    "point correspondences between photographs of one sculpture, whose camera is solved for in the loss (Wiles and "
    "Zisserman, 2018). No depth was measured for it"
)
ITEMS = "pairs of photographs"
FREE = {  # what each camera of the loss leaves free
    "affine": "Correspondences between views of affine cameras determine depth up to `a d + b x + c y + e`: its "
    "scale, its offset and a shear are free",
    "orthographic": "Correspondences between views of scaled orthographic cameras determine depth up to `a d + e`: "
    "its scale and its offset are free, and what the fit leaves of a shear `b x + c y`",
}


@dataclass(frozen=True)
class CorrespondenceObjective:
    """Pairs of images, and the error of reprojection through the best camera under the predicted depth."""

    loader: PairLoader
    settings: TrainSettings
    directions: int = 2

    @property
    def items(self) -> Sequence[str]:
        """The ids of the pairs."""
        return [row.pair_id for row in self.loader.rows]

    @property
    def groups(self) -> Sequence[int]:
        """The row group of each pair."""
        return [row.group for row in self.loader.rows]

    def batch(self, chosen: IntArray, seed: int) -> Batch:
        """Read pairs; chosen is (n, 2), pair and direction."""
        return self.loader.batch(chosen, seed)

    def terms(self, networks: Networks, batch: Batch, generator: torch.Generator) -> LossTerms:
        """Predict depth of the source images and measure how well it explains the correspondences."""
        settings = self.settings
        images, source_xy, mask = batch.augmented()
        depth = sample_depth(networks["depth"](images).float(), source_xy)
        criterion = criterion_of(settings.loss, settings.input.image_size / 2)
        return correspondence_terms(source_xy, depth, batch.target_xy, mask, generator, criterion)._asdict()


def criterion_of(settings: LossSettings, unit: float) -> Criterion:
    """What the loss of these settings asks of the camera; `unit` are the pixels of a unit of depth."""
    camera = CameraModel(settings.camera, settings.orthography_weight, unit)
    tau = settings.tau if settings.robust else math.inf
    return Criterion(settings.threshold, tau, settings.ransac_iterations, camera)


def load(inputs: TrainingInputs, settings: TrainSettings) -> TrainingData:
    """Read the list of pairs and decode their images.

    Raises:
        LiftnetError: No pair to train or to validate on.
    """
    table, val_table = PairTable(inputs.dataset, "train"), PairTable(inputs.dataset, "val")
    warn_of_empty_splits(LOG, inputs.dataset, count_pairs(inputs.dataset), "pairs")
    train_rows, val_rows = table.rows, val_table.rows
    held_out = "pairs of the val artists"
    if not val_rows:
        val_table = table
        train_rows, val_rows = hold_out_works(table.rows, settings.validation.val_fraction)
        held_out = f"pairs of {len({row.work_id for row in val_rows})} training works, as no val artist has any"
    val_rows = limit_rows(val_rows, settings.validation.max_pairs)
    image_ids = [image for row in (*train_rows, *val_rows) for image in (row.image_a, row.image_b)]
    inputs.scratch.mkdir(parents=True, exist_ok=True)
    store = CropStore(
        inputs.root, image_ids, settings.input, inputs.threads, settings.runtime.cache_mb, inputs.scratch
    )
    augmentation = Augmentation(**settings.augment.model_dump())
    limit, fixed = settings.correspondences.max_per_pair, settings.correspondences.fixed
    train = PairLoader(table, train_rows, store, limit, augmentation, fixed)
    val = PairLoader(val_table, val_rows, store, limit, Augmentation(), fixed)
    lost = len(train_rows) - len(train.rows)
    if lost:
        LOG.warning("%d of %d training pairs left out, as an image of theirs cannot be read", lost, len(train_rows))
    if not train.rows or not val.rows:
        raise LiftnetError(
            inputs.dataset,
            f"has {len(train.rows)} pairs to train on and {len(val.rows)} to validate on; it takes both",
            "Collect more works with several photographs each, or loosen `verify`",
        )
    return TrainingData(
        train=CorrespondenceObjective(train, settings),
        val=CorrespondenceObjective(val, settings),
        held_out=held_out,
        store=store,
        images=sorted({image for row in train.rows for image in (row.image_a, row.image_b)}),
        works=len({row.work_id for row in train.rows}),
        learnt_from=LEARNT_FROM,
        items=ITEMS,
        mask_prior_weight=settings.mask_prior_weight,
    )


def limits(settings: TrainSettings) -> Sequence[str]:
    """What the models leave open, by the camera of the loss: items of a list in Markdown."""
    rigid = settings.loss.camera == "orthographic" or settings.loss.orthography_weight > 0
    return (
        f"- **Ambiguity.** {FREE['orthographic' if rigid else 'affine']}, so it is no distance and has no unit. "
        "Errors that are measured after median and scale alone (`rmse`) count a shear, those after an affine fit "
        "(`rmse_affine`) do not.",
        "- **Sign.** A surface and its mirror image in depth explain the same correspondences. The sign was chosen "
        "once, after training, so that sculptures of the training photographs bulge towards the viewer; it is not "
        "chosen for each photograph.",
        "- **Camera.** Strong perspective, as from a phone held close, is not modelled.",
    )

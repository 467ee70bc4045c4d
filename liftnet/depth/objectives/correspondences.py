"""LiftNet: depth that explains correspondences (section 3 of the paper)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.depth.data.augment import Augmentation
from liftnet.depth.data.crops import CropStore
from liftnet.depth.data.pairs import Batch, PairLoader, PairTable, hold_out_works, limit_rows, sample_depth
from liftnet.depth.objectives import IntArray, Networks, Sources, Terms, Training
from liftnet.depth.reprojection.loss import CameraModel, correspondence_terms
from liftnet.depth.settings import DepthSettings

LOG = get_logger("depth")


@dataclass(frozen=True)
class CorrespondenceObjective:
    """Pairs of images, and the error of reprojection through the best camera under the predicted depth."""

    loader: PairLoader
    settings: DepthSettings
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

    def terms(self, networks: Networks, batch: Batch, generator: torch.Generator) -> Terms:
        """Predict depth of the source images and measure how well it explains the correspondences."""
        settings = self.settings
        images, source_xy, mask = batch.augmented()
        depth = sample_depth(networks["depth"](images).float(), source_xy)
        tau = settings.tau if settings.robust else math.inf
        camera = CameraModel(settings.camera, settings.calibration, unit=settings.image_size / 2)
        found = correspondence_terms(
            source_xy, depth, batch.target_xy, mask, settings.threshold, tau, generator, settings.draws, camera
        )
        return found._asdict()


def load(sources: Sources, settings: DepthSettings) -> Training:
    """Read the list of pairs and decode their images.

    Raises:
        LiftnetError: No pair to train or to validate on.
    """
    table, val_table = PairTable(sources.dataset, "train"), PairTable(sources.dataset, "val")
    train_rows, val_rows = table.rows, val_table.rows
    held_out = "pairs of the val artists"
    if not val_rows:
        val_table = table
        train_rows, val_rows = hold_out_works(table.rows, settings.held_out_share)
        held_out = f"pairs of {len({row.work_id for row in val_rows})} training works, as no val artist has any"
        LOG.info("validating on %s", held_out)
    val_rows = limit_rows(val_rows, settings.validation_pairs)
    image_ids = [image for row in (*train_rows, *val_rows) for image in (row.image_a, row.image_b)]
    sources.scratch.mkdir(parents=True, exist_ok=True)
    store = CropStore(sources.root, image_ids, settings.input, sources.threads, settings.cache_mb, sources.scratch)
    augmentation = Augmentation(settings.flip, settings.rotation, settings.zoom, settings.colour_jitter)
    limit, fixed = settings.max_correspondences, settings.correspondences_fixed
    train = PairLoader(table, train_rows, store, limit, augmentation, fixed)
    val = PairLoader(val_table, val_rows, store, limit, Augmentation(), fixed)
    lost = len(train_rows) - len(train.rows)
    if lost:
        LOG.warning("%d of %d training pairs left out, as an image of theirs cannot be read", lost, len(train_rows))
    if not train.rows or not val.rows:
        raise LiftnetError(
            sources.dataset,
            f"has {len(train.rows)} pairs to train on and {len(val.rows)} to validate on; it takes both",
            "Collect more works with several photographs each, or loosen `verify`",
        )
    return Training(
        train=CorrespondenceObjective(train, settings),
        val=CorrespondenceObjective(val, settings),
        held_out=held_out,
        store=store,
        images=sorted({image for row in train.rows for image in (row.image_a, row.image_b)}),
        works=len({row.work_id for row in train.rows}),
    )

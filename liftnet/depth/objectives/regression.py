"""Regression of depth, right up to scale and shift: the paper's supervised baseline (pix2pix, section 5.1).

The same network as LiftNet. The prediction is aligned with the true depth by median and scale before the mean squared
error is taken, as in evaluation. The targets are true depth, or what COLMAP reconstructed (COLMAP depth regression).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from liftnet.data.manifest import stored_images, truths_of
from liftnet.depth.augment import Augmentation
from liftnet.depth.crops import SMALLEST, TargetStore, change_targets, digest
from liftnet.depth.objectives import TrainingData, TrainingInputs
from liftnet.depth.settings import TrainSettings
from liftnet.depth.single_images import (
    ImageBatch,
    ImageItems,
    augmentation_of,
    crops_of,
    split_images,
    targets_folder,
)
from liftnet.learn.task import IntArray, LossTerms, Networks

LEARNT_FROM = "given depth, by the squared error after alignment"
ITEMS = "photographs"


class AlignedError(NamedTuple):
    """The error of depth after alignment, (B,) each.

    Attributes:
        loss: Mean squared error over the known pixels; carries the gradient.
        scale: The least squares scale alpha of the prediction; negative where near and far are swapped.
        in_sign: 1 where alpha is positive, else 0.
        known: Number of known pixels.
    """

    loss: Tensor
    scale: Tensor
    in_sign: Tensor
    known: Tensor


def masked_median(values: Tensor, mask: Tensor) -> Tensor:
    """The median of each row over a mask: the mean of the two middle values where their number is even, as in numpy.

    Args:
        values: (B, N).
        mask: (B, N) bool.

    Returns:
        (B,), 0 for a row without a value; carries the gradient of the middle values.
    """
    count = mask.sum(1)
    # a stable sort, so that the gradient goes to the same one of equal values each time
    ordered = values.masked_fill(~mask, torch.inf).sort(dim=1, stable=True).values
    lower, upper = (count - 1).clamp_min(0) // 2, count // 2
    middle = torch.stack([lower, upper.clamp_max(values.shape[1] - 1)], 1)
    found = ordered.gather(1, middle)
    return found.masked_fill((count == 0)[:, None], 0).mean(1)


def aligned_error(depth: Tensor, target: Tensor, signed: bool = False) -> AlignedError:
    """The mean squared error of `alpha (d - beta_1) + beta_2` (section 5.1 of the paper).

    `beta_1` and `beta_2` are the medians of prediction and target over the known pixels and `alpha` the least squares
    scale of the centred values: see `liftnet.depth.score.align_as_paper`, of which this is the differentiable form.
    The gradient goes through `alpha` and `beta_1`.

    Args:
        depth: (B, S, S) predicted depth; carries the gradient.
        target: (B, S, S) true depth, NaN where unknown.
        signed: Take the absolute value of `alpha`, so that swapping near and far is an error. Without, each image may
            settle on a sign of its own.

    Returns:
        The loss is in squared units of the target. An image with fewer than 8 known pixels has loss 0 and gradient 0.
    """
    target = target.flatten(1)
    mask = torch.isfinite(target)
    count = mask.sum(1)
    d, gt = depth.flatten(1), target.masked_fill(~mask, 0)
    d = (d - masked_median(d, mask)[:, None]).masked_fill(~mask, 0)
    gt = (gt - masked_median(gt, mask)[:, None]).masked_fill(~mask, 0)
    energy = d.square().sum(1)
    flat = energy <= torch.finfo(d.dtype).tiny  # a constant prediction has no scale; its error is that of the median
    alpha = (d * gt).sum(1) / energy.masked_fill(flat, 1)
    applied = alpha.abs() if signed else alpha
    error = (applied[:, None] * d - gt).square().sum(1) / count.clamp_min(1)
    return AlignedError(error * (count >= SMALLEST), alpha.detach(), (alpha > 0).float(), count)


@dataclass(frozen=True)
class RegressionObjective(ImageItems):
    """Images with target depth."""

    targets: TargetStore | None = None
    signed: bool = True

    @property
    def items(self) -> Sequence[str]:
        """The ids of the images, each with a digest of its target: other targets are another run."""
        assert self.targets is not None
        return [f"{image}:{digest(self.targets.values[self.store.index[image]])}" for image in self.images]

    def batch(self, chosen: IntArray, seed: int) -> ImageBatch:
        """Read images; chosen is (n, 2), image and 0."""
        assert self.targets is not None
        rows = self.rows(chosen)
        images, changes = self.read(rows, seed)
        return ImageBatch(images, torch.from_numpy(self.targets.values[rows]), torch.empty(len(rows), 0), changes)

    def terms(self, networks: Networks, batch: ImageBatch, generator: torch.Generator) -> LossTerms:
        """Predict depth and compare it with the targets; nothing is random."""
        depth = networks["depth"](batch.network_images()).float()
        error = aligned_error(depth, change_targets(batch.targets, batch.changes), self.signed)
        return {
            "loss": error.loss,
            "rmse": error.loss.detach().sqrt(),
            "in_sign": error.in_sign,
            "scale": error.scale,
            "target_pixels": error.known.float(),
        }


def load(inputs: TrainingInputs, settings: TrainSettings) -> TrainingData:
    """Read images and targets.

    Raises:
        LiftnetError: No folder of targets, or none that belongs to an image.
    """
    folder = targets_folder(inputs, "regression")
    store = crops_of(inputs, settings, truths_of(stored_images(inputs.root), folder))
    targets = TargetStore(folder, store, inputs.threads, settings.runtime.cache_mb, inputs.scratch)
    usable = {image for image, row in store.index.items() if targets.known[row] >= SMALLEST}
    split = split_images(inputs, settings, usable)
    changed, signed = augmentation_of(settings), settings.regression.signed
    return TrainingData(
        train=RegressionObjective(store, split.train, changed, targets=targets, signed=signed),
        val=RegressionObjective(store, split.val, Augmentation(), targets=targets, signed=signed),
        held_out=split.held_out,
        store=store,
        images=split.train,
        works=split.works,
        learnt_from=LEARNT_FROM,
        items=ITEMS,
        signed=signed,
    )

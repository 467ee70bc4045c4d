"""Photometric self-supervision: depth and motion that make one photograph of a pair look like the other.

Zhou, Brown, Snavely and Lowe, "Unsupervised Learning of Depth and Ego-Motion from Video", CVPR 2017, on two views. As
in the paper's comparison (section 5.5) the focal length is taken to be .7 widths and the principal point the centre.
The crop counts as the image, since the true camera is unknown anyway; `depth.crop: full` gives the whole image.

The published network gives disparity, 10 sigmoid + .01. Ours gives depth in [-1, 1], which every method of this stage
shares; here it stands for the depth 1 + .9 t, whose range of disparity, .53 to 10, ends where the published one does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, logsigmoid

from liftnet.depth.data.augment import Augmentation, Changes, change_images, draw_changes
from liftnet.depth.data.pairs import PairRow
from liftnet.depth.data.store import CropStore
from liftnet.depth.objectives import IntArray, Networks, Sources, Terms, Training, correspondences
from liftnet.depth.objectives.pose import build_pose_network, inverse_warp
from liftnet.depth.settings import DepthSettings
from liftnet.models.depth_input import network_input

DEPTH_RANGE = 0.9


class ViewBatch(NamedTuple):
    """Pairs of photographs.

    Attributes:
        target: (B, S, S, 3) uint8 crops whose depth is predicted.
        source: (B, S, S, 3) uint8 crops of the other photographs.
        changes: Geometric changes drawn for both and not yet applied.
    """

    target: Tensor
    source: Tensor
    changes: Changes = Changes()

    def to(self, device: torch.device) -> ViewBatch:
        """The batch on a device."""
        target, source = (part.to(device, non_blocking=True) for part in self[:2])
        return ViewBatch(target, source, self.changes.to(device))

    def network_images(self) -> tuple[Tensor, Tensor]:
        """Target and source as the networks want them, (B, 3, S, S) in [-1, 1], changed alike."""
        both = torch.cat([network_input(self.target), network_input(self.source)], 1)
        target, source = change_images(both, self.changes).chunk(2, 1)
        return target.contiguous(), source.contiguous()


def camera_depth(output: Tensor) -> Tensor:
    """Positive depth that the network's output in [-1, 1] stands for."""
    return 1 + DEPTH_RANGE * output


def second_differences(disparity: Tensor) -> Tensor:
    """The published smoothness: mean absolute second differences along x, y and across, summed.

    Args:
        disparity: (B, S, S) with S of 3 or more.

    Returns:
        (B,).
    """
    dx, dy = disparity.diff(dim=2), disparity.diff(dim=1)
    parts = (dx.diff(dim=2), dx.diff(dim=1), dy.diff(dim=2), dy.diff(dim=1))
    return torch.stack([part.abs().mean((1, 2)) for part in parts]).sum(0)


def photometric_terms(
    target: Tensor, source: Tensor, depth: Tensor, motion: Tensor, logit: Tensor | None, settings: DepthSettings
) -> Terms:
    """The loss of each pair, averaged over scales, each of half the size of the one before.

    Args:
        target: (B, 3, S, S) in [-1, 1].
        source: (B, 3, S, S).
        depth: (B, S, S) of the target, positive.
        motion: (B, 6) from target to source.
        logit: (B, 1, S, S) of the explainability mask, or None.
        settings: Weights, focal length and number of scales.

    Returns:
        "loss", and its parts before weighting: "photometric" error (times the explainability mask), "smoothness",
        "explainability" (the mask's mean), the "valid_share" of pixels that the source sees, and the size of the
        "motion". A pixel that the source does not see counts as if nothing had moved: were it left out, or black as
        in the published code, it would pay to move the camera until nothing is seen.
    """
    disparity = 1 / depth
    sums: dict[str, list[Tensor]] = {"loss": [], "photometric": [], "smoothness": [], "valid_share": []}
    for scale in range(settings.photometric_scales):
        step = 2**scale
        if disparity.shape[-1] // step < 4:
            break
        small = avg_pool2d(disparity[:, None], step)[:, 0]
        small_source, small_target = avg_pool2d(source, step), avg_pool2d(target, step)
        warped, valid = inverse_warp(small_source, 1 / small, motion, settings.photometric_focal)
        error = (torch.where(valid[:, None], warped, small_source) - small_target).abs().mean(1)
        loss = torch.zeros_like(depth[:, 0, 0])
        if logit is not None:
            pooled = avg_pool2d(logit, step)[:, 0]
            error = error * pooled.sigmoid()
            loss = -settings.photometric_explainability * logsigmoid(pooled).mean((1, 2))
        photometric = error.mean((1, 2))
        smoothness = second_differences(small)
        sums["loss"].append(photometric + settings.photometric_smoothness / step * smoothness + loss)
        sums["photometric"].append(photometric.detach())
        sums["smoothness"].append(smoothness.detach())
        sums["valid_share"].append(valid.float().mean((1, 2)))
    terms = {name: torch.stack(values).mean(0) for name, values in sums.items()}
    if logit is not None:
        terms["explainability"] = logit.detach().sigmoid().mean((1, 2, 3))
    return terms | {"motion": motion.detach().norm(dim=1)}


@dataclass(frozen=True)
class PhotometricObjective:
    """Pairs of photographs of a work, seen in both directions."""

    rows: list[PairRow]
    store: CropStore
    augmentation: Augmentation
    settings: DepthSettings
    directions: int = 2

    @property
    def items(self) -> list[str]:
        """The ids of the pairs."""
        return [row.pair_id for row in self.rows]

    @property
    def groups(self) -> list[int]:
        """One group: all crops are in memory."""
        return [0] * len(self.rows)

    def batch(self, chosen: IntArray, seed: int) -> ViewBatch:
        """Read pairs; chosen is (n, 2), pair and direction."""
        pairs = [(self.rows[item], direction) for item, direction in chosen.tolist()]
        ends = [(row.image_b, row.image_a) if direction else (row.image_a, row.image_b) for row, direction in pairs]
        target, source = ([self.store.index[end[k]] for end in ends] for k in (0, 1))
        changes = draw_changes(self.augmentation, len(pairs), np.random.default_rng(seed))
        images = self.store.images
        return ViewBatch(torch.from_numpy(images[target]), torch.from_numpy(images[source]), changes)

    def terms(self, networks: Networks, batch: ViewBatch, generator: torch.Generator) -> Terms:
        """Predict depth and motion and compare the warped source with the target; nothing is random."""
        target, source = batch.network_images()
        depth = camera_depth(networks["depth"](target).float())
        motion, logit = networks["pose"](target, source)
        logit = None if logit is None else logit.float()
        return photometric_terms(target, source, depth, motion.float(), logit, self.settings)


def load(sources: Sources, settings: DepthSettings) -> Training:
    """Read the list of pairs and decode their images.

    Raises:
        LiftnetError: No pair to train or to validate on.
    """
    pairs = correspondences.load(sources, settings)
    # colours must agree in both photographs, so they are not changed
    augmentation = Augmentation(settings.flip, settings.rotation, settings.zoom)
    train, val = pairs.train, pairs.val
    assert isinstance(train, correspondences.CorrespondenceObjective)
    assert isinstance(val, correspondences.CorrespondenceObjective)
    return replace(
        pairs,
        train=PhotometricObjective(train.loader.rows, pairs.store, augmentation, settings),
        val=PhotometricObjective(val.loader.rows, pairs.store, Augmentation(), settings),
        networks={"pose": build_pose_network(settings.photometric_explainability > 0, sources.seed)},
        signed=True,
    )

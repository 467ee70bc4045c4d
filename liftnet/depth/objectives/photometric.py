"""Photometric self-supervision: depth and motion that make one photograph of a pair look like the other.

Zhou, Brown, Snavely and Lowe, "Unsupervised Learning of Depth and Ego-Motion from Video", CVPR 2017, on two views. As
in the paper's comparison (section 5.5) the focal length is taken to be .7 widths and the principal point the centre.
The crop counts as the image, since the true camera is unknown anyway; `depth.train.input.crop: full` gives the whole
image.

The published network gives disparity, 10 sigmoid + .01. Ours gives depth in [-1, 1], which every method of this stage
shares; here it stands for the depth 1 + .9 t, whose range of disparity, .53 to 10, ends where the published one does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, logsigmoid

from liftnet.core.ids import stable_seed
from liftnet.depth.augment import Augmentation, Changes, change_images, draw_changes
from liftnet.depth.crops import CropStore
from liftnet.depth.objectives import TrainingData, TrainingInputs, correspondences
from liftnet.depth.pairs import PairRow
from liftnet.depth.settings import PhotometricSettings, TrainSettings
from liftnet.learn.task import IntArray, LossTerms, Networks
from liftnet.models.depth_input import network_input

DEPTH_RANGE = 0.9
LEARNT_FROM = (
    "pairs of photographs, by the error of one warped onto the other (Zhou et al., 2017). No depth was measured for it"
)
ITEMS = "pairs of photographs"
MOTION_UNIT = 0.01  # the network's outputs are multiplied by this, so that training begins near no motion
_ENCODER = ((16, 7), (32, 5), (64, 3), (128, 3), (256, 3), (256, 3), (256, 3))  # channels, kernel; each of stride 2
_SHARED = 5  # layers that pose and explainability share
_DECODER = (256, 128, 64, 32, 16)


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
    target: Tensor, source: Tensor, depth: Tensor, motion: Tensor, logit: Tensor | None, settings: PhotometricSettings
) -> LossTerms:
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
    for scale in range(settings.scales):
        step = 2**scale
        if disparity.shape[-1] // step < 4:
            break
        small = avg_pool2d(disparity[:, None], step)[:, 0]
        small_source, small_target = avg_pool2d(source, step), avg_pool2d(target, step)
        warped, valid = inverse_warp(small_source, 1 / small, motion, settings.focal)
        error = (torch.where(valid[:, None], warped, small_source) - small_target).abs().mean(1)
        loss = torch.zeros_like(depth[:, 0, 0])
        if logit is not None:
            pooled = avg_pool2d(logit, step)[:, 0]
            error = error * pooled.sigmoid()
            loss = -settings.explainability * logsigmoid(pooled).mean((1, 2))
        photometric = error.mean((1, 2))
        smoothness = second_differences(small)
        sums["loss"].append(photometric + settings.smoothness / step * smoothness + loss)
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
    settings: TrainSettings
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

    def terms(self, networks: Networks, batch: ViewBatch, generator: torch.Generator) -> LossTerms:
        """Predict depth and motion and compare the warped source with the target; nothing is random."""
        target, source = batch.network_images()
        depth = camera_depth(networks["depth"](target).float())
        motion, logit = networks["pose"](target, source)
        logit = None if logit is None else logit.float()
        return photometric_terms(target, source, depth, motion.float(), logit, self.settings.photometric)


def load(inputs: TrainingInputs, settings: TrainSettings) -> TrainingData:
    """Read the list of pairs and decode their images.

    Raises:
        LiftnetError: No pair to train or to validate on.
    """
    pairs = correspondences.load(inputs, settings)
    # colours must agree in both photographs, so they are not changed
    augmentation = Augmentation(**settings.augment.model_dump(exclude={"colour_jitter"}))
    train, val = pairs.train, pairs.val
    assert isinstance(train, correspondences.CorrespondenceObjective)
    assert isinstance(val, correspondences.CorrespondenceObjective)
    return replace(
        pairs,
        train=PhotometricObjective(train.loader.rows, pairs.store, augmentation, settings),
        val=PhotometricObjective(val.loader.rows, pairs.store, Augmentation(), settings),
        learnt_from=LEARNT_FROM,
        items=ITEMS,
        networks={"pose": build_pose_network(settings.photometric.explainability > 0, inputs.seed)},
        signed=True,
        mask_prior_weight=0.0,
    )


class PoseNetwork(nn.Module):
    """Seven convolutions of stride 2 to six numbers, and a decoder to the explainability mask.

    The mask is predicted at full size alone, where the published network predicts one a scale.

    Attributes:
        decoder: Layers of the explainability mask; None without one.
    """

    def __init__(self, explainability: bool) -> None:
        """Lay out the layers.

        Args:
            explainability: Also predict which pixels the motion can explain.
        """
        super().__init__()
        channels = [6, *(width for width, _ in _ENCODER)]
        self.encoder = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, kernel, 2, kernel // 2), nn.ReLU())
            for before, (after, kernel) in zip(channels, _ENCODER, strict=False)
        )
        self.motion = nn.Conv2d(channels[-1], 6, 1)
        self.decoder: nn.Sequential | None = None
        if explainability:
            layers: list[nn.Module] = []
            for before, after in zip((channels[_SHARED], *_DECODER), _DECODER, strict=False):
                layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.ReLU()]
            self.decoder = nn.Sequential(*layers, nn.Conv2d(_DECODER[-1], 1, 3, padding=1))

    def forward(self, target: Tensor, source: Tensor) -> tuple[Tensor, Tensor | None]:
        """The motion from target to source.

        Args:
            target: (B, 3, S, S) in [-1, 1].
            source: (B, 3, S, S) in [-1, 1].

        Returns:
            (B, 6): translation in units of depth and Euler angles in radians, near 0 at first; and the logit
            (B, 1, S, S) of the explainability mask, or None.
        """
        features = torch.cat([target, source], 1)
        shared = features
        for number, layer in enumerate(self.encoder, 1):
            features = layer(features)
            if number == _SHARED:
                shared = features
        motion = MOTION_UNIT * self.motion(features).mean((2, 3))
        if self.decoder is None:
            return motion, None
        logit = self.decoder(shared)
        if logit.shape[-1] != target.shape[-1]:  # sides that are no multiple of 32
            logit = nn.functional.interpolate(logit, target.shape[-2:], mode="bilinear", align_corners=False)
        return motion, logit


def build_pose_network(explainability: bool, seed: int) -> PoseNetwork:
    """A pose network with Xavier weights and zero biases that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_seed(seed, "pose"))
        network = PoseNetwork(explainability)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
    return network


def rotation_matrix(angles: Tensor) -> Tensor:
    """R = R_x R_y R_z of (B, 3) Euler angles in radians, (B, 3, 3)."""
    cosine, sine = angles.cos().unbind(1), angles.sin().unbind(1)
    one, zero = torch.ones_like(cosine[0]), torch.zeros_like(cosine[0])

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, 1).reshape(-1, 3, 3)

    about_x = matrix(one, zero, zero, zero, cosine[0], -sine[0], zero, sine[0], cosine[0])
    about_y = matrix(cosine[1], zero, sine[1], zero, one, zero, -sine[1], zero, cosine[1])
    about_z = matrix(cosine[2], -sine[2], zero, sine[2], cosine[2], zero, zero, zero, one)
    return about_x @ about_y @ about_z


def inverse_warp(source: Tensor, depth: Tensor, motion: Tensor, focal: float) -> tuple[Tensor, Tensor]:
    """The target view as the source image shows it: each target pixel is lifted, moved and read in the source.

    Args:
        source: (B, C, S, S).
        depth: (B, S, S) of the target, positive; carries a gradient.
        motion: (B, 6) as `PoseNetwork` gives it: X_source = R X_target + t; carries a gradient.
        focal: Focal length of both cameras, widths of the image; the principal point is the image's centre.

    Returns:
        (B, C, S, S) warped image, and (B, S, S) bool: pixels that lie in the source image and before its camera.
    """
    size = depth.shape[-1]
    steps = (torch.arange(size, dtype=depth.dtype, device=depth.device) - (size - 1) / 2) / (focal * size)
    rays = torch.stack([steps.expand(size, size), steps[:, None].expand(size, size), torch.ones_like(depth[0])])
    points = rotation_matrix(motion[:, 3:]) @ (rays[None] * depth[:, None]).flatten(2) + motion[:, :3, None]
    before = points[:, 2] > 1e-3
    z = points[:, 2].clamp_min(1e-3)
    grid = 2 * focal * points[:, :2] / z[:, None]  # 1 is half the image's width
    valid = before & (grid.abs() <= 1).all(1)
    grid = grid.mT.unflatten(1, (size, size))
    return sample_image(source, grid), valid.unflatten(1, (size, size))


def sample_image(images: Tensor, grid: Tensor) -> Tensor:
    """Bilinear values of (B, C, S, S) images at (B, H, W, 2) places, in [-1, 1] from edge to edge; 0 outside."""
    if images.is_cuda and torch.are_deterministic_algorithms_enabled():
        return sample_image_by_index(images, grid)
    return nn.functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def sample_image_by_index(images: Tensor, grid: Tensor) -> Tensor:
    """`sample_image` without `grid_sample`, whose gradient on a GPU does not repeat itself."""
    size, channels = images.shape[-1], images.shape[1]
    place = (grid.flatten(1, 2) + 1) * (size / 2) - 0.5
    corner = place.detach().floor()
    part = place - corner
    flat = images.flatten(2)
    total = torch.zeros(())
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        at = corner + corner.new_tensor([right, down])
        inside = ((at >= 0) & (at < size)).all(2)
        along, across = (part[..., k] if step else 1 - part[..., k] for k, step in enumerate((right, down)))
        index = (at.clamp(0, size - 1) @ at.new_tensor([1.0, size])).long()
        values = flat.gather(2, index[:, None].expand(-1, channels, -1))
        total = values * (along * across * inside)[:, None] + total
    return total.unflatten(2, grid.shape[1:3])

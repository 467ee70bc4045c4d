"""Batches of correspondences: shards in shuffled row groups, both directions, augmented in step with the image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from liftnet.depth.store import CropStore
from liftnet.io.dataset import Pair, coordinate_scale, open_shard, pairs_of, shard_paths
from liftnet.io.ids import stable_seed

IntArray = npt.NDArray[np.int64]
WINDOW = 8  # row groups that are shuffled together
SMALLEST = 8  # correspondences a pair must have to say something about depth: a camera takes four


class PairRow(NamedTuple):
    """Where a pair lies in the shards and what it shows, without its correspondences."""

    group: int  # index into PairTable.groups
    row: int  # in the group
    pair_id: str
    work_id: str
    image_a: str
    image_b: str
    n: int


class Batch(NamedTuple):
    """Pairs as the loss wants them; N is the largest number of correspondences in the batch.

    Attributes:
        images: (B, 3, S, S) float32 in [-1, 1], the source crops.
        source_xy: (B, N, 2) float32, px of the source crop.
        target_xy: (B, N, 2) float32, px of the target's own crop.
        mask: (B, N) bool, False for rows that only fill up.
    """

    images: Tensor
    source_xy: Tensor
    target_xy: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


@dataclass(frozen=True)
class Augmentation:
    """Random changes of the source image; geometric ones move the correspondences with it.

    Attributes:
        flip: Mirror every other image left and right.
        rotation: Largest rotation, degrees.
        zoom: Largest change of scale.
        colour_jitter: Largest change of brightness, contrast and tint.
    """

    flip: bool = False
    rotation: float = 0.0
    zoom: float = 0.0
    colour_jitter: float = 0.0


class PairTable:
    """The pairs of a split; correspondences are read from disk one row group at a time.

    Attributes:
        rows: The pairs.
        groups: (shard, row group) of each group number.
    """

    def __init__(self, dataset: Path, split: str) -> None:
        """List the pairs of a split.

        Raises:
            LiftnetError: A shard is missing or unreadable.
        """
        self.groups: list[tuple[Path, int]] = []
        self.rows: list[PairRow] = []
        names = ["pair_id", "work_id", "image_a", "image_b", "n"]
        paths = shard_paths(dataset, split) if any(dataset.glob(f"{split}-*.parquet")) else []
        for path in paths:
            file = open_shard(path)
            for number in range(file.num_row_groups):
                table = file.read_row_group(number, columns=names).to_pylist()
                found = (PairRow(len(self.groups), k, *(row[name] for name in names)) for k, row in enumerate(table))
                self.rows += [row for row in found if row.n >= SMALLEST]
                self.groups.append((path, number))
        self._cache: OrderedDict[int, list[Pair]] = OrderedDict()

    def load(self, row: PairRow) -> Pair:
        """The correspondences of a pair; its row group stays in memory while others of it are likely wanted."""
        if row.group not in self._cache:
            path, number = self.groups[row.group]
            file = open_shard(path)
            self._cache[row.group] = list(pairs_of(file.read_row_group(number), coordinate_scale(path, file)))
            while len(self._cache) > WINDOW + 2:
                self._cache.popitem(last=False)
        self._cache.move_to_end(row.group)
        return self._cache[row.group][row.row]


def epoch_order(groups: Sequence[int], seed: int, epoch: int, window: int = WINDOW) -> IntArray:
    """The order of an epoch: row groups shuffled, then both directions of the pairs of `window` groups at a time.

    It depends on the seed and the number of the epoch alone, so a resumed run goes on where it was.

    Args:
        groups: Row group of each pair, in any order.
        seed: The run's seed.
        epoch: Number of the epoch.
        window: Row groups shuffled together.

    Returns:
        (2 n, 2): index of the pair, and 0 for a to b or 1 for b to a.
    """
    random = np.random.default_rng(stable_seed(seed, "epoch", str(epoch)))
    group_of = np.asarray(groups, dtype=np.int64)
    numbers = random.permutation(np.unique(group_of))
    parts = [np.empty((0, 2), np.int64)]
    for start in range(0, len(numbers), window):
        members = np.flatnonzero(np.isin(group_of, numbers[start : start + window]))
        both = np.stack([np.repeat(members, 2), np.tile([0, 1], len(members))], axis=1)
        parts.append(random.permutation(both))
    return np.concatenate(parts)


class PairLoader:
    """Makes batches of pairs whose images are in a store."""

    def __init__(
        self, table: PairTable, rows: Sequence[PairRow], store: CropStore, limit: int, augmentation: Augmentation
    ) -> None:
        """Choose what to load.

        Args:
            table: The pairs of a split.
            rows: Those to use; pairs with an image that the store lacks are dropped.
            store: The crops.
            limit: At most so many correspondences of a pair, drawn anew each time.
            augmentation: How source images are changed.
        """
        self.table, self.store, self.limit, self.augmentation = table, store, limit, augmentation
        self.rows = [row for row in rows if row.image_a in store and row.image_b in store]

    def batch(self, chosen: IntArray, seed: int) -> Batch:
        """The batch of the chosen (index, direction) rows; all that is random in it comes from `seed`."""
        random = np.random.default_rng(seed)
        sources, source_points, target_points = [], [], []
        for index, direction in chosen.tolist():
            row = self.rows[index]
            pair = self.table.load(row)
            ends = [(row.image_a, pair.points_a), (row.image_b, pair.points_b)]
            (source, source_xy), (target, target_xy) = ends[::-1] if direction else ends
            kept = random.permutation(len(source_xy))[: self.limit]
            sources.append(self.store.index[source])
            source_points.append(self._in_crop(source, source_xy[kept]))
            target_points.append(self._in_crop(target, target_xy[kept]))
        images = torch.from_numpy(self.store.images[sources]).permute(0, 3, 1, 2).float() / 127.5 - 1
        points, mask = _fill_up(source_points)
        batch = Batch(images, points, _fill_up(target_points)[0], mask)
        return augment(batch, self.augmentation, random)

    def _in_crop(self, image_id: str, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        box = self.store.boxes[self.store.index[image_id]]
        return box.to_crop(points, self.store.options.image_size).astype(np.float32)


def _fill_up(points: list[npt.NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, points))
    filled = torch.zeros(len(points), longest, 2)
    mask = torch.zeros(len(points), longest, dtype=torch.bool)
    for k, some in enumerate(points):
        filled[k, : len(some)] = torch.from_numpy(some)
        mask[k, : len(some)] = True
    return filled, mask


def augment(batch: Batch, options: Augmentation, random: np.random.Generator) -> Batch:
    """Mirror, rotate, scale and recolour source images, moving their correspondences; targets stay as they are.

    Correspondences that leave the image are masked out.
    """
    count, size = len(batch.images), batch.images.shape[-1]
    images, source_xy, mask = batch.images, batch.source_xy, batch.mask
    if options.flip or options.rotation or options.zoom:
        angle = np.radians(random.uniform(-options.rotation, options.rotation, count))
        scale = np.exp(random.uniform(-1, 1, count) * np.log1p(options.zoom))
        mirror = np.where(random.random(count) < 0.5, -1.0, 1.0) if options.flip else np.ones(count)
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        matrix = np.stack([np.stack([cosine * mirror, -sine], 1), np.stack([sine * mirror, cosine], 1)], 1)
        images, source_xy = transform(images, source_xy, torch.from_numpy(matrix).float())
        mask = mask & ((source_xy > -0.5) & (source_xy < size - 0.5)).all(2)
    if options.colour_jitter:
        images = _recolour(images, options.colour_jitter, random)
    return Batch(images, source_xy, batch.target_xy, mask)


def transform(images: Tensor, points: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Apply a linear map about the image centre to images and to points on them.

    Args:
        images: (B, C, S, S); what comes in from outside repeats the border.
        points: (B, N, 2), px.
        matrix: (B, 2, 2), where a point at `c + v` moves to `c + matrix v`.

    Returns:
        Images and points of the same shapes.
    """
    centre = (images.shape[-1] - 1) / 2
    moved = (points - centre) @ matrix.mT + centre
    inverse = torch.linalg.inv(matrix)
    theta = torch.cat([inverse, torch.zeros_like(inverse[..., :1])], dim=2)
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    warped = torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return warped, moved


def sample_depth(depth: Tensor, points: Tensor) -> Tensor:
    """Bilinear depth at points.

    Args:
        depth: (B, S, S).
        points: (B, N, 2), px; those outside read the border.

    Returns:
        (B, N).
    """
    size = depth.shape[-1]
    grid = ((points + 0.5) * (2 / size) - 1)[:, None]
    return torch.nn.functional.grid_sample(depth[:, None], grid, padding_mode="border", align_corners=False)[:, 0, 0]


def _recolour(images: Tensor, amount: float, random: np.random.Generator) -> Tensor:
    """Change contrast, brightness and the gain of each channel by at most `amount`."""
    count = len(images)
    contrast = torch.from_numpy(1 + random.uniform(-amount, amount, (count, 1, 1, 1))).float()
    brightness = torch.from_numpy(random.uniform(-amount, amount, (count, 1, 1, 1))).float()
    tint = torch.from_numpy(1 + 0.5 * random.uniform(-amount, amount, (count, 3, 1, 1))).float()
    mean = images.mean((1, 2, 3), keepdim=True)
    light = (images - mean) * contrast + mean + brightness
    return ((light + 1) * tint - 1).clamp(-1, 1)

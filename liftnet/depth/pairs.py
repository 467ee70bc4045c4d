"""Batches of correspondences: shards in shuffled row groups, both directions, augmented in step with the image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from liftnet.core.ids import stable_fraction, stable_seed
from liftnet.data.codes import split_named
from liftnet.data.dataset import Pair, coordinate_scale, open_shard, pairs_of, shard_paths
from liftnet.depth.augment import Augmentation, Changes, change_images, draw_changes, move_points
from liftnet.depth.crops import CropStore
from liftnet.learn.hold_out import hold_out
from liftnet.learn.task import WINDOW, IntArray
from liftnet.models.depth_input import network_input

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
    """Pairs as they are read; N is the largest number of correspondences in the batch.

    Attributes:
        images: (B, S, S, 3) uint8, the source crops.
        source_xy: (B, N, 2) float32, px of the source crop.
        target_xy: (B, N, 2) float32, px of the target's own crop.
        mask: (B, N) bool, False for rows that only fill up.
        changes: Augmentation drawn for the source images and not yet applied.
    """

    images: Tensor
    source_xy: Tensor
    target_xy: Tensor
    mask: Tensor
    changes: Changes = Changes()

    def augmented(self) -> tuple[Tensor, Tensor, Tensor]:
        """The changes applied where the batch lies.

        Targets stay as they are. Correspondences that leave the image are masked out.

        Returns:
            (B, 3, S, S) float32 network input in [-1, 1], (B, N, 2) source_xy and (B, N) mask.
        """
        images = change_images(network_input(self.images), self.changes)
        return images, *move_points(self.source_xy, self.mask, self.images.shape[1], self.changes)


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
        split = split_named(split)
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


class OfWork(Protocol):
    """A row that belongs to a work."""

    @property
    def work_id(self) -> str:
        """The work."""
        ...


Row = TypeVar("Row", bound=OfWork)


def hold_out_works(rows: Sequence[Row], fraction: float) -> tuple[list[Row], list[Row]]:
    """The rows of the works that are kept for training, and those of about `fraction` of the works, held out."""
    return hold_out(rows, lambda row: row.work_id, fraction, "held out")


def limit_rows(rows: list[PairRow], limit: int) -> list[PairRow]:
    """At most `limit` pairs, chosen by a hash of their ids, in their order."""
    chosen = sorted(rows, key=lambda row: (stable_fraction(row.pair_id, "validation"), row.pair_id))[:limit]
    return sorted(chosen, key=lambda row: row.pair_id)


class PairLoader:
    """Makes batches of pairs whose images are in a store."""

    def __init__(
        self,
        table: PairTable,
        rows: Sequence[PairRow],
        store: CropStore,
        limit: int,
        augmentation: Augmentation,
        fixed: bool = False,
    ) -> None:
        """Choose what to load.

        Args:
            table: The pairs of a split.
            rows: Those to use; pairs with an image that the store lacks are dropped.
            store: The crops.
            limit: At most so many correspondences of a pair.
            augmentation: How source images are changed.
            fixed: Always the same correspondences of a pair, instead of others each time.
        """
        self.table, self.store, self.limit, self.augmentation = table, store, limit, augmentation
        self.fixed = fixed
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
            kept = self._chosen(row, len(source_xy), random)
            sources.append(self.store.index[source])
            source_points.append(self._in_crop(source, source_xy[kept]))
            target_points.append(self._in_crop(target, target_xy[kept]))
        points, mask = _fill_up(source_points)
        changes = draw_changes(self.augmentation, len(chosen), random)
        images = torch.from_numpy(self.store.images[sources])
        return Batch(images, points, _fill_up(target_points)[0], mask, changes)

    def _chosen(self, row: PairRow, count: int, random: np.random.Generator) -> IntArray:
        """Which of the correspondences of a pair are used this time."""
        if self.fixed:
            random = np.random.default_rng(stable_seed(0, "correspondences", row.pair_id))
        return random.permutation(count)[: self.limit]

    def _in_crop(self, image_id: str, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        box = self.store.boxes[self.store.index[image_id]]
        return box.to_crop(points, self.store.input.image_size).astype(np.float32)


def _fill_up(points: list[npt.NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, points))
    filled = torch.zeros(len(points), longest, 2)
    mask = torch.zeros(len(points), longest, dtype=torch.bool)
    for k, some in enumerate(points):
        filled[k, : len(some)] = torch.from_numpy(some)
        mask[k, : len(some)] = True
    return filled, mask


def sample_depth(depth: Tensor, points: Tensor) -> Tensor:
    """Bilinear depth at points.

    Args:
        depth: (B, S, S).
        points: (B, N, 2), px; those outside read the border.

    Returns:
        (B, N).
    """
    size = depth.shape[-1]
    if depth.is_cuda and torch.are_deterministic_algorithms_enabled():
        return sample_depth_by_index(depth, points)
    grid = ((points + 0.5) * (2 / size) - 1)[:, None]
    return torch.nn.functional.grid_sample(depth[:, None], grid, padding_mode="border", align_corners=False)[:, 0, 0]


def sample_depth_by_index(depth: Tensor, points: Tensor) -> Tensor:
    """`sample_depth` by four lookups: slower, but its gradient on a GPU is summed in the same order each time."""
    size = depth.shape[-1]
    inside = points.clamp(0, size - 1)
    low = inside.floor().clamp(max=size - 2)
    (x, y), (right, down) = low.long().unbind(2), (inside - low).unbind(2)
    batch = torch.arange(len(depth), device=depth.device)[:, None]
    upper = depth[batch, y, x] * (1 - right) + depth[batch, y, x + 1] * right
    lower = depth[batch, y + 1, x] * (1 - right) + depth[batch, y + 1, x + 1] * right
    return upper * (1 - down) + lower * down

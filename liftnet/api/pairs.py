"""The dataset for PyTorch: pairs of images with their correspondences, by index, and a batch of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from liftnet.core.errors import LiftnetError
from liftnet.data.dataset import Pair, coordinate_scale, load_image, open_shard, pairs_of, shard_paths

IMAGES_IN_MEMORY = 64


@dataclass(frozen=True, eq=False)
class PairItem:
    """A pair of images of one work.

    Attributes:
        pair: Ids, sizes, correspondences and scores as numpy arrays.
        image_a: (3, H, W) uint8 RGB; None where images are not asked for.
        image_b: (3, H, W) uint8 RGB, likewise.
        points_a: (N, 2) float32, px in image a, x right and y down, (0, 0) the centre of the top-left pixel.
        points_b: (N, 2) float32, the same points in image b.
        scores: (N,) float32 in [0, 1].
    """

    pair: Pair
    image_a: Tensor | None
    image_b: Tensor | None
    points_a: Tensor
    points_b: Tensor
    scores: Tensor


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Pairs with as many correspondences each, filled up with zeros.

    Attributes:
        items: What it was made of, with the images, whose sizes differ.
        points_a: (B, N, 2) float32.
        points_b: (B, N, 2) float32.
        scores: (B, N) float32.
        valid: (B, N) bool, false where filled up.
    """

    items: tuple[PairItem, ...]
    points_a: Tensor
    points_b: Tensor
    scores: Tensor
    valid: Tensor


class PairDataset(Dataset[PairItem]):
    """The pairs of a split, in the order of their ids; one row group and some images in memory.

    Args:
        dataset: The folder that `shard write` made, or a copy of it from the Hugging Face Hub.
        split: "train", "val" (or "validation") or "test".
        images: Whether items hold the images; the dataset must have been written with them.

    Raises:
        LiftnetError: The folder or one of its shards is missing, or not of this version.

    `torch.utils.data.DataLoader(PairDataset(folder, "train"), batch_size=4, collate_fn=collate_pairs)` gives batches;
    workers read for themselves.
    """

    def __init__(self, dataset: Path | str, split: str = "train", images: bool = True) -> None:
        self.dataset, self.split, self.images = Path(dataset), split, images
        self._groups: list[tuple[Path, int]] = []
        counts = []
        for path in shard_paths(self.dataset, split):
            metadata = open_shard(path).metadata
            self._groups += [(path, group) for group in range(metadata.num_row_groups)]
            counts += [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._ends = np.cumsum(counts, dtype=np.int64)
        self._forget()

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __repr__(self) -> str:
        return f"PairDataset({self.dataset}, {self.split}: {len(self)} pairs)"

    def __getitem__(self, index: int) -> PairItem:
        """A pair; negative indices count from the end.

        Raises:
            IndexError: There are fewer.
            LiftnetError: An image is missing or damaged.
        """
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"{index}: there are {len(self)} pairs")
        group = int(np.searchsorted(self._ends, place, side="right"))
        pair = self._pairs(group)[place - int(self._ends[group - 1] if group else 0)]
        image_a, image_b = (self._image(image) if self.images else None for image in (pair.image_a, pair.image_b))
        points_a, points_b, scores = map(torch.from_numpy, (pair.points_a, pair.points_b, pair.scores))
        return PairItem(pair, image_a, image_b, points_a, points_b, scores)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name not in ("_pairs", "_image")}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._forget()

    def _forget(self) -> None:
        self._pairs = lru_cache(1)(self._read_pairs)
        self._image = lru_cache(IMAGES_IN_MEMORY)(self._read_image)

    def _read_pairs(self, group: int) -> list[Pair]:
        path, number = self._groups[group]
        file = open_shard(path)
        return list(pairs_of(file.read_row_group(number), coordinate_scale(path, file)))

    def _read_image(self, image_id: str) -> Tensor:
        return torch.tensor(load_image(self.dataset, image_id, self.split)).permute(2, 0, 1)


def collate_pairs(items: Sequence[PairItem]) -> PairBatch:
    """Pairs as a batch, for `DataLoader(collate_fn=collate_pairs)`.

    Raises:
        LiftnetError: There is none.
    """
    if not items:
        raise LiftnetError("collate_pairs", "is given no pair", "Take a batch size of 1 or more")
    longest = max(len(item.scores) for item in items)
    points_a, points_b = torch.zeros(2, len(items), longest, 2)
    scores, valid = torch.zeros(len(items), longest), torch.zeros(len(items), longest, dtype=torch.bool)
    for row, item in enumerate(items):
        count = len(item.scores)
        points_a[row, :count], points_b[row, :count] = item.points_a, item.points_b
        scores[row, :count], valid[row, :count] = item.scores, True
    return PairBatch(tuple(items), points_a, points_b, scores, valid)

"""Which stored images look alike: perceptual hashes over all turns and mirror images, then fine detail.

A hash of 64 bits finds pictures that may be copies. It cannot tell a copy from the next view of a sculpture that was
turned a little before a plain wall, so what is dropped must agree in its fine detail as well (docs/splits.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftnet.collect.picture import SYMMETRIES
from liftnet.io.parallel import map_threads

DETAIL_SIDE = 128  # px to which images are brought before their detail is compared
BLUR_PX = 2.0  # what remains after a blur of this is not detail
ROWS, COLUMNS = 64, 4096  # of a tile of distances: 2 MB, which stays in a core's cache
DETAILS_IN_MEMORY = 4096  # 64 kB each

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Pairs of images whose hashes are close, ordered by their indices.

    Attributes:
        pairs: (P, 2) indices of images, the first below the second.
        distances: (P,) differing bits, least over the eight symmetries.
        symmetries: (P,) under which symmetry of the first image that is; 0 is upright.
    """

    pairs: Indices
    distances: Indices
    symmetries: Indices

    def __len__(self) -> int:
        return len(self.pairs)

    def within(self, most: int) -> NearPairs:
        """The pairs at a distance of at most `most`."""
        near = self.distances <= most
        return NearPairs(self.pairs[near], self.distances[near], self.symmetries[near])


def as_bits(phashes: Sequence[Sequence[str]]) -> Hashes:
    """Hashes in hex, eight for each of N images, as (N, 8) uint64."""
    return np.array([[int(text, 16) for text in image] for image in phashes], np.uint64).reshape(-1, len(SYMMETRIES))


def near_pairs(hashes: Hashes, most: int, threads: int = 1) -> NearPairs:
    """All pairs of images whose hashes differ in at most `most` bits under any symmetry.

    Every pair is compared, tile by tile, so the result is exact and memory does not grow with the number of images
    beyond the pairs found; time grows with its square (benchmarks/duplicates.md).

    Args:
        hashes: (N, 8); see `liftnet.collect.picture.perceptual_hashes`.
        most: Largest distance in bits.
        threads: Workers; the result does not depend on them.
    """
    starts = range(0, len(hashes), ROWS)
    # for each symmetry a contiguous row
    columns = np.ascontiguousarray(hashes.T)
    found = list(
        map_threads(lambda start: _band(columns, start, most), starts, threads, "collect", "comparing hashes")
    )
    parts = [np.concatenate(part) for part in zip(*found, strict=True)] or [np.empty(0, np.int64)] * 4
    first, second, distances, symmetries = parts
    # the least distance of each pair, and of equal ones the first symmetry
    order = np.lexsort([symmetries, distances, second, first])
    pairs = np.column_stack([first, second])[order]
    new = np.ones(len(pairs), np.bool_)
    new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return NearPairs(pairs[new], distances[order][new], symmetries[order][new])


def same_detail(paths: Sequence[Path], near: NearPairs, least: float, threads: int = 1) -> npt.NDArray[np.bool_]:
    """Whether the two images of each pair agree in their fine detail: one picture, not two like views.

    Args:
        paths: Files of all images.
        near: The pairs to look at.
        least: Least correlation of the detail.
        threads: Workers.

    Returns:
        (P,) bool.
    """
    load = lru_cache(DETAILS_IN_MEMORY)(lambda index, symmetry: detail(paths[index], symmetry))

    def agrees(number: int) -> bool:
        (first, second), symmetry = near.pairs[number].tolist(), int(near.symmetries[number])
        return float(np.mean(load(first, symmetry) * load(second, 0))) >= least

    checked = map_threads(agrees, range(len(near)), threads, "collect", "comparing images that look alike")
    return np.fromiter(checked, np.bool_, len(near))


def detail(path: Path, symmetry: int = 0) -> Floats:
    """The fine detail of a stored image: grey, shrunk to a square, without what a blur leaves, normalised.

    The mean product of two of them is their correlation.

    Args:
        path: Its file.
        symmetry: Index of the symmetry it is brought to first; 0 leaves it.

    Returns:
        (DETAIL_SIDE, DETAIL_SIDE) of mean 0 and standard deviation 1; zeros for an image without any detail.
    """
    with Image.open(path) as picture:
        picture.draft("L", (2 * DETAIL_SIDE, 2 * DETAIL_SIDE))
        small = picture.convert("L").resize((DETAIL_SIDE, DETAIL_SIDE), Image.Resampling.LANCZOS)
    turn = SYMMETRIES[symmetry]
    grey = np.asarray(small if turn is None else small.transpose(turn), np.float64)
    blur = _blur()
    rest = grey - blur @ grey @ blur.T
    rest -= rest.mean()
    return np.asarray(rest / max(float(rest.std()), 1e-6), np.float32)


def choose_kept(preference: Sequence[int], copies: Indices) -> dict[int, int]:
    """Which of images that are copies of each other to drop.

    Args:
        preference: The indices of all images, the one to keep rather first.
        copies: (P, 2) pairs of copies.

    Returns:
        For each dropped image the kept one of which it is a copy; of several the most preferred.
    """
    partners: dict[int, list[int]] = {}
    for a, b in copies.tolist():
        partners.setdefault(a, []).append(b)
        partners.setdefault(b, []).append(a)
    rank = {index: place for place, index in enumerate(preference)}
    dropped: dict[int, int] = {}
    for index in sorted(partners, key=rank.__getitem__):
        better = [other for other in partners[index] if rank[other] < rank[index] and other not in dropped]
        if better:
            dropped[index] = min(better, key=rank.__getitem__)
    return dropped


def _band(columns: Hashes, start: int, most: int) -> tuple[Indices, Indices, Indices, Indices]:
    """The near pairs whose first image is one of ROWS: first, second, distance, symmetry."""
    stop = min(start + ROWS, columns.shape[1])
    upright = columns[0]
    parts: list[tuple[Indices, Indices, Indices, Indices]] = [(np.empty(0, np.int64),) * 4]
    for left in range(start, columns.shape[1], COLUMNS):
        right = min(left + COLUMNS, columns.shape[1])
        differing = np.empty((stop - start, right - left), np.uint64)
        bits = np.empty(differing.shape, np.uint8)
        for symmetry, turned in enumerate(columns):
            np.bitwise_xor(turned[start:stop, None], upright[left:right], out=differing)
            np.bitwise_count(differing, out=bits)
            row, column = np.nonzero(bits <= most)
            later = left + column > start + row
            row, column = row[later], column[later]
            distance = bits[row, column].astype(np.int64)
            parts.append((start + row, left + column, distance, np.full(len(row), symmetry)))
    first, second, distances, symmetries = (np.concatenate(part) for part in zip(*parts, strict=True))
    return first, second, distances, symmetries


@lru_cache(maxsize=1)
def _blur() -> npt.NDArray[np.float64]:
    """The matrix that blurs the columns of an image with a Gaussian."""
    places = np.arange(DETAIL_SIDE)
    weights = np.exp(-0.5 * ((places[:, None] - places) / BLUR_PX) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))

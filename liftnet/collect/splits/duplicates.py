"""Which images that look alike are copies of each other, and which copy stays.

A hash of 64 bits finds pictures that may be copies. It cannot tell a copy from the next view of a sculpture that was
turned a little before a plain wall, so what is dropped must agree in its fine detail as well (docs/splits.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from liftnet.core.parallel import map_threads
from liftnet.data.perceptual_hashes import SYMMETRIES, Indices, NearPairs
from liftnet.data.pictures import read_small_grey

DETAIL_SIDE = 128  # px to which images are brought before their detail is compared
BLUR_PX = 2.0  # what remains after a blur of this is not detail
DETAILS_IN_MEMORY = 4096  # 64 kB each

Floats = npt.NDArray[np.float32]


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
        (first, second), symmetry = near.pairs[number].tolist(), int(near.variants[number])
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
    small = read_small_grey(path, DETAIL_SIDE)
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


@lru_cache(maxsize=1)
def _blur() -> npt.NDArray[np.float64]:
    """The matrix that blurs the columns of an image with a Gaussian."""
    places = np.arange(DETAIL_SIDE)
    weights = np.exp(-0.5 * ((places[:, None] - places) / BLUR_PX) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))

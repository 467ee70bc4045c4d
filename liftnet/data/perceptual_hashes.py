"""Perceptual hashes of 64 bits: which of many are close."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftnet.core.errors import LiftnetError
from liftnet.core.parallel import map_threads

ROWS, COLUMNS = 64, 4096  # of a tile of distances: 2 MB, which stays in a core's cache

HASHED_SIDE = 32  # imagehash's DCT hash is of 32 x 32 px
SYMMETRIES = (  # of a square
    None,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_180,
    Image.Transpose.ROTATE_270,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
)

_HASH = re.compile("[0-9a-fA-F]{1,16}")
Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]


def perceptual_hashes(pixels: Image.Image) -> tuple[str, ...]:
    """The 64-bit DCT hashes (imagehash's) of an image under the eight symmetries of a square, in hex.

    In this order: as it is, turned by 90, 180 and 270 degrees to the left, mirrored left to right, upside down,
    transposed, transposed along the other diagonal. All are of one small grey image, so seven of them cost little.
    """
    import imagehash

    small = pixels.convert("L").resize((HASHED_SIDE, HASHED_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return tuple(str(imagehash.phash(small if turn is None else small.transpose(turn))) for turn in SYMMETRIES)


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Pairs of images whose hashes are close, ordered by their indices.

    Attributes:
        pairs: (P, 2) indices of images, the first below the second.
        distances: (P,) differing bits, least over the variants.
        variants: (P,) of which variant of the first image that is.
    """

    pairs: Indices
    distances: Indices
    variants: Indices

    def __len__(self) -> int:
        return len(self.pairs)

    def within(self, most: int) -> NearPairs:
        """The pairs at a distance of at most `most`."""
        return self._of(np.less_equal(self.distances, most))

    def without(self, images: Collection[int]) -> NearPairs:
        """The pairs of which neither is one of `images`."""
        return self._of(~np.isin(self.pairs, np.array(sorted(images), np.int64)).any(axis=1))

    def _of(self, chosen: npt.NDArray[np.bool_] | np.bool_) -> NearPairs:
        return NearPairs(self.pairs[chosen], self.distances[chosen], self.variants[chosen])


def as_bits(hashes: Sequence[Sequence[str]]) -> Hashes:
    """Hashes in hex, V variants for each of N images, as (N, V) uint64.

    Raises:
        LiftnetError: One is no hash.
    """
    odd = next((text for image in hashes for text in image if not _HASH.fullmatch(text)), None)
    if odd is not None:
        raise LiftnetError(repr(odd), "stands where the hash of a picture belongs", "Make the table anew")
    bits = np.array([[int(text, 16) for text in image] for image in hashes], np.uint64)
    return bits if len(hashes) else bits.reshape(0, 1)


def near_pairs(
    hashes: Hashes, most: int, threads: int = 1, stage: str = "collect", kept: int | None = None
) -> NearPairs:
    """All pairs of images of which a variant of the first differs in at most `most` bits from the second as it is.

    Every pair is compared, tile by tile, so the result is exact and memory does not grow with the number of images
    beyond the pairs found; time grows with its square (benchmarks/splits.md).

    Args:
        hashes: (N, V): for each image the hash of it as it is, then those of its variants.
        most: Largest distance in bits.
        threads: Workers; the result does not depend on them.
        stage: For the progress shown.
        kept: Of the later images that are near one, only so many are paired with it, the nearest: of thousand variants
            of one picture all pairs are half a million. They stay tied to each other, from one to the next.
    """
    starts = range(0, len(hashes), ROWS)
    columns = np.ascontiguousarray(hashes.T)
    found = list(
        map_threads(lambda start: _band(columns, start, most, kept), starts, threads, stage, "comparing hashes")
    )
    parts = [np.concatenate(part) for part in zip(*found, strict=True)] or [np.empty(0, np.int64)] * 4
    first, second, distances, variants = parts
    order = np.lexsort([second, first])
    return NearPairs(np.column_stack([first, second])[order], distances[order], variants[order])


def _band(columns: Hashes, start: int, most: int, kept: int | None) -> tuple[Indices, Indices, Indices, Indices]:
    """The near pairs whose first image is one of ROWS: first, second, least distance, first variant that has it."""
    stop = min(start + ROWS, columns.shape[1])
    upright = columns[0]
    parts: list[tuple[Indices, Indices, Indices, Indices]] = [(np.empty(0, np.int64),) * 4]
    for left in range(start, columns.shape[1], COLUMNS):
        right = min(left + COLUMNS, columns.shape[1])
        differing = np.empty((stop - start, right - left), np.uint64)
        bits = np.empty(differing.shape, np.uint8)
        least, which = np.full(differing.shape, 255, np.uint8), np.zeros(differing.shape, np.uint8)
        for variant, turned in enumerate(columns):
            np.bitwise_xor(turned[start:stop, None], upright[left:right], out=differing)
            np.bitwise_count(differing, out=bits)
            if variant:
                which[bits < least] = variant
            np.minimum(least, bits, out=least)
        row, column = np.nonzero(least <= most)
        later = left + column > start + row
        row, column = row[later], column[later]
        found = (row, left + column, least[row, column].astype(np.int64), which[row, column].astype(np.int64))
        parts.append(found if kept is None else _nearest(found, kept))
    first, second, distances, variants = (np.concatenate(part) for part in zip(*parts, strict=True))
    found = (
        (first, second, distances, variants) if kept is None else _nearest((first, second, distances, variants), kept)
    )
    return start + found[0], found[1], found[2], found[3]


def _nearest(found: tuple[Indices, Indices, Indices, Indices], kept: int) -> tuple[Indices, Indices, Indices, Indices]:
    """Of the pairs of each first image the `kept` of least distance, of equal ones the earlier."""
    first, second, distances, variants = found
    order = np.lexsort([second, distances, first])
    begins = np.searchsorted(first[order], first[order], side="left")
    chosen = order[np.arange(len(order)) - begins < kept]
    return first[chosen], second[chosen], distances[chosen], variants[chosen]

"""Matching of descriptors: exact nearest neighbours with the ratio test and the mutual check.

The nearest neighbours are found in a tile of distances and one pass over it. Byte descriptors are compared in whole
numbers (`liftnet.match.kernels`) where the processor has a kernel. Else, and
for floating point descriptors, the squared distance is written as a single inner product,
`-d^2/2 = (a, -|a|^2/2, 1) . (b, 1, -|b|^2/2)`, so that one single-precision GEMM gives a similarity whose row and
column maxima are the nearest neighbours in both directions. For bytes every partial sum is a multiple of 1/2 below
2^23, which single precision holds exactly. So for bytes the result is exact both ways and does not depend on the
processor, the BLAS library, the tile size or the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from liftnet.core.types import UInt8Array
from liftnet.data.features import Floats
from liftnet.match.kernels import (
    COLUMNS_AT_ONCE,
    FAR,
    WIDTH,
    Int32Array,
    Kernel,
    compile_distances,
    exceeding,
    lowest_bit,
    pack_columns,
    pack_rows,
    usable_kernels,
)

Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Descriptors = npt.NDArray[np.uint8] | npt.NDArray[np.floating] | npt.NDArray[np.uint8 | np.float16]

_BYTES_PER_TILE = 2**19  # of distances: half of a core's second-level cache
_ROWS_PER_TILE = 128  # a tile of 128 x 8000 similarities stays in the cache between the GEMM and the pass over it


def match_descriptors(
    descriptors_a: Descriptors, descriptors_b: Descriptors, ratio: float = 0.8, mutual: bool = True
) -> Indices:
    """Match each descriptor of a to its nearest in b, if that is clearly nearer than the second nearest.

    The ratio test is Lowe's (2004, section 7.1): distance to the nearest < `ratio` times distance to the second
    nearest, Euclidean. It is asked of a's descriptors; `mutual` also asks that a's is the nearest of b's. Where b has
    a single descriptor nothing can be compared, so the test fails. A `ratio` of 1 switches the test off.

    Args:
        descriptors_a: (N, D) uint8 or floating point; N may be 0.
        descriptors_b: (M, D) of the same kind; M may be 0.
        ratio: In (0, 1].
        mutual: Whether matches must be nearest in both directions.

    Returns:
        (K, 2) int64, rows (index into a, index into b), ascending in the first. Equally near neighbours count as the
        one of lowest index, and never pass a ratio test. With floating point descriptors, neighbours whose distances
        differ by less than the rounding of single precision may change places.

    Raises:
        ValueError: The arrays are not two-dimensional, differ in D, hold NaN or infinity, or `ratio` is out of range.
    """
    return match_with_ratios(descriptors_a, descriptors_b, ratio, mutual)[0]


def match_with_ratios(
    descriptors_a: Descriptors, descriptors_b: Descriptors, ratio: float = 0.8, mutual: bool = True
) -> tuple[Indices, Floats]:
    """As `match_descriptors`, and with the distance ratio of each match.

    Returns:
        matches: (K, 2) int64.
        ratios: (K,) float32 in [0, 1], distance to the nearest over distance to the second nearest; 1 on a tie.
    """
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio must lie in (0, 1], not {ratio}")
    found = find_neighbours(descriptors_a, descriptors_b)
    if ratio < 1:
        keep = (np.sqrt(found.first) < ratio * np.sqrt(found.second)) & np.isfinite(found.second)
    else:
        keep = np.ones(len(found.nearest), bool)
    if mutual and len(found.nearest):
        keep &= found.nearest_of_b[found.nearest] == np.arange(len(found.nearest))
    kept = np.flatnonzero(keep)
    return np.column_stack([kept, found.nearest[kept]]), _ratios(found.first[kept], found.second[kept])


def score_matches(descriptors_a: Descriptors, descriptors_b: Descriptors, matches: Indices) -> Floats:
    """Scores of given matches: 1 - distance ratio, clipped to [0, 1].

    The second distance of the ratio is that to the nearest of all other descriptors of b, so a match that is not
    a's nearest scores 0.

    Args:
        descriptors_a: (N, D).
        descriptors_b: (M, D).
        matches: (K, 2) indices into a and b.

    Returns:
        (K,) float32.
    """
    if len(matches) == 0 or len(descriptors_b) < 2:
        return np.zeros(len(matches), np.float32)
    asked = np.asarray(descriptors_a)[matches[:, 0]]
    found = find_neighbours(asked, descriptors_b)
    distance = squared_distances(asked, np.asarray(descriptors_b)[matches[:, 1]])
    other = np.where(found.nearest == matches[:, 1], found.second, found.first)
    return np.float32(1) - _ratios(distance, other)


def _ratios(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> Floats:
    """Distance ratios from squared distances; two distances of 0 are a tie, a missing second neighbour counts as 1."""
    known = np.isfinite(second) & (second > 0)
    squared = np.divide(first, second, out=np.ones(len(first)), where=known)
    return np.sqrt(np.clip(squared, 0, 1)).astype(np.float32)


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours between descriptors a (N) and b (M).

    Attributes:
        nearest: (N,) int64, index into b of the nearest; the lowest index where several are equally near.
        first: (N,) float64, squared distance to it.
        second: (N,) float64, squared distance to the second nearest, equal to `first` on a tie; inf where M is 1.
        nearest_of_b: (M,) int64, index into a of the nearest of each b; the lowest on a tie.
    """

    nearest: Indices
    first: npt.NDArray[np.float64]
    second: npt.NDArray[np.float64]
    nearest_of_b: Indices


class RowMaxima(NamedTuple):
    """The two largest values of each row: (N,) where they stand and (N,) what they are; filled row by row."""

    best: Indices
    second: Indices
    top: npt.NDArray[Any]
    runner_up: npt.NDArray[Any]


class ColumnMaxima(NamedTuple):
    """The largest value of each column so far: (M,) what it is and (M,) in which row it stands."""

    top: npt.NDArray[Any]
    best: Indices


def find_neighbours(descriptors_a: Descriptors, descriptors_b: Descriptors) -> Neighbours:
    """The nearest and second nearest of each a among b, and the nearest of each b among a.

    Args:
        descriptors_a: (N, D) uint8 or floating point.
        descriptors_b: (M, D) of the same kind.
    """
    a, b = _checked(descriptors_a), _checked(descriptors_b)
    n, m = len(a), len(b)
    if n and m and a.shape[1] != b.shape[1]:
        raise ValueError(f"descriptors have {a.shape[1]} and {b.shape[1]} numbers; they must have the same")
    if not n or not m:
        inf = np.full(n if m else 0, np.inf)
        return Neighbours(np.zeros(len(inf), np.int64), inf, inf, np.zeros(m if n else 0, np.int64))
    if _is_exact(a, b) and (kernel := _kernel()) is not None:
        return byte_neighbours(a.astype(np.uint8, copy=False), b.astype(np.uint8, copy=False), kernel)
    return _float_neighbours(a, b)


def byte_neighbours(a: UInt8Array, b: UInt8Array, kernel: Kernel) -> Neighbours:
    """`find_neighbours` of bytes by a kernel of the processor.

    Args:
        a: (N, D) uint8, D at most WIDTH.
        b: (M, D) uint8, M at least 1.
        kernel: One of `usable_kernels()`.
    """
    n, m = len(a), len(b)
    rows, norms = pack_rows(a, kernel)
    panels, offsets = pack_columns(b, kernel)
    found = RowMaxima(np.empty(n, np.int64), np.empty(n, np.int64), *np.empty((2, n), np.int32))
    column_top = np.full(len(offsets), np.iinfo(np.int32).max, np.int32)  # padding is never exceeded
    column_top[:m] = FAR
    columns = ColumnMaxima(column_top, np.zeros(m, np.int64))
    height = max(_BYTES_PER_TILE // (4 * len(offsets)) // kernel.rows, 1) * kernel.rows
    tile = np.empty((min(height, len(rows)), len(offsets)), np.int32)
    fill = compile_distances(kernel)
    for start in range(0, n, height):
        fill(rows, norms, panels, offsets, start, min(height, len(rows) - start), tile)
        count = min(height, n - start)
        _scan_distances(tile, start, count, found, columns)
    first, other = -found.top.astype(np.float64), -found.runner_up.astype(np.float64)
    return Neighbours(found.best, first, other if m > 1 else np.full(n, np.inf), columns.best)


@cache
def _kernel() -> Kernel | None:
    """The processor's fastest kernel, or None."""
    return next(iter(usable_kernels()), None)


def _float_neighbours(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic]) -> Neighbours:
    """`find_neighbours` by a matrix product in single precision."""
    n, m = len(a), len(b)
    rows, columns = _augmented(a, norm_first=True), np.ascontiguousarray(_augmented(b, norm_first=False).T)
    found = RowMaxima(np.empty(n, np.int64), np.empty(n, np.int64), *np.empty((2, n), np.float32))
    largest = ColumnMaxima(np.full(m, -np.inf, np.float32), np.zeros(m, np.int64))
    tile = np.empty((min(_ROWS_PER_TILE, n), m), np.float32)
    for start in range(0, n, _ROWS_PER_TILE):
        similarity = tile[: min(_ROWS_PER_TILE, n - start)]
        np.matmul(rows[start : start + _ROWS_PER_TILE], columns, out=similarity)
        _scan_tile(similarity, start, found, largest)
    if _is_exact(a, b):
        first, other = (-2 * values.astype(np.float64) for values in (found.top, found.runner_up))
        return Neighbours(found.best, first, other, largest.best)
    return _refined(a, b, found.best, found.second, largest.best)


def _refined(
    a: npt.NDArray[np.generic], b: npt.NDArray[np.generic], best: Indices, second: Indices, column_best: Indices
) -> Neighbours:
    """Distances of the two candidates anew in double precision: -d^2/2 cancels where descriptors are nearly equal."""
    first = squared_distances(a, b[best])
    if len(b) == 1:
        return Neighbours(best, first, np.full(len(a), np.inf), column_best)
    other = squared_distances(a, b[second])
    swap = (other < first) | ((other == first) & (second < best))
    return Neighbours(np.where(swap, second, best), np.minimum(first, other), np.maximum(first, other), column_best)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _scan_tile(similarity: Array, start: int, found: RowMaxima, largest: ColumnMaxima) -> None:
    """Two largest of each row and running largest of each column, in one pass; strict > keeps the lowest index."""
    column_top, column_best = largest.top, largest.best
    rows, columns = similarity.shape
    for i in range(rows):
        row = similarity[i]
        first_value = second_value = np.float32(-np.inf)
        first_index = second_index = 0
        for j in range(columns):
            value = row[j]
            if value > second_value:
                if value > first_value:
                    second_value, second_index = first_value, first_index
                    first_value, first_index = value, j
                else:
                    second_value, second_index = value, j
            if value > column_top[j]:
                column_top[j] = value
                column_best[j] = start + i
        found.best[start + i], found.second[start + i] = first_index, second_index
        found.top[start + i], found.runner_up[start + i] = first_value, second_value


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _scan_distances(tile: Int32Array, start: int, count: int, found: RowMaxima, largest: ColumnMaxima) -> None:
    """As `_scan_tile`, for whole numbers: columns are looked at only where a vector comparison finds a new maximum."""
    column_top, column_best = largest.top, largest.best
    width = tile.shape[1]
    for i in range(count):
        first_value = second_value = np.int32(FAR)
        first_index = second_index = np.int64(0)
        for base in range(0, width, COLUMNS_AT_ONCE):
            row_address = tile.ctypes.data + (np.int64(i) * width + base) * 4
            bits = exceeding(row_address, column_top.ctypes.data + np.int64(base) * 4, second_value)
            while bits != 0:
                j = base + lowest_bit(bits)
                bits &= bits - 1
                value = tile[i, j]
                if value > second_value:
                    if value > first_value:
                        second_value, second_index = first_value, first_index
                        first_value, first_index = value, j
                    else:
                        second_value, second_index = value, j
                if value > column_top[j]:
                    column_top[j] = value
                    column_best[j] = start + i
        found.best[start + i], found.second[start + i] = first_index, second_index
        found.top[start + i], found.runner_up[start + i] = first_value, second_value


def _checked(descriptors: Descriptors) -> npt.NDArray[np.generic]:
    """As a two-dimensional array of uint8 or float32 without NaN or infinity."""
    array = np.asarray(descriptors)
    if array.ndim != 2:
        raise ValueError(f"descriptors must have the shape (N, D), not {array.shape}")
    if array.dtype == np.uint8:
        return array
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError("descriptors hold NaN or infinity")
    return array


def _augmented(descriptors: npt.NDArray[np.generic], norm_first: bool) -> Array:
    """(N, D + 2): the descriptors and, in one order or the other, minus half their squared norm and 1."""
    n, width = descriptors.shape
    out = np.ones((n, width + 2), np.float32)
    out[:, :width] = descriptors
    out[:, width if norm_first else width + 1] = np.einsum("ij,ij->i", out[:, :width], out[:, :width]) * -0.5
    return out


def _is_exact(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic]) -> bool:
    return a.dtype == np.uint8 and b.dtype == np.uint8 and a.shape[1] <= WIDTH


def squared_distances(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """(K,) squared distances between rows of a and b."""
    difference = a.astype(np.float64) - b.astype(np.float64)
    return np.einsum("ij,ij->i", difference, difference)

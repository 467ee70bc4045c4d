"""Matching of descriptors: exact nearest neighbours with the ratio test and the mutual check."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from liftnet.data.features import Floats
from liftnet.match.neighbours import Descriptors, Indices, find_neighbours, squared_distances


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

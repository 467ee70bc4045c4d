"""Distance of two light field descriptors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from liftnet.shape.light_field.descriptor import LightField
from liftnet.shape.light_field.views import VIEWS, alignments

FloatArray = npt.NDArray[np.float64]


def distance(a: LightField, b: LightField) -> int:
    """The light field distance: 0 for equal descriptors, symmetric, some thousands for shapes of different kind.

    The smallest sum of differences of ten images over all pairs of light fields and all 60 turns of the dodecahedron.
    Images differ by the L1 distance of their bytes, outlines (Fourier) and circularity counted twice.
    """
    return int(distances([a], [b])[0, 0])


def distances(a: Sequence[LightField], b: Sequence[LightField]) -> npt.NDArray[np.int64]:
    """(A, B) distances of each of `a` from each of `b`."""
    left, right = [_weighted(each) for each in a], [_weighted(each) for each in b]
    return np.array([[_distance(one, other) for other in right] for one in left], np.int64).reshape(len(a), len(b))


def _weighted(shape: LightField) -> FloatArray:
    """(L * 10, 47) bytes with their weights, so that L1 distances are image differences."""
    parts = [shape.art, 2.0 * shape.fourier, 2.0 * shape.circularity[..., None], shape.eccentricity[..., None]]
    weighted = np.concatenate(parts, -1)
    return weighted.reshape(-1, weighted.shape[-1])


def _distance(a: FloatArray, b: FloatArray) -> int:
    costs = cdist(a, b, "cityblock").reshape(len(a) // VIEWS, VIEWS, len(b) // VIEWS, VIEWS)
    pairs = costs.transpose(0, 2, 1, 3).reshape(-1, VIEWS * VIEWS)
    return round(float((pairs @ _chosen_pairs()).min()))


@cache
def _chosen_pairs() -> FloatArray:
    """(100, 60): 1 where a turn lays view i on view j, row 10 i + j; a product with it sums the costs of each turn."""
    chosen = np.zeros((VIEWS, VIEWS, len(alignments())))
    for turn, landing in enumerate(alignments()):
        chosen[np.arange(VIEWS), landing, turn] = 1
    return chosen.reshape(VIEWS * VIEWS, -1)

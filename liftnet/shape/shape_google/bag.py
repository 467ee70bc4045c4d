"""Bags of geometric words, alone and in pairs, and their distance (Bronstein et al., Shape Google, TOG 2011)."""

from __future__ import annotations

import numpy as np

from liftnet.core.types import FloatArray
from liftnet.mesh.mesh import TriangleMesh
from liftnet.shape.shape_google.laplacian import heat_kernel_signature
from liftnet.shape.shape_google.vocabulary import Vocabulary, load_vocabulary, signatures_of, spectrum_of


def describe(mesh: TriangleMesh, vocabulary: Vocabulary | None = None, seed: int = 0) -> FloatArray:
    """The bag of features of a shape: how much of its area belongs to each word.

    It depends neither on place, rotation, scale nor bending, and not on how the surface is cut into triangles. Its
    cost is that of the vocabulary's number of points, however many faces there are.

    Args:
        mesh: The surface, open or not, of whatever parts.
        vocabulary: The words; those of the package if None.
        seed: Of the points that are drawn.

    Returns:
        (W,) fractions, their sum is 1.
    """
    vocabulary = vocabulary or load_vocabulary()
    signatures, areas = signatures_of(mesh, vocabulary.settings, seed)
    return areas @ vocabulary.memberships(signatures)


def describe_pairs(
    mesh: TriangleMesh, vocabulary: Vocabulary | None = None, seed: int = 0, time: float | None = None
) -> FloatArray:
    """The spatially sensitive bag of a shape: how much of its heat goes from word to word.

    Args:
        mesh: The surface.
        vocabulary: The words; those of the package if None.
        seed: Of the points that are drawn.
        time: How long the heat flows, in units of the area; the first time of the signatures if None.

    Returns:
        (W, W) integral of theta(x) theta(y)^T K_t(x, y) over all pairs of points, symmetric, its sum is 1.
    """
    vocabulary = vocabulary or load_vocabulary()
    spectrum = spectrum_of(mesh, vocabulary.settings, seed)
    members = vocabulary.memberships(heat_kernel_signature(spectrum, vocabulary.times))
    along = spectrum.functions.T @ (spectrum.areas[:, None] * members)
    decay = np.exp(-spectrum.eigenvalues * (vocabulary.times[0] if time is None else time))
    return along.T @ (decay[:, None] * along)


def distance(a: FloatArray, b: FloatArray) -> float:
    """The sum of absolute differences of two bags, both from one vocabulary: 0 to 2 for `describe`.

    Raises:
        ValueError: The bags have different shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"bags of one vocabulary have the same shape, these have {a.shape} and {b.shape}")
    return float(np.abs(a - b).sum())

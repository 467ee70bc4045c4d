"""The processor's integer kernels give the distances and neighbours of plain arithmetic, whatever the sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftnet.match import descriptors as exact
from liftnet.match import kernels
from liftnet.match.descriptors import match_descriptors
from liftnet.match.kernels import FAR, KERNELS, compile_distances, pack_columns, pack_rows, usable_kernels

USABLE = {kernel.feature: kernel for kernel in usable_kernels()}
each_kernel = pytest.mark.parametrize(
    "kernel",
    [
        pytest.param(
            kernel,
            id=kernel.feature,
            marks=pytest.mark.skipif(kernel.feature not in USABLE, reason=f"this processor has no {kernel.feature}"),
        )
        for kernel in KERNELS
    ],
)


def descriptors(rng, count, width=128, kind="sift"):
    if kind == "extreme":
        return (rng.integers(0, 2, (count, width)) * 255).astype(np.uint8)
    return np.minimum(rng.gamma(0.6, 50, (count, width)), 255).astype(np.uint8)


def squared_distances(a, b):
    """(N, M) int64, written out."""
    return ((a.astype(np.int64)[:, None] - b.astype(np.int64)[None]) ** 2).sum(axis=2)


@each_kernel
@pytest.mark.parametrize("kind", ["sift", "extreme"])
@pytest.mark.parametrize(("n", "m", "width"), [(1, 1, 128), (6, 64, 128), (7, 65, 128), (50, 130, 64), (13, 9, 3)])
def test_a_tile_holds_minus_the_squared_distances(kernel, kind, n, m, width):
    rng = np.random.default_rng(n)
    a, b = descriptors(rng, n, width, kind), descriptors(rng, m, width, kind)
    rows, norms = pack_rows(a, kernel)
    panels, offsets = pack_columns(b, kernel)
    tile = np.zeros((len(rows), len(offsets)), np.int32)
    compile_distances(kernel)(rows, norms, panels, offsets, 0, len(rows), tile)
    assert np.array_equal(tile[:n, :m], -squared_distances(a, b))
    assert (tile[:n, m:] < FAR + 1).all()


@each_kernel
@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(1, 40), m=st.integers(1, 150), width=st.sampled_from([1, 8, 128]), seed=st.integers(0, 99),
    levels=st.sampled_from([2, 3, 256]), tile=st.sampled_from([1, 4000, 2**19]),
)  # fmt: skip
def test_neighbours_with_many_ties(kernel, n, m, width, seed, levels, tile):
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, levels, (count, width)).astype(np.uint8) for count in (n, m))
    distances = squared_distances(a, b)
    before = exact._BYTES_PER_TILE
    exact._BYTES_PER_TILE = tile
    try:
        found = exact.byte_neighbours(a, b, kernel)
    finally:
        exact._BYTES_PER_TILE = before
    assert np.array_equal(found.nearest, distances.argmin(axis=1))  # argmin takes the lowest index of equal ones
    assert np.array_equal(found.nearest_of_b, distances.argmin(axis=0))
    ordered = np.sort(distances, axis=1)
    assert np.array_equal(found.first, ordered[:, 0])
    assert np.array_equal(found.second, ordered[:, 1] if m > 1 else np.full(n, np.inf))


@each_kernel
def test_the_same_as_the_matrix_product(kernel):
    rng = np.random.default_rng(5)
    a = descriptors(rng, 700)
    b = np.clip(a[rng.permutation(700)][:611] + rng.normal(0, 20, (611, 128)), 0, 255).astype(np.uint8)
    ours, theirs = exact.byte_neighbours(a, b, kernel), exact._float_neighbours(a, b)
    for name in ("nearest", "first", "second", "nearest_of_b"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name))


def test_without_a_kernel_the_matrix_product_is_used(monkeypatch):
    rng = np.random.default_rng(6)
    a, b = descriptors(rng, 60), descriptors(rng, 50)
    expected = match_descriptors(a, b, 0.99)
    monkeypatch.setattr(exact, "_kernel", lambda: None)
    monkeypatch.setattr(exact, "byte_neighbours", None)
    assert np.array_equal(match_descriptors(a, b, 0.99), expected)
    assert len(expected) > 5


def test_no_kernel_for_another_processor(monkeypatch):
    monkeypatch.setattr(kernels.config, "CPU_NAME", "generic")
    assert usable_kernels() == []

"""The filter that draws the edges of a map where those of a photograph are."""

import cv2
import numpy as np
import pytest

from liftnet.models.guided_filter import guided_filter


def disc(size, radius, at=0.5):
    y, x = np.mgrid[:size, :size] - at * (size - 1)
    return np.hypot(x, y) <= radius


def plain(guide, values, reach, epsilon):
    """The filter by its definition: a line fitted in each window, the lines of all windows of a pixel averaged."""
    size = len(guide)
    padded = [np.pad(array.astype(float), reach, mode="reflect") for array in (guide, values)]
    window = np.s_[: 2 * reach + 1]
    lines = np.zeros((2, size, size))
    for i in range(size):
        for j in range(size):
            one, other = (array[i:, j:][window, window].ravel() for array in padded)
            slope = np.mean((one - one.mean()) * (other - other.mean())) / (one.var() + epsilon)
            lines[:, i, j] = slope, other.mean() - slope * one.mean()
    spread = [np.pad(line, reach, mode="reflect") for line in lines]
    means = [[[a[i:, j:][window, window].mean() for j in range(size)] for i in range(size)] for a in spread]
    return np.array(means[0]) * guide + np.array(means[1])


def test_values_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    guide, values = rng.random((12, 12), dtype=np.float32), rng.normal(size=(12, 12)).astype(np.float32)
    found = guided_filter(guide, values, 2 / 12, 1e-2)
    assert np.allclose(found, plain(guide, values, 2, 1e-2), atol=1e-4)


@pytest.mark.parametrize("size", [200, 2500])
def test_an_outline_that_is_off_by_a_little_is_drawn_to_the_edge(size):
    true, off = disc(size, 0.3 * size), disc(size, 0.306 * size)
    guide = np.where(true, 0.7, 0.3).astype(np.float32)
    map_of_network = cv2.resize(np.where(off, 4, -4).astype(np.float32), (100, 100), interpolation=cv2.INTER_AREA)
    found = guided_filter(guide, map_of_network, 0.02, 1e-4) > 0
    assert (found != true).mean() < 0.25 * (off != true).mean()


def test_where_the_photograph_is_even_the_map_is_only_smoothed():
    guide, values = np.full((60, 60), 0.5, np.float32), np.where(disc(60, 15), 4, -4).astype(np.float32)
    assert ((guided_filter(guide, values, 0.03, 1e-4) > 0) != disc(60, 15)).mean() < 0.01

"""Pictures of differences paint each patch where it lies."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from liftnet.drkfs.metric import Differences
from liftnet.drkfs.score import draw_differences, painted, spread_patches


def test_a_patch_is_painted_where_it_lies() -> None:
    values = np.zeros((15, 15))
    values[3, 10] = 2.0
    heat = spread_patches(values, 256)
    rows, columns = np.nonzero(heat > 1e-9)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (48, 80, 160, 192)
    assert heat.max() <= 2
    np.testing.assert_allclose(heat[64, 176], 2, rtol=0.1)


def test_closer_patches_lie_closer() -> None:
    values = np.zeros((29, 29))
    values[1, 28] = 1.0
    rows, columns = np.nonzero(spread_patches(values, 256, stride=8) > 1e-9)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (8, 40, 224, 256)


def test_even_values_give_an_even_image() -> None:
    np.testing.assert_allclose(spread_patches(np.full((15, 15), 0.7), 256), 0.7)


def test_no_heat_leaves_the_view_as_it_is() -> None:
    view = np.random.default_rng(0).random((8, 8))
    np.testing.assert_allclose(painted(view, np.zeros((8, 8))), np.repeat(view[..., None], 3, 2))
    hot = painted(view, np.ones((8, 8)))
    assert (hot[..., 0] > hot[..., 1]).all()


def test_the_picture_shows_the_views_that_differ_most(tmp_path: Path) -> None:
    views = torch.rand(4, 64, 64)
    distances = torch.zeros(4, 3, 3)
    distances[2, 1, 1] = 1.0
    weights = torch.ones(4, 3, 3)
    differences = Differences(views, views, (views, views), (distances, distances / 2), (weights, weights), 1.5)
    draw_differences(differences, tmp_path / "a" / "picture.png", ("one", "two"), columns=1)
    picture = np.asarray(Image.open(tmp_path / "a" / "picture.png").convert("RGB")).astype(int)
    assert picture.shape[0] > picture.shape[1]  # one column, two rows
    reddest = (picture[..., 0] - picture[..., 2]).max()
    assert reddest > 100

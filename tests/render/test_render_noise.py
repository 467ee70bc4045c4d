import numpy as np
import pytest

from liftnet.render.materials import FLOORS, MATERIALS, WALLS, cells, fractal


@pytest.fixture
def points():
    return np.random.default_rng(0).uniform(-3, 3, (4000, 3)).astype(np.float32)


def test_gradient_is_the_slope_of_the_noise(points):
    sharp = np.zeros(len(points), np.float32)
    step = 2e-3
    _, gradient = fractal(points, sharp, 5, 2.0, 3)
    for axis in range(3):
        shift = np.eye(3, dtype=np.float32)[axis] * np.float32(step / 2)
        slope = (fractal(points + shift, sharp, 5, 2.0, 3)[0] - fractal(points - shift, sharp, 5, 2.0, 3)[0]) / step
        assert np.median(np.abs(slope - gradient[:, axis])) < 0.01
        assert np.corrcoef(slope, gradient[:, axis])[0, 1] > 0.999


def test_noise_is_bounded_centred_and_depends_on_the_seed(points):
    sharp = np.zeros(len(points), np.float32)
    value, _ = fractal(points, sharp, 1, 1.5, 1)
    assert np.abs(value).max() <= 1.0001
    assert abs(value.mean()) < 0.08
    other, _ = fractal(points, sharp, 2, 1.5, 1)
    assert abs(np.corrcoef(value, other)[0, 1]) < 0.15
    np.testing.assert_array_equal(value, fractal(points, sharp, 1, 1.5, 1)[0])


def test_octaves_finer_than_the_pixel_fade_out(points):
    coarse = np.full(len(points), 1.0, np.float32)
    value, gradient = fractal(points, coarse, 1, 4.0, 5)
    assert not value.any()
    assert not gradient.any()


def test_cell_noise_agrees_with_a_search_over_all_seeds():
    # the seeds are where the distance is zero: recover them by their cells' numbers, then measure by brute force
    grid = np.stack(np.meshgrid(*[np.linspace(0, 3, 61)] * 3, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)
    near, second, name = cells(grid, 3, 1.0)
    assert (near <= second).all()
    assert (second < 2.0).all()
    inside = ((grid > 0.8) & (grid < 2.2)).all(1)
    for value in np.unique(name[inside])[:10]:
        own = grid[name == value]
        best = own[near[name == value].argmin()]
        # distances within a cell are those to one point, up to the grid's spacing
        assert np.abs(np.linalg.norm(own - best, axis=1) - near[name == value]).max() < 0.05 * np.sqrt(3) + 1e-3


@pytest.mark.parametrize("name", [*MATERIALS, *FLOORS, *WALLS])
def test_surfaces_have_colours_that_differ_from_point_to_point(name, points):
    make = {**MATERIALS, **FLOORS, **WALLS}[name]
    for seed in range(3):
        surface = make(np.random.default_rng(seed))(points, np.full(len(points), 0.004, np.float32))
        assert surface.albedo.shape == surface.bump.shape == (len(points), 3)
        assert np.isfinite(surface.albedo).all()
        assert np.isfinite(surface.bump).all()
        assert surface.albedo.min() > -0.05
        assert surface.albedo.max() < 2.5
        assert surface.albedo.mean(1).std() > 0.05 * surface.albedo.mean()

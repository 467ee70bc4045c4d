"""Points are moved to where the pictures around them agree: by known maps, and as plain numpy does it."""

import numpy as np
import pytest

from liftnet.geometry.alignment import (
    DAMPING,
    ENOUGH,
    FAINT,
    HALF,
    STEPS,
    Alignment,
    Pyramid,
    align_points,
    sample_weights,
)

WAVES = np.random.default_rng(0).normal(size=(60, 2)) * 0.25
PHASES = np.random.default_rng(1).uniform(0, 2 * np.pi, 60)
LINEAR = np.array([[0.95, -0.2], [0.25, 1.1]])
SHIFT = np.array([7.3, -11.6])


def texture(points):
    """Grey levels of a surface without edges at (..., 2) places."""
    return 128 + 12 * np.cos(points @ WAVES.T + PHASES).sum(axis=-1) / np.sqrt(0.5 * len(WAVES)) * 3


def picture(size, place=lambda points: points, gain=1.0, bias=0.0):
    grid = np.stack(np.meshgrid(np.arange(size[0]), np.arange(size[1])), axis=-1).astype(float)
    return np.rint(np.clip(gain * texture(place(grid)) + bias, 0, 255)).astype(np.uint8)


@pytest.fixture(scope="module")
def views():
    """A texture, and the same through an affine map, darker and with less contrast."""
    back = np.linalg.inv(LINEAR)
    other = picture((200, 180), lambda points: (points - SHIFT) @ back.T, 0.6, 20)
    return Pyramid.of(picture((160, 140))), Pyramid.of(other)


def matched(n, off):
    rng = np.random.default_rng(2)
    a = rng.uniform([50, 50], [110, 90], (n, 2))
    angle = rng.uniform(0, 2 * np.pi, n)
    error = off * np.column_stack([np.cos(angle), np.sin(angle)])
    return a, a @ LINEAR.T + SHIFT + error, error, np.broadcast_to(LINEAR, (n, 2, 2))


@pytest.mark.parametrize("off", [0.0, 0.4, 1.2])
def test_points_return_to_where_they_belong_whatever_brightness_and_contrast(views, off):
    a, b, error, linear = matched(80, off)
    aligned = align_points(views, a, b, linear, np.full(80, 1.6))
    left = np.linalg.norm(aligned.shift + error, axis=1)
    assert np.median(left) < 0.05
    assert np.percentile(left, 95) < 0.15
    assert aligned.correlation.min() > 0.97


def test_a_large_keypoint_is_aligned_on_a_coarser_level(views):
    a, b, error, linear = matched(40, 1.5)
    aligned = align_points(views, a, b, linear, np.full(40, 6.0))
    assert np.median(np.linalg.norm(aligned.shift + error, axis=1)) < 0.4


def test_pictures_that_are_not_alike_do_not_correlate(views):
    a, b, _, linear = matched(80, 0.0)
    other = align_points(views, a, b[::-1].copy(), linear, np.full(80, 1.6))
    assert np.median(other.correlation) < 0.8


def test_nothing_moves_without_texture():
    flat = Pyramid.of(np.full((60, 60), 90, np.uint8))
    points = np.array([[30.0, 30.0], [3.0, 58.0]])
    aligned = align_points((flat, flat), points, points + 1, np.stack([np.eye(2)] * 2), np.ones(2))
    assert (aligned.shift == 0).all()
    assert (np.abs(aligned.correlation) < 1e-6).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (40, 2), (64, 64)])
def test_any_picture_and_any_place_can_be_asked(shape):
    some = Pyramid.of(np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8))
    points = np.array([[0.0, 0.0], [-1e6, 1e6], [shape[1] - 1.0, shape[0] - 1.0], [np.nan, 1.0]])
    linear = np.stack([np.eye(2), np.zeros((2, 2)), 1e5 * np.eye(2), np.eye(2)])
    aligned = align_points((some, some), points, points, linear, np.array([1.0, 1e5, 0.0, 1.0]))
    assert np.isfinite(aligned.shift).all()
    assert (np.abs(aligned.correlation) <= 1 + 1e-9).all()
    assert aligned.correlation[3] == -1
    none = align_points((some, some), points[:0], points[:0], linear[:0], np.zeros(0))
    assert none.shift.shape == (0, 2)


def sampled(pyramid, level, points):
    start, height, width = pyramid.levels[level]
    grey = pyramid.values[start : start + height * width].reshape(height, width).astype(float)
    x, y = np.clip(points[..., 0] / 2**level, 0, width - 1.001), np.clip(points[..., 1] / 2**level, 0, height - 1.001)
    i, j = x.astype(int), y.astype(int)
    x, y = x - i, y - j
    upper = grey[j, i] * (1 - x) + grey[j, i + 1] * x
    return upper * (1 - y) + (grey[j + 1, i] * (1 - x) + grey[j + 1, i + 1] * x) * y


def plainly(views, a, b, linear, scales):
    """As the module's description says, in numpy, one match after the other."""
    weight, steps = sample_weights(), np.arange(-HALF, HALF + 1.0)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1)
    shifts, correlations = [], []
    for point, there, through, scale in zip(a, b, linear, scales, strict=True):
        h = max(1.0, scale / 2)
        level = min(int(np.log2(h)), len(views[0].levels) - 1)
        still = sampled(views[0], level, point + h * grid)
        still -= (weight * still).sum()
        norm = np.sqrt((weight * still**2).sum()) + FAINT
        still /= norm
        halves = h / 2 * np.eye(2)
        slope = np.stack(
            [
                sampled(views[0], level, point + h * grid + half) - sampled(views[0], level, point + h * grid - half)
                for half in halves
            ]
        )
        slope /= norm
        slope -= (weight * slope).sum(axis=(1, 2))[:, None, None] + (weight * slope * still).sum(axis=(1, 2))[
            :, None, None
        ] * still
        normal = np.einsum("kij,lij,ij->kl", slope, slope, weight)
        normal += (DAMPING * np.trace(normal) / 2 + 1e-9) * np.eye(2)
        level = min(int(np.log2(max(1.0, h * np.sqrt(abs(np.linalg.det(through)))))), len(views[1].levels) - 1)
        moved, best = np.zeros(2), (-2.0, np.zeros(2))
        last = False
        for step in range(STEPS + 1):
            other = sampled(views[1], level, there + h * (grid + moved) @ through.T)
            other -= (weight * other).sum()
            other /= np.sqrt((weight * other**2).sum()) + FAINT
            best = max(best, ((weight * other * still).sum(), moved), key=lambda found: found[0])
            if last or step == STEPS:
                break
            move = np.linalg.solve(normal, (weight * slope * (other - still)).sum(axis=(1, 2)))
            length = np.linalg.norm(move)
            moved, last = moved - move / max(length, 1), length < ENOUGH
        shifts.append(h * through @ best[1])
        correlations.append(best[0])
    return Alignment(np.array(shifts), np.array(correlations))


def test_the_same_as_in_plain_numpy(views):
    a, b, _, linear = matched(30, 0.9)
    scales = np.random.default_rng(4).uniform(0.8, 7, 30)
    fast, plain = align_points(views, a, b, linear, scales), plainly(views, a, b, linear, scales)
    assert fast.shift == pytest.approx(plain.shift, abs=1e-6)
    assert fast.correlation == pytest.approx(plain.correlation, abs=1e-8)


def test_levels_are_halves_of_a_picture():
    pyramid = Pyramid.of(picture((130, 70)))
    assert pyramid.levels[:, 1:].tolist() == [[70, 130], [35, 65], [18, 33]]
    assert pyramid.levels[:, 0].tolist() == [0, 70 * 130, 70 * 130 + 35 * 65]
    assert len(pyramid.values) == 70 * 130 + 35 * 65 + 18 * 33

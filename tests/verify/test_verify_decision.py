"""The rule for one pair: solid objects are kept; copies, flat views, chance and background are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from liftnet.verify.decide import REASONS, inlier_threshold, verify_pair
from liftnet.verify.settings import VerifySettings

SETTINGS = VerifySettings()


def decide(a, b, on_foreground=True, long_side=800, settings=SETTINGS, seed=0, score=None):
    on = on_foreground
    if isinstance(on, bool):
        on = np.full(len(a), on)
    score = np.zeros(len(a)) if score is None else score
    return verify_pair(a, b, score, on, long_side, np.random.default_rng(seed), settings)


def statue(rng, n, degrees, relief=1.0, noise=0.7, outliers=0.3, radius=300):
    """Points of a rough ball, turned about the vertical, seen by affine cameras; the first share is wrong."""
    points = rng.normal(size=(n, 3))
    points *= radius / np.linalg.norm(points, axis=1, keepdims=True) * rng.uniform(0.7, 1, (n, 1))
    points[:, 2] *= relief
    angle = np.deg2rad(degrees)
    a = points[:, :2] + 400
    b = np.column_stack([points[:, 0] * np.cos(angle) + points[:, 2] * np.sin(angle), points[:, 1]]) + 400
    a, b = a + rng.normal(size=a.shape) * noise, b + rng.normal(size=b.shape) * noise
    wrong = int(n * outliers)
    b[:wrong] = rng.uniform(100, 700, (wrong, 2))
    return a, b


@pytest.mark.parametrize("degrees", [5, 10, 20, 40])
def test_turning_statue_is_kept(degrees):
    a, b = statue(np.random.default_rng(degrees), 400, degrees)
    decision = decide(a, b)
    assert decision.kept, decision
    assert 280 * 0.95 < decision.n_f < 400
    assert np.mean(decision.inliers >= 120) > 0.95
    assert decision.rho < 0.6
    assert decision.gric_difference > 0


@pytest.mark.parametrize("kind", ["copy", "crop", "warp", "mirrored", "no turn", "low relief"])
def test_pair_explained_by_an_affine_homography_is_rejected(kind):
    rng = np.random.default_rng(0)
    a, b = statue(rng, 400, 0, noise=0)
    good = slice(120, None)
    if kind in ("crop", "warp", "mirrored"):
        matrix = {"crop": [[0.7, 0], [0, 0.7]], "warp": [[0.9, 0.3], [-0.2, 1.1]], "mirrored": [[-1, 0], [0, 1]]}[kind]
        b[good] = a[good] @ np.array(matrix).T + 30
    if kind == "low relief":
        a, b = statue(rng, 400, 4, relief=0.05, noise=0)
    if kind != "copy":
        a, b = a + rng.normal(size=a.shape) * 0.3, b + rng.normal(size=b.shape) * 0.3
    decision = decide(a, b)
    assert decision.reason == "affine_homography", decision
    assert decision.rho > 0.9
    assert decision.gric_difference < 0
    assert decision.n_f > 250
    assert decision.median_residual_h < 1


@pytest.mark.parametrize("noise", [0.0, 0.2, 1.0])
def test_points_on_one_line_are_never_kept(noise):
    """A line fixes no epipolar geometry; whichever question is asked first refuses it."""
    line = np.linspace(0, 800, 300)[:, None] * [0.8, 0.5]
    for seed in range(10):
        rng = np.random.default_rng(seed)
        a, b = line + rng.normal(size=line.shape) * noise, line + 30 + rng.normal(size=line.shape) * noise
        decision = decide(a, b, settings=VerifySettings(floor_factor=0))
        assert decision.reason in ("few_inliers", "affine_homography")


@pytest.mark.parametrize("n", [40, 150, 600])
def test_random_matches_are_rejected(n):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        a, b = rng.uniform(0, 800, (2, n, 2))
        assert decide(a, b, seed=seed).reason in ("few_inliers", "chance")


def test_chance_beats_the_fixed_number_on_a_small_object():
    """Wrong matches on a small object: more than 20 agree, and still they are refused."""
    rng = np.random.default_rng(2)
    a, b = rng.uniform(0, 150, (2, 500, 2))
    decision = decide(a, b)
    assert decision.n_f >= SETTINGS.min_inliers
    assert decision.reason == "chance"
    assert len(decision.inliers) == decision.n_f == len(decision.residuals)


def test_reasons_come_in_the_order_of_the_questions():
    rng = np.random.default_rng(3)
    a, b = statue(rng, 400, 15)
    assert decide(a[:19], b[:19]).reason == "few_putative"
    assert decide(a, b, on_foreground=None).reason == "no_mask"
    mask = np.zeros(400, bool)
    mask[:19] = True
    few = decide(a, b, on_foreground=mask)
    assert (few.reason, few.n_masked, few.n_f, few.rho) == ("few_masked", 19, 0, None)
    assert decide(a[:0], b[:0]).reason == "few_putative"
    broken = a.copy()
    broken[0, 0] = np.nan
    assert decide(broken, b).reason == "bad_matches"


def test_only_matches_on_the_foreground_count():
    """The background is one plane with many matches; the statue before it decides."""
    rng = np.random.default_rng(4)
    a, b = statue(rng, 200, 20, outliers=0)
    wall = rng.uniform(0, 800, (600, 2))
    a, b = np.vstack([a, wall]), np.vstack([b, wall + np.array([15, 0])])
    on_statue = np.arange(800) < 200
    with_mask, without = decide(a, b, on_statue), decide(a, b)
    assert with_mask.kept
    assert with_mask.inliers.max() < 200
    assert with_mask.n_masked == 200
    assert without.rho > with_mask.rho


def test_repeated_locations_count_once():
    rng = np.random.default_rng(5)
    a, b = statue(rng, 12, 20, outliers=0)
    a, b = np.repeat(a, 10, axis=0), np.repeat(b, 10, axis=0)
    decision = decide(a, b)
    assert decision.reason == "few_masked"
    assert decision.n_masked == 120


def test_threshold_grows_with_the_image_or_the_object():
    rng = np.random.default_rng(6)
    a, b = rng.uniform(0, 1000, (2, 500, 2))
    assert inlier_threshold(a, b, 400, SETTINGS) == 2
    assert inlier_threshold(a, b, 1600, SETTINGS) == 4
    of_object = VerifySettings(threshold_of="object", min_threshold_px=0.1)
    assert inlier_threshold(a, b, 9999, of_object) == pytest.approx(2.5, rel=0.02)
    assert inlier_threshold(a, b / 4, 9999, of_object) == pytest.approx(2.5 * 5 / 8, rel=0.02)


@given(
    n=st.integers(0, 120),
    kind=st.sampled_from(["statue", "random", "copy", "repeated"]),
    masked=st.floats(0, 1),
    seed=st.integers(0, 2**31),
    no_mask=st.booleans(),
)
@hypothesis_settings(max_examples=80, deadline=None)
def test_counts_add_up(n, kind, masked, seed, no_mask):
    rng = np.random.default_rng(seed)
    a, b = statue(rng, n, 15) if n else (np.empty((0, 2)), np.empty((0, 2)))
    if kind == "random":
        b = rng.uniform(0, 800, a.shape)
    elif kind == "copy":
        b = a.copy()
    elif kind == "repeated":
        a, b = np.round(a, -2), np.round(b, -2)
    on = None if no_mask else rng.uniform(size=n) < masked
    decision = decide(a, b, on, seed=seed, settings=VerifySettings(min_inliers=5))
    assert decision.reason in REASONS
    assert decision.n_putative == n >= decision.n_masked >= decision.n_f >= decision.n_h >= 0
    assert (decision.rho is None) == (decision.n_f == 0)
    assert len(decision.residuals) == decision.n_f
    if decision.n_f:
        assert on[decision.inliers].all()
        assert decision.residuals.max() < decision.threshold_px
    if decision.kept:
        assert decision.n_f >= 1.5 * decision.chance_floor
        assert decision.rho <= 0.8


def test_settings_refuse_impossible_values():
    for bad in ({"max_rho": 1.5}, {"min_inliers": 2}, {"confidence": 1.0}, {"threshold_of": "moon"}, {"unknown": 1}):
        with pytest.raises(ValueError, match="validation error"):
            VerifySettings(**bad)

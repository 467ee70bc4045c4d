"""The rule for one pair: solid objects are kept; copies, flat views, chance and background are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from liftnet.core.settings import changed
from liftnet.data.codes import PairReason
from liftnet.verify.fits import PairNumbers, View, fit_pair, homography_samples, inlier_threshold
from liftnet.verify.settings import FitSettings, VerifySettings
from liftnet.verify.verify import PutativePair, reasons, verify_pair

SETTINGS = VerifySettings()
VIEW = View(800, 800, 600.0)


def decide(a, b, on_foreground=True, views=(VIEW, VIEW), settings=SETTINGS, seed=0, score=None):
    on = on_foreground
    if isinstance(on, bool):
        on = np.full(len(a), on)
    score = np.zeros(len(a)) if score is None else score
    return verify_pair(PutativePair(a, b, score, on, views), np.random.default_rng(seed), settings)


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
    assert 280 * 0.95 < decision.numbers.n_f < 400
    assert np.mean(decision.inliers >= 120) > 0.95
    assert decision.numbers.rho < 0.6
    assert decision.numbers.gric_difference > 0


COPIES = {
    "copy": [[1, 0], [0, 1]],
    "crop": [[0.7, 0], [0, 0.7]],
    "turned": [[0.57, -0.57], [0.57, 0.57]],
    "mirrored": [[-1, 0], [0, 1]],
}
FLAT = {"shorter": [[0.8, 0], [0, 1]], "warp": [[0.9, 0.3], [-0.2, 1.1]]}


@pytest.mark.parametrize("kind", [*COPIES, *FLAT, "low relief"])
def test_pair_explained_by_an_affine_homography_is_rejected(kind):
    """Copies (one scale, tiny residuals) have a name of their own; flat views are shortened or have some parallax."""
    rng = np.random.default_rng(0)
    a, b = statue(rng, 400, 0, noise=0, outliers=0.1)
    if kind == "low relief":
        a, b = statue(rng, 400, 4, relief=0.05, noise=0, outliers=0.1)
        a, b = a + rng.normal(size=a.shape) * 0.5, b + rng.normal(size=b.shape) * 0.5
    else:
        b[40:] = a[40:] @ np.array((COPIES | FLAT)[kind]).T + 30
    if kind != "copy":
        a, b = a + rng.normal(size=a.shape) * 0.2, b + rng.normal(size=b.shape) * 0.2
    decision = decide(a, b)
    numbers = decision.numbers
    assert decision.reason == ("duplicate" if kind in COPIES else "affine_homography"), decision
    assert numbers.rho > 0.9
    assert numbers.gric_difference < 0
    assert numbers.n_f > 320
    assert numbers.median_residual_h < 1
    assert (numbers.n_duplicate > 320) == (kind in COPIES)
    without = changed(SETTINGS, max_duplicate_fraction=1)
    assert decide(a, b, settings=without).reason == "affine_homography"


@pytest.mark.parametrize("still", [False, True])
def test_watermark_is_named(still):
    """A logo in the corner of two different sculptures, or across the middle, is what matches; the rest is wrong."""
    rng = np.random.default_rng(1)
    logo = rng.uniform(0, 1, (60, 2)) * [150, 40]
    shift = np.array([0, 0]) if still else np.array([300, 100])  # the pictures differ in size, the corner does not
    logo = logo + ([320, 380] if still else [640, 755])
    sculpture = rng.uniform(100, 700, (2, 20, 2))
    a, b = np.vstack([logo, sculpture[0]]), np.vstack([logo + shift, sculpture[1]])
    views = View(800, 800, 600.0), View(*(np.array([800, 800]) + shift), 600.0)
    decision = decide(a, b + rng.normal(size=b.shape) * 0.3, views=views)
    assert decision.reason == "watermark", decision
    assert (decision.numbers.n_stationary > 50) == still
    assert (decision.numbers.n_watermark > 50) == (not still)


def test_sculpture_that_fills_the_border_is_no_watermark():
    a, b = statue(np.random.default_rng(2), 400, 15)
    numbers = decide(a, b).numbers
    assert numbers.n_watermark < 0.3 * numbers.n_inliers
    assert numbers.n_stationary < 0.1 * numbers.n_inliers


def plane_in_perspective(rng, n=300):
    points = np.column_stack([rng.uniform(-1, 1, (n, 2)), np.zeros(n)])
    angle = np.deg2rad(40)
    turned = points @ np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]]).T
    a, b = (700 * p[:, :2] / (p[:, 2:] + 3.0) + 400 for p in (points, turned))
    return a + rng.normal(size=a.shape) * 0.3, b + rng.normal(size=b.shape) * 0.3


def test_plane_in_perspective_is_refused_where_that_is_asked():
    a, b = plane_in_perspective(np.random.default_rng(3))
    decision = decide(a, b)
    assert decision.kept, decision
    assert decision.numbers.n_ph > 0.95 * decision.numbers.n_inliers
    checked = decide(a, b, settings=changed(SETTINGS, projective_check=True))
    assert checked.reason == "projective_homography"
    statue_a, statue_b = statue(np.random.default_rng(4), 400, 20)
    assert decide(statue_a, statue_b, settings=changed(SETTINGS, projective_check=True)).kept


def near_views(rng, n=300, outliers=0.2):
    """A ball seen by two pinhole cameras from a distance of three radii: affine cameras do not suffice."""
    points = rng.normal(size=(n, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    angle = np.deg2rad(15)
    turned = points @ np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]]).T
    a, b = (700 * p[:, :2] / (p[:, 2:] + 3.0) + 400 for p in (points, turned))
    b[: int(n * outliers)] = rng.uniform(100, 700, (int(n * outliers), 2))
    return a + rng.normal(size=a.shape) * 0.3, b + rng.normal(size=b.shape) * 0.3


def test_model_decides_whose_inliers_are_kept_and_both_are_counted():
    a, b = near_views(np.random.default_rng(5))
    found = {model: decide(a, b, settings=changed(SETTINGS, model=model)) for model in ("affine", "perspective")}
    for model, decision in found.items():
        assert decision.kept, decision
        numbers = decision.numbers
        assert numbers.model == model
        assert numbers.n_inliers == len(decision.inliers)
        assert numbers.n_inliers == {"affine": numbers.n_agreed, "perspective": numbers.n_p}[model]
    affine, perspective = (decision.numbers for decision in found.values())
    assert (affine.n_f, affine.n_p, affine.n_agreed) == (perspective.n_f, perspective.n_p, perspective.n_agreed)
    assert affine.n_p > 0.95 * 240 > 0.8 * 240 > affine.n_f
    assert perspective.chance_floor_p == affine.chance_floor_p
    assert perspective.median_residual_p < affine.median_residual_f
    assert np.mean(found["perspective"].inliers >= 60) > 0.97
    assert found["perspective"].correspondences.residual.max() < SETTINGS.fit.min_threshold_px


def test_affine_inliers_that_the_perspective_model_refuses_are_dropped_on_request():
    """Wrong matches within the affine threshold of their line, but further from the perspective one than the noise."""
    rng = np.random.default_rng(11)
    a, b = near_views(rng, 400, outliers=0)
    b[:80] += rng.choice([-1, 1], (80, 1)) * np.array([0, 3.0])  # across the epipolar lines
    checked, unchecked = (decide(a, b, settings=changed(SETTINGS, perspective_check=on)) for on in (True, False))
    assert unchecked.numbers.n_inliers == unchecked.numbers.n_f == checked.numbers.n_f
    assert checked.numbers.n_inliers == checked.numbers.n_agreed == unchecked.numbers.n_agreed
    assert set(checked.inliers) < set(unchecked.inliers)
    wrong = [np.count_nonzero(decision.inliers < 80) for decision in (checked, unchecked)]
    assert wrong[1] > 10
    assert wrong[0] < 0.3 * wrong[1]
    right = [np.count_nonzero(decision.inliers >= 80) for decision in (checked, unchecked)]
    assert right[0] >= 0.95 * right[1]
    assert checked.correspondences.residual_p.max() < SETTINGS.fit.min_threshold_px
    assert unchecked.correspondences.residual_p.max() >= SETTINGS.fit.min_threshold_px


def test_each_model_is_held_to_its_own_chance():
    numbers = vars(
        PairNumbers(
            100, 100, 100, n_f=30, n_p=30, n_inliers=30, n_correspondences=30, chance_floor=15.0, chance_floor_p=22.0
        )
    )
    columns = {name: [value] * 2 for name, value in numbers.items()} | {"model": ["affine", "perspective"]}
    found = reasons(columns, SETTINGS.thresholds)
    assert found.tolist() == ["kept", "chance"]


def test_small_parallax_of_a_large_object_counts():
    """The affine threshold grows with the object; what noise moves the points of a flat picture by does not."""
    a, b = statue(np.random.default_rng(9), 400, 3, relief=0.5, noise=0.3, outliers=0.1)
    large = (View(1600, 1600, 800.0),) * 2
    decision = decide(a, b, views=large)
    assert decision.numbers.threshold_px == pytest.approx(4.8)
    assert decision.kept, decision
    assert decision.numbers.rho < 0.6


def test_models_are_estimated_below_the_least_number_too():
    """So that `min_inliers` can be lowered later from the stored numbers."""
    a, b = statue(np.random.default_rng(6), 12, 20, outliers=0)
    decision = decide(a, b)
    assert decision.reason == "few_putative"
    assert decision.numbers.n_f >= 8
    assert len(decision.inliers) == decision.numbers.n_inliers
    assert decision.numbers.rho is not None
    lower = changed(
        VerifySettings(),
        min_inliers=5,
        min_inlier_ratio_over_chance=0,
        max_planar_fraction=1,
        max_duplicate_fraction=1,
    )
    assert decide(a, b, settings=lower).kept
    assert decide(a[:4], b[:4]).fits is None
    assert decide(a[:5], b[:5]).numbers.n_f >= 4


def test_budget_of_the_homography_follows_from_the_share_it_must_reach():
    assert homography_samples(FitSettings(min_planar_fraction_kept=0.8), 0.8) == 10
    assert homography_samples(FitSettings(min_planar_fraction_kept=0.5), 0.8) == 52
    assert homography_samples(FitSettings(), 0.0) == FitSettings().max_ransac_iterations
    assert homography_samples(FitSettings(min_planar_fraction_kept=1.0), 1.0) == 1


@pytest.mark.parametrize("rho", [0.55, 0.7, 0.85])
def test_budget_suffices(rho):
    """The share found within the budget is that of an exhaustive search."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        a, b = statue(rng, 200, 25, outliers=0, noise=0.2)
        flat = rng.permutation(200) < 200 * rho
        b[flat] = a[flat] @ np.array([[0.9, 0.1], [0, 1]]).T + rng.normal(size=(flat.sum(), 2)) * 0.2
        short = fit_pair(a, b, (VIEW, VIEW), PairNumbers(200), np.random.default_rng(seed), SETTINGS).homography
        patient = changed(SETTINGS, min_planar_fraction_kept=0.2, confidence=0.999999)
        long = fit_pair(a, b, (VIEW, VIEW), PairNumbers(200), np.random.default_rng(seed), patient).homography
        assert short.n_inliers >= 0.95 * long.n_inliers


@pytest.mark.parametrize("noise", [0.0, 0.2, 1.0])
def test_points_on_one_line_are_never_kept(noise):
    """A line fixes no epipolar geometry; whichever question is asked first refuses it."""
    line = np.linspace(0, 800, 300)[:, None] * [0.8, 0.5]
    for seed in range(10):
        rng = np.random.default_rng(seed)
        a, b = line + rng.normal(size=line.shape) * noise, line + 30 + rng.normal(size=line.shape) * noise
        decision = decide(a, b, settings=changed(SETTINGS, min_inlier_ratio_over_chance=0))
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
    assert decide(a, b).reason == "few_inliers"  # by luck a match agrees with one matrix, rarely with both
    decision = decide(a, b, settings=changed(SETTINGS, perspective_check=False))
    assert decision.numbers.n_f >= SETTINGS.thresholds.min_inliers
    assert decision.reason == "chance"
    assert len(decision.inliers) == decision.numbers.n_f == len(decision.correspondences)


def test_reasons_come_in_the_order_of_the_questions():
    rng = np.random.default_rng(3)
    a, b = statue(rng, 400, 15)
    assert decide(a[:19], b[:19]).reason == "few_putative"
    assert decide(a, b, on_foreground=None).reason == "no_mask"
    mask = np.zeros(400, bool)
    mask[:19] = True
    few = decide(a, b, on_foreground=mask)
    assert decide(a[:4], b[:4]).numbers.n_inliers == 0
    assert (few.reason, few.numbers.n_masked) == ("few_masked", 19)
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
    assert with_mask.numbers.n_masked == 200
    assert without.numbers.rho > with_mask.numbers.rho


def test_repeated_locations_count_once():
    rng = np.random.default_rng(5)
    a, b = statue(rng, 12, 20, outliers=0)
    a, b = np.repeat(a, 10, axis=0), np.repeat(b, 10, axis=0)
    decision = decide(a, b)
    assert decision.reason == "few_masked"
    assert decision.numbers.n_masked == 120


def test_threshold_grows_with_the_object_or_the_image():
    rng = np.random.default_rng(6)
    a, b = rng.uniform(0, 1000, (2, 500, 2))
    views = View(1600, 900, 700.0), View(1200, 800, 500.0)
    assert inlier_threshold(a, b, views, SETTINGS.fit) == pytest.approx(0.006 * 600)
    of_image = changed(SETTINGS, threshold_of="image", threshold_fraction=0.0025)
    assert inlier_threshold(a, b, views, of_image.fit) == pytest.approx(0.0025 * 1400)
    assert inlier_threshold(a, b, (View(100, 90, 80.0),) * 2, SETTINGS.fit) == SETTINGS.fit.min_threshold_px
    unknown = View(1600, 900), View(1200, 800)
    assert inlier_threshold(a, b, unknown, SETTINGS.fit) == pytest.approx(6, rel=0.02)  # the box around the matches
    assert inlier_threshold(a, b / 4, unknown, SETTINGS.fit) == pytest.approx(6 * 5 / 8, rel=0.02)


def test_background_around_an_object_changes_nothing():
    """The same object in a wider picture: the same matches are kept, since the threshold is the object's."""
    a, b = statue(np.random.default_rng(7), 300, 15)
    wide = (View(3000, 2000, 600.0),) * 2
    one, other = decide(a, b), decide(a + 900, b + 900, views=wide)
    assert one.numbers.threshold_px == other.numbers.threshold_px
    assert one.inliers.tolist() == other.inliers.tolist()
    of_image = changed(SETTINGS, threshold_of="image", threshold_fraction=0.0025)
    assert decide(a, b, settings=of_image).numbers.threshold_px == 2
    assert decide(a, b, views=wide, settings=of_image).numbers.threshold_px == 7.5


def test_decision_can_be_taken_again_from_the_numbers():
    rng = np.random.default_rng(8)
    pairs = [statue(rng, int(rng.integers(10, 120)), degrees) for degrees in rng.uniform(0, 40, 30)]
    rows = [vars(decide(a, b).numbers) for a, b in pairs]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for settings in (
        SETTINGS,
        changed(SETTINGS, min_inliers=10, max_planar_fraction=0.6, min_inlier_ratio_over_chance=1.0),
    ):
        again = [decide(a, b, settings=settings).reason for a, b in pairs]
        assert reasons(columns, settings.thresholds).tolist() == again
    assert len(set(again)) > 2


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
    decision = decide(a, b, on, seed=seed, settings=changed(SETTINGS, min_inliers=5))
    assert decision.reason in {*PairReason}
    numbers = decision.numbers
    assert numbers.n_putative == n >= numbers.n_masked >= numbers.n_used >= numbers.n_inliers >= numbers.n_h >= 0
    assert numbers.n_inliers >= numbers.n_ph >= numbers.n_h
    assert max(numbers.n_f, numbers.n_p, numbers.n_duplicate) <= numbers.n_used
    assert numbers.n_inliers == numbers.n_agreed <= numbers.n_f
    assert max(numbers.n_watermark, numbers.n_stationary) <= numbers.n_inliers
    assert (numbers.rho is None) == (numbers.n_inliers == 0)
    assert len(decision.correspondences) == numbers.n_inliers
    if numbers.n_inliers:
        assert on[decision.inliers].all()
        assert decision.correspondences.residual.max() < decision.numbers.threshold_px
    if decision.kept:
        assert decision.numbers.n_f >= 1.5 * decision.numbers.chance_floor
        assert decision.numbers.rho <= 0.8


def test_settings_refuse_impossible_values():
    for bad in (
        {"max_planar_fraction": 1.5},
        {"min_inliers": 2},
        {"confidence": 1.0},
        {"threshold_of": "moon"},
    ):
        with pytest.raises(ValueError, match="validation error"):
            changed(SETTINGS, **bad)
    with pytest.raises(ValueError, match="validation error"):
        VerifySettings(unknown=1)

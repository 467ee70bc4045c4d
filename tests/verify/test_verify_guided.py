"""The second search along the epipolar lines finds more, keeps out what its neighbours contradict, and is recorded."""

import logging

import numpy as np
import pytest

from liftnet.core.settings import changed
from liftnet.data.feature_kinds import FeatureKind
from liftnet.data.features import Features, write_features
from liftnet.data.schemas import PAIRS, read_table
from liftnet.geometry.affine import AffineFundamental
from liftnet.geometry.perspective import Fundamental, fundamental_residuals
from liftnet.geometry.subspaces import joint_points
from liftnet.verify.fits import PairNumbers, View, fit_pair
from liftnet.verify.guided import Lines, alike_within, bands_of, places_among, search_again
from liftnet.verify.settings import VerifySettings
from liftnet.verify.verify import verify_matches

SETTINGS = changed(VerifySettings(), **{"guided.align.pictures": False})
RECIPE = "opencv-test"


def described(points, descriptors, scales=None, angles=None):
    n = len(points)
    ones, zeros = np.ones(n), np.zeros(n)
    values = points, ones if scales is None else scales, zeros if angles is None else angles
    return Features(*(np.asarray(value, np.float32) for value in values), descriptors)


def descriptors_of(n, rng):
    values = rng.gamma(0.5, size=(n, 128))
    return np.minimum(512 * np.sqrt(values / values.sum(axis=1, keepdims=True)), 255).astype(np.uint8)


def blurred(descriptors, rng, amount=12):
    noisy = descriptors.astype(int) + rng.normal(size=descriptors.shape) * amount
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture
def scene(run, tools):
    """500 points of two balls in v0 and v1 with descriptors, of which the first 120 are known."""
    rng = np.random.default_rng(0)
    a, b = tools.matches(run.views["v0"], run.views["v1"], 500, rng)
    b = b + rng.normal(size=b.shape) * 0.2
    descriptors = descriptors_of(500, rng)
    return a, b, descriptors, blurred(descriptors, rng)


def lines(a, b):
    fits = fit_pair(a, b, (View(400, 300, 220.0),) * 2, PairNumbers(len(a)), np.random.default_rng(1), SETTINGS)
    return Lines(fits.affine, 4.5, fits.perspective, 1.5)


def again(scene, features_a=None, features_b=None, **settings):
    a, b, of_a, of_b = scene
    features = features_a or described(a, of_a), features_b or described(b, of_b)
    guided = changed(SETTINGS, **settings).guided
    return search_again(features, a[:120], b[:120], lines(a[:120], b[:120]), guided)


def test_what_the_first_search_missed_is_found(scene):
    found = again(scene)
    assert len(found.a) > 400
    assert np.mean(found.a == found.b) > 0.99
    assert len(set(found.a)) == len(set(found.b)) == len(found.a)
    assert 0 <= found.score.min() <= found.score.max() <= 1
    assert found.score.max() < 1, "what nothing rivals is no perfect match"


def test_a_double_elsewhere_on_the_line_misleads_nobody(scene):
    """A better-looking double 25 px further along the line: the neighbours know better, however lax the ratio test."""
    a, b, of_a, of_b = scene
    epipolar = lines(a, b)
    along = np.array([-epipolar.affine.f[1], epipolar.affine.f[0]])
    doubles = b[200:300] + 25 * along / np.linalg.norm(along)
    features_b = described(np.vstack([b, doubles]), np.vstack([of_b, of_a[200:300]]))
    found = again(scene, features_b=features_b, ratio=1.0)
    doubled = (found.a >= 200) & (found.a < 300)
    assert doubled.sum() > 60
    assert np.mean(found.a[doubled] == found.b[doubled]) > 0.98


@pytest.mark.parametrize("wrong", ["turned", "grown"])
def test_keypoints_that_are_turned_or_grown_otherwise_are_refused(scene, wrong):
    a, _, of_a, _ = scene
    odd = np.arange(500) % 2 == 1
    change = {"angles": np.where(odd, 1.0, 0)} if wrong == "turned" else {"scales": np.where(odd, 2.5, 1)}
    found = again(scene, features_a=described(a, of_a, **change))
    new = found.a[found.a >= 120]  # what the first search knew may be turned: it had no rival
    assert len(new) > 120
    assert not odd[new].any()
    lax = again(scene, features_a=described(a, of_a, **change), max_turn_deg=180, max_growth=10)
    assert odd[lax.a].mean() > 0.4


def test_too_few_matches_lead_nowhere(scene):
    a, b, of_a, of_b = scene
    features = described(a, of_a), described(b, of_b)
    epipolar = lines(a, b)
    assert search_again(features, a[:5], b[:5], epipolar, SETTINGS.guided) is None
    none = Features.empty()
    assert search_again((none, features[1]), a[:120], b[:120], epipolar, SETTINGS.guided) is None
    assert search_again((features[0], none), a[:120], b[:120], epipolar, SETTINGS.guided) is None


@pytest.mark.parametrize("limit", [2**40, 1_350_000])
@pytest.mark.parametrize("perspective", [False, True])
def test_the_bands_hold_what_brute_force_finds(limit, perspective):
    rng = np.random.default_rng(2)
    a, b = rng.uniform(0, 100, (60, 2)), rng.uniform(0, 100, (80, 2))
    of_a, of_b = (rng.integers(0, 256, (n, 128)).astype(np.uint8) for n in (60, 80))
    f = rng.normal(size=5)
    f /= np.linalg.norm(f[:4])
    features = described(a, of_a), described(b, of_b)
    a, b = (part.keypoints.astype(float) for part in features)
    matrix = rng.normal(size=(3, 3)) * [[1e-4, 1e-4, 1], [1e-4, 1e-4, 1], [1, 1, 50]]
    everything, none = np.ones(2, bool), np.full((3, 3), np.nan)
    models = (
        AffineFundamental(everything, np.zeros(2), 1, f),
        Fundamental(everything, np.zeros(2), matrix if perspective else none),
    )
    lines = Lines(models[0], 30.0, models[1], 20.0)
    i, j, squared = alike_within(bands_of(a, b, f, 30.0), features, limit, lines)
    residuals = np.abs((b @ f[:2])[None] + (a @ f[2:4] + f[4])[:, None])
    distances = ((of_a[:, None].astype(int) - of_b[None]) ** 2).sum(axis=2)
    wanted = (residuals < 30.0) & (distances <= limit)
    if perspective:
        every = joint_points(np.repeat(a, 80, axis=0), np.tile(b, (60, 1)))
        wanted &= (fundamental_residuals(matrix, every) < 20.0).reshape(60, 80)
    assert 10 < wanted.sum() < 4000
    assert set(zip(i, j, strict=True)) == set(zip(*np.nonzero(wanted), strict=True))
    assert squared.tolist() == distances[i, j].tolist()
    assert (np.diff(i) >= 0).all()


def test_places_among_others():
    rng = np.random.default_rng(3)
    a, b = rng.uniform(0, 9, (2, 12, 2)).astype(np.float32)
    assert places_among(a[[3, 0, 5]], b[[3, 1, 5]], a[2:], b[2:]).tolist() == [1, -1, 3]


def verified(run, tools, scene, settings=SETTINGS, recipe=RECIPE, write=True):
    a, b, of_a, of_b = (values.copy() for values in scene)
    a, b = a.astype(np.float32), b.astype(np.float32)
    for name, points, descriptors in (("v0", a, of_a), ("v1", b, of_b)):
        if write:
            write_features(run.root / f"features/{RECIPE}/{name}.safetensors", described(points, descriptors), {})
    matches = run.match("balls", [{**tools.row("v0", "v1", a[:120], b[:120]), "features": recipe}])
    verify_matches(run.root, matches, run.root / "pairs" / "balls.parquet", settings)
    return read_table(run.root / "pairs" / "balls.parquet", PAIRS).to_pylist()[0]


def test_a_pair_says_how_each_correspondence_was_found(run, tools, scene):
    row = verified(run, tools, scene)
    first = verified(run, tools, scene, changed(SETTINGS, search=False))
    assert row["kept"]
    assert (row["second_search"], first["second_search"]) == ("done", None)
    assert row["n_inliers"] == first["n_inliers"] == first["n_correspondences"] == len(first["x1"])
    assert row["n_correspondences"] == len(row["x1"]) == len(row["guided"]) > 3 * first["n_inliers"]
    assert row["n_guided"] == sum(row["guided"])
    known = set(zip(*(first[name] for name in ("x1", "y1", "x2", "y2")), strict=True))
    for *point, score, guided in zip(*(row[n] for n in ("x1", "y1", "x2", "y2", "score", "guided")), strict=True):
        assert (tuple(point) in known) == (not guided)
        assert 0 <= score <= 1
    assert max(row["residual_p"]) < row["noise_px"]
    assert row["n_h"] <= row["n_correspondences"]
    assert row["rho"] == pytest.approx(row["n_h"] / row["n_correspondences"])


@pytest.mark.parametrize("missing", ["files", "name", "elsewhere"])
def test_without_features_a_pair_keeps_its_first_matches(run, tools, scene, caplog, missing):
    recipe = {"files": RECIPE, "name": None, "elsewhere": "../features/opencv-test"}[missing]
    row = verified(run, tools, scene, recipe=recipe, write=missing == "elsewhere")
    assert (row["kept"], row["second_search"], row["n_guided"]) == (True, "no_features", 0)
    assert row["n_correspondences"] == row["n_inliers"] == len(row["x1"])
    assert "not searched again" in caplog.text


def test_features_without_orientations_are_searched_once_and_the_log_says_so(run, tools, scene, caplog):
    a, b, _, _ = scene
    kind = FeatureKind("learned", 4, "float16", oriented=False)
    for name, points in (("v0", a), ("v1", b)):
        features = Features(points.astype(np.float32), None, None, np.full((len(points), 4), 0.5, np.float16), kind)
        write_features(run.root / f"features/{RECIPE}/{name}.safetensors", features, {})
    caplog.set_level(logging.INFO)
    row = verified(run, tools, scene, write=False)
    assert (row["kept"], row["second_search"], row["n_guided"]) == (True, "other_features", 0)
    assert row["n_correspondences"] == row["n_inliers"] == len(row["x1"])
    assert "these features do not have: 1 accepted pairs keep the matches of the first" in caplog.text


def test_a_pair_that_the_second_search_shows_to_be_flat_is_refused(run, tools, scene):
    """Most of what is found again is one plane: the share of the first matches would have passed."""
    rng = np.random.default_rng(5)
    a, b, of_a, of_b = (values[:130] for values in scene)
    ground = rng.uniform([150, 100], [250, 200], (900, 2))
    grid = np.linalg.lstsq(np.column_stack([a, np.ones(len(a))]), b, rcond=None)[0]
    flat = np.column_stack([ground, np.ones(900)]) @ grid
    descriptors = descriptors_of(900, rng)
    more = np.vstack([a, ground]), np.vstack([b, flat]), np.vstack([of_a, descriptors]), np.vstack([of_b, descriptors])
    strict = changed(SETTINGS, max_planar_fraction=0.65)
    assert verified(run, tools, more, changed(strict, search=False))["kept"]
    row = verified(run, tools, more, strict)
    assert row["rho"] > 0.65
    assert (row["kept"], row["reason"], row["second_search"]) == (False, "affine_homography", "done")

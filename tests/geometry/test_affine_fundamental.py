"""The affine fundamental matrix against exact affine cameras, brute-force optima and OpenCV."""

import doctest

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from liftnet.geometry import affine
from liftnet.geometry.affine import Search, estimate_affine_fundamental
from liftnet.geometry.subspaces import distinct_samples, fit_subspace, hyperplanes_through, joint_points


def affine_views(rng, n, outliers=0.0, noise=0.0, mirror=False):
    """Matched points of a solid object seen by two random affine cameras; the first `outliers` share is wrong.

    Returns the points and the true (a, b, c, d, e).
    """
    cameras = rng.normal(size=(2, 2, 3))
    if mirror:
        cameras[1, 0] *= -1
    offsets = rng.uniform(300, 700, (2, 2))
    points = rng.normal(size=(n, 3)) * 100
    a, b = (points @ camera.T + offset for camera, offset in zip(cameras, offsets, strict=True))
    normal = np.linalg.svd(np.vstack([cameras[1], cameras[0]]).T)[2][-1]
    truth = np.append(normal, -normal @ np.concatenate([offsets[1], offsets[0]]))
    a, b = a + rng.normal(size=a.shape) * noise, b + rng.normal(size=b.shape) * noise
    wrong = int(n * outliers)
    b[:wrong] = rng.uniform(b.min(0), b.max(0), (wrong, 2))
    return a, b, truth


def same_up_to_sign(f, g, tolerance):
    return min(np.abs(f - g).max(), np.abs(f + g).max()) < tolerance


@pytest.mark.parametrize("mirror", [False, True])
def test_exact_cameras_are_recovered(mirror):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        a, b, truth = affine_views(rng, 40, outliers=0.3, mirror=mirror)
        model = estimate_affine_fundamental(a, b, 1e-3, rng)
        assert same_up_to_sign(model.f[:4], truth[:4], 1e-9)
        assert abs(abs(model.f[4]) - abs(truth[4])) < 1e-6
        assert model.inliers[12:].all()
        assert model.residuals[12:].max() < 1e-9


def test_matrix_satisfies_the_epipolar_constraint_and_has_rank_two():
    rng = np.random.default_rng(1)
    a, b, _ = affine_views(rng, 30)
    model = estimate_affine_fundamental(a, b, 1e-3, rng)
    left, right = np.column_stack([b, np.ones(30)]), np.column_stack([a, np.ones(30)])
    assert np.abs(np.einsum("ni,ij,nj->n", left, model.F, right)).max() < 1e-8
    assert np.linalg.matrix_rank(model.F) == 2
    assert np.linalg.norm(model.f[:4]) == pytest.approx(1)
    epilines = cv2.computeCorrespondEpilines(a.astype(np.float32)[:, None], 1, model.F)[:, 0]
    assert np.abs(np.einsum("ni,ni->n", epilines, left)).max() < 1e-2


def test_fit_is_the_maximum_likelihood_hyperplane():
    """No plane found by SVD or by a general minimiser has a smaller sum of squared reprojection errors."""
    rng = np.random.default_rng(2)
    a, b, truth = affine_views(rng, 60, noise=0.7)
    model = estimate_affine_fundamental(a, b, 100, rng)  # all are inliers
    points = joint_points(a, b)
    reference = np.linalg.svd(points - points.mean(0))[2][-1]
    assert same_up_to_sign(model.f[:4], reference, 1e-10)

    def cost(f):
        return np.sum((points @ f[:4] + f[4]) ** 2) / np.sum(f[:4] ** 2)

    assert np.sum(model.residuals**2) <= minimize(cost, truth, tol=1e-12).fun + 1e-6


def test_residual_is_the_smallest_movement_that_satisfies_the_constraint():
    rng = np.random.default_rng(3)
    a, b, _ = affine_views(rng, 40, noise=1)
    model = estimate_affine_fundamental(a, b, 100, rng)
    point = joint_points(a, b)[0]
    moved = point - (model.f[:4] @ point + model.f[4]) * model.f[:4]
    assert abs(model.f[:4] @ moved + model.f[4]) < 1e-9
    assert np.linalg.norm(moved - point) == pytest.approx(model.residuals[0])


def test_closed_form_solver_equals_the_null_space():
    rng = np.random.default_rng(4)
    samples = rng.normal(size=(200, 4, 4)) * 100
    normals, offsets = hyperplanes_through(samples)
    assert len(normals) > 190  # the rest ignore one image
    through = [sample for sample in samples if abs(_null_vector(sample)[:2]).max() > 0]
    for normal, offset in zip(normals[:, 0], offsets[:, 0], strict=True):
        distances = [np.abs(sample @ normal + offset).max() for sample in through]
        assert min(distances) < 1e-9
        nearest = through[int(np.argmin(distances))]
        assert same_up_to_sign(normal, _null_vector(nearest), 1e-7)


def _null_vector(sample):
    return np.linalg.svd(sample[1:] - sample[0])[2][-1]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.6, 0.7])
def test_ransac_finds_the_inliers(share):
    recalls = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        a, b, _ = affine_views(rng, 200, outliers=share, noise=0.5)
        model = estimate_affine_fundamental(a, b, 2.0, rng)
        recalls.append(model.inliers[int(200 * share) :].mean())
    assert np.mean(np.array(recalls) > 0.95) >= 0.97


def test_agrees_with_opencv_on_the_inliers():
    """OpenCV estimates a perspective F, of which the affine one is a case."""
    rng = np.random.default_rng(5)
    a, b, _ = affine_views(rng, 1000, outliers=0.5, noise=0.3)
    ours = estimate_affine_fundamental(a, b, 2.0, rng).inliers
    _, theirs = cv2.findFundamentalMat(a, b, cv2.USAC_MAGSAC, 2.0, 0.999, 5000)
    agreement = ours & (theirs[:, 0] > 0)
    assert agreement.sum() / max(ours.sum(), (theirs > 0).sum()) > 0.9


@given(st.integers(0, 2**32 - 1), st.floats(-np.pi, np.pi), st.floats(0.1, 10), st.booleans())
@hypothesis_settings(max_examples=40, deadline=None)
def test_turning_moving_and_scaling_change_nothing(seed, angle, scale, mirror):
    """Rigid motions of either image, and one scale of both, keep inliers and scale residuals."""
    a, b, _ = affine_views(np.random.default_rng(seed), 60, outliers=0.3, noise=0.5)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if mirror:
        turn[0] *= -1
    before = estimate_affine_fundamental(a, b, 2.0, np.random.default_rng(0))
    after = estimate_affine_fundamental(a * scale + 50, b @ turn.T * scale - 20, 2.0 * scale, np.random.default_rng(0))
    cost = [np.minimum(m.residuals / t, 1) ** 2 for m, t in ((before, 2.0), (after, 2.0 * scale))]
    if np.array_equal(before.inliers, after.inliers):
        np.testing.assert_allclose(after.residuals, before.residuals * scale, atol=1e-6 * scale)
    else:  # two hypotheses of equal cost to single precision
        assert cost[0].sum() == pytest.approx(cost[1].sum(), rel=0.05)


def test_same_seed_same_result():
    a, b, _ = affine_views(np.random.default_rng(6), 300, outliers=0.6, noise=1)
    results = [estimate_affine_fundamental(a, b, 2.0, np.random.default_rng(7)) for _ in range(2)]
    assert np.array_equal(results[0].f, results[1].f)
    assert results[0].hypotheses == results[1].hypotheses


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_too_few_points_give_a_shaped_result_without_model(n):
    model = estimate_affine_fundamental(np.zeros((n, 2)), np.zeros((n, 2)), 1.0, np.random.default_rng(0))
    assert not model.found
    assert model.inliers.shape == model.residuals.shape == (n,)
    assert model.inliers.dtype == bool
    assert model.f.shape == (5,)
    assert np.isnan(model.f).all()
    assert model.n_inliers == 0
    assert np.isnan(model.rms)
    assert repr(model) == f"AffineFundamental(no model for {n} matches)"


def test_four_points_always_fit():
    rng = np.random.default_rng(8)
    model = estimate_affine_fundamental(rng.normal(size=(4, 2)), rng.normal(size=(4, 2)), 1e-6, rng)
    assert model.n_inliers == 4


def test_equal_and_collinear_points_have_no_model():
    rng = np.random.default_rng(9)
    same = np.full((50, 2), 3.0)
    assert not estimate_affine_fundamental(same, same, 1.0, rng).found
    line = np.linspace(0, 100, 50)[:, None] * [1.0, 2.0]
    assert not estimate_affine_fundamental(line, line + 5, 1.0, rng).found
    spread = rng.uniform(0, 100, (50, 2))
    one_image = estimate_affine_fundamental(line, spread, 0.1, rng)  # the plane of image a alone is no two-view model
    assert one_image.n_inliers < 25


def test_repeated_matches_do_not_stop_the_search():
    rng = np.random.default_rng(10)
    a, b, truth = affine_views(rng, 30)
    a, b = np.repeat(a, 20, axis=0), np.repeat(b, 20, axis=0)
    model = estimate_affine_fundamental(a, b, 1e-3, rng)
    assert model.inliers.all()
    assert same_up_to_sign(model.f[:4], truth[:4], 1e-9)


def test_exact_copy_of_a_picture_has_a_model_although_every_sample_is_degenerate():
    rng = np.random.default_rng(11)
    a = rng.uniform(0, 500, (100, 2))
    assert estimate_affine_fundamental(a, a.copy(), 1.0, rng).n_inliers == 100


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_points_that_are_not_finite_are_refused(bad):
    a = np.zeros((10, 2))
    a[3, 1] = bad
    with pytest.raises(ValueError, match="finite"):
        estimate_affine_fundamental(a, np.zeros((10, 2)), 1.0, np.random.default_rng(0))


def test_wrong_shapes_and_thresholds_are_refused():
    rng = np.random.default_rng(0)
    for a, b in [
        (np.zeros((5, 3)), np.zeros((5, 3))),
        (np.zeros((5, 2)), np.zeros((6, 2))),
        (np.zeros(4), np.zeros(4)),
    ]:
        with pytest.raises(ValueError, match="shape"):
            estimate_affine_fundamental(a, b, 1.0, rng)
    for threshold in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="threshold"):
            estimate_affine_fundamental(np.zeros((5, 2)), np.zeros((5, 2)), threshold, rng)


def test_result_is_frozen_and_telling():
    rng = np.random.default_rng(12)
    a, b, _ = affine_views(rng, 297, outliers=0.1, noise=0.5)
    model = estimate_affine_fundamental(a, b, 2.0, rng)
    with pytest.raises(ValueError, match="read-only"):
        model.residuals[0] = 1
    with pytest.raises(AttributeError):
        model.f = None
    assert repr(model) == f"AffineFundamental(inliers={model.n_inliers}/297, rms={model.rms:.2g} px)"


def test_search_stops_early_and_at_its_limit():
    rng = np.random.default_rng(13)
    a, b, _ = affine_views(rng, 200, outliers=0.1, noise=0.3)
    assert estimate_affine_fundamental(a, b, 2.0, rng).hypotheses <= 64
    assert estimate_affine_fundamental(a, b, 2.0, rng, Search(1, 500)).hypotheses == 500
    a, b = rng.uniform(0, 1000, (2, 200, 2))
    assert estimate_affine_fundamental(a, b, 1.0, rng, Search(max_hypotheses=300)).hypotheses == 300


@pytest.mark.parametrize("bad", [{"confidence": 0}, {"confidence": 1.1}, {"max_hypotheses": 0}])
def test_impossible_searches_are_refused(bad):
    with pytest.raises(ValueError, match="confidence must lie"):
        Search(**bad)


@given(st.integers(4, 30), st.integers(0, 2**32 - 1))
@hypothesis_settings(max_examples=50, deadline=None)
def test_samples_are_distinct_and_in_range(n, seed):
    samples = distinct_samples(n, 4, 100, np.random.default_rng(seed))
    assert samples.min() >= 0
    assert samples.max() < n
    assert (np.diff(np.sort(samples, axis=1), axis=1) > 0).all()


def test_samples_are_uniform():
    samples = distinct_samples(6, 4, 30000, np.random.default_rng(0))
    for column in samples.T:
        np.testing.assert_allclose(np.bincount(column) / 30000, 1 / 6, atol=0.01)


def test_fit_refuses_points_in_line():
    assert fit_subspace(np.outer(np.arange(10.0), [1, 2, 3, 4]), 1) is None


def test_example_of_the_documentation():
    assert doctest.testmod(affine).failed == 0

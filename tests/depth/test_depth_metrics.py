import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftnet.data.truth import TrueView
from liftnet.depth.crops import VIEWING_DISTANCE, true_crop
from liftnet.depth.score import align_as_paper, depth_errors, mean_errors
from liftnet.geometry.cameras import Camera
from liftnet.models.depth_input import CropBox, constant_depth, ellipsoid_depth, inflated_depth


def disc(size, radius, centre=None):
    rows, columns = np.indices((size, size))
    centre = (size - 1) / 2 if centre is None else centre
    return np.hypot(rows - centre, columns - centre) <= radius


def test_errors_against_numbers_worked_out_by_hand():
    true = np.array([[2.0, 4.0, 3.0]])
    errors = depth_errors(np.zeros((1, 3)), true, np.ones((1, 3), bool))  # aligned to the median: 3, 3, 3
    assert errors.l1 == pytest.approx(2 / 3)
    assert errors.rmse == pytest.approx(math.sqrt(2 / 3))
    assert errors.rel_l1 == pytest.approx((1 / 2 + 1 / 4) / 3)
    assert errors.rel_sq == pytest.approx((1 / 2 + 1 / 4) / 3)


def test_paper_alignment_by_hand_and_as_the_least_squares_scale_through_the_medians():
    d, gt = np.array([0.0, 1.0, 5.0]), np.array([7.0, 5.0, 4.0])  # medians 1 and 5
    alpha = (-1 * 2 + 4 * -1) / (1 + 16)
    np.testing.assert_allclose(align_as_paper(d, gt), alpha * np.array([-1, 0, 4]) + 5)
    rng = np.random.default_rng(0)
    d, gt = rng.normal(size=101), rng.normal(size=101) + 3
    best = np.linalg.lstsq((d - np.median(d))[:, None], gt - np.median(gt), rcond=None)[0]
    np.testing.assert_allclose(align_as_paper(d, gt), best[0] * (d - np.median(d)) + np.median(gt))


@settings(max_examples=30, deadline=None)
@given(a=st.floats(0.01, 100) | st.floats(-100, -0.01), b=st.floats(-1, 1), c=st.floats(-1, 1), e=st.floats(-50, 50))
def test_affine_error_does_not_see_what_the_loss_does_not_see(a, b, c, e):
    rng = np.random.default_rng(1)
    rows, columns = np.indices((12, 12))
    d, mask = rng.normal(size=(12, 12)), disc(12, 5)
    true = 2.7 + 0.3 * d + 0.1 * rng.normal(size=(12, 12))
    before, after = depth_errors(d, true, mask), depth_errors(a * d + b * columns + c * rows + e, true, mask)
    assert after.rmse_affine == pytest.approx(before.rmse_affine, rel=1e-6)
    only_scaled = depth_errors(a * d + e, true, mask)
    assert only_scaled.rmse == pytest.approx(before.rmse, rel=1e-6)


def test_affine_error_equals_numpy_least_squares():
    rng = np.random.default_rng(2)
    d, true, mask = rng.normal(size=(9, 9)), rng.normal(size=(9, 9)) + 3, disc(9, 4)
    rows, columns = np.nonzero(mask)
    design = np.column_stack([d[mask], columns, rows, np.ones(mask.sum())])
    residual = design @ np.linalg.lstsq(design, true[mask], rcond=None)[0] - true[mask]
    assert depth_errors(d, true, mask).rmse_affine == pytest.approx(np.sqrt((residual**2).mean()))


def test_constant_depth_is_aligned_to_the_median_and_to_the_best_plane():
    rows, columns = np.indices((10, 10))
    mask = disc(10, 4)
    plane = 2.5 + 0.1 * columns - 0.05 * rows
    errors = depth_errors(constant_depth(mask), plane, mask)
    assert errors.rmse_affine == pytest.approx(0, abs=1e-12)
    assert errors.rmse == pytest.approx(np.sqrt(np.square(plane[mask] - np.median(plane[mask])).mean()))


def test_means_are_over_images():
    errors = [depth_errors(np.zeros((1, 3)), np.array([[2.0, k, 3.0]]), np.ones((1, 3), bool)) for k in (4.0, 3.0)]
    assert mean_errors(errors)["l1"] == pytest.approx((errors[0].l1 + errors[1].l1) / 2)
    assert math.isnan(mean_errors([])["l1"])


def test_inflated_disc_is_a_hemisphere():
    size, radius = 101, 40
    mask = disc(size, radius)
    rows, columns = np.indices((size, size))
    squared = radius**2 - (rows - 50) ** 2 - (columns - 50) ** 2
    expected = -np.sqrt(squared.clip(0)) / (size / 2)
    inner = disc(size, 0.9 * radius)
    np.testing.assert_allclose(inflated_depth(mask)[inner], expected[inner], rtol=0.06)
    assert (inflated_depth(mask)[~mask] == 0).all()


def test_inflated_mask_that_touches_the_border_or_is_empty():
    full = inflated_depth(np.ones((32, 32), bool))
    assert np.isfinite(full).all()
    assert full.argmin() in (15 * 32 + 15, 15 * 32 + 16, 16 * 32 + 15, 16 * 32 + 16)
    assert (inflated_depth(np.zeros((8, 8), bool)) == 0).all()
    single = np.zeros((8, 8), bool)
    single[3, 3] = True
    assert inflated_depth(single)[3, 3] < 0


def test_truth_is_measured_in_half_widths_of_the_crop():
    """A sphere that fills the crop's width has, seen from afar, its front one half width before its rim."""
    size, focal, distance, radius = 200, 8000.0, 100.0, 1.0
    camera = Camera(np.array([[focal, 0, 99.5], [0, focal, 99.5], [0, 0, 1]]), np.eye(3), np.zeros(3))
    rows, columns = np.indices((size, size))
    x, y = (columns - 99.5) / focal * distance, (rows - 99.5) / focal * distance
    inside = x**2 + y**2 < radius**2
    depth = np.where(inside, distance - np.sqrt((radius**2 - x**2 - y**2).clip(0)), np.nan).astype(np.float32)
    crop = true_crop(TrueView(depth, camera), CropBox(20, 20, 160), 80)  # the sphere is 160 px wide
    assert np.nanmedian(crop) == pytest.approx(VIEWING_DISTANCE, abs=0.01)
    assert np.nanmax(crop) - np.nanmin(crop) == pytest.approx(1.0, abs=0.1)
    assert np.isnan(crop[0, 0])


def test_parallel_rays_measure_a_half_width_without_the_depth():
    from liftnet.geometry.cameras import OrthographicCamera

    depth = np.full((100, 100), 7.0)
    depth[:, 50:] = 7.5
    camera = OrthographicCamera(50.0, np.array([49.5, 49.5]), np.eye(3), np.zeros(3))  # the image is 2 units wide
    crop = true_crop(TrueView(depth, camera), CropBox(25, 25, 50), 50)  # its half width is half a unit
    assert np.ptp(crop) == pytest.approx(1.0)


def test_ellipsoid_over_a_turned_ellipse_is_that_ellipsoid():
    rows, columns = np.indices((96, 96))
    x, y, angle = columns - 50.0, rows - 44.0, 0.5
    along, across = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    distance = (along / 40) ** 2 + (across / 15) ** 2
    mask = distance < 1
    expected = -np.sqrt(40 * 15) * np.sqrt((1 - distance).clip(min=0)) / 48
    inner = distance < 0.8
    depth = ellipsoid_depth(mask)
    np.testing.assert_allclose(depth[inner], expected[inner], atol=0.01)  # of .51 in the middle
    assert (depth[~mask] == 0).all()
    assert depth.dtype == np.float32


def test_ellipsoid_of_an_empty_mask_a_single_pixel_and_a_line():
    assert (ellipsoid_depth(np.zeros((8, 8), bool)) == 0).all()
    for mask in (np.eye(8, dtype=bool), np.arange(64).reshape(8, 8) == 20, np.arange(64).reshape(8, 8) // 8 == 3):
        depth = ellipsoid_depth(mask)
        assert np.isfinite(depth).all()
        assert depth.min() < 0
        assert (depth[~mask] == 0).all()

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import liftnet.depth
from liftnet.depth.camera_fit import fit_camera, fit_camera_by_svd, ransac_inliers
from liftnet.depth.reprojection import (
    AFFINE,
    CameraModel,
    Criterion,
    correspondence_loss,
    correspondence_terms,
    robust_cost,
)

BY_SVD = CameraModel("affine by svd")


def scene(seed=0, pairs=3, points=60, outliers=0.0, noise=0.3, dtype=torch.float64):
    """Points of a curved surface and their images under random affine cameras."""
    g = torch.Generator().manual_seed(seed)
    source = torch.rand(pairs, points, 2, generator=g, dtype=dtype) * 64
    depth = torch.sin(source[..., 0] / 9) * torch.cos(source[..., 1] / 7) + 0.02 * source[..., 0]
    camera = torch.eye(2, 4, dtype=dtype) + 0.2 * torch.randn(pairs, 2, 4, generator=g, dtype=dtype)
    camera[:, :, 2] = 5 * torch.randn(pairs, 2, generator=g, dtype=dtype)
    target = torch.cat([source, depth[..., None], torch.ones_like(depth)[..., None]], 2) @ camera.mT
    target = target + noise * torch.randn(target.shape, generator=g, dtype=dtype)
    bad = int(outliers * points)
    target[:, :bad] = torch.rand(pairs, bad, 2, generator=g, dtype=dtype) * 64
    return source, depth, target, torch.ones(pairs, points, dtype=torch.bool), camera


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def loss_and_gradient(source, depth, target, mask, **options):
    depth = depth.clone().requires_grad_()
    loss = correspondence_terms(source, depth, target, mask, seeded(), Criterion(2.0, 2.0, **options)).loss
    return loss.detach(), torch.autograd.grad(loss.sum(), depth)[0]


def test_robust_cost_follows_the_formula_of_section_3_2():
    tau, errors = 5.0, torch.linspace(0, 9, 91, dtype=torch.float64)
    expected = [0.5 * x**2 * (1 - x**2 / (2 * tau**2)) if x * x <= tau * tau else tau**2 / 4 for x in errors.tolist()]
    np.testing.assert_allclose(robust_cost(errors**2, tau), expected)
    np.testing.assert_allclose(robust_cost(errors**2, math.inf), 0.5 * errors**2)


def test_robust_cost_has_no_gradient_beyond_tau():
    squared = torch.tensor([3.9, 4.1], requires_grad=True)
    robust_cost(squared, 2.0).sum().backward()
    assert squared.grad[0] > 0
    assert squared.grad[1] == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_camera_equals_the_singular_value_route_and_numpy(dtype):
    source, depth, target, mask, _ = scene(dtype=dtype)
    weight = mask.to(dtype)
    weight[:, ::3] = 0
    camera = fit_camera(source, depth, target, weight).camera
    tolerance = 1e-9 if dtype == torch.float64 else 2e-3
    torch.testing.assert_close(
        camera, fit_camera_by_svd(source, depth, target, weight).camera, rtol=tolerance, atol=tolerance
    )
    kept = weight[0] > 0
    columns = np.column_stack([source[0, kept], depth[0, kept], np.ones(int(kept.sum()))])
    expected = np.linalg.lstsq(columns.astype(float), target[0, kept].double().numpy(), rcond=None)[0].T
    np.testing.assert_allclose(camera[0], expected, rtol=tolerance, atol=tolerance)


def test_loss_and_gradient_equal_the_singular_value_route():
    data = scene(outliers=0.3)[:4]
    loss, gradient = loss_and_gradient(*data)
    svd_loss, svd_gradient = loss_and_gradient(*data, camera=BY_SVD)
    torch.testing.assert_close(loss, svd_loss)
    torch.testing.assert_close(gradient, svd_gradient)
    assert gradient.abs().max() > 1e-4


@pytest.mark.parametrize("camera", [AFFINE, BY_SVD], ids=["fwl", "svd"])
@pytest.mark.parametrize("tau", [math.inf, 2.0])
def test_gradcheck(tau, camera):
    source, depth, target, mask, _ = scene(pairs=2, points=12, outliers=0.2, noise=0.1)
    mask[1, 9:] = False

    def function(d):
        return correspondence_terms(source, d, target, mask, seeded(), Criterion(2.0, tau, camera=camera)).loss

    assert torch.autograd.gradcheck(function, (depth.requires_grad_(),), atol=1e-5)


AFFINE_CHANGES = {
    "a": st.floats(0.05, 20) | st.floats(-20, -0.05),
    "b": st.floats(-0.5, 0.5),
    "c": st.floats(-0.5, 0.5),
    "e": st.floats(-10, 10),
    "seed": st.integers(0, 1000),
}


@settings(max_examples=25, deadline=None)
@given(**AFFINE_CHANGES)
def test_loss_and_scaled_gradient_do_not_see_affine_changes_of_depth(a, b, c, e, seed):
    source, depth, target, mask, _ = scene(seed, pairs=2, points=40, outliers=0.3)
    changed = a * depth + b * source[..., 0] + c * source[..., 1] + e
    loss, gradient = loss_and_gradient(source, depth, target, mask)
    changed_loss, changed_gradient = loss_and_gradient(source, changed, target, mask)
    torch.testing.assert_close(changed_loss, loss, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(a * changed_gradient, gradient, rtol=1e-4, atol=1e-7)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_gradient_has_no_part_along_the_changes_that_the_loss_does_not_see(seed):
    source, depth, target, mask, _ = scene(seed, pairs=2, points=40, outliers=0.3)
    _, gradient = loss_and_gradient(source, depth, target, mask)
    unseen = torch.stack([depth, source[..., 0], source[..., 1], torch.ones_like(depth)], 1)
    along = (unseen / unseen.norm(dim=2, keepdim=True)) @ gradient[..., None]
    assert along.abs().max() < 1e-9 + 1e-9 * gradient.norm()


def test_the_loss_of_the_package_is_this_one():
    assert liftnet.depth.correspondence_loss is correspondence_loss


def test_ransac_finds_the_inliers_among_outliers():
    source, depth, target, mask, camera = scene(points=100, outliers=0.4, noise=0.1)
    inliers = ransac_inliers(source, depth, target, mask, 2.0, seeded())
    assert inliers[:, 40:].float().mean() > 0.97
    assert inliers[:, :40].float().mean() < 0.1
    weight = inliers.double()
    torch.testing.assert_close(fit_camera(source, depth, target, weight).camera, camera, rtol=0.1, atol=0.1)


def test_true_depth_explains_more_than_wrong_depth():
    source, depth, target, mask, _ = scene(noise=0.0)
    true = correspondence_loss(source, depth, target, mask, 2.0, 2.0, seeded())
    wrong = correspondence_loss(source, depth.roll(1, 1), target, mask, 2.0, 2.0, seeded())
    assert true.max() < 1e-12
    assert wrong.min() > 0.1


def test_gradient_is_finite_at_equal_singular_values_where_the_singular_value_route_has_none():
    corners = torch.tensor([[-1.0, -1, -1], [-1, -1, 1], [-1, 1, -1], [-1, 1, 1]])
    cube = torch.cat([corners, -corners]).double()[None]
    source, depth = cube[..., :2], cube[..., 2]
    target = torch.randn(1, 8, 2, generator=seeded(), dtype=torch.float64)
    mask = torch.ones(1, 8, dtype=torch.bool)

    def gradient(camera):
        d = depth.clone().requires_grad_()
        terms = correspondence_terms(source, d, target, mask, seeded(), Criterion(100.0, math.inf, camera=camera))
        return torch.autograd.grad(terms.loss.sum(), d)[0]

    assert torch.isfinite(gradient(AFFINE)).all()
    assert not torch.isfinite(gradient(BY_SVD)).all()


@pytest.mark.parametrize("relief", [1e-5, 1e-3, 0.3])
def test_gradient_in_single_precision_is_right_at_low_relief(relief):
    source, wave, target, _, _ = scene(outliers=0.2, dtype=torch.float32)
    depth, weight = 0.5 + relief * wave, torch.ones_like(wave)

    def gradient(dtype, fit):
        d = depth.to(dtype).requires_grad_()
        residual = fit(source.to(dtype), d, target.to(dtype), weight.to(dtype)).residual
        return torch.autograd.grad(residual.square().sum(), d)[0].double()

    exact = gradient(torch.float64, fit_camera_by_svd)
    assert (gradient(torch.float32, fit_camera) - exact).norm() < 1e-3 * exact.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("depth", ["flat", "plane", "almost flat"])
def test_flat_depth_has_finite_loss_and_gradient(dtype, depth):
    source, _, target, mask, _ = scene(dtype=dtype, outliers=0.2)
    relief = {
        "flat": torch.full_like(source[..., 0], 0.7),
        "plane": 0.01 * source[..., 0] - 0.02 * source[..., 1],
        "almost flat": 0.7 + 1e-6 * torch.randn(source.shape[:2], generator=seeded(), dtype=dtype),
    }[depth]
    loss, gradient = loss_and_gradient(source, relief, target, mask)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(gradient).all()


def test_flat_depth_is_judged_by_the_best_planar_camera():
    source, depth, _, mask, _ = scene(noise=0.0)
    target = source * 0.9 + 3
    target[:, :20] = 1000.0  # outliers must not drag the planar camera along
    terms = correspondence_terms(source, torch.zeros_like(depth), target, mask, seeded(), Criterion(2.0, 2.0))
    torch.testing.assert_close(terms.inlier_share, torch.full((3,), 40 / 60))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_few_points_have_finite_loss_and_gradient(count):
    source, depth, target, mask, _ = scene(dtype=torch.float32)
    mask[1, count:] = False
    loss, gradient = loss_and_gradient(source, depth, target, mask)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(gradient).all()
    assert (gradient[1, count:] == 0).all()
    if count <= 4:
        assert loss[1] < 1e-3  # a camera goes through four points


def test_points_on_a_line_are_finite():
    source, depth, target, mask, _ = scene(dtype=torch.float32)
    source = source.clone()
    source[..., 1] = 2 * source[..., 0] + 1
    loss, gradient = loss_and_gradient(source, depth, target, mask)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(gradient).all()


def test_rows_that_fill_up_change_nothing():
    source, depth, target, mask, _ = scene(pairs=1, points=40)
    expected = correspondence_terms(source, depth, target, mask, seeded(), Criterion(50.0, 2.0))
    junk = torch.full((1, 15, 2), torch.nan, dtype=torch.float64)
    more = correspondence_terms(
        torch.cat([source, junk], 1),
        torch.cat([depth, junk[..., 0]], 1),
        torch.cat([target, junk], 1),
        torch.cat([mask, torch.zeros(1, 15, dtype=torch.bool)], 1),
        seeded(),
        Criterion(50.0, 2.0),
    )
    for one, other in zip(expected, more, strict=True):
        torch.testing.assert_close(one, other)


def test_many_points_are_scored_on_a_part_of_them():
    source, depth, target, mask, _ = scene(pairs=1, points=5000, outliers=0.3)
    inliers = ransac_inliers(source, depth, target, mask, 2.0, seeded())
    assert inliers[:, 1500:].float().mean() > 0.95
    assert inliers[:, :1500].float().mean() < 0.1


def test_same_seed_same_loss_and_the_threads_do_not_matter_for_the_draws():
    data = scene(outliers=0.4)[:4]
    a, b = (correspondence_loss(*data, 1.0, 2.0, seeded(5)) for _ in range(2))
    assert torch.equal(a, b)

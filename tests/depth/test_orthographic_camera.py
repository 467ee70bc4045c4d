"""The scaled orthographic camera against general-purpose optimisers, and what its loss no longer leaves free."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from liftnet.depth.camera_fit import (
    camera_rows,
    fit_camera,
    fit_orthographic,
    nearest_quaternion,
    orthography_defect,
)
from liftnet.depth.reprojection import CameraModel, Criterion, correspondence_terms

UNIT = 32.0
CAMERAS = [CameraModel("orthographic", unit=UNIT), CameraModel(orthography_weight=1.0, unit=UNIT)]


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def views(seed=0, pairs=4, points=60, noise=0.0, angle=0.5):
    """A curved surface, (x, y) in px and depth in units, seen again from up to `angle` radians away."""
    rng = np.random.default_rng(seed)
    source = rng.uniform(0, 64, (pairs, points, 2))
    depth = 0.4 * np.sin(source[..., 0] / 9) * np.cos(source[..., 1] / 7) + 0.004 * source[..., 0]
    turns = Rotation.from_rotvec(rng.uniform(-1, 1, (pairs, 3)) * angle / math.sqrt(3)).as_matrix()
    rows = rng.uniform(0.8, 1.25, (pairs, 1, 1)) * turns[:, :2]
    target = np.concatenate([source, UNIT * depth[..., None]], 2) @ rows.transpose(0, 2, 1)
    target += rng.uniform(-5, 5, (pairs, 1, 2)) + noise * rng.normal(size=target.shape)
    return *(torch.from_numpy(array) for array in (source, depth, target)), torch.from_numpy(rows)


def fitted(source, depth, target, weight=None):
    weight = torch.ones_like(depth) if weight is None else weight
    return fit_orthographic(source, depth, target, weight, fit_camera(source, depth, target, weight).camera, UNIT)


def rows_in_pixels(camera):
    return torch.cat([camera[..., :2], camera[..., 2:3] / UNIT], 2)


def reference_cost(source, depth, target):
    """Least squares over scale, rotation vector and translation by scipy, the best of starts all around."""
    points = np.column_stack([source, UNIT * depth])

    def residual(p):
        rows = np.exp(p[3]) * Rotation.from_rotvec(p[:3]).as_matrix()[:2]
        return (points @ rows.T + p[4:] - target).ravel()

    starts = Rotation.random(24, random_state=0).as_rotvec()
    found = [least_squares(residual, [*start, 0, *target.mean(0)]) for start in starts]
    return 2 * min(result.cost for result in found)


def test_exact_views_give_back_their_camera():
    source, depth, target, rows = views()
    fit = fitted(source, depth, target)
    torch.testing.assert_close(rows_in_pixels(fit.camera), rows)
    assert fit.residual.abs().max() < 1e-6
    projected = torch.cat([source, depth[..., None], torch.ones_like(depth)[..., None]], 2) @ fit.camera.mT
    torch.testing.assert_close(projected, target)


@pytest.mark.parametrize("shear", [0.0, 0.02])
def test_noisy_views_are_fitted_as_well_as_by_scipy(shear):
    source, depth, target, _ = views(noise=1.0)
    depth = depth + shear * source[..., 1]
    cost = fitted(source, depth, target).residual.square().sum((1, 2))
    for k in range(len(source)):
        expected = reference_cost(source[k].numpy(), depth[k].numpy(), target[k].numpy())
        assert float(cost[k]) == pytest.approx(expected, rel=1e-4)


def test_weights_choose_the_points():
    source, depth, target, rows = views()
    weight = torch.ones_like(depth)
    weight[:, ::3] = 0
    target = torch.where(weight[..., None] > 0, target, 100.0)
    torch.testing.assert_close(rows_in_pixels(fitted(source, depth, target, weight).camera), rows)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_defect_is_that_of_the_singular_values(seed):
    camera = torch.randn(1, 2, 4, generator=seeded(seed), dtype=torch.float64)
    s1, s2 = torch.linalg.svdvals(rows_in_pixels(camera))[0].tolist()
    expected = ((s1**2 - s2**2) / (s1**2 + s2**2)) ** 2
    assert orthography_defect(camera, UNIT).item() == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_nearest_camera_is_that_of_the_polar_decomposition(seed):
    rows = torch.randn(1, 2, 3, generator=seeded(seed), dtype=torch.float64)
    u, s, v = torch.linalg.svd(rows, full_matrices=False)
    torch.testing.assert_close(camera_rows(nearest_quaternion(rows)), s.mean() * (u @ v))


@pytest.mark.parametrize("tau", [math.inf, 4.0])
def test_gradcheck_through_the_constrained_camera(tau):
    source, depth, target, _ = views(pairs=2, points=10, noise=0.5)
    mask = torch.ones_like(depth, dtype=torch.bool)
    mask[1, 8:] = False

    def function(d):
        camera = CameraModel("orthographic", unit=UNIT)
        return correspondence_terms(source, d, target, mask, seeded(), Criterion(50.0, tau, camera=camera)).loss

    assert torch.autograd.gradcheck(function, (depth.requires_grad_(),), atol=1e-5)


def test_gradcheck_of_self_calibration():
    source, depth, target, _ = views(pairs=2, points=10, noise=0.5)
    mask = torch.ones_like(depth, dtype=torch.bool)

    def function(d):
        camera = CameraModel(orthography_weight=3.0, unit=UNIT)
        return correspondence_terms(source, d, target, mask, seeded(), Criterion(50.0, math.inf, camera=camera)).loss

    assert torch.autograd.gradcheck(function, (depth.requires_grad_(),), atol=1e-5)


@pytest.mark.parametrize(
    "camera", [CameraModel("orthographic", unit=UNIT), CameraModel(orthography_weight=1.0, unit=UNIT)]
)
def test_shear_and_stretch_of_depth_now_cost(camera):
    source, depth, target, _ = views(pairs=6, angle=1.0)
    mask = torch.ones_like(depth, dtype=torch.bool)

    def loss(d):
        return correspondence_terms(
            source, d, target, mask, seeded(), Criterion(2.0, math.inf, camera=camera)
        ).loss.mean()

    assert loss(depth) < 1e-12
    assert loss(-depth) < 1e-12  # the mirror image, which orthography cannot tell apart
    assert loss(depth + 3) < 1e-12
    for changed in (depth + 0.02 * source[..., 0], depth - 0.02 * source[..., 1], 1.5 * depth, 0.6 * depth):
        assert loss(changed) > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["flat", "plane", "almost flat", "one point", "line"])
@pytest.mark.parametrize(
    "camera", [CameraModel("orthographic", unit=UNIT), CameraModel(orthography_weight=1.0, unit=UNIT)]
)
def test_degenerate_pairs_have_finite_loss_and_gradient(camera, kind, dtype):
    source, depth, target, _ = (array.to(dtype) for array in views(noise=0.3))
    mask = torch.ones_like(depth, dtype=torch.bool)
    if kind == "line":
        source[..., 1] = 2 * source[..., 0]
    elif kind == "one point":
        mask[:, 1:] = False
    else:
        wave = {"flat": 0.0, "plane": 0.01 * source[..., 0], "almost flat": 1e-6 * depth}[kind]
        depth = torch.full_like(depth, 0.3) + wave
    depth.requires_grad_()
    loss = correspondence_terms(source, depth, target, mask, seeded(), Criterion(2.0, 4.0, camera=camera)).loss
    assert torch.isfinite(loss).all()
    assert torch.isfinite(torch.autograd.grad(loss.sum(), depth)[0]).all()


def test_a_fit_that_is_not_determined_does_not_run_away():
    """Depth of pure noise leaves the camera's tilt nearly free."""
    source, depth, target, _ = (array.float() for array in views(pairs=64, points=12, noise=3.0, angle=2.0))
    for relief in (0.0, 1e-4, 1e-2, 1.0):
        noise = relief * torch.randn(depth.shape, generator=seeded())
        fit = fitted(source, noise, target)
        spread = (target - target.mean(1, keepdim=True)).square().sum((1, 2))
        assert (fit.residual.square().sum((1, 2)) <= 1.001 * spread).all()

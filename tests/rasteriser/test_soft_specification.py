"""The plain specification of the soft rasteriser agrees with the formulas, evaluated otherwise, and with geometry."""

import numpy as np
import pytest
import torch
from scipy.special import expit, logsumexp

from liftnet.rasteriser import Softness, rasterise
from liftnet.rasteriser.reference import coverage_and_depth

SIZE = 20
CENTRES = (2 * np.arange(SIZE) + 1 - SIZE) / SIZE


def soup(count: int, seed: int = 0, spread: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
    """Triangles (T, 3, 3) that intersect each other, and shades (T,)."""
    random = np.random.default_rng(seed)
    corners = random.uniform(-0.9, 0.9, (count, 1, 2)) + random.normal(scale=spread, size=(count, 3, 2))
    depths = random.uniform(2, 2.2, (count, 3, 1))
    return torch.tensor(np.concatenate([corners, depths], 2)), torch.tensor(random.uniform(0.2, 1, count))


def draw(triangles: torch.Tensor, shades: torch.Tensor, softness: Softness, size: int = SIZE, backend="reference"):
    image = torch.zeros(len(triangles), dtype=torch.int64)
    return [images[0] for images in rasterise(triangles, shades, image, 1, size, softness, backend)]


def dense(triangles: np.ndarray, shades: np.ndarray, softness: Softness) -> list[np.ndarray]:
    """SoftRas' equations as printed, every triangle at every pixel, weights by log-sum-exp."""
    coverage, logits, depths = [], [], []
    x, y = np.meshgrid(CENTRES, CENTRES)
    for triangle in triangles:
        system = np.vstack([triangle[:, :2].T, np.ones(3)])
        weights = np.linalg.solve(system, np.stack([x.ravel(), y.ravel(), np.ones(x.size)])).reshape(3, *x.shape)
        squared = np.inf
        for start, end in zip(triangle, np.roll(triangle, -1, 0), strict=True):
            along = np.linspace(start[:2], end[:2], 4001)
            squared = np.minimum(
                squared, ((x[..., None] - along[:, 0]) ** 2 + (y[..., None] - along[:, 1]) ** 2).min(-1)
            )
        clipped = np.clip(weights, 0, 1)
        clipped /= clipped.sum(0)
        z = 1 / (clipped / triangle[:, 2, None, None]).sum(0)
        logit = np.where((weights > 0).all(0), squared, -squared) / softness.sigma
        seen = (expit(logit) > softness.distance_eps) & (z <= softness.far)
        share = (softness.far - z) / (softness.far - softness.near)
        coverage.append(np.where(seen, expit(logit), 0))
        logits.append(np.where(seen, -np.log1p(np.exp(-np.maximum(logit, -700))) + share / softness.gamma, -np.inf))
        depths.append(z)
    logits.append(np.full(x.shape, softness.depth_eps / softness.gamma))
    weights = np.exp(logits - logsumexp(logits, axis=0))
    colours = np.append(shades, softness.background)[:, None, None]
    gray, silhouette = (weights * colours).sum(0), 1 - np.prod(1 - np.array(coverage), axis=0)
    return [gray, silhouette, (weights * np.array([*depths, np.full(x.shape, softness.far)])).sum(0)]


@pytest.mark.parametrize("sigma", [1e-3, 3e-2])
def test_specification_equals_the_printed_formulas(sigma: float) -> None:
    triangles, shades = soup(6)
    softness = Softness(sigma, gamma=1e-3, background=0.1)
    for ours, theirs in zip(
        draw(triangles, shades, softness), dense(triangles.numpy(), shades.numpy(), softness), strict=True
    ):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=3e-5)


def test_hard_limit_is_the_nearest_triangle() -> None:
    triangles, shades = soup(8, seed=3)
    x, y = np.meshgrid(CENTRES, CENTRES)
    nearest, colour = np.full(x.shape, 100.0), np.zeros(x.shape)
    for triangle, shade in zip(triangles.numpy(), shades.numpy(), strict=True):
        a, b, c = triangle
        ray = np.stack([x, y, np.ones_like(x)], -1)  # through the triangle of camera points (x z, y z, z)
        points = np.stack([corner * [corner[2], corner[2], 1] for corner in (a, b, c)], 1)
        weights = ray @ np.linalg.inv(points).T  # ray = points @ weights, up to the depth
        z = 1 / weights.sum(-1)
        hit = (weights > 0).all(-1) & (z < nearest)
        nearest, colour = np.where(hit, z, nearest), np.where(hit, shade, colour)
    for backend in ("reference", "numba"):
        gray, silhouette, depth = draw(triangles, shades, Softness(1e-9, gamma=1e-7), backend=backend)
        np.testing.assert_allclose(silhouette.numpy(), nearest < 100, atol=1e-3)
        np.testing.assert_allclose(gray.numpy(), colour, atol=1e-3)
        np.testing.assert_allclose(depth.numpy(), nearest, atol=1e-3)


def test_parallel_rays_see_depth_linear_in_the_image() -> None:
    triangle = torch.tensor([[[-6.0, -6, 1.2], [6, -6, 3.6], [0, 8, 3.8]]], dtype=torch.float64)
    for backend in ("reference", "numba"):
        depth = draw(triangle, torch.ones(1), Softness(1e-6, perspective=False), backend=backend)[2]
        y, x = torch.meshgrid(torch.tensor(CENTRES), torch.tensor(CENTRES), indexing="ij")
        plane = 3 + 0.2 * x + 0.1 * y  # through the three corners
        torch.testing.assert_close(depth.double(), plane, atol=1e-4, rtol=0)


def test_what_lies_beyond_the_far_plane_is_not_seen() -> None:
    triangle = torch.tensor([[[-6.0, -6, 2], [6, -6, 2], [0, 8, 2]]])
    for backend in ("reference", "numba"):
        for far, seen in ((2.5, 1.0), (1.9, 0.0)):
            gray, silhouette, depth = draw(
                triangle, torch.ones(1), Softness(far=far, background=0.25), backend=backend
            )
            assert float((silhouette - seen).abs().max()) < 1e-6
            assert float((gray - (1 if seen else 0.25)).abs().max()) < 1e-6
            assert float((depth - (2 if seen else far)).abs().max()) < 1e-6


def test_reach_is_where_coverage_falls_below_its_least() -> None:
    triangle = torch.tensor([[[-0.5, -2.0, 2], [0.5, -2, 2], [0, 100, 2]]], dtype=torch.float64)
    softness = Softness(1e-3)
    assert softness.cut == pytest.approx(9.2102, abs=1e-4)
    x, y = torch.tensor([[0.0], [-2 - softness.reach]], dtype=torch.float64)
    logit, _ = coverage_and_depth(triangle, x, y, softness)
    assert float(torch.sigmoid(logit)) == pytest.approx(1e-4, rel=1e-6)


@pytest.mark.parametrize(
    "wrong", [{"sigma": 0}, {"gamma": -1}, {"far": 0.5}, {"gradient": "none"}, {"distance_eps": 0.7}, {"near": np.nan}]
)
def test_softness_refuses(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Softness(**wrong)


def test_rasterise_refuses_what_it_cannot_draw() -> None:
    triangles, shades = soup(2)
    image = torch.zeros(2, dtype=torch.int64)
    good = {"triangles": triangles, "shades": shades, "image": image, "count": 1, "image_size": 8}
    behind = triangles * torch.tensor([1, 1, -1])
    for wrong in (
        {"triangles": triangles[0]},
        {"shades": shades[:1]},
        {"image": image.int()},
        {"count": 0},
        {"triangles": triangles / 0},
        {"triangles": behind},
        {"backend": "opengl"},
    ):
        with pytest.raises(ValueError, match=r"triangles|shades|image|backend"):
            rasterise(**{**good, **wrong}, softness=Softness())

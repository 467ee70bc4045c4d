"""numba computes what the specification says: images and gradients, of ordinary and of awkward triangles."""

import numpy as np
import pytest
import torch

from liftnet.rasteriser import Softness, rasterise

SIZE = 50  # no multiple of a tile


def triangles_of(kind: str) -> torch.Tensor:
    """(T, 3, 3) float64, in float32's numbers so that both backends are given the same."""
    random = np.random.default_rng(7)

    def soup(count: int, spread: float, centre: float = 0.9) -> np.ndarray:
        middle = random.uniform(-centre, centre, (count, 1, 2))
        return np.concatenate(
            [middle + random.normal(scale=spread, size=(count, 3, 2)), random.uniform(2, 2.1, (count, 3, 1))], 2
        )

    made = {
        "soup": lambda: soup(60, 0.2),
        "tiny": lambda: soup(300, 0.004),
        "huge": lambda: soup(12, 40.0, 3.0),
        "off the image": lambda: soup(30, 0.3) + np.array([1.2, -1.1, 0]),
        "one over the other": lambda: soup(1, 0.4, 0.1) + np.linspace(0, 0.05, 40)[:, None, None] * [0.3, 0.2, 1],
        "slivers": lambda: soup(40, 0.3) * [1, 3e-3, 1] + [0, 0.01, 0],
    }[kind]()
    return torch.tensor(made, dtype=torch.float32).double()


def both(triangles: torch.Tensor, softness: Softness, seed: int = 0):
    """Images and gradients of a random mixture of them by the specification in float64 and by numba."""
    generator = torch.Generator().manual_seed(seed)
    count = 3
    image = torch.randint(count, (len(triangles),), generator=generator)
    shades = torch.rand(len(triangles), generator=generator)
    mixture = [torch.randn(count, SIZE, SIZE, generator=generator) * scale for scale in (1, 1, 1e-2)]
    results = []
    for backend, kind in (("reference", torch.float64), ("numba", torch.float32)):
        given = [tensor.detach().to(kind, copy=True).requires_grad_() for tensor in (triangles, shades)]
        images = rasterise(*given, image, count, SIZE, softness, backend)
        sum((values * weight.to(values)).sum() for values, weight in zip(images, mixture, strict=True)).backward()
        results.append(([values.detach().double() for values in images], [tensor.grad.double() for tensor in given]))
    return results


def relative(ours: torch.Tensor, truth: torch.Tensor) -> float:
    return float((ours - truth).norm() / truth.norm().clamp_min(1e-12))


@pytest.mark.parametrize("kind", ["soup", "tiny", "huge", "off the image", "one over the other", "slivers"])
@pytest.mark.parametrize(
    "softness", [Softness(1e-5), Softness(1e-3, gradient="truncated"), Softness(1e-2, gamma=1e-3)], ids=str
)
def test_numba_agrees_with_the_specification(kind: str, softness: Softness) -> None:
    (truth, slopes), (ours, our_slopes) = both(triangles_of(kind), softness)
    for values, expected in zip(ours, truth, strict=True):
        # at the reach of a triangle coverage falls from 1e-4 to nothing, on which side of it is a matter of rounding
        assert float((values - expected).abs().max()) < 2e-4 * float(expected.abs().max().clamp_min(1))
        assert relative(values, expected) < 2e-5
    assert relative(our_slopes[1], slopes[1]) < 1e-4
    assert relative(our_slopes[0], slopes[0]) < 1e-3


@pytest.mark.parametrize("gradient", ["exact", "truncated"])
def test_parallel_rays(gradient: str) -> None:
    softness = Softness(1e-3, gradient=gradient, perspective=False, near=0.5, far=9)
    (truth, slopes), (ours, our_slopes) = both(triangles_of("soup"), softness)
    assert max(relative(a, b) for a, b in zip(ours + our_slopes, truth + slopes, strict=True)) < 5e-4


def test_truncated_gradient_differs_where_depth_moves_with_the_image() -> None:
    (_, exact), (_, ours) = both(triangles_of("soup"), Softness(1e-3))
    (_, truncated), _ = both(triangles_of("soup"), Softness(1e-3, gradient="truncated"))
    assert relative(truncated[0][..., :2], exact[0][..., :2]) > 0.05
    assert relative(truncated[0][..., 2], exact[0][..., 2]) < 1e-12
    assert relative(ours[0], exact[0]) < 1e-3


FLAT = {
    "edge-on": [[-0.5, -0.25, 2.0], [0.5, 0.25, 2.2], [0.0, 0.0, 2.1]],
    "edge without length": [[-0.5, -0.25, 2.0], [-0.5, -0.25, 2.0], [0.5, 0.25, 2.2]],
    "point": [[0.125, 0.25, 2.0]] * 3,
}


@pytest.mark.parametrize("kind", FLAT)
def test_flat_triangles_have_finite_values_and_gradients(kind: str) -> None:
    triangles = torch.cat([torch.tensor([FLAT[kind]] * 3), triangles_of("soup")[:3].float()]).double()
    (truth, slopes), (ours, our_slopes) = both(triangles, Softness(1e-3))
    for values, expected in zip(ours, truth, strict=True):
        assert relative(values, expected) < 2e-5
    for values in our_slopes + slopes:
        assert bool(torch.isfinite(values).all())
    # where corners coincide, which of them an edge pulls is arbitrary, but not by how much they are pulled together
    torch.testing.assert_close(
        our_slopes[0].sum(1), slopes[0].sum(1), rtol=2e-3, atol=1e-3 * float(slopes[0].abs().max())
    )


def test_number_of_threads_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(1)
    triangles = triangles_of("tiny").float().requires_grad_()
    image = torch.randint(4, (len(triangles),), generator=generator)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            images = rasterise(triangles, triangles[:, 0, 2], image, 4, 130, Softness(1e-4))
            (slope,) = torch.autograd.grad(sum(values.square().sum() for values in images), triangles)
            results.append([*images, slope])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))

"""Losses and scores of learning, against loops written from the papers' formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from liftnet.core.errors import LiftnetError
from liftnet.drkfs.detector import (
    classification_loss,
    logistic_fit,
    position_loss,
    separation,
    soft_maximum,
    soft_position,
)
from liftnet.drkfs.hardnet import (
    average_precision,
    descriptor_distances,
    false_positive_rate,
    hardest_in_batch,
    matching_precision,
)


def unit(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=shape)), dim=-1)


@pytest.mark.parametrize("count", [2, 7, 20])
def test_hardest_negatives_are_those_found_by_trying_all(count: int) -> None:
    rng = np.random.default_rng(count)
    a, b = unit(rng, count, 8), unit(rng, count, 8)
    total = 0.0
    for i in range(count):
        negatives = [np.linalg.norm(a[i] - b[j]) for j in range(count) if j != i]
        negatives += [np.linalg.norm(a[j] - b[i]) for j in range(count) if j != i]
        total += max(0.0, 1 + float(np.linalg.norm(a[i] - b[i])) - min(negatives))
    assert float(hardest_in_batch(a, b)) == pytest.approx(total / count, abs=1e-5)


def test_near_twins_are_no_negatives() -> None:
    rng = np.random.default_rng(0)
    a = unit(rng, 4, 8)
    a[3] = a[2]
    without = hardest_in_batch(a, a)
    far = min(np.linalg.norm(a[i] - a[j]) for i in range(4) for j in range(4) if i != j and {i, j} != {2, 3})
    assert float(without) <= max(0, 1 + 1e-3 - far) + 1e-6


def test_loss_of_descriptors_has_its_gradient() -> None:
    rng = np.random.default_rng(1)
    a, b = unit(rng, 5, 6).requires_grad_(), unit(rng, 5, 6).requires_grad_()
    assert torch.autograd.gradcheck(hardest_in_batch, (a, b))
    same = unit(rng, 3, 6).requires_grad_()
    descriptor_distances(same, same.detach()).sum().backward()
    assert same.grad is not None
    assert bool(same.grad.isfinite().all())


def test_descriptors_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="descriptors are"):
        hardest_in_batch(torch.zeros(1, 4), torch.zeros(1, 4))
    with pytest.raises(ValueError, match="descriptors are"):
        hardest_in_batch(torch.zeros(3, 4), torch.zeros(2, 4))


def test_soft_maximum_and_position_by_their_formulas() -> None:
    rng = np.random.default_rng(0)
    maps = torch.from_numpy(rng.normal(size=(3, 5, 7)))
    for one, maximum, position in zip(maps.numpy(), soft_maximum(maps), soft_position(maps), strict=True):
        assert float(maximum) == pytest.approx(np.log(np.exp(10 * one).mean()) / 10)
        weights = np.exp(10 * one) / np.exp(10 * one).sum()
        x = sum(weights[r, c] * (c - 3) for r in range(5) for c in range(7))
        y = sum(weights[r, c] * (r - 2) for r in range(5) for c in range(7))
        np.testing.assert_allclose(position.numpy(), [x, y])
    peak = torch.zeros(1, 9, 9, dtype=torch.float64)
    peak[0, 2, 7] = 30
    np.testing.assert_allclose(soft_position(peak)[0].numpy(), [3, -2], atol=1e-6)


def test_classification_is_a_squared_hinge_with_shared_weights() -> None:
    rng = np.random.default_rng(0)
    maps = [torch.from_numpy(rng.normal(size=(4, 3, 3))) for _ in range(4)]
    for row in range(4):
        s = [np.log(np.exp(10 * one[row].numpy()).mean()) / 10 for one in maps]
        wanted = sum(max(0, 1 - value) ** 2 for value in s[:3]) / 6 + max(0, 1 + s[3]) ** 2 / 2
        assert float(classification_loss(*maps)[row]) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("x", "y", "wanted"),
    [
        (0, 0, 0.0),
        (5, 0, 1 - 50 / 150),
        (-5, 5, 1 - 25 / 175),
        (10, 0, 1.0),
        (13, 0, 1 + 3 / np.sqrt(200)),
        (0, -30, 1 + 20 / np.sqrt(200)),
        (12, 14, 1 + 6 / np.sqrt(200)),
    ],
)
def test_position_loss_is_one_minus_overlap_and_the_gap(x: float, y: float, wanted: float) -> None:
    at = torch.tensor([[x, y]], dtype=torch.float64)
    assert float(position_loss(at, torch.zeros_like(at), 10.0)) == pytest.approx(wanted)


def test_false_positives_at_95_percent_by_counting() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(400, 5))
    b = a + rng.normal(size=a.shape) * 0.8
    right = [np.linalg.norm(x - y) for x, y in zip(a, b, strict=True)]
    wrong = [np.linalg.norm(a[i] - b[i - 1]) for i in range(400)]
    limit = min(t for t in right if np.mean([value <= t for value in right]) >= 0.95)
    assert false_positive_rate(a, b) == pytest.approx(np.mean([value <= limit for value in wrong]))
    assert false_positive_rate(a, a) == 0
    assert np.isnan(false_positive_rate(a[:1], b[:1]))


def test_average_precision_by_its_definition() -> None:
    ranking = np.array([0.1, 0.4, 0.2, 0.3])
    right = np.array([True, True, False, True])
    # in order: right, wrong, right, right -> precision 1, 2/3, 3/4 where recall grows; one more could be found
    assert average_precision(ranking, right, 4) == pytest.approx((1 + 2 / 3 + 3 / 4) / 4)
    assert average_precision(ranking, np.ones(4, bool), 4) == 1
    assert np.isnan(average_precision(ranking, right, 0))


def test_matching_of_equal_descriptors_is_perfect_and_of_strangers_is_not() -> None:
    rng = np.random.default_rng(0)
    a, points = rng.normal(size=(50, 16)), np.arange(50)
    order = rng.permutation(50)
    assert matching_precision(a, a[order], points, points[order]) == pytest.approx(1)
    assert matching_precision(a, rng.normal(size=(50, 16)), points, points) < 0.2


def test_separation_is_the_share_of_ordered_pairs() -> None:
    positive, negative = np.array([3.0, 1.0, 2.0]), np.array([0.0, 2.0])
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert separation(positive, negative) == pytest.approx(np.mean(pairs))


def test_logistic_fit_is_the_minimum_that_scipy_finds() -> None:
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(1, 1.5, 300), rng.normal(-0.5, 1, 200)

    def cost(parameters: np.ndarray) -> float:
        scale, shift = parameters
        up, down = scale * positive + shift, scale * negative + shift
        return 0.5 * np.log1p(np.exp(-up)).mean() + 0.5 * np.log1p(np.exp(down)).mean()

    best = minimize(cost, [1.0, 0.0]).x
    given = logistic_fit(torch.from_numpy(positive), torch.from_numpy(negative))
    np.testing.assert_allclose(given, best, atol=1e-3)
    with pytest.raises(LiftnetError, match="without a point higher"):
        logistic_fit(torch.from_numpy(negative), torch.from_numpy(positive))

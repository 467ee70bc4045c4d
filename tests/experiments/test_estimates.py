"""Intervals, spreads and differences, against numbers worked out by hand and against SciPy."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from liftnet.experiments.estimates import difference, estimate, mean_of_classes


def scores(values, run="a", kind="c"):
    """{(seed, shape, image): error} as score rows."""
    return pd.DataFrame(
        [
            {"run": run, "seed": seed, "class": kind, "work_id": work, "image_id": f"{work}{image}", "rmse": value}
            for (seed, work, image), value in values.items()
        ]
    )


def test_means_counts_and_spread_by_hand():
    rows = scores(
        {(0, "p", 0): 1.0, (0, "p", 1): 3.0, (0, "q", 0): 5.0, (1, "p", 0): 3.0, (1, "p", 1): 5.0, (1, "q", 0): 1.0}
    )
    found = estimate(rows, "rmse")
    assert found.mean == pytest.approx((2 + 4 + 3) / 3)
    assert found.spread == pytest.approx(0.0, abs=1e-12)  # both seeds have the mean 3
    assert (found.n_images, found.n_shapes, found.n_seeds) == (3, 2, 2)
    # two shapes: drawn again, the mean is that of p (3), of q (3), or of all (3)
    assert (found.low, found.high) == (pytest.approx(3), pytest.approx(3))


def test_the_spread_is_that_of_the_seeds_means():
    rows = scores({(seed, shape, 0): value for seed, value in ((0, 1.0), (1, 2.0), (2, 6.0)) for shape in "pq"})
    found = estimate(rows, "rmse")
    assert found.spread == pytest.approx(math.sqrt(((1 - 3) ** 2 + (2 - 3) ** 2 + (6 - 3) ** 2) / 2))
    assert found.low == found.high == pytest.approx(3)  # shapes do not differ
    assert math.isnan(estimate(rows[rows.seed == 0], "rmse").spread)


def test_one_shape_has_no_interval():
    found = estimate(scores({(0, "p", 0): 1.0, (0, "p", 1): 2.0}), "rmse")
    assert found.mean == 1.5
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_the_interval_is_scipys_of_a_ratio_over_shapes():
    rng = np.random.default_rng(0)
    values = {
        (0, f"shape{shape:02d}", image): rng.normal(shape % 5, 0.1)
        for shape in range(20)
        for image in range(1 + shape % 4)
    }
    rows = scores(values)
    found = estimate(rows, "rmse", resamples=40_000)
    shapes = rows.groupby("work_id")["rmse"].agg(["sum", "count"]).to_numpy().T
    theirs = stats.bootstrap(
        tuple(shapes),
        lambda total, count, axis: total.sum(axis) / count.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=40_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert found.low == pytest.approx(theirs.low, abs=0.02 * width)
    assert found.high == pytest.approx(theirs.high, abs=0.02 * width)
    # views of a shape are alike: counting images as independent would give a far narrower interval
    alone = stats.bootstrap((rows["rmse"].to_numpy(),), np.mean, n_resamples=2000, rng=np.random.default_rng(1))
    assert width > 1.2 * (alone.confidence_interval.high - alone.confidence_interval.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(200):
        values = {
            (0, f"s{k:02d}", i): mean + 0.05 * rng.normal()
            for k, mean in enumerate(rng.normal(size=30))
            for i in (0, 1)
        }
        found = estimate(scores(values), "rmse", seed=trial, resamples=1000)
        covered += found.low < 0 < found.high
    assert 0.88 < covered / 200 < 0.99


def test_the_same_seed_gives_the_same_interval_whatever_the_order_of_rows():
    rng = np.random.default_rng(4)
    rows = scores({(0, f"s{k}", 0): rng.normal() for k in range(9)})
    one, two = estimate(rows, "rmse", 5), estimate(rows.sample(frac=1, random_state=1), "rmse", 5)
    assert (one.low, one.high) == (two.low, two.high)
    assert one.mean == pytest.approx(two.mean)
    assert (one.low, one.high) != (estimate(rows, "rmse", 6).low, estimate(rows, "rmse", 6).high)


def test_classes_weigh_the_same_in_their_mean():
    many = scores({(0, f"m{k}", 0): 1.0 for k in range(9)}, kind="many")
    few = scores({(0, "f0", 0): 3.0, (0, "f1", 0): 5.0}, kind="few")
    found = mean_of_classes(pd.concat([many, few]), "rmse")
    assert found.mean == pytest.approx((1 + 4) / 2)
    assert (found.low, found.high) == (pytest.approx((1 + 3) / 2), pytest.approx((1 + 5) / 2))
    assert found.n_shapes == 11


def test_differences_are_taken_image_by_image():
    hard_and_easy = {(0, f"s{k:02d}", 0): float(k) for k in range(20)}
    reference = scores(hard_and_easy)
    better = scores({key: value - 0.5 for key, value in hard_and_easy.items()}, run="b")
    found = difference(better, reference, "rmse")
    assert (found.mean, found.low, found.high) == (pytest.approx(-0.5), pytest.approx(-0.5), pytest.approx(-0.5))
    assert estimate(better, "rmse").high > estimate(reference, "rmse").low  # not to be seen in the two intervals


def test_the_spread_of_a_difference_is_that_of_one_seed_of_each():
    a = scores({(seed, "p", 0): value for seed, value in ((0, 1.0), (1, 3.0))})
    b = scores({(seed, "p", 0): value for seed, value in ((0, 0.0), (1, 1.0))}, run="b")
    found = difference(a, b, "rmse")
    assert found.mean == pytest.approx(2 - 0.5)
    assert found.spread == pytest.approx(math.sqrt(2.0 + 0.5))
    prior = scores({(0, "p", 0): 0.5}, run="prior")
    assert difference(a, prior, "rmse").spread == pytest.approx(math.sqrt(2.0))  # a prior has no seeds to differ
    assert math.isnan(difference(prior, prior, "rmse").spread)

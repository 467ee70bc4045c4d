"""Bootstrap intervals of means, against a plain loop, against SciPy and against what they promise."""

import math

import numpy as np
import pytest
from scipy import stats

from liftnet.core import intervals
from liftnet.core.intervals import crossed_interval, mean_interval, nested_interval, resampled_means


def some_clusters(seed, clusters=20, per_cluster=5):
    """Values of clusters that differ in level and in size."""
    rng = np.random.default_rng(seed)
    return [rng.normal(rng.normal(), 0.1, size=1 + number % per_cluster) for number in range(clusters)]


def sums_and_counts(groups):
    return np.array([values.sum() for values in groups]), np.array([len(values) for values in groups])


def test_samples_are_those_of_a_plain_loop_however_many_are_drawn_at_once(monkeypatch):
    sums, counts = np.arange(7) ** 3, np.arange(7) + 1
    rng = np.random.default_rng(5)
    loop = []
    for _ in range(100):
        drawn = rng.integers(7, size=7)
        loop.append(sum(int(sums[cluster]) for cluster in drawn) / sum(int(counts[cluster]) for cluster in drawn))
    expected = tuple(np.quantile(loop, [0.025, 0.975]))
    assert mean_interval(sums, counts, 5, 100) == expected
    monkeypatch.setattr(intervals, "DRAWN_AT_ONCE", 3 * 7)
    assert mean_interval(sums, counts, 5, 100) == expected


def test_resampled_means_are_those_of_a_plain_loop_and_spread_as_those_of_an_interval():
    groups = some_clusters(1)
    sums, counts = sums_and_counts(groups)
    found = resampled_means(sums, counts, 5, 40_000)
    rng = np.random.default_rng(5)
    for mean in found[:50]:
        times = rng.multinomial(len(groups), [1 / len(groups)] * len(groups))
        values = np.concatenate([np.tile(group, often) for group, often in zip(groups, times, strict=True)])
        assert mean == pytest.approx(values.mean())
    low, high = mean_interval(sums, counts, 0, resamples=40_000)
    assert np.quantile(found, [0.025, 0.975]) == pytest.approx((low, high), abs=0.02 * (high - low))


def test_the_interval_is_scipys_of_a_ratio_over_clusters():
    sums, counts = sums_and_counts(some_clusters(0))
    low, high = mean_interval(sums, counts, 0, resamples=40_000)
    theirs = stats.bootstrap(
        (sums, counts),
        lambda total, count, axis: total.sum(axis) / count.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=40_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert low == pytest.approx(theirs.low, abs=0.02 * width)
    assert high == pytest.approx(theirs.high, abs=0.02 * width)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    """Works of different size and level: an interval over pairs alone would be far too short."""
    rng, covered, rounds = np.random.default_rng(0), 0, 120
    for seed in range(rounds):
        levels, counts = rng.normal(100, 20, 60), rng.integers(1, 40, 60)
        totals = np.rint(levels * counts + rng.normal(0, 5, 60)).astype(np.int64)
        low, high = mean_interval(totals, counts, seed)
        covered += low <= 100 <= high
    assert intervals.RESAMPLES >= 1000
    assert 0.87 <= covered / rounds <= 1.0


@pytest.mark.parametrize("mean", ["values", "groups"])
def test_the_nested_interval_is_that_of_a_plain_loop(mean):
    groups = some_clusters(2, clusters=4)
    rng = np.random.default_rng(9)
    means = []
    for _ in range(4000):
        chosen = [groups[number] for number in rng.integers(4, size=4)]
        drawn = [rng.choice(values, len(values)) for values in chosen]
        means.append(np.concatenate(drawn).mean() if mean == "values" else np.mean([one.mean() for one in drawn]))
    low, high = np.quantile(means, [0.025, 0.975])
    found = nested_interval(groups, 1, mean)
    assert found == pytest.approx((low, high), abs=0.05 * (high - low))
    assert found == nested_interval(groups, 1, mean)


def test_a_single_cluster_has_only_the_nested_interval():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert all(map(math.isnan, mean_interval([10.0], [4], 0)))
    low, high = nested_interval([values], 0)
    assert 1 < low < 2.5 < high < 4


def test_crossed_samples_are_those_of_a_plain_loop_over_people_and_items():
    rng = np.random.default_rng(4)
    people, items = rng.integers(6, size=40), rng.integers(5, size=40)  # some cells empty, some filled twice
    values = rng.random(40)
    drawn = np.random.default_rng(9)
    often = [drawn.multinomial(count, [1 / count] * count, 300) for count in (6, 5)]
    means = []
    for of_people, of_items in zip(*often, strict=True):
        weights = [of_people[person] * of_items[item] for person, item in zip(people, items, strict=True)]
        if sum(weights):
            means.append(sum(w * value for w, value in zip(weights, values, strict=True)) / sum(weights))
    expected = tuple(np.quantile(means, [0.025, 0.975]))
    assert crossed_interval(values, people, items, 9, 300) == pytest.approx(expected)
    names = np.array(list("abcdef"))[people]
    assert crossed_interval(values, names, items, 9, 300) == pytest.approx(expected)


def test_crossed_intervals_hold_for_people_and_items_where_one_kind_of_clusters_does_not():
    """The mean of all people and items lies inside 95 % of intervals; of those over people alone in far fewer."""
    rng = np.random.default_rng(0)
    people, items = (grid.ravel() for grid in np.meshgrid(np.arange(30), np.arange(25), indexing="ij"))
    both, alone = [], []
    for seed in range(120):
        table = rng.normal(size=(30, 1)) * 0.3 + rng.normal(size=(1, 25)) + rng.normal(size=(30, 25))
        low, high = crossed_interval(table.ravel(), people, items, seed, 400)
        both.append(low <= 0 <= high)
        low, high = mean_interval(table.sum(1), np.full(30, 25), seed, 400)
        alone.append(low <= 0 <= high)
    assert 0.88 <= np.mean(both) <= 1
    assert np.mean(alone) < 0.7


def test_one_person_or_one_item_has_no_crossed_interval():
    assert all(math.isnan(end) for end in crossed_interval([1, 0, 1], [0, 0, 0], [0, 1, 2], 0))
    assert all(math.isnan(end) for end in crossed_interval([1, 0, 1], [0, 1, 2], [0, 0, 0], 0))
    assert all(math.isnan(end) for end in crossed_interval([], [], [], 0))

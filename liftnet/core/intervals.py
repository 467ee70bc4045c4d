"""How far a mean is to be trusted: 95 % intervals by bootstrap over clusters.

Values of one cluster (pairs of one work, views of one shape, images of one work) resemble each other, so it is whole
clusters that are drawn again, with replacement and as many as there are (Davison and Hinkley, "Bootstrap Methods and
their Application", 1997, section 3.8). An interval lies between the 2.5 % and 97.5 % quantiles of the means of such
samples (the percentile method; Efron and Tibshirani, "An Introduction to the Bootstrap", 1993). The same seed gives
the same interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
Interval = tuple[float, float]

RESAMPLES = 2000
QUANTILES = (0.025, 0.975)
NONE: Interval = (float("nan"), float("nan"))
DRAWN_AT_ONCE = 2**22  # clusters in memory; the draws do not depend on it


def mean_interval(sums: npt.ArrayLike, counts: npt.ArrayLike, seed: int, resamples: int = RESAMPLES) -> Interval:
    """The 95 % interval of a mean over all values of some clusters.

    Args:
        sums: (G,) sum of the values of each cluster.
        counts: (G,) number of values of each cluster.
        seed: Of the draws.
        resamples: Samples of clusters.

    Returns:
        Lower and upper end; NaN for fewer than two clusters.
    """
    totals, numbers, rng = np.asarray(sums), np.asarray(counts), np.random.default_rng(seed)
    if (clusters := len(totals)) < 2:
        return NONE
    step = max(1, DRAWN_AT_ONCE // clusters)
    drawn = (
        rng.integers(clusters, size=(min(step, resamples - start), clusters)) for start in range(0, resamples, step)
    )
    means = [totals[some].sum(1) / np.maximum(numbers[some].sum(1), 1) for some in drawn]
    return percentile_interval(np.concatenate(means))


def resampled_means(sums: npt.ArrayLike, counts: npt.ArrayLike, seed: int, resamples: int) -> FloatArray:
    """(resamples,) means over all values of samples of clusters: for means of several groups of clusters, or gaps.

    How often each cluster is in a sample is drawn at once, as fits some hundreds of clusters; `mean_interval` draws
    them one by one, as fits any number.

    Args:
        sums: (G,) sum of the values of each cluster, at least one.
        counts: (G,) number of values of each cluster, each at least one.
        seed: Of the draws.
        resamples: Samples of clusters.
    """
    clusters = np.size(sums)
    times = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), resamples)
    return np.asarray((times @ np.asarray(sums)) / (times @ np.asarray(counts)))


def nested_interval(groups: Sequence[FloatArray], seed: int, mean: Literal["values", "groups"] = "values") -> Interval:
    """The 95 % interval of a mean where each value could as well have been another one of its cluster.

    Clusters are drawn first and values within them, so that even a single cluster has an interval: that over its
    values.

    Args:
        groups: The values of each cluster, at least one of at least one.
        seed: Of the draws.
        mean: Of all values, or of the means of the clusters, each of equal weight.
    """
    rng = np.random.default_rng(seed)
    # sums of resampled values, (RESAMPLES,) a cluster; the clusters drawn then only add them up
    sums = np.stack([rng.choice(values, (RESAMPLES, len(values))).sum(1) for values in groups], 1)
    counts = np.array([len(values) for values in groups])
    drawn = rng.integers(len(groups), size=(RESAMPLES, len(groups)))
    picked = np.take_along_axis(sums, drawn, 1)
    if mean == "groups":
        return percentile_interval((picked / counts[drawn]).mean(1))
    return percentile_interval(picked.sum(1) / counts[drawn].sum(1))


def crossed_interval(
    values: npt.ArrayLike, rows: npt.ArrayLike, columns: npt.ArrayLike, seed: int, resamples: int = RESAMPLES
) -> Interval:
    """The 95 % interval of a mean over values that two kinds of clusters cross, such as votes of people on items.

    Rows and columns are both drawn again, with replacement and as many as there are, and a value counts as often as
    its row times as often as its column (the pigeonhole bootstrap; Owen, "The pigeonhole bootstrap", Annals of Applied
    Statistics 1(2), 2007). Drawing one kind alone would take the other for all that there will ever be.

    Args:
        values: (N,) values; a row and a column may share any number of them.
        rows: (N,) names of the rows, of any kind that sorts.
        columns: (N,) names of the columns.
        seed: Of the draws.
        resamples: Samples of rows and columns.

    Returns:
        Lower and upper end; NaN for fewer than two rows or columns.
    """
    row, column = (np.unique(np.asarray(names), return_inverse=True)[1] for names in (rows, columns))
    if not len(row) or min(row.max(), column.max()) < 1:
        return NONE
    sums, counts = np.zeros((2, row.max() + 1, column.max() + 1))
    np.add.at(sums, (row, column), np.asarray(values, float))
    np.add.at(counts, (row, column), 1)
    rng = np.random.default_rng(seed)
    of_rows, of_columns = (rng.multinomial(count, np.full(count, 1 / count), resamples) for count in sums.shape)
    totals, numbers = ((of_rows @ table * of_columns).sum(1) for table in (sums, counts))
    drawn = numbers > 0  # where few cells are filled, a sample may have met none
    return percentile_interval(totals[drawn] / numbers[drawn])


def percentile_interval(means: FloatArray) -> Interval:
    """The 95 % interval of a quantity by its values in resamples (R,)."""
    low, high = np.quantile(means, QUANTILES)
    return float(low), float(high)

"""Distributions in numbers: quantiles and moments of whole numbers, with an interval of the mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pandas as pd

from liftnet.core.ids import stable_seed
from liftnet.core.intervals import mean_interval

IntArray = npt.NDArray[np.int64]
QUANTILES = {"min": 0.0, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}


@dataclass(frozen=True, eq=False)
class Counted:
    """Whole numbers and how often each occurs.

    Attributes:
        values: (K,) ascending, each once.
        times: (K,) positive.
    """

    values: IntArray
    times: IntArray

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Counted:
        """Count the values (N,)."""
        return cls(*np.unique(np.asarray(values, np.int64), return_counts=True))

    @property
    def n(self) -> int:
        """How many."""
        return int(self.times.sum())

    def mean(self) -> float:
        """Their mean."""
        return float(Fraction(self._sum(1), self.n))

    def deviation(self) -> float | None:
        """Their standard deviation, with n - 1 in the denominator; None for fewer than two."""
        if self.n < 2:
            return None
        first, second = self._sum(1), self._sum(2)
        return math.sqrt(Fraction(second * self.n - first * first, self.n * (self.n - 1)))

    def quantile(self, share: float) -> float:
        """The quantile by linear interpolation between order statistics (type 7 of Hyndman & Fan, 1996)."""
        place = share * (self.n - 1)
        below = math.floor(place)
        ends = np.cumsum(self.times)
        low, high = (
            int(self.values[np.searchsorted(ends, rank, side="right")]) for rank in (below, min(below + 1, self.n - 1))
        )
        return low + (place - below) * (high - low)

    def _sum(self, power: int) -> int:
        """Of their powers, exactly."""
        return sum(int(v) ** power * int(t) for v, t in zip(self.values.tolist(), self.times.tolist(), strict=True))


def summary(counted: Counted, totals: IntArray, counts: IntArray, scale: int, seed: int) -> dict[str, object]:
    """What a row of a table says of a distribution.

    Args:
        counted: The values, in units of 1/scale.
        totals: (W,) their sums by cluster.
        counts: (W,) their numbers by cluster.
        scale: Units in one.
        seed: Of the interval.
    """
    if not counted.n:
        return {"n": 0}
    low, high = mean_interval(totals, counts, seed)
    deviation = counted.deviation()
    row: dict[str, object] = {
        "n": counted.n,
        "mean": counted.mean() / scale,
        "mean_low": low / scale,
        "mean_high": high / scale,
        "sd": None if deviation is None else deviation / scale,
    }
    row |= {name: counted.quantile(share) / scale for name, share in QUANTILES.items()}
    return row | {"iqr": (counted.quantile(0.75) - counted.quantile(0.25)) / scale}


COLUMNS = ["n", "mean", "mean_low", "mean_high", "sd", *QUANTILES, "iqr"]


def distribution_rows(
    histogram: pd.DataFrame, clusters: pd.DataFrame, quantity: str, splits: Sequence[str], scale: int
) -> list[dict[str, object]]:
    """A row for each split and for all of them together.

    Args:
        histogram: Columns split, value, count of the quantity.
        clusters: Columns split, total, count of the quantity: a row a cluster.
        quantity: Its name.
        splits: The splits.
        scale: Units of `value` and `total` in one.
    """
    rows = []
    for split in (*splits, "all"):
        of_split = histogram if split == "all" else histogram[histogram["split"] == split]
        sums = clusters if split == "all" else clusters[clusters["split"] == split]
        times = of_split.groupby("value")["count"].sum()
        counted = Counted(times.index.to_numpy(np.int64), times.to_numpy(np.int64))
        seed = stable_seed(0, "interval", split)  # the same for all quantities: equal values, equal intervals
        ends = sums["total"].to_numpy(np.int64), sums["count"].to_numpy(np.int64)
        rows.append({"quantity": quantity, "split": split} | summary(counted, *ends, scale, seed))
    return rows


def shown_distribution(frame: pd.DataFrame, decimals: int) -> pd.DataFrame:
    """The columns a person reads: count, mean with interval, deviation, median with quartiles, range."""
    rows = []
    for row in frame.to_dict("records"):
        number, whole = _formats(3 if row["max"] <= 1 else decimals)
        between = "" if pd.isna(row["mean_low"]) else f" [{number(row['mean_low'])}, {number(row['mean_high'])}]"
        quartiles = "" if pd.isna(row["q25"]) else f" ({whole(row['q25'])} to {whole(row['q75'])})"
        limits = "" if pd.isna(row["min"]) else f"{whole(row['min'])} to {whole(row['max'])}"
        rows.append(
            {
                "quantity": row["quantity"],
                "split": row["split"],
                "n": int(row["n"]),
                "mean [95 %]": number(row["mean"]) + between,
                "sd": number(row["sd"]),
                "median (quartiles)": whole(row["median"]) + quartiles,
                "range": limits,
            }
        )
    return pd.DataFrame(rows)


def _formats(decimals: int) -> tuple[Callable[[float | None], str], Callable[[float | None], str]]:
    """How numbers are written: with so many decimals, and without them where they are zero; "" where missing."""

    def number(value: float | None) -> str:
        return "" if value is None or pd.isna(value) else f"{value:,.{decimals}f}"

    return number, lambda value: number(value).removesuffix("." + "0" * decimals)

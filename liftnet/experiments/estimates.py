"""Means of scores with what chance there is in them.

A mean stands with its interval over shapes, since views of one shape resemble each other (`core.intervals`), and its
spread over seeds.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd

from liftnet.core.intervals import NONE, percentile_interval, resampled_means

RESAMPLES = 10_000


@dataclass(frozen=True)
class Estimate:
    """A mean over images and its uncertainty.

    Attributes:
        mean: Mean over images of the mean over seeds.
        low: Lower end of the 95 % percentile interval over shapes; NaN with fewer than two shapes.
        high: Upper end.
        spread: Standard deviation (n - 1) of the seeds' means; NaN with one seed.
        n_images: Images.
        n_shapes: Shapes they show.
        n_seeds: Trained models.
    """

    mean: float
    low: float
    high: float
    spread: float
    n_images: int
    n_shapes: int
    n_seeds: int

    def times(self, factor: float) -> Estimate:
        """All lengths multiplied."""
        lengths = {name: factor * getattr(self, name) for name in ("mean", "low", "high", "spread")}
        return dataclasses.replace(self, **lengths)


def estimate(scores: pd.DataFrame, metric: str, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Summarise the scores of one run on one set.

    Args:
        scores: Rows of SCORES with status ok; columns seed, work_id, image_id and `metric` at least.
        metric: The column.
        seed: Seed of the resampling.
        resamples: Resamples of the shapes.
    """
    shapes = by_shape(scores, metric)
    low, high = NONE
    if len(shapes) > 1:
        low, high = percentile_interval(resampled_means(shapes["sum"], shapes["count"], seed, resamples))
    seeds = _seed_means(scores, metric, of_classes=False)
    return Estimate(
        mean=overall_mean(shapes),
        low=low,
        high=high,
        spread=float(seeds.std(ddof=1)),
        n_images=int(shapes["count"].sum()),
        n_shapes=len(shapes),
        n_seeds=len(seeds),
    )


def by_shape(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Sum over images (of their mean over seeds) and count of images, one row per shape, in the order of their ids."""
    images = scores.groupby(["work_id", "image_id"])[metric].mean()
    return images.groupby("work_id").agg(["sum", "count"])


def overall_mean(shapes: pd.DataFrame) -> float:
    """The mean over images; NaN without any."""
    return float(shapes["sum"].sum() / shapes["count"].sum()) if len(shapes) else float("nan")


def mean_of_classes(scores: pd.DataFrame, metric: str, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """The mean of the classes' means, each class of equal weight; shapes are drawn again within their class.

    Args:
        scores: As for `estimate`, with the column class.
        metric: The column.
        seed: Seed of the resampling.
        resamples: Resamples of the shapes.
    """
    shapes = {name: by_shape(rows, metric) for name, rows in scores.groupby("class")}
    drawn = [
        resampled_means(members["sum"], members["count"], seed + k, resamples)
        for k, members in enumerate(shapes.values())
    ]
    repeated = any(len(members) > 1 for members in shapes.values())
    low, high = percentile_interval(np.mean(drawn, axis=0)) if repeated else NONE
    seeds = _seed_means(scores, metric, of_classes=True)
    return Estimate(
        mean=float(np.mean([overall_mean(members) for members in shapes.values()])),
        low=low,
        high=high,
        spread=float(seeds.std(ddof=1)),
        n_images=sum(int(members["count"].sum()) for members in shapes.values()),
        n_shapes=sum(map(len, shapes.values())),
        n_seeds=len(seeds),
    )


def difference(
    scores: pd.DataFrame, reference: pd.DataFrame, metric: str, seed: int = 0, of_classes: bool = False
) -> Estimate:
    """How much larger the errors of a run are than those of another one on the same images.

    Differences are taken image by image, so that what makes a shape hard for both does not count. The spread is that
    of the difference between one seed of each: the root of the sum of both variances, where that of a run with a
    single seed (a prior) counts as 0; NaN if both have one.

    Args:
        scores: As for `estimate`, of one run.
        reference: Of the other one.
        metric: The column.
        seed: Seed of the resampling.
        of_classes: Take the mean of the classes' means, as `mean_of_classes`, in place of that over images.
    """
    keys = ["class", "work_id", "image_id"] if of_classes else ["work_id", "image_id"]
    per_image = [run.groupby(keys)[metric].mean() for run in (scores, reference)]
    both = (per_image[0] - per_image[1]).dropna().rename(metric).reset_index().assign(seed=0)
    found = mean_of_classes(both, metric, seed) if of_classes else estimate(both, metric, seed)
    spreads = [_seed_means(run, metric, of_classes).var(ddof=1) for run in (scores, reference)]
    return dataclasses.replace(
        found,
        spread=float("nan") if np.isnan(spreads).all() else float(np.sqrt(np.nansum(spreads))),
        n_seeds=min(scores["seed"].nunique(), reference["seed"].nunique()),
    )


def _seed_means(scores: pd.DataFrame, metric: str, of_classes: bool) -> pd.Series:
    if of_classes:
        return scores.groupby(["seed", "class"])[metric].mean().groupby("seed").mean()
    return scores.groupby("seed")[metric].mean()


def names_of(name: str) -> list[str]:
    """The columns of an estimate: its mean, both ends of its interval, its spread over seeds."""
    return [name, f"{name} low", f"{name} high", f"{name} seeds"]


def named(name: str, found: Estimate) -> dict[str, float]:
    """An estimate as columns."""
    return dict(zip(names_of(name), dataclasses.astuple(found)[:4], strict=True))


def cell(found: Estimate, decimals: int) -> str:
    """`.254 [.240, .270] ± .003`."""
    text = f"{found.mean:.{decimals}f}"
    if not pd.isna(found.low):
        text += f" [{found.low:.{decimals}f}, {found.high:.{decimals}f}]"
    return text if pd.isna(found.spread) else f"{text} ± {found.spread:.{decimals}f}"

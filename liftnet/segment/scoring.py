"""Scores of masks against manual masks: of one image, and their means and intervals over works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from liftnet.core.errors import BadImageError
from liftnet.core.ids import stable_seed
from liftnet.core.intervals import Interval, nested_interval
from liftnet.core.log import get_logger
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image
from liftnet.segment.metrics import boundary_f, iou, pixel_accuracy
from liftnet.segment.predict import Masker
from liftnet.segment.samples import MaskedImage

SCORES = ["iou", "accuracy", "boundary_f"]
BAD_IOU = 0.8  # below it a mask is taken as bad
Row = dict[str, object]


def score_images(images: Sequence[MaskedImage], maskers: dict[str, Masker]) -> list[Row]:
    """Compare what each masker makes of each image with the manual mask, at the stored image's resolution.

    Args:
        images: Images with a manual mask; one that cannot be read is logged and left out.
        maskers: By name: image (H, W, 3) uint8 to mask (H, W) bool and confidence.

    Returns:
        A row an image and masker: method, work, work_id, split, image_id, iou, accuracy, boundary_f, confidence.
    """
    rows: list[Row] = []
    for masked in images:
        try:
            image, truth = read_image(masked.image), read_mask(masked.mask, masked.size)
        except BadImageError as error:
            get_logger("segment").warning("left out of the evaluation: %s", error)
            continue
        for name, masker in maskers.items():
            mask, confidence = masker(image)
            row: Row = {"method": name, "work": masked.work, "work_id": masked.work_id, "split": masked.split}
            row |= {"image_id": masked.image_id, "iou": iou(mask, truth), "accuracy": pixel_accuracy(mask, truth)}
            rows.append(row | {"boundary_f": boundary_f(mask, truth), "confidence": confidence})
    return rows


def summarise(scores: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Means of the scores by method and work, over images and over works, with 95 % intervals of the IoU.

    The interval of a work is a bootstrap over its images; that of all images and of the mean over works draws works
    first and images within them, since images of one work are not independent. With few works it is wide.

    Returns:
        Columns method, work, n, iou, iou_low, iou_high, accuracy, boundary_f.
    """
    rows = []
    for method, of_method in scores.groupby("method", sort=False):
        groups = [group for _, group in of_method.groupby("work_id")]
        for group in groups:
            name = group.work.iloc[0] or group.work_id.iloc[0]
            low, high = _interval([group], seed)
            rows.append(_summary(method, name, group[SCORES].mean(), len(group), low, high))
        means = pd.DataFrame([group[SCORES].mean() for group in groups]).mean()
        rows.append(_summary(method, "mean over works", means, len(groups), *_interval(groups, seed, "groups")))
        low, high = _interval(groups, seed)
        rows.append(_summary(method, "mean over images", of_method[SCORES].mean(), len(of_method), low, high))
    return pd.DataFrame(rows)


def _summary(method: object, work: str, means: pd.Series, n: int, low: float, high: float) -> Row:
    row: Row = {"method": method, "work": work, "n": n, "iou": float(means.iou), "iou_low": low, "iou_high": high}
    return row | {"accuracy": float(means.accuracy), "boundary_f": float(means.boundary_f)}


def _interval(groups: Sequence[pd.DataFrame], seed: int, mean: Literal["values", "groups"] = "values") -> Interval:
    """The 95 % interval of the mean IoU over images of some works, or over the works."""
    return nested_interval([group.iou.to_numpy() for group in groups], stable_seed(seed, "interval"), mean)


def confidence_table(scores: pd.DataFrame) -> pd.DataFrame:
    """How well the confidence ranks the images by IoU, by method.

    Returns:
        Columns method, n, spearman (rank correlation of confidence and IoU), n_bad (IoU below .8), auroc (chance that
        a bad mask has the lower confidence of a bad and a good one; ties count half), n_worst (images of the lowest
        tenth by confidence) and bad_among_worst (share of them that are bad).
    """
    rows = []
    for method, group in scores.groupby("method", sort=False):
        bad = group.iou < BAD_IOU
        ranks = group.confidence.rank()
        wins = ranks[~bad].sum() - (~bad).sum() * ((~bad).sum() + 1) / 2
        worst = group.sort_values(["confidence", "image_id"]).head(max(1, len(group) // 10))
        row: Row = {"method": method, "n": len(group), "spearman": _spearman(group)}
        both = bad.any() and not bad.all()
        row |= {"n_bad": int(bad.sum())}
        row |= {"auroc": float(wins / (bad.sum() * (~bad).sum())) if both else float("nan")}
        rows.append(row | {"n_worst": len(worst), "bad_among_worst": float((worst.iou < BAD_IOU).mean())})
    return pd.DataFrame(rows)


def _spearman(group: pd.DataFrame) -> float:
    confidence, agreement = group.confidence.rank(), group.iou.rank()
    if confidence.nunique() < 2 or agreement.nunique() < 2:
        return float("nan")
    return float(np.corrcoef(confidence, agreement)[0, 1])

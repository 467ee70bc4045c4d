"""Agreement of masks with manual ones and with the museum's truth, and its tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pandas as pd

from liftnet.core.errors import BadImageError
from liftnet.core.ids import stable_seed
from liftnet.core.intervals import Interval, nested_interval
from liftnet.core.log import get_logger, progress
from liftnet.core.tables import write_tables
from liftnet.core.types import BoolArray
from liftnet.data.codes import SPLITS
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image
from liftnet.data.schemas import MANIFEST, read_table
from liftnet.data.truth import load_truth, truth_files
from liftnet.models.segmentation_networks import PredictionSettings
from liftnet.models.segmenter import Segmenter, mask_image
from liftnet.segment.predict import Masker
from liftnet.segment.samples import MaskedImage

RESOLUTION = "stored image"
COLUMNS = ["split", "work", "n", "iou", "accuracy", "resolution"]
TRUTH_COLUMNS = ["split", "n", "n_without_mask", "iou", "accuracy", "resolution"]
SCORES = ["iou", "accuracy", "boundary_f", "boundary_f_2"]
NARROW = 0.002  # of the long side: 2 px of 1,000
BAD_IOU = 0.8  # below it a mask is taken as bad
Row = dict[str, object]


def evaluate_heldout(
    segmenter: Segmenter, images: Sequence[MaskedImage], settings: PredictionSettings, stem: Path, note: str
) -> pd.DataFrame:
    """Write `<stem>.{csv,md,tex}`: agreement with the manual masks of held-out images, one row a work and one for all.

    Masks are compared at the stored image's full resolution; an image that cannot be read is logged and left out.

    Args:
        segmenter: A trained segmenter.
        images: The held-out images.
        settings: Threshold and cleaning.
        stem: Path of the tables without suffix.
        note: How the images were held out, for the caption.

    Returns:
        The table.
    """
    watched = progress(images, "segment", "comparing held-out masks")
    scores = score_images(watched, {"liftnet": lambda image: mask_image(segmenter, image, settings)})
    frame = pd.DataFrame(scores, columns=["split", "work_id", *SCORES])
    rows = [
        _means({"split": split, "work": work}, some) for (split, work), some in frame.groupby(["split", "work_id"])
    ]
    rows.append(_means({"split": "all", "work": "all"}, frame))
    table = pd.DataFrame(rows)[COLUMNS]
    caption = f"Segmentation: intersection over union and pixel accuracy, means over images ({note})"
    write_tables(table, stem, caption)
    return table


def evaluate_truth(root: Path, museum: Path, stem: Path) -> pd.DataFrame:
    """Write `<stem>.{csv,md,tex}`: agreement of the predicted masks with the museum's truth, by split.

    A view without a predicted mask counts as an empty one.

    Args:
        root: Folder with manifest.parquet and masks/.
        museum: Folder that `render museum` wrote.
        stem: Path of the tables without suffix.

    Returns:
        The table.

    Raises:
        LiftnetError: The manifest or the museum's truth cannot be read.
    """
    truths = truth_files(museum)
    rows = read_table(root / "manifest.parquet", MANIFEST).to_pylist()
    views = [row for row in rows if row["status"] == "ok" and row["image_url"] in truths]
    scores = []
    for row in progress(views, "segment", "comparing masks with the truth"):
        truth = load_truth(truths[row["image_url"]]).mask
        path = root / "masks" / f"{row['image_id']}.png"
        found = path.exists()
        mask = read_mask(path, (truth.shape[1], truth.shape[0])) if found else np.zeros_like(truth)
        scores.append((row["split"], found, iou(mask, truth), pixel_accuracy(mask, truth)))
    frame = pd.DataFrame(scores, columns=["split", "found", "iou", "accuracy"])
    groups = [(split, frame[frame.split == split]) for split in SPLITS]
    table = pd.DataFrame(
        [
            _means({"split": split}, group) | {"n_without_mask": int((~group.found.astype(bool)).sum())}
            for split, group in [*((split, group) for split, group in groups if len(group)), ("all", frame)]
        ]
    )[TRUTH_COLUMNS]
    write_tables(table, stem, "Predicted masks against the museum's true masks, means over views")
    return table


def _means(names: Row, group: pd.DataFrame) -> Row:
    means = {score: float(group[score].astype(float).mean()) for score in ("iou", "accuracy")}
    return names | {"n": len(group), **means, "resolution": RESOLUTION}


def iou(predicted: BoolArray, truth: BoolArray) -> float:
    """Intersection over union of two (H, W) bool masks; 1 where both are empty.

    Raises:
        ValueError: The masks differ in shape.
    """
    _same_shape(predicted, truth)
    union = np.count_nonzero(predicted | truth)
    return float(np.count_nonzero(predicted & truth) / union) if union else 1.0


def pixel_accuracy(predicted: BoolArray, truth: BoolArray) -> float:
    """Fraction of the pixels of two (H, W) bool masks that agree.

    Raises:
        ValueError: The masks differ in shape.
    """
    _same_shape(predicted, truth)
    return float(np.mean(predicted == truth))


def boundary_f(predicted: BoolArray, truth: BoolArray, tolerance: float = 0.008) -> float:
    """How well the outlines of two (H, W) bool masks agree: the F measure of Perazzi et al. (CVPR 2016).

    Precision is the fraction of the predicted outline that lies close to the true one, recall the reverse. The image's
    border is no outline.

    Args:
        predicted: (H, W) bool.
        truth: (H, W) bool.
        tolerance: What is close, as a fraction of the image's diagonal (.008 in the DAVIS benchmark).

    Returns:
        2 P R / (P + R), in [0, 1]; 1 where neither mask has an outline, 0 where only one has.

    Raises:
        ValueError: The masks differ in shape.
    """
    _same_shape(predicted, truth)
    outlines = [_outline(mask) for mask in (predicted, truth)]
    if not all(outline.any() for outline in outlines):
        return float(not any(outline.any() for outline in outlines))
    reach = tolerance * float(np.hypot(*truth.shape))
    far = [cv2.distanceTransform((~outline).astype(np.uint8), cv2.DIST_L2, 5) for outline in outlines]
    precision, recall = (far[1][outlines[0]] <= reach).mean(), (far[0][outlines[1]] <= reach).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _outline(mask: BoolArray) -> BoolArray:
    """(H, W) bool: the pixels of the mask that touch a pixel off it, sideways or up and down."""
    inner = cv2.erode(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    return mask & (inner == 0)


def _same_shape(predicted: BoolArray, truth: BoolArray) -> None:
    if predicted.shape != truth.shape:
        raise ValueError(f"the masks are {predicted.shape} and {truth.shape}")


def score_images(images: Iterable[MaskedImage], maskers: dict[str, Masker]) -> list[Row]:
    """Compare what each masker makes of each image with the manual mask, at the stored image's resolution.

    Args:
        images: Images with a manual mask; one that cannot be read is logged and left out.
        maskers: By name: image (H, W, 3) uint8 to mask (H, W) bool and confidence.

    Returns:
        A row an image and masker: method, work, work_id, split, image_id, iou, accuracy, boundary_f, boundary_f_2 (the
        same within 2 px of 1,000), confidence.
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
            narrow = NARROW * max(truth.shape) / float(np.hypot(*truth.shape))
            row |= {"boundary_f": boundary_f(mask, truth), "boundary_f_2": boundary_f(mask, truth, narrow)}
            rows.append(row | {"confidence": confidence})
    return rows


def summarise(scores: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Means of the scores by method and work, over images and over works, with 95 % intervals of the IoU.

    The interval of a work is a bootstrap over its images; that of all images and of the mean over works draws works
    first and images within them, since images of one work are not independent. With few works it is wide.

    Returns:
        Columns method, work, n, iou, iou_low, iou_high, accuracy, boundary_f, boundary_f_2.
    """
    rows = []
    for method, of_method in scores.groupby("method", sort=False):
        groups = [group for _, group in of_method.groupby("work_id")]
        for group in groups:
            name = group.work.iloc[0] or group.work_id.iloc[0]
            rows.append(_summary(method, name, group[SCORES].mean(), len(group), _interval([group], seed)))
        means = pd.DataFrame([group[SCORES].mean() for group in groups]).mean()
        rows.append(_summary(method, "mean over works", means, len(groups), _interval(groups, seed, "groups")))
        of_images = of_method[SCORES].mean()
        rows.append(_summary(method, "mean over images", of_images, len(of_method), _interval(groups, seed)))
    return pd.DataFrame(rows)


def _summary(method: object, work: str, means: pd.Series, n: int, interval: Interval) -> Row:
    row: Row = {"method": method, "work": work, "n": n, "iou": float(means.iou)}
    row |= dict(zip(("iou_low", "iou_high"), interval, strict=True))
    return row | {score: float(means[score]) for score in SCORES if score != "iou"}


def _interval(groups: Sequence[pd.DataFrame], seed: int, mean: Literal["values", "groups"] = "values") -> Interval:
    """The 95 % interval of the mean IoU over images of some works, or over the works."""
    return nested_interval([group.iou.to_numpy() for group in groups], stable_seed(seed, "interval"), mean)


def confidence_table(scores: pd.DataFrame) -> pd.DataFrame:
    """How well the confidence ranks the images by IoU, by method.

    Returns:
        Columns method, n, spearman (rank correlation of confidence and IoU), n_bad (IoU below .8), auroc (chance that
        a bad mask has the lower confidence of a bad and a good one; ties count half), n_worst (images of the lowest
        tenth by confidence) and bad_among_worst (fraction of them that are bad).
    """
    rows = []
    for method, group in scores.groupby("method", sort=False):
        bad = group.iou < BAD_IOU
        ranks = group.confidence.rank()
        wins = ranks[~bad].sum() - (~bad).sum() * ((~bad).sum() + 1) / 2
        worst = group.sort_values(["confidence", "image_id"]).head(max(1, len(group) // 10))
        rows.append(
            {
                "method": method,
                "n": len(group),
                "spearman": _spearman(group),
                "n_bad": int(bad.sum()),
                "auroc": float(wins / (bad.sum() * (~bad).sum())) if bad.any() and not bad.all() else float("nan"),
                "n_worst": len(worst),
                "bad_among_worst": float((worst.iou < BAD_IOU).mean()),
            }
        )
    return pd.DataFrame(rows)


def _spearman(group: pd.DataFrame) -> float:
    confidence, agreement = group.confidence.rank(), group.iou.rank()
    if confidence.nunique() < 2 or agreement.nunique() < 2:
        return float("nan")
    return float(np.corrcoef(confidence, agreement)[0, 1])

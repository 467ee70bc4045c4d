"""Tables of IoU and pixel accuracy, against manual masks and against the museum's truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from liftnet.core.errors import BadImageError
from liftnet.core.log import get_logger, progress
from liftnet.core.tables import write_tables
from liftnet.data.codes import SPLITS
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image
from liftnet.data.schemas import MANIFEST, read_table
from liftnet.data.truth import load_truth, truth_files
from liftnet.models.segmentation_networks import PredictionSettings
from liftnet.models.segmenter import Segmenter, mask_image
from liftnet.segment.metrics import iou, pixel_accuracy
from liftnet.segment.samples import MaskedImage

RESOLUTION = "stored image"
COLUMNS = ["split", "work", "n", "iou", "accuracy", "resolution"]
TRUTH_COLUMNS = ["split", "n", "n_without_mask", "iou", "accuracy", "resolution"]


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
    scores = []
    for masked in progress(images, "segment", "comparing held-out masks"):
        try:
            image, truth = read_image(masked.image), read_mask(masked.mask, masked.size)
        except BadImageError as error:
            get_logger("segment").warning("left out of the evaluation: %s", error)
            continue
        mask, _ = mask_image(segmenter, image, settings)
        scores.append((masked.split, masked.work_id, iou(mask, truth), pixel_accuracy(mask, truth)))
    frame = pd.DataFrame(scores, columns=["split", "work", "iou", "accuracy"])
    rows = [_row({"split": split, "work": work}, group) for (split, work), group in frame.groupby(["split", "work"])]
    rows.append(_row({"split": "all", "work": "all"}, frame))
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
            _row({"split": split}, group) | {"n_without_mask": int((~group.found.astype(bool)).sum())}
            for split, group in [*((split, group) for split, group in groups if len(group)), ("all", frame)]
        ]
    )[TRUTH_COLUMNS]
    write_tables(table, stem, "Predicted masks against the museum's true masks, means over views")
    return table


def _row(names: dict[str, Any], group: pd.DataFrame) -> dict[str, Any]:
    return names | {
        "n": len(group),
        "iou": float(group.iou.mean()) if len(group) else float("nan"),
        "accuracy": float(group.accuracy.mean()) if len(group) else float("nan"),
        "resolution": RESOLUTION,
    }

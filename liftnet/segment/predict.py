"""Masks of all images of an artist, and first proposals for images that have none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.log import get_logger, progress
from liftnet.data.masks import write_mask
from liftnet.data.pictures import read_image
from liftnet.data.row_groups import read_rows
from liftnet.data.schemas import MANIFEST, MASKS, read_table, write_table
from liftnet.models.mask_cleaning import clean_mask
from liftnet.models.segmenter import Segmenter
from liftnet.segment.metrics import expected_iou
from liftnet.segment.peer import GeneralRemover
from liftnet.segment.settings import SegmentSettings

Masker = Callable[[npt.NDArray[np.uint8]], tuple[npt.NDArray[np.bool_], float]]


def segment_image(
    segmenter: Segmenter, image: npt.NDArray[np.uint8], settings: SegmentSettings
) -> tuple[npt.NDArray[np.bool_], float]:
    """The foreground mask of an image and how good it is to be expected to be.

    Args:
        segmenter: A trained segmenter.
        image: (H, W, 3) uint8 RGB.
        settings: Threshold and cleaning.

    Returns:
        (H, W) bool, and the IoU that it is to be expected to have, in [0, 1] (`metrics.expected_iou`).
    """
    probability = segmenter.predict(image)
    mask = clean_mask(probability, settings.threshold, settings.component_share, settings.hole_share)
    # parts that cleaning has dropped are decided: they are no doubt about the mask
    doubtful = np.where((probability >= settings.threshold) & ~mask, 0, probability)
    return mask, expected_iou(doubtful, mask)


def predict_artist(
    root: Path, segmenter: Segmenter, artist_id: str, out: Path, settings: SegmentSettings
) -> tuple[int, int]:
    """Write masks/<image_id>.png for each stored image of an artist, and the table `out` beside them.

    Args:
        root: Folder with manifest.parquet and images/.
        segmenter: A trained segmenter.
        artist_id: As in the manifest; an artist without a stored image gets an empty table.
        out: The table; the masks are written into its folder.
        settings: Threshold and cleaning.

    Returns:
        Number of images with a mask, and of stored images.

    Raises:
        LiftnetError: The manifest cannot be read, has no such artist, or the folder cannot be written.
    """
    columns = ("image_id", "status", "file")
    rows = read_rows(root / "manifest.parquet", MANIFEST, columns, "artist_id", [artist_id]).to_pylist()
    if not rows:
        raise LiftnetError(
            f"artist {artist_id!r}", f"is not in {root / 'manifest.parquet'}", "See its artist_id column"
        )
    stored = sorted({row["image_id"]: row for row in rows if row["status"] == "ok"}.items())

    def masker(image: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.bool_], float]:
        return segment_image(segmenter, image, settings)

    table = [
        mask_stored(root, row, masker, out.parent, settings.min_coverage)
        for _, row in progress(stored, "segment", f"masking the images of {artist_id}")
    ]
    return write_masks_table(out, table)


def propose_masks(root: Path, remover: GeneralRemover, out: Path, settings: SegmentSettings) -> tuple[int, int]:
    """Mask the stored images that have no hand mask by a general background remover, for a person to look through.

    What it takes for the foreground may be the plinth too, or another sculpture: its masks are proposals.

    Args:
        root: Folder with manifest.parquet and images/.
        remover: The background remover.
        out: Folder of the masks `<image_id>.png` and their table proposed.parquet.
        settings: Cleaning; the threshold is one half.

    Returns:
        Number of images with a mask, and of images tried.

    Raises:
        LiftnetError: The manifest cannot be read or the folder cannot be written.
    """
    rows = read_table(root / "manifest.parquet", MANIFEST).to_pylist()
    bare = {row["image_id"]: row for row in rows if row["status"] == "ok" and row["mask_status"] != "ok"}

    def masker(image: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.bool_], float]:
        probability = remover.predict(image)
        mask = clean_mask(probability, 0.5, settings.component_share, settings.hole_share)
        return mask, expected_iou(probability, mask)

    table = [
        mask_stored(root, row, masker, out, settings.min_coverage)
        for _, row in progress(sorted(bare.items()), "segment", "proposing masks")
    ]
    return write_masks_table(out / "proposed.parquet", table)


def write_masks_table(out: Path, table: list[dict[str, Any]]) -> tuple[int, int]:
    """Write the rows of masks, name in the log what has none; return the numbers of masks and of rows."""
    write_table(out, table, MASKS)
    masked = sum(row["status"] == "ok" for row in table)
    for row in table:
        if row["status"] != "ok":
            get_logger("segment").warning("no mask for image %s: %s", row["image_id"], row["reason"])
    return masked, len(table)


def mask_stored(root: Path, row: dict[str, Any], masker: Masker, folder: Path, min_coverage: float) -> dict[str, Any]:
    """Mask one stored image; return its row of the table."""
    path = folder / f"{row['image_id']}.png"
    try:
        image = read_image(root / "images" / row["file"])
    except BadImageError as error:
        path.unlink(missing_ok=True)
        return {"image_id": row["image_id"], "status": error.status, "reason": error.reason}
    mask, confidence = masker(image)
    result = {"image_id": row["image_id"], "coverage": float(mask.mean()), "confidence": confidence}
    if not mask.any() or mask.mean() < min_coverage:
        path.unlink(missing_ok=True)
        reason = f"the foreground covers less than {min_coverage:.2%} of the image"
        return result | {"status": "no_foreground", "reason": reason}
    write_mask(path, mask)
    return result | {"status": "ok", "reason": ""}

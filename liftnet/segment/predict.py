"""Masks of all images of an artist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liftnet.io.errors import BadImageError, LiftnetError
from liftnet.io.images import read_image, write_mask
from liftnet.io.log import get_logger, progress
from liftnet.io.rows import read_rows
from liftnet.io.schemas import MANIFEST, MASKS, write_table
from liftnet.segment.clean import clean_mask
from liftnet.segment.segmenter import Segmenter
from liftnet.segment.settings import SegmentSettings


def segment_image(
    segmenter: Segmenter, image: npt.NDArray[np.uint8], settings: SegmentSettings
) -> tuple[npt.NDArray[np.bool_], float]:
    """The foreground mask of an image and how sure the network is of it.

    Args:
        segmenter: A trained segmenter.
        image: (H, W, 3) uint8 RGB.
        settings: Threshold and cleaning.

    Returns:
        (H, W) bool, and the mean over all pixels of max(p, 1 - p), in [0.5, 1].
    """
    probability = segmenter.predict(image)
    mask = clean_mask(probability, settings.threshold, settings.component_share, settings.hole_share)
    return mask, float(np.mean(np.maximum(probability, 1 - probability)))


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
    table = [
        _predict_one(root, segmenter, row, out.parent, settings)
        for _, row in progress(stored, "segment", f"masking the images of {artist_id}")
    ]
    write_table(out, table, MASKS)
    masked = sum(row["status"] == "ok" for row in table)
    for row in table:
        if row["status"] != "ok":
            get_logger("segment").warning("no mask for image %s: %s", row["image_id"], row["reason"])
    return masked, len(table)


def _predict_one(
    root: Path, segmenter: Segmenter, row: dict[str, Any], folder: Path, settings: SegmentSettings
) -> dict[str, Any]:
    """Mask one image; return its row of the table."""
    path = folder / f"{row['image_id']}.png"
    try:
        image = read_image(root / "images" / row["file"])
    except BadImageError as error:
        path.unlink(missing_ok=True)
        return {"image_id": row["image_id"], "status": error.code, "reason": error.reason}
    mask, confidence = segment_image(segmenter, image, settings)
    result = {"image_id": row["image_id"], "coverage": float(mask.mean()), "confidence": confidence}
    if not mask.any() or mask.mean() < settings.min_coverage:
        path.unlink(missing_ok=True)
        reason = f"the foreground covers less than {settings.min_coverage:.2%} of the image"
        return result | {"status": "no_foreground", "reason": reason}
    write_mask(path, mask)
    return result | {"status": "ok", "reason": ""}

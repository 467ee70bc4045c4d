"""Masks of the images of an artist, of photographs outside any run, and first proposals for images without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.log import get_logger, progress
from liftnet.core.text import printable
from liftnet.core.types import BoolArray, UInt8Array
from liftnet.data.folders import InputImage, find_images
from liftnet.data.masks import write_mask
from liftnet.data.picture_formats import bad_image
from liftnet.data.pictures import read_image
from liftnet.data.schemas import MANIFEST, MASKS, read_rows, read_table, write_table
from liftnet.models.segmentation_networks import PredictionSettings
from liftnet.models.segmenter import (
    Segmenter,
    clean_mask,
    expected_iou,
    mask_image,
    shows_foreground,
)

LOG = get_logger("segment")
Masker = Callable[[UInt8Array], tuple[BoolArray, float]]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


def predict_artist(
    root: Path, segmenter: Segmenter, artist_id: str, out: Path, settings: PredictionSettings
) -> tuple[int, int]:
    """Write masks/<image_id>.png for each stored image of an artist, and the table `out` beside them.

    Args:
        root: Folder with manifest.parquet and images/.
        segmenter: A trained segmenter.
        artist_id: As in the manifest; an artist without a stored image gets an empty table.
        out: The table; the masks are written into its folder.
        settings: Scales, threshold and cleaning.

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
        mask_stored(root, row, lambda image: mask_image(segmenter, image, settings), out.parent, settings.min_coverage)
        for _, row in progress(stored, "segment", f"masking the images of {artist_id}")
    ]
    return write_masks_table(out, table)


def propose_masks(root: Path, remover: ReferenceSegmenter, out: Path, settings: PredictionSettings) -> tuple[int, int]:
    """Mask the stored images that have no manual mask by a general background remover, for a person to look through.

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

    def masker(image: UInt8Array) -> tuple[BoolArray, float]:
        probability = remover.predict(image)
        mask = clean_mask(probability, 0.5, settings.component_fraction, settings.hole_fraction)
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
            LOG.warning("no mask for image %s: %s", row["image_id"], row["reason"])
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
    if not shows_foreground(mask, min_coverage):
        path.unlink(missing_ok=True)
        reason = f"the foreground covers less than {min_coverage:.2%} of the image"
        return result | {"status": "no_foreground", "reason": reason}
    write_mask(path, mask)
    return result | {"status": "ok", "reason": ""}


def mask_images(
    inputs: Sequence[Path],
    model: Path,
    out: Path,
    settings: PredictionSettings,
    ending: str = "png",
    force: bool = False,
) -> dict[str, int]:
    """Write a mask `<name>.<ending>` for each image, of the image's size as displayed; folders are mirrored.

    An image whose mask is there is skipped unless `force`. A file that cannot be read, and an image whose foreground
    is smaller than `settings.min_coverage`, is named in the log and has no mask.

    Args:
        inputs: Images and folders.
        model: Folder of the trained segmenter.
        out: Where the masks go.
        settings: Scales, threshold, cleaning, device.
        ending: Of the masks' names; ends in "png".
        force: Mask again what is there.

    Returns:
        Numbers of images by what became of them: "masked", "there", "unreadable", "no_foreground".

    Raises:
        LiftnetError: An input does not exist, the segmenter cannot be read, a mask cannot be written.
    """
    images = find_images(inputs, out)
    pending = [image for image in images if force or not image.result(ending).exists()]
    counts = {"masked": 0, "there": len(images) - len(pending), "unreadable": 0, "no_foreground": 0}
    if pending:
        segmenter = Segmenter.load(model, settings.device)
        for image in progress(pending, "segment", "masking images"):
            counts[_mask_one(image, segmenter, settings, ending)] += 1
    return counts


def _mask_one(image: InputImage, segmenter: Segmenter, settings: PredictionSettings, ending: str) -> str:
    """Mask one image; return what became of it."""
    path = image.result(ending)
    try:
        mask, _ = mask_image(segmenter, read_image(image.image), settings)
    except (BadImageError, MemoryError) as error:
        path.unlink(missing_ok=True)
        if isinstance(error, MemoryError):
            error = bad_image(image.image, "out_of_memory", "is too large for the memory")
        LOG.warning("no mask: %s", error)
        return "unreadable"
    if not shows_foreground(mask, settings.min_coverage):
        path.unlink(missing_ok=True)
        LOG.warning(
            "%s: no mask, its foreground covers less than %s", printable(image.image), f"{settings.min_coverage:.2%}"
        )
        return "no_foreground"
    write_mask(path, mask)
    return "masked"


class ReferenceSegmenter:
    """A general background remover in an ONNX file: the segmenter is compared with it, and it proposes first masks.

    The conventions are those of U2-Net (Qin et al., Pattern Recognition 2020): a square input divided by its largest
    value and normalised as for ImageNet; the first output is the foreground, stretched to [0, 1].

    Args:
        path: The file, with one input (1, 3, S, S).
        threads: Threads of onnxruntime.

    Raises:
        LiftnetError: onnxruntime is not installed, or the file is missing, damaged or of another kind of network.
    """

    def __init__(self, path: Path | str, threads: int = 1) -> None:
        self.path = Path(path)
        self.session = _session(self.path, threads)
        entry = self.session.get_inputs()[0]
        self.input = entry.name
        shape = entry.shape
        if len(shape) != 4 or shape[1] != 3 or not isinstance(shape[2], int) or shape[2] != shape[3]:
            raise LiftnetError(
                self.path, f"has an input of shape {shape}", "Give a network such as U2-Net with input (1, 3, S, S)"
            )
        self.size = int(shape[2])

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    def predict(self, image: UInt8Array) -> npt.NDArray[np.float32]:
        """Foreground map of an image.

        Args:
            image: (H, W, 3) uint8 RGB, any size.

        Returns:
            (H, W) float32 in [0, 1]; of every image the largest value is 1, also where there is no foreground.
        """
        resized = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA).astype(np.float32)
        scaled = resized / max(float(resized.max()), 1.0)
        pixels = (scaled - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
        batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)
        found = np.asarray(self.session.run(None, {self.input: batch})[0], np.float32).reshape(self.size, self.size)
        low, high = float(found.min()), float(found.max())
        stretched = (found - low) / max(high - low, 1e-6)
        full = cv2.resize(stretched, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
        return full.astype(np.float32)


def _session(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise LiftnetError("onnxruntime", "is not installed", "Install the extra `export`") from error
    if not path.is_file():
        raise LiftnetError(path, "does not exist", "Give the path of the network's .onnx file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises kinds of its own for a damaged file
        raise LiftnetError(path, f"cannot be loaded ({str(error).splitlines()[0]})", "Fetch the file again") from error

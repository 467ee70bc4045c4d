"""Target depth of the crops that the network sees, from a folder of truth: dense, or sparse as COLMAP gives it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.data.manifest import StoredImage, stored_images, truths_of
from liftnet.data.truth import TrueView, load_truth
from liftnet.depth.data.augment import Changes, warp
from liftnet.depth.data.crops import CropStore, zeros_in_memory
from liftnet.depth.metrics import VIEWING_DISTANCE, half_width, true_crop
from liftnet.models.depth_input import CropBox

LOG = get_logger("depth")
SMALLEST = 8  # known pixels a target must have to say something about a shape: scale and shift take two
Float32Array = npt.NDArray[np.float32]


class TargetStore:
    """Target depth of the images of a store of crops.

    Attributes:
        values: (n, S, S) float32 in half widths of the crop with the median at 2.732; NaN where unknown. The rows are
            those of the crops.
        known: (n,) pixels of each that are known; 0 for an image without a target.
        failed: Reason for each image whose target could not be used.
    """

    def __init__(
        self, folder: Path, store: CropStore, threads: int = 1, cache_mb: int = 4000, scratch: Path | None = None
    ) -> None:
        """Read the targets of all crops that have one.

        Args:
            folder: Holds truth.parquet and the files it names: a rendered set, a museum, or what `depth sfm` wrote.
            store: The crops.
            threads: Reading threads.
            cache_mb: Above this size the targets lie in a scratch file in `scratch` that vanishes with the process.
            scratch: Folder of the scratch file; the system's when None.

        Raises:
            LiftnetError: truth.parquet or the manifest cannot be read.
        """
        images = stored_images(store.root)
        files = truths_of(images, folder)
        ids = [image_id for image_id in store.index if image_id in files]
        shape = (len(store), store.input.image_size, store.input.image_size)
        self.values: Float32Array = zeros_in_memory(shape, np.float32, cache_mb, scratch)
        self.values[...] = np.nan
        self.known = np.zeros(len(store), np.int64)
        self.failed: dict[str, str] = {}

        def load(image_id: str) -> Float32Array | LiftnetError:
            box = store.boxes[store.index[image_id]]
            try:
                return _read_target(files[image_id], images[image_id], box, store.input.image_size)
            except LiftnetError as error:
                return error

        for image_id, result in zip(ids, map_threads(load, ids, threads, "depth", "reading targets"), strict=True):
            if isinstance(result, LiftnetError):
                self.failed[image_id] = str(result)
                LOG.warning("target left out: %s", result)
                continue
            row = store.index[image_id]
            self.values[row] = result
            self.known[row] = np.isfinite(result).sum()

    def digest(self, row: int) -> str:
        """A short hash of a target."""
        return digest(self.values[row])


def digest(values: npt.NDArray[np.generic]) -> str:
    """A short hash of an array."""
    return hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=6).hexdigest()


def _read_target(path: Path, image: StoredImage, box: CropBox, size: int) -> Float32Array:
    view = load_truth(path)
    if view.depth.shape != (image.height, image.width):
        rows, columns = view.depth.shape
        reason = f"holds {columns}x{rows} pixels of depth, its image has {image.width}x{image.height}"
        raise LiftnetError(path, reason, "Depth has the size of the image as displayed")
    return target_crop(view, box, size).astype(np.float32)


def target_crop(view: TrueView, box: CropBox, size: int) -> npt.NDArray[np.floating]:
    """Target depth over a crop, in its half widths, with the median at `VIEWING_DISTANCE`.

    Dense depth is read at the centres of the crop's pixels. Of sparse depth that would miss nearly all: there each
    known pixel goes to the pixel of the crop in which it lies, and the nearest of them counts.

    Args:
        view: Depth and camera of the whole image.
        box: The crop in it.
        size: Side of the result, px.

    Returns:
        (size, size) float; NaN where unknown.
    """
    if not is_sparse(view.depth):
        return true_crop(view, box, size)
    depth = scatter_depth(view.depth, box, size)
    if not np.isfinite(depth).any():
        return depth
    middle = float(np.nanmedian(depth))
    return VIEWING_DISTANCE + (depth - middle) / half_width(view, box, middle)


def is_sparse(depth: npt.NDArray[np.floating]) -> bool:
    """Whether fewer than half of the known pixels have a known neighbour to their right; an object has nearly all."""
    known = np.isfinite(depth)
    return int((known[:, :-1] & known[:, 1:]).sum()) < known.sum() / 2


def scatter_depth(depth: npt.NDArray[np.floating], box: CropBox, size: int) -> npt.NDArray[np.floating]:
    """Move known pixels to the pixels of the crop in which they lie; the nearest depth wins.

    Args:
        depth: (H, W), NaN where unknown.
        box: The crop.
        size: Side of the result, px.

    Returns:
        (size, size) float64, NaN where no known pixel lies.
    """
    rows, columns = np.nonzero(np.isfinite(depth))
    pixels = np.rint(box.to_crop(np.stack([columns, rows], 1).astype(np.float64), size)).astype(int)
    inside = ((pixels >= 0) & (pixels < size)).all(1)
    nearest = np.full((size, size), np.inf)
    np.minimum.at(nearest, (pixels[inside, 1], pixels[inside, 0]), depth[rows, columns][inside])
    return np.where(np.isfinite(nearest), nearest, np.nan)


def change_targets(targets: Tensor, changes: Changes) -> Tensor:
    """Move (B, S, S) targets as `change_images` moves their images: nearest pixels, NaN from outside.

    A zoom changes the unit of depth with the image's; what compares depth up to scale does not see it.
    """
    if changes.matrix is None:
        return targets
    known = torch.isfinite(targets)
    stacked = torch.stack([targets.masked_fill(~known, 0), known.to(targets.dtype)], 1)
    moved = warp(stacked, changes.matrix.to(targets.dtype), mode="nearest", padding="zeros")
    return moved[:, 0].masked_fill(moved[:, 1] < 0.5, torch.nan)

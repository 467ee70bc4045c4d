"""Crops of all images of a run and target depth over them, in memory or, where that is short, in a scratch file."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.core.types import BoolArray, Float32Array, FloatArray, UInt8Array
from liftnet.data.manifest import StoredImage, stored_images, truths_of
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image
from liftnet.data.truth import TrueView, load_truth
from liftnet.depth.augment import Changes, warp
from liftnet.models.depth_input import CropBox, cut_input, cut_nearest
from liftnet.models.depth_networks import InputSettings

LOG = get_logger("depth")
VIEWING_DISTANCE = 2.732  # half widths from the camera to the object's median depth; makes relative errors defined
SMALLEST = 8  # known pixels a target must have to say something about a shape: scale and shift take two


class CropStore:
    """Crops by image id.

    Attributes:
        input: How they were cut.
        index: Row of each image id that could be read.
        failed: Reason for each image id that could not.
        images: (n, S, S, 3) uint8.
        masks: (n, S, S) bool.
        boxes: (n) where each crop lies in its image.
    """

    def __init__(
        self,
        root: Path,
        image_ids: Sequence[str],
        input: InputSettings,
        threads: int = 1,
        cache_mb: int = 4000,
        scratch: Path | None = None,
    ) -> None:
        """Decode the images of `root`, which holds manifest.parquet, images/ and masks/.

        Args:
            root: Folder of the run.
            image_ids: Images to decode.
            input: How to cut them.
            threads: Decoding threads.
            cache_mb: Above this size the crops lie in a scratch file in `scratch` that vanishes with the process.
            scratch: Folder of the scratch file; the system's when None.
        """
        self.input, self.root = input, root
        ids = sorted(set(image_ids))
        self.files = {name: root / "images" / image.file for name, image in stored_images(root).items()}
        size = input.image_size
        shape = (len(ids), size, size, 3)
        # with the masks a third more than the crops alone
        self.images: UInt8Array = zeros_in_memory(shape, np.uint8, 0.75 * cache_mb, scratch)
        self.masks = np.zeros(shape[:3], np.bool_)
        self.boxes: list[CropBox] = []
        self.index: dict[str, int] = {}
        self.failed: dict[str, str] = {}
        self.without_mask = 0
        loaded = map_threads(self._load, ids, threads, "depth", "reading images")
        for image_id, result in zip(ids, loaded, strict=True):
            if isinstance(result, BadImageError):
                self.failed[image_id] = str(result)
                LOG.warning("image left out: %s", result)
                continue
            row = len(self.boxes)
            self.index[image_id] = row
            self.images[row], self.masks[row], box = result
            self.boxes.append(box)
        if self.without_mask:
            LOG.warning("%d images have no mask; all of each counts as foreground", self.without_mask)

    def _load(self, image_id: str) -> tuple[UInt8Array, BoolArray, CropBox] | BadImageError:
        try:
            if image_id not in self.files:
                raise BadImageError(image_id, "missing", "is not in manifest.parquet", "Run `collect` again")
            image = read_image(self.files[image_id])
            mask_path = self.root / "masks" / f"{image_id}.png"
            mask = None
            if mask_path.exists():
                mask = read_mask(mask_path, (image.shape[1], image.shape[0]))
            else:
                self.without_mask += 1
            return cut_input(image, mask, self.input)
        except BadImageError as error:
            return error

    def __contains__(self, image_id: str) -> bool:
        return image_id in self.index

    def __len__(self) -> int:
        return len(self.boxes)


def zeros_in_memory(
    shape: tuple[int, ...], kind: type[np.generic], limit_mb: float, scratch: Path | None
) -> npt.NDArray[Any]:
    """Zeros in memory, or beyond a size in a scratch file that vanishes with the process.

    Args:
        shape: Any.
        kind: Type of the numbers.
        limit_mb: The size, MB.
        scratch: Folder of the scratch file; the system's when None.
    """
    if np.prod(shape) * np.dtype(kind).itemsize <= limit_mb * 1e6:
        return np.zeros(shape, kind)
    with tempfile.TemporaryFile(dir=scratch) as file:  # the mapping outlives the name and the handle
        return np.memmap(file, kind, "w+", shape=shape)


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


def target_crop(view: TrueView, box: CropBox, size: int) -> FloatArray:
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


def true_crop(view: TrueView, box: CropBox, size: int) -> FloatArray:
    """True depth over a crop, in its half widths, with the median at `VIEWING_DISTANCE`.

    Args:
        view: Depth and camera of the whole image.
        box: The crop in it.
        size: Side of the result, px.

    Returns:
        (size, size) float; NaN off the object and beyond the image.
    """
    depth = cut_nearest(view.depth, box, size).astype(np.float64)
    if not np.isfinite(depth).any():
        return depth
    middle = float(np.nanmedian(depth))
    return VIEWING_DISTANCE + (depth - middle) / half_width(view, box, middle)


def half_width(view: TrueView, box: CropBox, depth: float) -> float:
    """Half the width of a crop in world units, at a depth: what turns lengths in half widths into world units."""
    return box.side / 2 / view.camera.pixels_per_unit(depth)


def is_sparse(depth: FloatArray) -> bool:
    """Whether fewer than half of the known pixels have a known neighbour to their right; an object has nearly all."""
    known = np.isfinite(depth)
    return int((known[:, :-1] & known[:, 1:]).sum()) < known.sum() / 2


def scatter_depth(depth: FloatArray, box: CropBox, size: int) -> FloatArray:
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

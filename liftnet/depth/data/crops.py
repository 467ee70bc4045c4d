"""Crops of all images of a run, decoded once and kept in memory, or in a scratch file where memory is short."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import BadImageError
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.core.types import BoolArray, UInt8Array
from liftnet.data.manifest import stored_images
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image
from liftnet.models.depth_input import CropBox, cut_input
from liftnet.models.depth_networks import InputSettings


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
        self.images: npt.NDArray[np.uint8] = zeros_in_memory(shape, np.uint8, 0.75 * cache_mb, scratch)
        self.masks = np.zeros(shape[:3], np.bool_)
        self.boxes: list[CropBox] = []
        self.index: dict[str, int] = {}
        self.failed: dict[str, str] = {}
        self.without_mask = 0
        loaded = map_threads(self._load, ids, threads, "depth", "reading images")
        for image_id, result in zip(ids, loaded, strict=True):
            if isinstance(result, BadImageError):
                self.failed[image_id] = str(result)
                get_logger("depth").warning("image left out: %s", result)
                continue
            row = len(self.boxes)
            self.index[image_id] = row
            self.images[row], self.masks[row], box = result
            self.boxes.append(box)
        if self.without_mask:
            get_logger("depth").warning("%d images have no mask; all of each counts as foreground", self.without_mask)

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

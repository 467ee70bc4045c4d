"""Which hand-masked images train the segmenter, which choose its checkpoint and which are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from liftnet.io.errors import BadImageError
from liftnet.io.ids import stable_fraction
from liftnet.io.images import read_image, read_mask
from liftnet.io.log import get_logger
from liftnet.io.parallel import map_threads
from liftnet.io.schemas import MANIFEST, read_table
from liftnet.segment.settings import SegmentSettings

UInt8Array = npt.NDArray[np.uint8]
OVERSAMPLING = 1.25  # training images are kept this much larger than the network sees, so that crops stay sharp


@dataclass(frozen=True)
class MaskedImage:
    """A stored image with a hand-made mask."""

    image_id: str
    work_id: str
    split: str
    image: Path
    mask: Path
    size: tuple[int, int]  # width, height


@dataclass(frozen=True)
class Division:
    """The masked images by their use, and in words how they were divided."""

    train: list[MaskedImage]
    validation: list[MaskedImage]
    heldout: list[MaskedImage]
    note: str


@dataclass(frozen=True)
class Sample:
    """A training image at working size: (h, w, 3) uint8 and its mask (h, w) uint8, 0 to 255."""

    work_id: str
    image: UInt8Array
    mask: UInt8Array


def masked_images(root: Path) -> list[MaskedImage]:
    """The rows of the manifest below `root` whose image and hand mask are both stored, in order of image_id.

    Raises:
        LiftnetError: The manifest is missing or unreadable.
    """
    table = read_table(root / "manifest.parquet", MANIFEST)
    found = {
        row["image_id"]: MaskedImage(
            row["image_id"],
            row["work_id"],
            row["split"] or "train",
            root / "images" / row["file"],
            root / "hand_masks" / f"{row['image_id']}.png",
            (row["width"], row["height"]),
        )
        for row in table.to_pylist()
        if row["status"] == "ok" and row["mask_status"] == "ok"
    }
    return [found[image_id] for image_id in sorted(found)]


def divide(images: Sequence[MaskedImage], settings: SegmentSettings, seed: int) -> Division:
    """Divide masked images into those that train, those that choose the checkpoint and those held out.

    Works of split val and test are held out. Where they have no masks, or works of split train have none, a share of
    all masked works is held out; of a single masked work, a share of its images.
    """
    if not images:
        return Division([], [], [], "there are no hand masks")
    train = [image for image in images if image.split == "train"]
    heldout = [image for image in images if image.split != "train"]
    note = "held out: the masked works of split val and test"
    if not train or not heldout:
        works = sorted({image.work_id for image in images}, key=lambda work: stable_fraction(work, str(seed)))
        key = (lambda image: image.work_id) if len(works) > 1 else (lambda image: image.image_id)
        groups = sorted({key(image) for image in images}, key=lambda group: stable_fraction(group, str(seed)))
        count = min(max(1, round(settings.heldout_share * len(groups))), len(groups) - 1)
        chosen = set(groups[:count])
        train = [image for image in images if key(image) not in chosen]
        heldout = [image for image in images if key(image) in chosen]
        missing = "train" if not any(image.split == "train" for image in images) else "val or test"
        what = (
            f"{count} of the {len(works)} masked works"
            if len(works) > 1
            else f"{count} images of the only masked work"
        )
        note = f"no work of split {missing} has masks; held out: {what}"
    ranked = sorted(train, key=lambda image: stable_fraction(image.image_id, f"validation {seed}"))
    count = min(settings.validation_limit, max(1, round(settings.validation_share * len(train))), len(train) - 1)
    if len(train) == 1:
        return Division(train, train, heldout, note)
    validation = sorted(ranked[:count], key=lambda image: image.image_id)
    train = sorted(ranked[count:], key=lambda image: image.image_id)
    return Division(train, validation, heldout, note)


def load_samples(images: Sequence[MaskedImage], image_size: int, threads: int) -> list[Sample]:
    """Read images and masks at working size; what cannot be read is logged and left out."""

    def load(masked: MaskedImage) -> Sample | BadImageError:
        try:
            image, mask = read_image(masked.image), read_mask(masked.mask, masked.size)
        except BadImageError as error:
            return error
        if image.shape[:2] != mask.shape:
            return BadImageError(masked.image, "wrong_size", "has another size than the manifest says")
        height, width = working_shape(image.shape[:2], round(image_size * OVERSAMPLING))
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        soft = cv2.resize(mask.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_AREA)
        return Sample(masked.work_id, resized.astype(np.uint8), soft.astype(np.uint8))

    loaded = list(map_threads(load, images, threads, "segment", "reading hand-masked images"))
    for result in loaded:
        if isinstance(result, BadImageError):
            get_logger("segment").warning("left out of training: %s", result)
    return [result for result in loaded if isinstance(result, Sample)]


def working_shape(shape: tuple[int, ...], long_side: int, multiple: int = 1) -> tuple[int, int]:
    """Height and width after scaling to `long_side`, each rounded to a multiple (the network's strides want 32)."""
    height, width = shape[:2]
    scale = long_side / max(height, width)
    return tuple(max(1, round(side * scale / multiple)) * multiple for side in (height, width))  # type: ignore[return-value]


def digest(samples: Sequence[Sample]) -> str:
    """A hash of the training data, so that a checkpoint of other data is not resumed."""
    state = hashlib.sha256()
    for sample in samples:
        state.update(sample.work_id.encode() + repr(sample.image.shape).encode())
        state.update(sample.image.tobytes() + sample.mask.tobytes())
    return state.hexdigest()

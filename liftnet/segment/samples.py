"""Which hand-masked images train the segmenter, which choose its checkpoint and which are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from liftnet.core.errors import BadImageError
from liftnet.core.ids import stable_fraction
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image
from liftnet.data.schemas import MANIFEST, read_table
from liftnet.segment.corrections import read_corrections, usable
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
    collection: str = ""  # which results folder it is of, where several train together
    work: str = ""  # its name
    corrected: bool = False  # whether its mask is a corrected one


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
    collection: str = ""


def masked_images(
    root: Path, corrections: Path | None = None, min_coverage: float = 0.0, collection: str = ""
) -> list[MaskedImage]:
    """The stored images below `root` that have a hand mask or a corrected one, in order of image_id.

    Args:
        root: Folder with manifest.parquet, images/ and hand_masks/.
        corrections: Folder of corrected masks (see `liftnet.segment.corrections`); they go before hand masks.
        min_coverage: A corrected mask with a smaller share of foreground is not used.
        collection: What the images are marked with: in training, collections are drawn equally often.

    Raises:
        LiftnetError: The manifest is missing or unreadable, or the folder of corrections is.
    """
    rows = read_table(root / "manifest.parquet", MANIFEST).to_pylist()
    corrected = {}
    if corrections is not None:
        corrected = usable(read_corrections(corrections, rows, min_coverage), corrections)
    found = {
        row["image_id"]: MaskedImage(
            row["image_id"],
            row["work_id"],
            row["split"] or "train",
            root / "images" / row["file"],
            corrected.get(row["image_id"], root / "hand_masks" / f"{row['image_id']}.png"),
            (row["width"], row["height"]),
            collection,
            row["work"],
            row["image_id"] in corrected,
        )
        for row in rows
        if row["status"] == "ok" and (row["mask_status"] == "ok" or row["image_id"] in corrected)
    }
    return [found[image_id] for image_id in sorted(found)]


def all_masked_images(root: Path, settings: SegmentSettings) -> tuple[list[MaskedImage], list[MaskedImage]]:
    """The masked images of `root`, and those of the folders `settings.also`, which only train.

    What is in both is taken as of `root`.

    Raises:
        LiftnetError: A manifest or the folder of corrections cannot be read.
    """
    corrections = Path(settings.corrections) if settings.corrections else None
    own = masked_images(root, corrections, settings.min_coverage)
    images, works = {image.image_id for image in own}, {image.work_id for image in own}
    others = [
        image
        for number, folder in enumerate(settings.also, 1)
        for image in masked_images(Path(folder), collection=f"also {number}")
    ]
    return own, [image for image in others if image.image_id not in images and image.work_id not in works]


def divide(
    images: Sequence[MaskedImage], settings: SegmentSettings, seed: int, others: Sequence[MaskedImage] = ()
) -> Division:
    """Divide masked images into those that train, those that choose the checkpoint and those held out.

    Works of split val and test are held out. Where they have no masks, or works of split train have none, a share of
    all masked works is held out; of a single masked work, a share of its images. `others` only train.
    """
    if not images:
        note = "there are no hand masks" + (" but those of other folders, which train" if others else "")
        return choose_validation(others, [], settings, seed, note)
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
    return choose_validation([*train, *others], heldout, settings, seed, note)


def choose_validation(
    train: Sequence[MaskedImage], heldout: Sequence[MaskedImage], settings: SegmentSettings, seed: int, note: str
) -> Division:
    """Keep a share of the training images to choose the checkpoint with; a single image does both."""
    if len(train) <= 1:
        return Division(list(train), list(train), list(heldout), note)
    ranked = sorted(train, key=lambda image: stable_fraction(image.image_id, f"validation {seed}"))
    count = min(settings.validation_limit, max(1, round(settings.validation_share * len(train))), len(train) - 1)
    chosen, rest = (sorted(part, key=lambda image: image.image_id) for part in (ranked[:count], ranked[count:]))
    return Division(rest, chosen, list(heldout), note)


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
        return Sample(masked.work_id, resized.astype(np.uint8), soft.astype(np.uint8), masked.collection)

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
        state.update(sample.collection.encode() + sample.work_id.encode() + repr(sample.image.shape).encode())
        state.update(sample.image.tobytes() + sample.mask.tobytes())
    return state.hexdigest()

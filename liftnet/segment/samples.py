"""Which masked images train the segmenter, which choose its checkpoint and which are held out."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from liftnet.core.errors import BadImageError
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.core.types import UInt8Array
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image
from liftnet.data.schemas import MANIFEST, read_table
from liftnet.learn.hold_out import hold_out
from liftnet.models.segmenter import working_shape
from liftnet.segment.corrections import read_corrections, usable
from liftnet.segment.settings import DataSettings, SegmenterSettings

LOG = get_logger("segment")
OVERSAMPLING = 1.25  # training images are kept this much larger than the network sees, so that crops stay sharp


@dataclass(frozen=True)
class MaskedImage:
    """A stored image with a manual mask."""

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
    """The stored images below `root` that have a manual mask or a corrected one, in order of image_id.

    Args:
        root: Folder with manifest.parquet, images/ and hand_masks/.
        corrections: Folder of corrected masks (see `liftnet.segment.corrections`); they go before manual masks.
        min_coverage: A corrected mask with a smaller fraction of foreground is not used.
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


def all_masked_images(root: Path, settings: SegmenterSettings) -> tuple[list[MaskedImage], list[MaskedImage]]:
    """The masked images of `root`, and those of the folders `data.extra_roots`, which only train.

    What is in both is taken as of `root`.

    Raises:
        LiftnetError: A manifest or the folder of corrections cannot be read.
    """
    corrections = Path(settings.data.corrections) if settings.data.corrections else None
    own = masked_images(root, corrections, settings.predict.min_coverage)
    images, works = {image.image_id for image in own}, {image.work_id for image in own}
    others = [
        image
        for number, folder in enumerate(settings.data.extra_roots, 1)
        for image in masked_images(Path(folder), collection=f"also {number}")
    ]
    return own, [image for image in others if image.image_id not in images and image.work_id not in works]


def divide(
    images: Sequence[MaskedImage], settings: DataSettings, seed: int, others: Sequence[MaskedImage] = ()
) -> Division:
    """Divide masked images into those that train, those that choose the checkpoint and those held out.

    Works of split val and test are held out. Where they have no masks, or works of split train have none, a fraction
    of all masked works is held out; of a single masked work, a fraction of its images. `others` only train.
    """
    if not images:
        note = "there are no manual masks" + (" but those of other folders, which train" if others else "")
        return choose_validation(others, [], settings, seed, note)
    train = [image for image in images if image.split == "train"]
    heldout = [image for image in images if image.split != "train"]
    note = "held out: the masked works of split val and test"
    if not train or not heldout:
        works = len({image.work_id for image in images})
        key = operator.attrgetter("work_id" if works > 1 else "image_id")
        missing = "val or test" if train else "train"
        train, heldout = hold_out(images, key, settings.val_fraction, str(seed))
        count = len({key(image) for image in heldout})
        what = f"{count} of the {works} masked works" if works > 1 else f"{count} images of the only masked work"
        note = f"no work of split {missing} has masks; held out: {what}"
        LOG.warning("%s. Give masks for works of other artists too, in train and in val or test", note)
    return choose_validation([*train, *others], heldout, settings, seed, note)


def choose_validation(
    train: Sequence[MaskedImage], heldout: Sequence[MaskedImage], settings: DataSettings, seed: int, note: str
) -> Division:
    """Keep a fraction of the training images to choose the checkpoint with; a single image does both."""
    if len(train) <= 1:
        return Division(list(train), list(train), list(heldout), note)
    by_id = operator.attrgetter("image_id")
    rest, chosen = hold_out(
        train, by_id, settings.selection_fraction, f"validation {seed}", settings.max_selection_images
    )
    return Division(sorted(rest, key=by_id), sorted(chosen, key=by_id), list(heldout), note)


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

    loaded = list(map_threads(load, images, threads, "segment", "reading masked images"))
    for result in loaded:
        if isinstance(result, BadImageError):
            LOG.warning("left out of training: %s", result)
    return [result for result in loaded if isinstance(result, Sample)]


def digest(samples: Sequence[Sample]) -> str:
    """A hash of the training data, so that a checkpoint of other data is not resumed."""
    state = hashlib.sha256()
    for sample in samples:
        state.update(sample.collection.encode() + sample.work_id.encode() + repr(sample.image.shape).encode())
        state.update(sample.image.tobytes() + sample.mask.tobytes())
    return state.hexdigest()

"""Masks of photographs that a person names, outside any run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from liftnet.core.errors import BadImageError
from liftnet.core.log import get_logger, progress
from liftnet.data.folders import InputImage, find_images
from liftnet.data.masks import write_mask
from liftnet.data.pictures import read_image
from liftnet.models.segmenter import Segmenter
from liftnet.segment.predict import segment_image
from liftnet.segment.settings import SegmentSettings

LOG = get_logger("segment")


def mask_images(
    inputs: Sequence[Path],
    model: Path,
    out: Path,
    settings: SegmentSettings,
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
        settings: Threshold, cleaning, device.
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
        segmenter = Segmenter.load(model, settings.device).apply(settings)
        for image in progress(pending, "segment", "masking images"):
            counts[_mask_one(image, segmenter, settings, ending)] += 1
    return counts


def _mask_one(image: InputImage, segmenter: Segmenter, settings: SegmentSettings, ending: str) -> str:
    """Mask one image; return what became of it."""
    path = image.result(ending)
    try:
        mask, _ = segment_image(segmenter, read_image(image.image, upright=True), settings)
    except BadImageError as error:
        path.unlink(missing_ok=True)
        LOG.warning("no mask: %s", error)
        return "unreadable"
    if not mask.any() or mask.mean() < settings.min_coverage:
        path.unlink(missing_ok=True)
        LOG.warning("%s: no mask, its foreground covers less than %s", image.image, f"{settings.min_coverage:.2%}")
        return "no_foreground"
    write_mask(path, mask)
    return "masked"

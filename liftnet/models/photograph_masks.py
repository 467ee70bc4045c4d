"""The masks of photographs of which a model predicts something: by the segmenter, from a folder, or none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from liftnet.core.errors import BadImageError, LiftnetError, nearest
from liftnet.core.log import get_logger
from liftnet.core.text import printable
from liftnet.core.types import BoolArray, UInt8Array
from liftnet.core.walking import entries
from liftnet.data.folders import InputImage, has_picture_suffix, masks_among, pictures_below
from liftnet.data.mask_folders import MaskFinder, mask_folders
from liftnet.data.mask_names import MaskIndex, near_miss
from liftnet.data.masks import read_mask, write_mask
from liftnet.models.segmentation_networks import SHIPPED_SEGMENTER, PredictionSettings
from liftnet.models.segmenter import Segmenter, mask_image, shows_foreground

LOG = get_logger("models")
MASK_ENDING = "mask.png"
AUTO, NONE = "auto", "none"


@dataclass(frozen=True)
class PhotographMasks:
    """Where the masks of photographs come from.

    Attributes:
        source: "auto" for the segmenter, "none" for whole images, or a folder of masks.
        out: Folder of the results; masks of the segmenter lie beside them.
        segmenter: For "auto".
        force: Mask again what is masked already.
    """

    source: str
    out: Path
    segmenter: Segmenter | None = None
    force: bool = False

    @classmethod
    def open(
        cls, source: str, out: Path, segmenter: Path | None, model_folder: Path, device: str, force: bool = False
    ) -> Self:
        """Load the segmenter where one is asked for.

        That is `segmenter`; else that of the run that trained the model, or where it lies alone the shipped one.

        Raises:
            LiftnetError: It cannot be read; or the folder of masks does not exist.
        """
        if source == NONE:
            return cls(source, out, force=force)
        if source != AUTO:
            if not Path(source).expanduser().is_dir():
                known = [path.name for path in Path(source).expanduser().parent.glob("*/")] + [AUTO, NONE]
                reason = "is no folder" + nearest(Path(source).name, known)
                raise LiftnetError(f"--mask {source}", reason, "Name the folder of the masks, `auto` or `none`")
            return cls(str(Path(source).expanduser()), out, force=force)
        beside = model_folder.resolve().parent / "segmenter"
        if segmenter is None and not (beside / "model.safetensors").exists():
            LOG.info("masks by the segmenter that comes with liftnet; --mask and --segmenter name others")
            return cls(source, out, Segmenter.load(SHIPPED_SEGMENTER, device), force)
        return cls(source, out, Segmenter.load(segmenter or beside, device), force)

    def mask_of(self, place: InputImage, image: UInt8Array) -> tuple[Path | None, BoolArray | None]:
        """The mask of a photograph and its file; None, with a word in the log, if there is none.

        Args:
            place: The photograph and where its results go.
            image: Its pixels, (H, W, 3) uint8 RGB.

        Raises:
            BadImageError: It cannot be read or has another size; of a folder, also if it marks nothing or everything.
        """
        if self.source == NONE:
            return None, None
        size = (image.shape[1], image.shape[0])
        if self.segmenter is None:
            found, hint = folder_mask(place, Path(self.source), self.out)
        else:
            found, hint = self._segmented(place, image, self.segmenter), ""
        if found is None:
            LOG.warning("%s has no mask; the whole image is taken%s", printable(place.image), hint)
            return None, None
        return found, read_mask(found, size, may_be_empty=self.segmenter is not None)

    def _segmented(self, place: InputImage, image: UInt8Array, segmenter: Segmenter) -> Path | None:
        """The mask beside the results, by the segmenter where it is not there yet; None without foreground."""
        file = place.result(MASK_ENDING)
        if file.exists() and not self.force:
            return file
        settings = PredictionSettings()
        mask, _ = mask_image(segmenter, image, settings)
        if not shows_foreground(mask, settings.min_coverage):
            file.unlink(missing_ok=True)
            return None
        write_mask(file, mask)
        return file


def folder_mask(place: InputImage, masks: Path, out: Path) -> tuple[Path | None, str]:
    """The mask of an image in a folder of masks, mirrored as the results are, or flat, or among the photographs.

    Returns:
        Its path, by any of the names that `liftnet.data.mask_names` knows, and "". Without one None, and words that
        name the mask whose name is nearest.
    """
    own, photograph = Path(os.path.abspath(masks)), Path(os.path.abspath(place.image))
    if own in photograph.parents:
        return masks_of_photographs(own).get(photograph), ""
    mirrored = (masks / place.stem.relative_to(out)).parent
    hint = ""
    for folder in dict.fromkeys((mirrored, masks)):
        index = _index(folder, folder.stat().st_mtime_ns if folder.is_dir() else 0)
        for name in (place.image.name, place.stem.name):  # results of `a.jpg` beside `a.png` are called by both
            if (found := index.find(name)) is not None:
                return Path(found), ""
        hint = hint or near_miss(place.image, index)
    return None, hint


@lru_cache(16)
def masks_of_photographs(folder: Path) -> Mapping[Path, Path]:
    """The masks of the photographs below a folder that holds both, as `collect` tells them apart."""
    _listed(folder)
    pictures = pictures_below(folder)
    masks = masks_among(pictures)
    return MaskFinder(masks, mask_folders(pictures)).masks_of(path for path in pictures if path not in masks)


@lru_cache(1024)
def _index(folder: Path, changed: int) -> MaskIndex:
    """The masks of a folder, looked up again when it has changed."""
    return MaskIndex(path for path in _listed(folder) if has_picture_suffix(path))


def _listed(folder: Path) -> list[Path]:
    try:
        return entries(folder) if folder.is_dir() else []
    except LiftnetError as error:
        raise BadImageError(error.what, "unreadable_file", error.reason, error.remedy) from error

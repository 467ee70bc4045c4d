"""The masks of photographs of which a model predicts something: by the segmenter, from a folder, or none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.types import UInt8Array
from liftnet.data.folders import InputImage
from liftnet.data.masks import write_mask
from liftnet.models.segmentation_networks import PredictionSettings
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
        """Load the segmenter where one is asked for: `segmenter`, or that of the run that trained the model.

        Raises:
            LiftnetError: There is none, or it cannot be read.
        """
        if source != AUTO:
            return cls(source, out, force=force)
        folder = segmenter or model_folder.resolve().parent / "segmenter"
        if not (folder / "model.safetensors").exists():
            remedy = "Name one with `--segmenter`, or give `--mask FOLDER` or `--mask none`"
            raise LiftnetError(folder, "holds no segmenter for `--mask auto`", remedy)
        return cls(source, out, Segmenter.load(folder, device), force)

    def file(self, place: InputImage, image: UInt8Array) -> Path | None:
        """The mask of a photograph; None, with a word in the log, if there is none.

        Args:
            place: The photograph and where its results go.
            image: Its pixels, (H, W, 3) uint8 RGB.
        """
        if self.source == NONE:
            return None
        if self.segmenter is None:
            found = folder_mask(place, Path(self.source), self.out)
        else:
            found = self._segmented(place, image, self.segmenter)
        if found is None:
            LOG.warning("%s has no mask; the whole image is taken", place.image)
        return found

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


def folder_mask(place: InputImage, masks: Path, out: Path) -> Path | None:
    """The mask of an image in a folder of masks, mirrored as the results are, or flat; None if there is none."""
    mirrored = masks / place.stem.relative_to(out)
    name = f"{place.image.stem}.png"
    candidates = (mirrored.with_name(f"{mirrored.name}.png"), mirrored.with_name(name), masks / name)
    return next((candidate for candidate in candidates if candidate.exists()), None)

"""What a camera writes into a photograph (EXIF 2.32): orientation, focal length, camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image

from liftnet.data.pictures.formats import DAMAGE

_ORIENTATION, _MAKE, _MODEL = 0x0112, 0x010F, 0x0110
_EXIF_FOLDER, _FOCAL, _FOCAL_35 = 0x8769, 0x920A, 0xA405


@dataclass(frozen=True)
class Exif:
    """The fields in use.

    Attributes:
        orientation: 1 to 8; 1 if absent or damaged.
        focal_mm: Focal length in mm.
        focal_35mm: Focal length in mm of a 35 mm camera with the same angle of view.
        camera: Make and model.
    """

    orientation: int = 1
    focal_mm: float | None = None
    focal_35mm: float | None = None
    camera: str | None = None


def read_exif(picture: Image.Image) -> Exif:
    """The EXIF fields of an opened picture; a damaged block counts as none, for the pixels are still good."""
    try:
        tags = picture.getexif()
        folder = tags.get_ifd(_EXIF_FOLDER)
    except DAMAGE:
        return Exif()
    orientation = tags.get(_ORIENTATION, 1)
    return Exif(
        orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1,
        _length(folder.get(_FOCAL)),
        _length(folder.get(_FOCAL_35)),
        _camera(tags.get(_MAKE), tags.get(_MODEL)),
    )


def _length(value: object) -> float | None:
    try:
        length = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return length if math.isfinite(length) and length > 0 else None


def _camera(make: object, model: object) -> str | None:
    brand, name = (
        " ".join(text.replace("\0", " ").split()) if isinstance(text, str) else "" for text in (make, model)
    )
    first = brand.split()[0].lower() if brand else ""
    return (name if first and name.lower().startswith(first) else f"{brand} {name}".strip()) or None

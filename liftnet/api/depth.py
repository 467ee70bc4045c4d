"""A photograph in, depth out."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from liftnet.api.pictures import as_mask, as_picture
from liftnet.core.types import Float32Array
from liftnet.models.liftnet import DepthModel, load_model

if TYPE_CHECKING:
    from liftnet.api.pictures import Mask, Picture


def predict_depth(image: Picture, model: DepthModel | Path | str, mask: Mask | None = None) -> Float32Array:
    """Depth of a photograph of a sculpture, at its own size.

    Args:
        image: The photograph, see `liftnet.api.pictures.as_picture`.
        model: A trained LiftNet, or its folder; the folder used last stays in memory.
        mask: Where the sculpture is; without one all of the photograph counts as sculpture.

    Returns:
        (H, W) float32 in [-1, 1], growing away from the viewer; NaN off the mask. It has no unit, and is known up to
        `a d + b x + c y + e` with `a > 0`.

    Raises:
        BadImageError: A file is no picture or no mask.
        LiftnetError: The folder holds no LiftNet.
        TypeError: Something is neither.
        ValueError: An array is of another shape or range.
    """
    picture = as_picture(image)
    size = (picture.shape[1], picture.shape[0])
    trained = model if isinstance(model, DepthModel) else _loaded(Path(model))
    return trained.predict_image(picture, None if mask is None else as_mask(mask, size))


@lru_cache(1)
def _loaded(folder: Path) -> DepthModel:
    return load_model(folder)

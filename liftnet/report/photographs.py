"""The photographs that the page shows, by their ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from liftnet.core.errors import BadImageError
from liftnet.core.ids import stable_seed
from liftnet.data.pictures import read_image
from liftnet.report.results import RunResults


@dataclass(frozen=True)
class Photograph:
    """An image as the page names it: `artist`, `work` and `split` come from the manifest."""

    image_id: str
    artist: str
    work: str
    split: str

    @property
    def name(self) -> str:
        """Work and artist in one line."""
        return f"{self.work}, {self.artist}" if self.artist else self.work


def photograph_pixels(run: RunResults, image: str) -> npt.NDArray[np.uint8]:
    """The stored image, (H, W, 3) uint8.

    Raises:
        BadImageError: It is not in the manifest, or its file is missing or damaged.
    """
    if image not in run.images.index:
        raise BadImageError(f"image {image}", "missing", "is not in the manifest")
    return read_image(run.root / "images" / str(run.images.loc[image, "file"]))


def photograph_of(run: RunResults, image: str) -> Photograph:
    """How the page names an image."""
    if image not in run.images.index:
        return Photograph(image, "", image, "")
    row = run.images.loc[image]
    return Photograph(image, str(row["artist"] or ""), str(row["work"] or ""), str(row["split"] or ""))


def ordered(frame: pd.DataFrame, seed: int, column: str) -> pd.DataFrame:
    """Rows in an order that depends on the seed and the ids in `column`, not on their order in the files."""
    keys = [stable_seed(seed, "report", str(value)) for value in frame[column]]
    return frame.assign(_key=keys).sort_values(["_key", column], kind="stable").drop(columns="_key")

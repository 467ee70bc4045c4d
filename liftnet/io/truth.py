"""True depth, mask and camera of a rendered view. Evaluation reads them; no training stage does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from liftnet.geometry.cameras import Camera
from liftnet.io.errors import LiftnetError
from liftnet.io.files import atomic_path
from liftnet.io.schemas import TRUTH, read_table

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class TrueView:
    """What is true of one rendered view.

    Attributes:
        depth: (H, W) float32, distance along the optical axis at each pixel centre; NaN off the object.
        camera: The pinhole camera of the view.
    """

    depth: FloatArray
    camera: Camera

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(H, W) bool, True on the object."""
        return np.isfinite(self.depth)

    def __repr__(self) -> str:
        height, width = self.depth.shape
        return f"TrueView({width}x{height}, {self.mask.mean():.0%} object)"


def save_truth(path: Path, view: TrueView) -> None:
    """Write a view's truth as a compressed .npz, atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        camera = view.camera
        np.savez_compressed(
            file,
            depth=view.depth.astype(np.float32),
            intrinsics=camera.intrinsics,
            rotation=camera.rotation,
            translation=camera.translation,
        )


def load_truth(path: Path) -> TrueView:
    """Read what `save_truth` wrote.

    Raises:
        LiftnetError: The file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            camera = Camera(data["intrinsics"], data["rotation"], data["translation"])
            return TrueView(data["depth"], camera)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise LiftnetError(path, f"is not a readable truth file ({error})", "Run `render museum` again") from error


def truth_files(museum: Path) -> dict[str, Path]:
    """Map each view's image_url (as in the museum's sources.csv) to its truth file."""
    table = read_table(museum / "truth.parquet", TRUTH)
    return {row["image_url"]: museum / row["truth"] for row in table.to_pylist()}

"""True depth, mask and camera of a rendered view. Evaluation reads them; no training stage does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.core.files import atomic_path
from liftnet.core.stored_arrays import read_arrays
from liftnet.data.schemas import TRUTH, read_table
from liftnet.geometry.cameras import AnyCamera, Camera, OrthographicCamera

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class TrueView:
    """What is true of one rendered view.

    Attributes:
        depth: (H, W) float32, distance along the optical axis at each pixel centre; NaN off the object.
        camera: The pinhole or orthographic camera of the view.
        unit: What a unit of length is, "cm" for one; "half width" where half the image's width is 1; "" where the
            scale means nothing.
    """

    depth: FloatArray
    camera: AnyCamera
    unit: str = ""

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(H, W) bool, True on the object."""
        return np.isfinite(self.depth)

    def __repr__(self) -> str:
        height, width = self.depth.shape
        return f"TrueView({width}x{height}, {self.mask.mean():.0%} object)"


def save_truth(path: Path, view: TrueView) -> None:
    """Write a view's truth as a compressed .npz, atomically; the same view gives the same bytes."""
    camera = view.camera
    arrays = {"depth": view.depth.astype(np.float32), "rotation": camera.rotation, "translation": camera.translation}
    if isinstance(camera, Camera):
        arrays["intrinsics"] = camera.intrinsics
    else:
        arrays |= {"scale": np.asarray(camera.scale), "centre": camera.centre}
    arrays["unit"] = np.asarray(view.unit)
    with atomic_path(path) as temporary, ZipFile(temporary, "w") as archive:
        for name, values in arrays.items():
            entry = ZipInfo(f"{name}.npy")  # of a fixed date; numpy's own writer puts in the time of day
            entry.compress_type = ZIP_DEFLATED
            with archive.open(entry, "w") as file:
                np.lib.format.write_array(file, np.asarray(values), allow_pickle=False)


def load_truth(path: Path) -> TrueView:
    """Read what `save_truth` wrote.

    Raises:
        LiftnetError: The file is missing or damaged.
    """
    try:
        data = read_arrays(path)
        return TrueView(data["depth"], _camera(data), str(data["unit"]) if "unit" in data else "")
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise LiftnetError(path, f"is not a readable truth file ({error})", "Run `render` again") from error


def load_camera(path: Path) -> AnyCamera:
    """The camera of a view; its depth is not read.

    Raises:
        LiftnetError: The file is missing or damaged.
    """
    try:
        try:
            return _camera(read_arrays(path, _PINHOLE))
        except KeyError:
            return _camera(read_arrays(path, _ORTHOGRAPHIC))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise LiftnetError(path, f"is not a readable truth file ({error})", "Run `render` again") from error


_PINHOLE = ("intrinsics", "rotation", "translation")  # arrays of a camera
_ORTHOGRAPHIC = ("scale", "centre", "rotation", "translation")


def _camera(data: Any) -> AnyCamera:
    if "intrinsics" in data:
        return Camera(data["intrinsics"], data["rotation"], data["translation"])
    return OrthographicCamera(float(data["scale"]), data["centre"], data["rotation"], data["translation"])


def truth_files(museum: Path) -> dict[str, Path]:
    """Map each view's image_url (as in the museum's sources.csv, or a rendered set's manifest) to its truth file."""
    table = read_table(museum / "truth.parquet", TRUTH)
    return {row["image_url"]: museum / row["truth"] for row in table.to_pylist()}

"""RGB-D recordings of objects, as Choi et al. (2016) publish theirs, with a mask for each frame to be used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.files import read_json
from liftnet.core.log import get_logger
from liftnet.core.types import UInt8Array
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image, read_levels
from liftnet.data.truth import TrueView
from liftnet.geometry.cameras import Camera
from liftnet.mesh.mesh import BadMeshError

LOG = get_logger("render")
UNIT = "cm"
PRIMESENSE = {"fx": 525.0, "fy": 525.0, "cx": 319.5, "cy": 239.5}  # nominal, as stated with the recordings
MM_PER_CM = 10.0
PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Recording:
    """An object's frames: colour, depth in mm registered to it, and mask, by name."""

    folder: Path
    names: tuple[str, ...]
    camera: Camera

    def frames(self, count: int) -> Iterator[tuple[str, UInt8Array, TrueView]]:
        """At most `count` frames, evenly spread: name, (H, W, 3) image, and depth in cm over the mask.

        Frames that cannot be read, or have no depth on the mask, are named in the log and left out.
        """
        picked = np.unique(np.linspace(0, len(self.names) - 1, min(count, len(self.names))).round().astype(int))
        for name in (self.names[number] for number in picked):
            try:
                yield name, *self._frame(name)
            except BadImageError as error:
                LOG.warning("%s: frame %s left out: %s", self.folder.name, name, error)

    def _frame(self, name: str) -> tuple[UInt8Array, TrueView]:
        image = read_image(_picture(self.folder / "rgb", name))
        size = (image.shape[1], image.shape[0])
        mask = read_mask(_picture(self.folder / "mask", name), size)
        path = self.folder / "depth" / f"{name}.png"
        depth = read_levels(path).astype(np.float32) / np.float32(MM_PER_CM)
        if depth.shape != mask.shape:
            reason = f"has the shape {depth.shape}, its colour image {mask.shape}"
            raise BadImageError(path, "wrong_size", reason, "Register the depth to the colour images")
        known = mask & (depth > 0)
        if not known.any():
            raise BadImageError(path, "no_depth", "has no depth on the mask", "Leave the frame out")
        return image, TrueView(np.where(known, depth, np.nan).astype(np.float32), self.camera, UNIT)


def is_recording(folder: Path) -> bool:
    """Whether a folder has the layout of a recording."""
    return all((folder / name).is_dir() for name in ("rgb", "depth", "mask"))


def open_recording(folder: Path) -> Recording:
    """The frames that have colour, depth and a mask.

    Raises:
        BadMeshError: There are none, or its intrinsics cannot be read.
    """
    names = [
        {path.stem for path in (folder / part).iterdir() if path.suffix.lower() in PICTURES}
        for part in ("rgb", "depth", "mask")
    ]
    shared = sorted(set.intersection(*names))
    if not shared:
        raise BadMeshError(folder, "no_frames", "no frame has colour, depth and a mask of the same name")
    return Recording(folder, tuple(shared), _camera(folder / "intrinsics.json"))


def _picture(folder: Path, name: str) -> Path:
    return next(path for path in sorted(folder.glob(f"{name}.*")) if path.suffix.lower() in PICTURES)


def _camera(path: Path) -> Camera:
    """The camera of a recording, in cm; the nominal one of the sensor without intrinsics.json."""
    try:
        values = {**PRIMESENSE, **(read_json(path) if path.exists() else {})}
        fx, fy, cx, cy = (float(values[name]) for name in PRIMESENSE)
    except (LiftnetError, TypeError, ValueError) as error:
        raise BadMeshError(path, "bad_intrinsics", f"cannot be used ({error})") from error
    intrinsics = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    return Camera(intrinsics, np.eye(3), np.zeros(3))

"""Local features of an image, and the file that keeps them: written by `match`, read by whoever measures it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import save

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_bytes
from liftnet.core.stored_arrays import open_tensors
from liftnet.core.types import BoolArray, UInt8Array

Floats = npt.NDArray[np.float32]
DESCRIPTOR_LENGTH = 128
_FORMAT = "liftnet.features.1"


@dataclass(frozen=True)
class Features:
    """Local features of one image.

    A place with several dominant orientations has one feature for each.

    Attributes:
        keypoints: (N, 2) float32, x and y in pixels of the stored image, (0, 0) the centre of the top-left pixel.
        scales: (N,) float32, standard deviation of the blur at which the keypoint was found, in pixels.
        orientations: (N,) float32, radians.
        descriptors: (N, 128) uint8, RootSIFT.
    """

    keypoints: Floats
    scales: Floats
    orientations: Floats
    descriptors: UInt8Array

    def __post_init__(self) -> None:
        n = len(self.keypoints)
        wanted = {"keypoints": (n, 2), "scales": (n,), "orientations": (n,), "descriptors": (n, DESCRIPTOR_LENGTH)}
        wrong = {
            name: getattr(self, name).shape for name, shape in wanted.items() if getattr(self, name).shape != shape
        }
        if wrong:
            raise ValueError(f"features of {n} keypoints have the shapes {wrong}")

    @classmethod
    def empty(cls) -> Features:
        """No features."""
        none = np.zeros(0, np.float32)
        return cls(np.zeros((0, 2), np.float32), none, none, np.zeros((0, DESCRIPTOR_LENGTH), np.uint8))

    def __getitem__(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Features:
        """The features of a (N,) mask or of an array of indices."""
        return Features(
            self.keypoints[chosen], self.scales[chosen], self.orientations[chosen], self.descriptors[chosen]
        )

    def on_mask(self, mask: BoolArray) -> Features:
        """The features whose nearest pixel lies on the (H, W) mask."""
        height, width = mask.shape
        x, y = np.rint(self.keypoints.astype(np.float64)).astype(np.intp).T
        return self[mask[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]]

    def __len__(self) -> int:
        return len(self.keypoints)

    def __repr__(self) -> str:
        return f"Features({len(self)})"


def write_features(path: Path, features: Features, settings: Mapping[str, Any]) -> None:
    """Write the features of an image, with the settings they were found with, atomically."""
    tensors: dict[str, npt.NDArray[Any]] = {
        "keypoints": np.ascontiguousarray(features.keypoints, np.float32),
        "scales": np.ascontiguousarray(features.scales, np.float32),
        "orientations": np.ascontiguousarray(features.orientations, np.float32),
        "descriptors": np.ascontiguousarray(features.descriptors, np.uint8),
    }
    write_bytes(path, save(tensors, {"format": _FORMAT, "settings": json.dumps(settings, sort_keys=True)}))


def read_features(path: Path) -> Features:
    """Read what `write_features` wrote.

    Raises:
        LiftnetError: The file is missing, damaged or of another format.
    """
    remedy = "Delete it: `match` writes it again"
    try:
        with open_tensors(path, "numpy") as file:
            if (file.metadata() or {}).get("format") != _FORMAT:
                raise LiftnetError(path, "is not a file of features in this version", remedy)
            names = ("keypoints", "scales", "orientations", "descriptors")
            keypoints, scales, orientations, descriptors = (file.get_tensor(name) for name in names)
    except FileNotFoundError as error:
        raise LiftnetError(path, "does not exist", "Run `match` of its work") from error
    except (OSError, SafetensorError) as error:
        raise LiftnetError(path, f"is not a readable file of features ({error})", remedy) from error
    if descriptors.dtype != np.uint8 or any(a.dtype != np.float32 for a in (keypoints, scales, orientations)):
        raise LiftnetError(path, "holds numbers of another kind", remedy)
    if not all(np.isfinite(array).all() for array in (keypoints, scales, orientations)):
        raise LiftnetError(path, "holds NaN or infinity", remedy)
    try:
        return Features(keypoints, scales, orientations, descriptors)
    except ValueError as error:
        raise LiftnetError(path, f"is damaged: {error}", remedy) from error

"""Local features of an image, and the file that keeps them: written by `match`, read by whoever measures it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import save

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_bytes
from liftnet.core.stored_arrays import open_tensors
from liftnet.core.types import BoolArray, UInt8Array
from liftnet.data.feature_kinds import SIFT, FeatureKind

Floats = npt.NDArray[np.float32]
Descriptors = npt.NDArray[np.uint8 | np.float16]
_FORMAT = "liftnet.features.1"


@dataclass(frozen=True)
class Features:
    """Local features of one image.

    A place with several dominant orientations has one feature for each.

    Attributes:
        keypoints: (N, 2) float32, x and y in pixels of the stored image, (0, 0) the centre of the top-left pixel.
        scales: (N,) float32, standard deviation of the blur at which the keypoint was found, in pixels; None where
            the kind has none.
        orientations: (N,) float32, radians; None likewise.
        descriptors: (N, D), D numbers of the type that the kind says.
        kind: What they are.
    """

    keypoints: Floats
    scales: Floats | None
    orientations: Floats | None
    descriptors: Descriptors
    kind: FeatureKind = SIFT

    def __post_init__(self) -> None:
        n, kind = len(self.keypoints), self.kind
        none = (n,) if kind.oriented else None
        wanted = {"keypoints": (n, 2), "scales": none, "orientations": none, "descriptors": (n, kind.length)}
        shapes = {name: None if getattr(self, name) is None else getattr(self, name).shape for name in wanted}
        wrong = {name: shape for name, shape in shapes.items() if shape != wanted[name]}
        if wrong:
            raise ValueError(f"{kind.name} features of {n} keypoints have the shapes {wrong}")
        if self.descriptors.dtype != kind.dtype:
            raise ValueError(f"descriptors of {kind.name} are {kind.dtype}, not {self.descriptors.dtype}")

    @classmethod
    def empty(cls, kind: FeatureKind = SIFT) -> Features:
        """No features."""
        none = np.zeros(0, np.float32) if kind.oriented else None
        return cls(np.zeros((0, 2), np.float32), none, none, np.zeros((0, kind.length), kind.dtype), kind)

    @property
    def frames(self) -> tuple[Floats, Floats]:
        """Scales and orientations, (N,) each, of a kind that has them."""
        if self.scales is None or self.orientations is None:
            raise ValueError(f"features of {self.kind.name} have no scales and orientations")
        return self.scales, self.orientations

    @property
    def bytes(self) -> UInt8Array:
        """Descriptors (N, D) of a kind that has whole numbers."""
        if self.kind.dtype != "uint8":
            raise ValueError(f"descriptors of {self.kind.name} are no bytes")
        return self.descriptors.astype(np.uint8, copy=False)

    def __getitem__(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Features:
        """The features of a (N,) mask or of an array of indices."""
        scales, orientations = (None if own is None else own[chosen] for own in (self.scales, self.orientations))
        return Features(self.keypoints[chosen], scales, orientations, self.descriptors[chosen], self.kind)

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
    arrays = {"keypoints": features.keypoints, "scales": features.scales, "orientations": features.orientations}
    tensors: dict[str, npt.NDArray[Any]] = {
        name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items() if array is not None
    }
    tensors["descriptors"] = np.ascontiguousarray(features.descriptors)
    about = {"format": _FORMAT, "kind": features.kind.name, "settings": json.dumps(settings, sort_keys=True)}
    write_bytes(path, save(tensors, about))


def read_features(path: Path) -> Features:
    """Read what `write_features` wrote.

    Raises:
        LiftnetError: The file is missing, damaged or of another format.
    """
    remedy = "Delete it: `match` writes it again"
    try:
        with open_tensors(path, "numpy") as file:
            about = file.metadata() or {}
            if about.get("format") != _FORMAT:
                raise LiftnetError(path, "is not a file of features in this version", remedy)
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError as error:
        raise LiftnetError(path, "does not exist", "Run `match` of its work") from error
    except (OSError, SafetensorError) as error:
        raise LiftnetError(path, f"is not a readable file of features ({error})", remedy) from error
    try:
        return _checked(found, about.get("kind", SIFT.name))
    except (KeyError, ValueError) as error:
        raise LiftnetError(path, f"is damaged: {error}", remedy) from error


def _checked(found: Mapping[str, npt.NDArray[Any]], name: str) -> Features:
    """The features of a file's tensors, of the kind of that name.

    Raises:
        KeyError, ValueError: A tensor is missing, of another type or shape, or holds NaN or infinity.
    """
    descriptors = found["descriptors"]
    if descriptors.ndim != 2 or descriptors.dtype not in (np.uint8, np.float16):
        raise ValueError(f"descriptors of {descriptors.dtype} {descriptors.shape}")
    dtype: Literal["uint8", "float16"] = "uint8" if descriptors.dtype == np.uint8 else "float16"
    kind = FeatureKind(name, descriptors.shape[1], dtype, oriented="orientations" in found)
    kind = SIFT if name == SIFT.name else kind
    places = [found[part] for part in ("keypoints", "scales", "orientations") if part in found]
    if any(array.dtype != np.float32 for array in places):
        raise ValueError("it holds numbers of another kind")
    if not all(np.isfinite(array).all() for array in (*places, descriptors)):
        raise ValueError("it holds NaN or infinity")
    return Features(found["keypoints"], found.get("scales"), found.get("orientations"), descriptors, kind)

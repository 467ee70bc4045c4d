"""Kinds of local features: which descriptors can be compared with each other, and what else is known of a keypoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FeatureKind:
    """A sort of features. Descriptors are compared within a kind, by their Euclidean distance.

    Attributes:
        name: What matchers call it.
        length: Numbers of a descriptor.
        dtype: "uint8" for whole numbers, "float16" for unit vectors.
        oriented: Whether each keypoint has a scale and an orientation. Features without come the strongest first.
    """

    name: str
    length: int
    dtype: Literal["uint8", "float16"]
    oriented: bool


SIFT = FeatureKind("sift", 128, "uint8", oriented=True)  # RootSIFT: 512 times the unit vector, cut at 255

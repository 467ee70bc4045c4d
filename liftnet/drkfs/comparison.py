"""What a comparison by DR-KFS is given and gives: options, prepared targets, differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from liftnet.drkfs.patches import STRIDE
from liftnet.drkfs.placement import Placement
from liftnet.models.patch_descriptors import BLANK_CONTRAST, Precision
from liftnet.rasteriser import Light

LIGHT = Light(ambient=0.75, directional=0.25, wrapped=True)
"""Half Lambert, from 0.5 to 1: edges between faces that both look away from the light are seen, and no face is as dark
as the background, before which its outline would be lost."""


@dataclass(frozen=True)
class Options:
    """What of DR-KFS is rarely changed.

    Attributes:
        light: Fixed in the world.
        gradient: Of the rasteriser: "exact", or "truncated" as SoftRas has it.
        backend: Of the rasteriser: None takes the fastest of the device.
        precision: The descriptor computes in "float32" or "bfloat16".
        descriptor_sha256: SHA-256 that the file of the descriptor's weights must have; None: any.
        blank_contrast: Standard deviation of a map below which a patch shows nothing.
        detach_statistics: Take each patch's mean and deviation as constants in the gradient, as HardNet's training
            does; the gradient then is not the derivative of the score any more.
        views_at_once: Views that are compared at a time: each takes 0.1 GB (HardNet, 256 px), one is fastest on a CPU.
            None is one there and 25 on other devices.
        stride: Distance of patches, px (paper: 16). A part that has moved by half of it looks like another part;
            closer patches forgive it, at a cost that grows with the inverse square. The neighbourhood is in strides,
            and weights are scaled so that scores of different strides can be compared.
    """

    light: Light = LIGHT
    gradient: Literal["exact", "truncated"] = "exact"
    backend: Literal["reference", "numba", "triton"] | None = None
    precision: Precision = "float32"
    descriptor_sha256: str | None = None
    blank_contrast: float = BLANK_CONTRAST
    detach_statistics: bool = False
    views_at_once: int | None = None
    stride: int = STRIDE


@dataclass(frozen=True, repr=False)
class Target:
    """What is computed once of a target and used in every comparison; V views of S px in R x C patches.

    Attributes:
        views: (V, S, S) gray values.
        maps: (V, S, S) probabilities of keypoints.
        features: (V, R, C, 128) descriptors.
        weights: (V, R, C) mean of each patch of `maps`.
        placement: How shapes are placed that are compared with this target; None: as they are.
    """

    views: Tensor
    maps: Tensor
    features: Tensor
    weights: Tensor
    placement: Placement | None = None

    def of_views(self, views: Tensor) -> Target:
        """The same target seen only in the views of index `views` (K,)."""
        return Target(self.views[views], self.maps[views], self.features[views], self.weights[views], self.placement)

    def __repr__(self) -> str:
        return f"Target({len(self.views)} views of {self.views.shape[-1]} px)"


@dataclass(frozen=True, repr=False)
class Differences:
    """Where two shapes differ; each pair holds the shape's first, the target's second.

    Attributes:
        views: (V, S, S) of the shape.
        target_views: (V, S, S).
        maps: Two (V, S, S) probabilities of keypoints.
        distances: Two (V, R, C) of each patch to its best match in the other's view.
        weights: Two (V, R, C).
        score: DR-KFS.
    """

    views: Tensor
    target_views: Tensor
    maps: tuple[Tensor, Tensor]
    distances: tuple[Tensor, Tensor]
    weights: tuple[Tensor, Tensor]
    score: float

    def contributions(self) -> tuple[Tensor, Tensor]:
        """Two (V, R, C): what each patch adds to the score."""
        return self.weights[0] * self.distances[0], self.weights[1] * self.distances[1]

    def by_view(self) -> Tensor:
        """(V,) what each view adds to the score."""
        return sum(part.sum((1, 2)) for part in self.contributions())  # type: ignore[return-value]

    def __repr__(self) -> str:
        return f"Differences({len(self.views)} views, score {self.score:.4g})"

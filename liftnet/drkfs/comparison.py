"""What a comparison by DR-KFS is given and gives: options, prepared targets, differences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from torch import Tensor

from liftnet.drkfs.meshes import Align, Normalisation
from liftnet.models.patch_descriptors import BLANK_CONTRAST
from liftnet.rasteriser import Light

LIGHT = Light(ambient=0.75, directional=0.25, wrapped=True)
"""Half Lambert, from 0.5 to 1: edges between faces that both look away from the light are seen, and no face is as dark
as the background, before which its outline would be lost."""


@dataclass(frozen=True)
class Options:
    """What of DR-KFS only the library can choose; the rest is in `MetricSettings`.

    Attributes:
        align: "target": both shapes get the shift and scale that normalise the target, so errors of size and place
            count; "each": each is normalised by itself, so they do not; "none": as they are.
        light: Fixed in the world.
        gradient: Of the rasteriser: "exact", or "truncated" as SoftRas has it.
        backend: Of the rasteriser: None takes the fastest of the device.
        blank_contrast: Standard deviation of a map below which a patch shows nothing.
        detach_statistics: Take each patch's mean and deviation as constants in the gradient, as HardNet's training
            does; the gradient then is not the derivative of the score any more.
        views_at_once: Views that are compared at a time: each takes 0.1 GB (HardNet, 256 px), one is fastest on a CPU.
            None is one there and 25 on other devices.
    """

    align: Align = "target"
    light: Light = LIGHT
    gradient: Literal["exact", "truncated"] = "exact"
    backend: Literal["reference", "numba", "triton"] | None = None
    blank_contrast: float = BLANK_CONTRAST
    detach_statistics: bool = False
    views_at_once: int | None = None

    def __post_init__(self) -> None:
        if self.align not in get_args(Align):
            raise ValueError(f"align must be one of {', '.join(get_args(Align))}, not {self.align!r}")


@dataclass(frozen=True, eq=False, repr=False)
class Target:
    """What is computed once of B targets and used in every comparison; V views of S px in R x C patches.

    Attributes:
        views: (B, V, S, S) gray values.
        maps: (B, V, S, S) probabilities of keypoints.
        features: (B, V, R, C, 128) descriptors.
        weights: (B, V, R, C) mean of each patch of `maps`.
        normalisation: What is done to shapes that are compared with these targets; None: they stay as they are.
    """

    views: Tensor
    maps: Tensor
    features: Tensor
    weights: Tensor
    normalisation: Normalisation | None = None

    def of_views(self, views: Tensor) -> Target:
        """The same targets seen only in the views of index `views` (K,)."""
        kept = {name: getattr(self, name)[:, views] for name in ("views", "maps", "features", "weights")}
        return replace(self, **kept)

    def __len__(self) -> int:
        return len(self.views)

    def __repr__(self) -> str:
        return f"Target({self.views.shape[1]} views of {self.views.shape[-1]} px of {len(self)} shapes)"


@dataclass(frozen=True, eq=False, repr=False)
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
        there, back = self.contributions()
        return there.sum((1, 2)) + back.sum((1, 2))

    def __repr__(self) -> str:
        return f"Differences({len(self.views)} views, score {self.score:.4g})"

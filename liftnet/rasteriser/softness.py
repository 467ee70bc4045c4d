"""How soft the edges and the order in depth are: the numbers every backend shares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Gradient = Literal["exact", "truncated"]

FLAT = 1e-6  # a triangle lower than this in the image (half an image is 1) is seen edge-on: no pixel lies inside it


@dataclass(frozen=True)
class Softness:
    """The soft aggregation of SoftRas (Liu et al., ICCV 2019, sections 3.2 and 3.3).

    Attributes:
        sigma: Softness of edges: the signed squared image distance divided by it is the logit of coverage; the image
            spans [-1, 1].
        gamma: Softness of the order in depth, as a share of the distance from near to far.
        near: Depth of the plane at which faces are clipped.
        far: What lies beyond this depth is not seen; also the depth of the background.
        background: Gray value of the background.
        gradient: "exact", or "truncated", SoftRas' own rule: the depth at a pixel moves with the three depths of its
            triangle, but not with their places in the image.
        distance_eps: Coverage below this counts as none.
        depth_eps: The background competes in depth as if it lay this share of the range before the far plane.
        perspective: The inverse of depth is linear in the image; otherwise, under parallel rays, depth itself.
    """

    sigma: float = 1e-5
    gamma: float = 1e-4
    near: float = 1.0
    far: float = 100.0
    background: float = 0.0
    gradient: Gradient = "exact"
    distance_eps: float = 1e-4
    depth_eps: float = 1e-3
    perspective: bool = True

    def __post_init__(self) -> None:
        for name in ("sigma", "gamma", "near", "far"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be positive and finite, not {getattr(self, name)}")
        if self.far <= self.near:
            raise ValueError(f"the far plane ({self.far}) must lie behind the near plane ({self.near})")
        if not 0 < self.distance_eps < 0.5:
            raise ValueError(f"distance_eps must lie between 0 and 0.5, not {self.distance_eps}")
        if self.gradient not in get_args(Gradient):
            raise ValueError(f'gradient must be "exact" or "truncated", not {self.gradient!r}')

    @property
    def cut(self) -> float:
        """The logit at which coverage falls below `distance_eps`, negated: 9.2102 at 1e-4."""
        return math.log(1 / self.distance_eps - 1)

    @property
    def reach(self) -> float:
        """How far outside its edges a triangle is seen, in image coordinates."""
        return math.sqrt(self.cut * self.sigma)

    @property
    def depth_rate(self) -> float:
        """How fast the logarithm of a weight falls with depth, per unit."""
        return 1 / (self.gamma * (self.far - self.near))

    @property
    def background_depth(self) -> float:
        """The depth at which the background competes with the triangles."""
        return self.far - self.depth_eps * (self.far - self.near)

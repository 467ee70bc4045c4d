"""How soft edges and the order in depth are, and which tiles triangles therefore reach: what every backend shares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

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


@dataclass(frozen=True, repr=False)
class TileLists:
    """For each tile the triangles whose box, grown by the reach of softness, meets it.

    Tile (row r, column c) of image n is number (n * across + r) * across + c and covers the pixels from
    (size * r, size * c) on; the last tiles of a row and of a column may stick out of the image.

    Attributes:
        start: (tiles + 1,) int64; the triangles of tile t are `triangle[start[t] : start[t + 1]]`.
        triangle: (E,) int32 indices of triangles, ascending in each tile.
        across: Tiles in a row and in a column of an image.
        size: Side of a tile, px.
    """

    start: Tensor
    triangle: Tensor
    across: int
    size: int

    def __repr__(self) -> str:
        return f"TileLists({len(self.start) - 1} tiles of {self.size} px, {len(self.triangle)} entries)"


def pixel_boxes(triangles: Tensor, image_size: int, reach: float) -> tuple[Tensor, Tensor]:
    """The pixels whose centres lie in the grown boxes of triangles.

    Args:
        triangles: (T, 3, 3) x, y in [-1, 1] and z.
        image_size: Side of the images, px.
        reach: How far each box is grown, in image coordinates.

    Returns:
        (T, 2) first column and row, and (T, 2) one past the last; int64, inside the image. Not larger than the first
        where a triangle is not seen.
    """
    flat = triangles.detach()[..., :2]
    low, high = flat.amin(1) - reach, flat.amax(1) + reach
    first = torch.ceil((low * image_size + (image_size - 1)) / 2).clamp_(0, image_size)
    past = torch.floor((high * image_size + (image_size - 1)) / 2).clamp_(-1, image_size - 1) + 1
    return first.long(), past.long()


def bin_triangles(
    triangles: Tensor, image: Tensor, count: int, image_size: int, reach: float, size: int = 16
) -> TileLists:
    """List the triangles that may touch each tile.

    Args:
        triangles: (T, 3, 3) x, y in [-1, 1] and z.
        image: (T,) int64, the image each triangle belongs to.
        count: Number of images.
        image_size: Side of the images, px.
        reach: How far outside its edges a triangle is seen, in image coordinates.
        size: Side of a tile, px.

    Returns:
        The lists, the same on every run and device.
    """
    across = -(-image_size // size)
    first, past = pixel_boxes(triangles, image_size, reach)
    low = torch.div(first, size, rounding_mode="floor")
    extent = torch.where(past > first, torch.div(past - 1, size, rounding_mode="floor") + 1 - low, 0)
    extent = torch.where((extent > 0).all(1, keepdim=True), extent, 0)
    entries = extent[:, 0] * extent[:, 1]
    owner = torch.repeat_interleave(entries)
    rank = torch.arange(len(owner), device=owner.device) - (torch.cumsum(entries, 0) - entries)[owner]
    wide = extent[owner, 0]
    row = low[owner, 1] + torch.div(rank, wide, rounding_mode="floor")
    column = low[owner, 0] + rank % wide
    tile, order = torch.sort((image[owner] * across + row) * across + column, stable=True)
    start = torch.searchsorted(tile, torch.arange(count * across * across + 1, device=tile.device))
    return TileLists(start, owner[order].int(), across, size)

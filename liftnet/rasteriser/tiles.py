"""Which triangles may be seen in which tile of which image: lists shared by all fast backends."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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

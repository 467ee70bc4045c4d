"""Marching cubes whose vertices carry the gradient to the values of the grid.

Which triangles there are is the answer of `liftnet.mesh.isosurface`, without gradient; where their corners lie is
computed again in torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from liftnet.core.types import BoolArray, Float32Array, Int64Array
from liftnet.mesh.isosurface import Inside, isosurface

Empty = Literal["raise", "mesh"]
Triple = float | tuple[float, float, float]
FLOAT_EPSILON = float(np.finfo(np.float32).eps)
LEAST_SHARE = 1e-4  # smallest distance of a vertex from a node in cells: at 1,024 cells float32 still tells them apart


def extract_surface(
    values: Tensor,
    level: float = 0.5,
    spacing: Triple = 1.0,
    origin: Triple = 0.0,
    inside: Inside = "above",
    empty: Empty = "raise",
) -> tuple[Tensor, Tensor]:
    """The surface of a grid of values at a level; differentiable to the values.

    A value equal to the level counts as above it: the vertices around it then lie on its node, and triangles without
    area between them keep the surface closed. The surface is closed unless it runs out of the grid.

    Args:
        values: (X, Y, Z) real, on any device, at least two each way; the first index runs along x.
        level: Where the surface is.
        spacing: World units between neighbouring values.
        origin: World coordinates of the first value.
        inside: Whether the solid is where values are above the level (occupancy) or below (signed distance).
        empty: If all values lie on one side: raise an error, or give a mesh without vertices and faces.

    Returns:
        Vertices (V, 3) in world coordinates on the device of `values`, float64 if they are and else float32; faces
        (F, 3) int64, wound counter-clockwise seen from outside.

    Raises:
        ValueError: The grid has the wrong shape, values that are not finite, or no surface.
    """
    if values.ndim != 3 or min(values.shape) < 2 or not values.is_floating_point():
        raise ValueError(f"the grid must be real and (X, Y, Z), two or more each way, not {tuple(values.shape)}")
    values = values if values.dtype == torch.double else values.float()  # half precision could not place a vertex
    fixed = (values.detach() - level).cpu()
    size = fixed.abs()
    largest = float(size.max())
    if not np.isfinite(largest):  # NaN is larger than all
        raise ValueError(f"{int((~torch.isfinite(fixed)).sum()):,} values of the grid are NaN or infinite")
    above = fixed >= 0
    if bool(above.all()) or not bool(above.any()):
        if empty == "mesh":
            return values.sum() * values.new_zeros((0, 3)), torch.zeros((0, 3), dtype=torch.long, device=values.device)
        side = "above" if bool(above.any()) else "below"
        raise ValueError(f"the grid has no surface: all {above.numel():,} values are {side} the level {level:g}")
    # the signs decide what is crossed; no value so near to 0 that its vertex would be rounded onto a node
    apart = torch.clamp((size / (largest or 1.0)).float(), min=LEAST_SHARE)
    places, wound = isosurface(torch.where(above, apart, -apart).numpy(), inside=inside, degenerate=True)
    vertices = _vertices(values, level, places)
    steps, start = (torch.as_tensor(value).to(values).expand(3) for value in (spacing, origin))
    return vertices * steps + start, torch.from_numpy(np.ascontiguousarray(wound, np.int64)).to(values.device)


def _vertices(values: Tensor, level: float, places: Float32Array) -> Tensor:
    """(V, 3) vertices in cells, from where scikit-image has put them: on an edge, or within a cube."""
    base = np.floor(places).astype(np.int64)
    between = places != base
    on_edge = between.sum(1) == 1
    if on_edge.all():
        return _on_edges(values, level, base, between)
    within = torch.from_numpy(np.flatnonzero(~on_edge)).to(values.device)
    edges = torch.from_numpy(np.flatnonzero(on_edge)).to(values.device)
    vertices = values.new_zeros((len(places), 3))
    vertices = vertices.index_copy(0, edges, _on_edges(values, level, base[on_edge], between[on_edge]))
    return vertices.index_copy(0, within, _within_cubes(values, level, base[~on_edge]))


def _on_edges(values: Tensor, level: float, base: Int64Array, between: BoolArray) -> Tensor:
    """Linear interpolation between the two nodes of an edge, one above and one below the level."""
    flat = values.reshape(-1)
    first, second = (torch.from_numpy(_index(node, values.shape)).to(values.device) for node in (base, base + between))
    low, high = flat[first], flat[second]
    share = (level - low) / (high - low)
    node, direction = (torch.from_numpy(array).to(values) for array in (base, between))
    return node + share[:, None] * direction


def _within_cubes(values: Tensor, level: float, base: Int64Array) -> Tensor:
    """Lewiner's vertex within a cube: the mean of its corners, each weighted by its nearness to the level."""
    offsets = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(8, 3)
    corners = torch.from_numpy(_index(base[:, None] + offsets, values.shape)).to(values.device)
    weights = 1 / (FLOAT_EPSILON + (values.reshape(-1)[corners] - level).abs())
    mean = weights @ torch.from_numpy(offsets).to(values) / weights.sum(1, keepdim=True)
    return torch.from_numpy(base).to(values) + mean


def _index(nodes: Int64Array, shape: Sequence[int]) -> Int64Array:
    return (nodes[..., 0] * shape[1] + nodes[..., 1]) * shape[2] + nodes[..., 2]


def keep_apart(values: Tensor, level: float, least: float) -> Tensor:
    """Values moved away from a level until they are `least` from it; the gradient passes as if they had not moved.

    A vertex of marching cubes moves by 1 / (high - low) for each unit of the values on both sides of it, so that two
    values next to the level give a gradient of any size.
    """
    offset = (values - level).detach()
    moved = torch.where(offset >= 0, offset.clamp(min=least), offset.clamp(max=-least))
    return values + (moved - offset)


class MarchingCubes(nn.Module):
    """Meshes of voxel grids, such as the occupancy probabilities of a reconstruction network.

    Args:
        level: The probability at which the surface lies.
        bounds: The cube that the voxels fill, the same on each axis, world units; values belong to voxels' centres.
        pad: Add a layer of `outside` around the grid, so that every mesh is closed.
        outside: The value of that layer, below `level`: 0 for probabilities, a negative number for logits.
        empty: What is done where a grid has no surface; see `extract_surface`.
        apart: How far values keep from the level at least, so that no gradient exceeds about 1 / (2 apart).

    Shape:
        - Input: (B, R, R, R) or (B, 1, R, R, R); the first of the last three indices runs along x.
        - Output: B vertices (V_b, 3), differentiable, and B faces (F_b, 3) int64, as `render_soft` takes them.
    """

    def __init__(
        self,
        level: float = 0.5,
        bounds: tuple[float, float] = (-0.5, 0.5),
        pad: bool = True,
        outside: float = 0.0,
        empty: Empty = "raise",
        apart: float = 0.0,
    ) -> None:
        super().__init__()
        if pad and outside >= level:
            raise ValueError(f"the layer around the grid ({outside:g}) must lie below the level ({level:g})")
        self.level, self.bounds, self.pad, self.outside, self.apart = level, bounds, pad, outside, apart
        self.empty: Empty = empty

    def forward(self, values: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Meshes of a batch of grids."""
        if values.ndim == 5 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 4 or len(set(values.shape[1:])) != 1:
            raise ValueError(f"voxels must be (B, R, R, R) or (B, 1, R, R, R), not {tuple(values.shape)}")
        if self.apart > 0:
            values = keep_apart(values, self.level, self.apart)
        cell = (self.bounds[1] - self.bounds[0]) / values.shape[-1]
        origin = self.bounds[0] + cell / 2
        if self.pad:
            values = nn.functional.pad(values, (1,) * 6, value=self.outside)
            origin -= cell
        meshes = [extract_surface(grid, self.level, cell, origin, empty=self.empty) for grid in values]
        return [vertices for vertices, _ in meshes], [faces for _, faces in meshes]

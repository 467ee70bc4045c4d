"""Voxels as nested layers of six depth maps, and back: exactly, or as a field whose surface follows real depths.

Richter and Roth, Matryoshka Networks: Predicting 3D Geometry via Nested Shape Layers, 2018. A layer is what all six
sides see of a shape: along each tube of voxels parallel to an axis, the first and the last that are full. The layers
are added and taken away in turn: the first holds the shape with its cavities filled, the second the cavities, and so
on.

Maps are counted as the networks learn them. Of R voxels a side, the first full one at index f gives R + 1 - f, the
last at index l gives l + 1, and a tube without any gives 0 in both, so that a larger number is always more of the
shape. The maps of a layer are those along x, y and z, first and last; of the pixels of a map the first index runs
along the earlier of the two other axes, but for x along z, as the front of a shape is then upright in all maps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MAPS = 6  # of a layer
AXES = 3


def encode_layers(voxels: Tensor, layers: int) -> Tensor:
    """Depth maps of shapes; those of layers that a shape does not need are 0.

    Args:
        voxels: (B, R, R, R) bool, [x, y, z].
        layers: How many at most; a shape that needs more is approximated.

    Returns:
        (B, 6 layers, R, R) whole numbers from 0 to R + 1, float32.
    """
    have, maps = torch.zeros_like(voxels), []
    for layer in range(layers):
        rest = have & ~voxels if layer % 2 else voxels & ~have
        maps.append(_encode_layer(rest))
        solid = layers_field(maps[-1]) > 0
        have = have & ~solid if layer % 2 else have | solid
    return torch.cat(maps, dim=1)


def decode_layers(maps: Tensor) -> Tensor:
    """The voxels (B, R, R, R) bool of maps (B, 6 layers, R, R), whose depths count to the nearest whole number."""
    return layers_field(maps) > 0


def layers_needed(voxels: Tensor) -> int:
    """How many layers give voxels (B, R, R, R) bool back exactly."""
    layers = 1
    while not torch.equal(decode_layers(encode_layers(voxels, layers)), voxels):
        layers += 1
    return layers


def layers_field(maps: Tensor, margin: int = 0) -> Tensor:
    """A field that is positive inside of the shape and 0 where its faces lie, at their real depths.

    At a voxel it is the distance to the nearest face of the tubes that meet there, in voxels,

        f = min over the axes of (i - first + 1/2, last - i + 1/2),

    clamped to [-1, 1]. A tube that is empty does not say how far the shape is, only that it is not there: it counts
    where the others would else be inside. (It would pull in each face beside it by a sixth of a voxel.) Layers unite
    by the larger field and are taken away by the smaller of it and the negative of theirs.

    Along an axis the field changes by 1 from node to node, so that between them it is 0 at the depth itself, and the
    derivative to the depth is exact. The edges are bevelled. A depth that is not the nearest face of any voxel has no
    derivative.

    Args:
        maps: (B, 6 layers, R, R) real depths.
        margin: Nodes around the grid, where the field is negative: its faces at the border are then seen.

    Returns:
        (B, R + 2 margin, ...) each way, at the voxels' centres.

    Raises:
        ValueError: The maps are not six a layer.
    """
    if not maps.shape[1] or maps.shape[1] % MAPS:
        raise ValueError(f"a layer has {MAPS} depth maps; {maps.shape[1]} maps are no whole number of layers")
    first, *others = (_layer_field(layer, margin) for layer in maps.split(MAPS, dim=1))
    field = first
    for number, solid in enumerate(others):
        field = torch.maximum(field, solid) if number % 2 else torch.minimum(field, -solid)
    return field


def _encode_layer(voxels: Tensor) -> Tensor:
    side, maps = voxels.shape[-1], []
    for axis in range(AXES):
        along = voxels.movedim(axis + 1, -1).to(torch.uint8)
        there = along.amax(-1) > 0
        first = side + 1 - along.argmax(-1)  # argmax names the first of the largest
        last = side - along.flip(-1).argmax(-1)
        maps += [_turned(torch.where(there, depth, 0), axis) for depth in (first, last)]
    return torch.stack(maps, dim=1).float()


def _layer_field(maps: Tensor, margin: int) -> Tensor:
    side = maps.shape[-1]
    nodes = torch.arange(-margin, side + margin, device=maps.device, dtype=maps.dtype)
    if margin:  # tubes at the border go on beyond it; those across it end there
        most = maps.new_tensor((side + 1, side) * AXES).view(MAPS, 1, 1)
        maps = nn.functional.pad(torch.minimum(maps, most), (margin,) * 4, mode="replicate")
    told, untold = [], []
    for axis in range(AXES):
        first = side + 1 - _turned(maps[:, 2 * axis], axis)[..., None]
        last = _turned(maps[:, 2 * axis + 1], axis)[..., None] - 1
        inside = torch.minimum(nodes - first + 0.5, last - nodes + 0.5).clamp(-1, 1).movedim(-1, axis + 1)
        full = (last - first > -1).movedim(-1, axis + 1)
        told.append(torch.where(full, inside, 1.0))
        untold.append(torch.where(full, 1.0, inside))
    nearest, empty = (torch.stack(parts).amin(0) for parts in (told, untold))
    return torch.where(nearest < 0, nearest, torch.minimum(nearest, empty))


def _turned(depth: Tensor, axis: int) -> Tensor:
    """A depth map between the order of the axes and the order that the networks learn."""
    return depth.transpose(-1, -2) if axis == 0 else depth

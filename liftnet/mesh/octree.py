"""Voxels as octrees in dense form: a grid of states for each level, and which of its cells are in the tree.

Tatarchenko et al., Octree Generating Networks, 2017. A cell is empty, filled or mixed; a mixed one has eight cells on
the next level, and the cells of the finest level are empty or filled. A network says of each cell how likely each
state is; `soft_occupancy` makes occupancies of that, differentiable on all levels, where the choice of the likeliest
state (`likeliest_levels`) is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

EMPTY, FILLED, MIXED = 0, 1, 2
STATES = 3


@dataclass(frozen=True, eq=False)
class OctreeLevel:
    """One level of B octrees.

    Attributes:
        states: (B, S, S, S) int64, EMPTY, FILLED or MIXED; [x, y, z].
        known: (B, S, S, S) bool, the cells that are in the tree. Others have a state too, which means nothing.
    """

    states: Tensor
    known: Tensor


def octree_levels(voxels: Tensor, coarsest: int) -> list[OctreeLevel]:
    """The octrees of voxels, from the coarsest level to the voxels themselves.

    Args:
        voxels: (B, R, R, R) bool.
        coarsest: Cells a side of the first level, R divided by a power of two.

    Raises:
        ValueError: The sizes do not fit.
    """
    side = voxels.shape[-1]
    halvings = max((side // coarsest).bit_length() - 1, 0)
    if coarsest << halvings != side:
        raise ValueError(f"{side} voxels a side cannot be halved to {coarsest}")
    states = [_states(voxels, 1 << halving) for halving in reversed(range(halvings + 1))]
    return _with_known(states)


def octree_voxels(levels: Sequence[OctreeLevel]) -> Tensor:
    """The voxels (B, R, R, R) bool of octrees: what is filled on any level."""
    side = levels[-1].states.shape[-1]
    filled = [_finer(level.known & (level.states == FILLED), side) for level in levels]
    return torch.stack(filled).any(0)


def likeliest_levels(logits: Sequence[Tensor]) -> list[OctreeLevel]:
    """The octrees whose cells have the likeliest state, where their parents are mixed.

    Args:
        logits: Of each level from coarse to fine (B, 3, S, S, S), of the states; mixed is no choice on the finest.
    """
    states = [level.argmax(1) for level in logits[:-1]]
    return _with_known([*states, logits[-1][:, :MIXED].argmax(1)])


def soft_occupancy(logits: Sequence[Tensor]) -> Tensor:
    """How likely each voxel is full, from the probabilities of the states on all levels.

    occupancy = P(filled) + P(mixed) x occupancy of the next level; on the finest P(filled) / (P(empty) + P(filled)).
    What it is not adds up in the same way, so that neither of the two is lost to rounding.

    Args:
        logits: Of each level from coarse to fine (B, 3, S, S, S), of the states.

    Returns:
        (B, R, R, R), the logarithm of occupancy / (1 - occupancy).
    """
    side = logits[-1].shape[-1]
    finest = logits[-1][:, :MIXED].log_softmax(1)
    empty, full = finest[:, EMPTY], finest[:, FILLED]
    for level in reversed(logits[:-1]):
        here = _finer(level.log_softmax(1), side)
        full = torch.logaddexp(here[:, FILLED], here[:, MIXED] + full)
        empty = torch.logaddexp(here[:, EMPTY], here[:, MIXED] + empty)
    return full - empty


def _states(voxels: Tensor, cell: int) -> Tensor:
    share = nn.functional.avg_pool3d(voxels[:, None].float(), cell)[:, 0]  # exact for powers of two
    return torch.where(share == 0, EMPTY, torch.where(share == 1, FILLED, MIXED))


def _with_known(states: Sequence[Tensor]) -> list[OctreeLevel]:
    levels, known = [], torch.ones_like(states[0], dtype=torch.bool)
    for number, state in enumerate(states):
        levels.append(OctreeLevel(state, known))
        if number + 1 < len(states):
            known = _finer(known & (state == MIXED), states[number + 1].shape[-1])
    return levels


def _finer(cells: Tensor, side: int) -> Tensor:
    """Cells (..., S, S, S) repeated to a finer grid."""
    times = side // cells.shape[-1]
    for axis in (-3, -2, -1):
        cells = cells.repeat_interleave(times, dim=axis) if times > 1 else cells
    return cells

"""Octrees as dense levels: states, round trips, and occupancies from probabilities on all levels."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from liftnet.mesh.octree import (
    EMPTY,
    FILLED,
    MIXED,
    STATES,
    likeliest_levels,
    octree_levels,
    octree_voxels,
    soft_occupancy,
)


def blobs(seed, side=16, count=3):
    """Voxels with cells of all states on all levels: coarse noise, enlarged, with some single voxels flipped."""
    random = np.random.default_rng(seed)
    coarse = random.random((count, side // 4, side // 4, side // 4)) < 0.4
    voxels = coarse.repeat(4, 1).repeat(4, 2).repeat(4, 3)
    return torch.from_numpy(voxels ^ (random.random(voxels.shape) < 0.01))


def certain(levels, sure=40.0):
    """Logits that are sure of the true states."""
    return [sure * one_hot(level.states, STATES).movedim(-1, 1).double() for level in levels]


def test_states_are_those_of_the_voxels_in_each_cell():
    voxels = blobs(0, side=8, count=1)
    for level in octree_levels(voxels, 2):
        side = level.states.shape[-1]
        for cell in np.ndindex(side, side, side):
            within = voxels[(0, *(slice(i * 8 // side, (i + 1) * 8 // side) for i in cell))]
            state = FILLED if within.all() else MIXED if within.any() else EMPTY
            assert int(level.states[(0, *cell)]) == state


def test_a_cell_is_known_where_its_parent_is_known_and_mixed():
    levels = octree_levels(blobs(1), 2)
    assert levels[0].known.all()
    for parent, child in itertools.pairwise(levels):
        split = parent.known & (parent.states == MIXED)
        assert int(child.known.sum()) == 8 * int(split.sum())
        for b, x, y, z in split.nonzero()[:50].tolist():
            assert child.known[b, 2 * x : 2 * x + 2, 2 * y : 2 * y + 2, 2 * z : 2 * z + 2].all()
    assert not (levels[-1].states == MIXED).any()


@pytest.mark.parametrize("coarsest", [1, 4, 16])
def test_voxels_come_back_exactly(coarsest):
    for seed in range(5):
        voxels = blobs(seed)
        assert torch.equal(octree_voxels(octree_levels(voxels, coarsest)), voxels)


def test_soft_occupancy_of_certain_states_is_the_voxels():
    voxels = blobs(2)
    occupancy = torch.sigmoid(soft_occupancy(certain(octree_levels(voxels, 2))))
    np.testing.assert_allclose(occupancy, voxels.double(), atol=1e-12)


def test_soft_occupancy_is_the_sum_over_the_levels():
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(2, STATES, side, side, side, generator=generator).double() for side in (2, 4, 8)]
    occupancy = torch.sigmoid(soft_occupancy(logits))
    chances = [level.softmax(1) for level in logits]
    for x, y, z in ((0, 0, 0), (7, 3, 5), (2, 6, 1)):
        coarse, middle, fine = (p[1, :, x >> k, y >> k, z >> k] for p, k in zip(chances, (2, 1, 0), strict=True))
        expected = coarse[1] + coarse[2] * (middle[1] + middle[2] * fine[1] / (fine[0] + fine[1]))
        assert float(occupancy[1, x, y, z]) == pytest.approx(float(expected), rel=1e-12)


def test_soft_occupancy_neither_overflows_nor_loses_its_gradient():
    logits = [torch.full((1, STATES, side, side, side), 0.0) for side in (2, 4)]
    logits[0][:, EMPTY], logits[1][:, EMPTY] = 300.0, 200.0
    for level in logits:
        level.requires_grad_()
    occupancy = soft_occupancy(logits)
    assert occupancy.isfinite().all()
    assert occupancy.max() < -100
    coarse, fine = torch.autograd.grad(occupancy.sum(), logits)
    assert coarse.isfinite().all()
    assert fine.isfinite().all()
    assert coarse.abs().sum() > 0  # where probabilities in float32 are 0 and 1 and have none


def test_all_levels_get_a_gradient():
    generator = torch.Generator().manual_seed(1)
    logits = [torch.randn(1, STATES, side, side, side, generator=generator).double() for side in (1, 2)]
    assert torch.autograd.gradcheck(lambda *levels: soft_occupancy(levels), [x.requires_grad_() for x in logits])


def test_the_likeliest_states_are_the_true_ones_where_logits_say_so():
    voxels = blobs(3)
    levels = octree_levels(voxels, 4)
    found = likeliest_levels(certain(levels))
    for one, other in zip(found, levels, strict=True):
        assert torch.equal(one.states, other.states)
        assert torch.equal(one.known, other.known)
    assert torch.equal(octree_voxels(found), voxels)


def test_likeliest_states_below_zero_are_still_found():
    """Their file starts the search for the largest score at 0; a cell with none above it would have no state."""
    logits = [torch.tensor([-3.0, -1.0, -2.0]).view(1, 3, 1, 1, 1), torch.zeros(1, 3, 2, 2, 2)]
    assert int(likeliest_levels(logits)[0].states) == FILLED


def test_a_finest_cell_is_never_mixed():
    logits = [torch.tensor([0.0, 0.0, 9.0]).view(1, 3, 1, 1, 1), torch.tensor([0.0, 1.0, 9.0]).view(1, 3, 1, 1, 1)]
    logits[1] = logits[1].expand(1, 3, 2, 2, 2)
    assert octree_voxels(likeliest_levels(logits)).all()


@pytest.mark.parametrize(("side", "coarsest"), [(12, 8), (16, 32), (16, 3)])
def test_sizes_that_cannot_be_halved_are_refused(side, coarsest):
    with pytest.raises(ValueError, match="cannot be halved"):
        octree_levels(torch.zeros(1, side, side, side, dtype=torch.bool), coarsest)

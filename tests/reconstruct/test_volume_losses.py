"""Losses of networks whose output is a volume: against plain formulas, and small networks that learn a few shapes."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from liftnet.core.errors import LiftnetError
from liftnet.mesh.octree import MIXED, STATES, OctreeLevel, octree_levels
from liftnet.mesh.shape_layers import encode_layers
from liftnet.models.reconstruction import Views, network_from
from liftnet.models.reconstruction_networks import NetworkSettings
from liftnet.models.reconstruction_networks.imnet import cell_centres
from liftnet.reconstruct.objectives import (
    ShapeBatch,
    imnet_codes,
    imnet_shapes,
    octree,
    shape_layers,
    voxels,
)
from liftnet.reconstruct.objectives.imnet_shapes import choose_voxels
from liftnet.reconstruct.objectives.octree import octree_cross_entropy
from liftnet.reconstruct.objectives.shape_layers import depth_loss
from liftnet.reconstruct.objectives.voxels import voxel_cross_entropy
from liftnet.reconstruct.settings import LOSSES

SIDE = 32


def shapes():
    """A box, a ball, a table and a bowl: (4, 32, 32, 32) bool."""
    x, y, z = cell_centres(SIDE, torch.empty(0)).T.view(3, SIDE, SIDE, SIDE)
    box = (x.abs() < 0.3) & (y.abs() < 0.15) & (z.abs() < 0.2)
    ball = x**2 + y**2 + z**2 < 0.3**2
    legs = (x.abs() > 0.2) & (z.abs() > 0.2) & (y < 0.1)
    table = (x.abs() < 0.3) & (z.abs() < 0.3) & (y.abs() < 0.2) & (legs | (y > 0.1))
    bowl = (x**2 + y**2 + z**2 < 0.4**2) & (x**2 + (y - 0.1) ** 2 + z**2 > 0.3**2) & (y < 0.1)
    return torch.stack([box, ball, table, bowl])


def batch():
    """The table and the bowl, each with a picture: its silhouette from the front in a colour of its own."""
    solid = shapes()[2:]
    masks = solid.any(3).float().transpose(1, 2).repeat_interleave(2, 1).repeat_interleave(2, 2)
    colours = torch.tensor([[0.0, 0, 1], [1, 1, 0]])
    images = torch.cat([colours[:, :, None, None] * masks[:, None], masks[:, None]], dim=1)
    views = Views(images, torch.eye(3).expand(2, 3, 3), torch.ones(2), torch.ones(2))
    return ShapeBatch(views, voxels=solid)


def small(name):
    torch.manual_seed(0)
    return network_from(NetworkSettings(architecture=name))


def learn(network, losses, steps, rate):
    """The sum of the losses in all steps."""
    data, values = batch(), []
    optimiser = torch.optim.Adam(network.parameters(), rate)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
        optimiser.zero_grad()
        prediction, generator = network(data.views), torch.Generator().manual_seed(step)
        each = sum(loss(network, prediction, data, generator)["loss"] for loss in losses)
        assert each.shape == (2,)
        each.mean().backward()
        optimiser.step()
        values.append(each.mean().item())
    return values


def ious(network, prediction):
    inside, true = network.occupancy(prediction) >= 0, batch().voxels
    return ((inside & true).sum((1, 2, 3)) / (inside | true).sum((1, 2, 3))).tolist()


# formulas


def test_voxel_cross_entropy_is_the_softmax_one_of_two_logits():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 2, 5, 5, 5, generator=generator)
    true = torch.rand(3, 5, 5, 5, generator=generator) < 0.3
    found = voxel_cross_entropy(logits[:, 1] - logits[:, 0], true)
    torch.testing.assert_close(found, cross_entropy(logits, true.long(), reduction="none").mean((1, 2, 3)))


def test_voxel_cross_entropy_does_not_overflow():
    odds = torch.tensor([1e4, -1e4]).view(2, 1, 1, 1).requires_grad_()
    loss = voxel_cross_entropy(odds, torch.zeros(2, 1, 1, 1, dtype=torch.bool))
    np.testing.assert_allclose(loss.detach(), [1e4, 0])
    assert torch.autograd.grad(loss.sum(), odds)[0].flatten().tolist() == [1, 0]


def test_octree_loss_is_plain_cross_entropy_where_all_cells_are_known():
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(2, STATES, side, side, side, generator=generator) for side in (2, 4)]
    states = [torch.randint(0, STATES, (2, side, side, side), generator=generator) for side in (2, 4)]
    levels = [OctreeLevel(state, torch.ones_like(state, dtype=torch.bool)) for state in states]
    for level, scores, state in zip(octree_cross_entropy(logits, levels), logits, states, strict=True):
        assert float(level.mean()) == pytest.approx(float(cross_entropy(scores, state)))


def test_octree_loss_leaves_out_cells_whose_parents_are_not_mixed():
    levels = octree_levels(shapes(), 8)
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(4, STATES, side, side, side, generator=generator) for side in (8, 16, 32)]
    found = octree_cross_entropy(logits, levels)
    for scores, level, value in zip(logits, levels, found, strict=True):
        rows = scores.movedim(1, -1)[level.known]
        assert float(value.mean()) == pytest.approx(float(cross_entropy(rows, level.states[level.known])), rel=1e-5)
    parents = levels[0].known & (levels[0].states == MIXED)
    assert int(levels[1].known.sum()) == 8 * int(parents.sum()) < levels[1].known.numel()
    changed = [torch.where(level.known[:, None], scores, 99.0) for scores, level in zip(logits, levels, strict=True)]
    for one, other in zip(octree_cross_entropy(changed, levels), found, strict=True):
        assert torch.equal(one, other)


def test_octree_loss_of_the_true_states_is_zero_and_an_empty_shape_has_one():
    for solid in (shapes(), torch.zeros(2, SIDE, SIDE, SIDE, dtype=torch.bool)):
        levels = octree_levels(solid, 8)
        certain = [50.0 * one_hot(level.states, STATES).movedim(-1, 1) for level in levels]
        for value in octree_cross_entropy(certain, levels):
            np.testing.assert_allclose(value, 0, atol=1e-6)


def published_depth_loss(predicted, true):
    """As in Richter and Roth's train.py, in words: shares and errors are means over batch and pixels, map by map."""
    errors, rests, shares, empties = 0.0, 0.0, 0.0, 0.0
    for number in range(true.shape[1]):
        maps, depths = predicted[:, number].numpy(), true[:, number].numpy()
        shape, off, above = depths > 0, np.abs(maps - depths), np.maximum(maps + 1, 0)
        errors, shares = errors + (off * shape).mean(), shares + shape.mean()
        rests, empties = rests + (above * ~shape).mean(), empties + (~shape).mean()
    return errors / max(1, shares) + rests / max(1, empties)


@pytest.mark.parametrize("chosen", [slice(0, 4), slice(1, 2)])
def test_the_depth_loss_of_a_batch_is_the_published_one(chosen):
    true = encode_layers(shapes()[chosen], 1)
    predicted = true + torch.randn(true.shape, generator=torch.Generator().manual_seed(0)) * 3
    found = depth_loss(predicted, true)
    assert len(found) == len(true)
    assert float(found.mean()) == pytest.approx(float(published_depth_loss(predicted, true)), rel=1e-5)


def test_the_depth_loss_is_zero_for_true_depths_with_backgrounds_below_minus_one():
    true = encode_layers(shapes(), 1)
    perfect = torch.where(true > 0, true, -1.5)
    assert torch.equal(depth_loss(perfect, true), torch.zeros(4))
    assert (depth_loss(true, true) > 0.1).all()  # a background of 0 is too near to a shape


def test_points_of_imnet_are_half_beside_the_surface():
    solid = shapes()
    chosen = choose_voxels(solid, 4000, torch.Generator().manual_seed(0))
    assert chosen.shape == (4, 4000)
    assert torch.equal(chosen, choose_voxels(solid, 4000, torch.Generator().manual_seed(0)))
    for shape in range(4):
        inside = solid[shape].numpy()
        around = np.lib.stride_tricks.sliding_window_view(np.pad(inside, 1, mode="edge"), (3, 3, 3))
        beside = (around.any((3, 4, 5)) & ~around.all((3, 4, 5))).reshape(-1)
        expected = 0.5 + 0.5 * beside.mean()
        assert float(np.mean(beside[chosen[shape]])) == pytest.approx(expected, abs=0.03)
    empty = choose_voxels(torch.zeros(1, 8, 8, 8, dtype=torch.bool), 10, torch.Generator().manual_seed(0))
    assert empty.max() < 8**3


@pytest.mark.parametrize("name", ["shape_layers", "octree", "voxels", "imnet_shapes", "imnet_codes"])
def test_losses_are_known_by_their_modules_and_refuse_networks_that_they_are_not_for(name):
    assert name in LOSSES
    module = {
        "shape_layers": shape_layers, "octree": octree, "voxels": voxels, "imnet_shapes": imnet_shapes,
        "imnet_codes": imnet_codes,
    }[name]  # fmt: skip
    assert module.NEEDS == ("voxels",)
    with pytest.raises(LiftnetError, match=f"the loss {name}: is for networks of the kind"):
        module.loss(torch.nn.Identity(), None, batch(), torch.Generator())


# learning


@pytest.mark.parametrize(
    ("name", "module", "steps", "least"),
    [("matryoshka", shape_layers, 60, 0.5), ("ogn", octree, 45, 0.7), ("r2n2", voxels, 30, 0.7)],
)
def test_small_networks_learn_two_shapes_by_heart(name, module, steps, least):
    network = small(name)
    values = learn(network, [module.loss], steps, 2e-3 if name == "ogn" else 3e-3)
    assert np.mean(values[-5:]) < 0.3 * values[0]
    with torch.no_grad():
        prediction = network(batch().views)
        assert min(ious(network, prediction)) > least
        assert all(len(faces) > 500 for _, faces in network.surfaces(prediction))


def test_imnet_learns_shapes_first_and_then_their_pictures():
    network = small("imnet")
    weights = {name: weight.clone() for name, weight in network.named_parameters()}
    values = learn(network, [imnet_shapes.loss], 80, 1e-3)
    assert np.mean(values[-5:]) < 0.6 * values[0]
    changed = {name for name, weight in network.named_parameters() if not torch.equal(weight, weights[name])}
    assert changed == {name for name in weights if not name.startswith("image_encoder")}
    weights = {name: weight.clone() for name, weight in network.named_parameters()}
    values = learn(network, [imnet_codes.loss], 20, 1e-3)
    assert values[-1] < 0.1 * values[0]
    changed = {name for name, weight in network.named_parameters() if not torch.equal(weight, weights[name])}
    assert changed == {name for name in weights if name.startswith("image_encoder")}
    with torch.no_grad():
        assert min(ious(network, network(batch().views))) > 0.5


def test_imnets_two_steps_can_be_one():
    """They move different weights, so that the sum of both losses is both at a time."""
    network = small("imnet")
    assert set(network.own_losses) == {"imnet_shapes", "imnet_codes"}
    values = learn(network, [imnet_shapes.loss, imnet_codes.loss], 10, 1e-3)
    assert values[-1] < values[0]
    data = batch()
    codes = imnet_codes.loss(network, network(data.views), data, torch.Generator())["loss"].mean()
    moved = torch.autograd.grad(codes, list(network.parameters()), allow_unused=True)
    for (name, _), gradient in zip(network.named_parameters(), moved, strict=True):
        assert (gradient is not None) == name.startswith("image_encoder")

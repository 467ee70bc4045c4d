"""Networks whose output is a volume: published sizes, formulas, and meshes with a usable gradient."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from liftnet.core.devices import channels_last
from liftnet.core.errors import LiftnetError
from liftnet.mesh.octree import STATES
from liftnet.mesh.shape_layers import encode_layers
from liftnet.models.folder import SavedModel, load_model, save_model
from liftnet.models.reconstruction import RECONSTRUCTION, Views, network_from, on_background
from liftnet.models.reconstruction_networks import NetworkSettings
from liftnet.models.reconstruction_networks.imnet import (
    Decoder,
    IMNet,
    ResidualImageEncoder,
    VoxelEncoder,
    cell_centres,
    soft_clamp,
)
from liftnet.models.reconstruction_networks.matryoshka import Down, Matryoshka, Up
from liftnet.models.reconstruction_networks.r2n2 import R2N2, ConvolutionalGRU, Unpooled, unpool
from liftnet.models.voxel_network import LEVELS, VoxelNetwork, best_level, ious_at_levels, true_voxels
from liftnet.rasteriser import Softness, look_at, render_soft

NAMES = ("matryoshka", "ogn", "r2n2", "imnet")


def weights_of(module):
    return sum(weight.numel() for weight in module.parameters())


def some_views(count=2, seed=0, side=64):
    images = torch.rand(count, 4, side, side, generator=torch.Generator().manual_seed(seed))
    return Views(images, torch.eye(3).expand(count, 3, 3), torch.ones(count), torch.ones(count))


def small(name, seed=0):
    torch.manual_seed(seed)
    return network_from(NetworkSettings(architecture=name))


def ball(side, radius=0.3):
    """How far the voxels' centres are within a ball: (R, R, R)."""
    return radius - cell_centres(side, torch.empty(0)).norm(dim=1).view(side, side, side)


def is_closed(faces):
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, counts = np.unique(np.sort(edges.numpy(), axis=1), axis=0, return_counts=True)
    return bool((counts % 2 == 0).all())


class Given(VoxelNetwork):
    """Predictions are log-odds."""

    def forward(self, views):
        return views.images

    def occupancy(self, prediction):
        return prediction


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: Matryoshka(resolution=32), 52_855_152),
        (lambda: Matryoshka(resolution=128), 46_605_732),
        (lambda: network_from(NetworkSettings(architecture="r2n2", size="published")), 35_992_898),
        (lambda: Decoder(256, 128), 3_054_593),
        (lambda: ResidualImageEncoder(), 17_462_976),
    ],
)
def test_published_networks_have_their_number_of_weights(make, count):
    with torch.device("meta"):
        assert weights_of(make()) == count


def test_the_octree_network_has_about_as_many_weights_as_its_paper_says():
    with torch.device("meta"):
        network = network_from(NetworkSettings(architecture="ogn", size="published"))
    assert weights_of(network) == pytest.approx(12.46e6, rel=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_published_networks_take_pictures_of_any_size(name):
    """Shapes alone, without numbers: the whole way through all layers."""
    with torch.device("meta"):
        network = network_from(NetworkSettings(architecture=name, size="published"))
        images = torch.rand(2, 4, 96, 96)
        prediction = network(Views(images, images, images, images))
    shape = {"matryoshka": (2, 6, 32, 32), "r2n2": (2, 2, 32, 32, 32), "imnet": (2, 256)}
    if name == "ogn":
        assert [tuple(level.shape) for level in prediction] == [(2, STATES, *(side,) * 3) for side in (8, 16, 32)]
    else:
        assert tuple(prediction.shape) == shape[name]


@pytest.mark.parametrize("name", NAMES)
def test_small_networks_give_closed_meshes_within_the_cube_and_gradients_to_their_weights(name):
    network = small(name)
    if name == "matryoshka":
        nn.init.constant_(network.body[-1].bias, 2.5)  # depths beyond the middle, or nothing is there
    if name == "imnet":
        nn.init.constant_(network.decoder.others[-1].bias, 0.5)
    prediction = network(some_views())
    occupancy = network.occupancy(prediction).detach()
    assert occupancy.shape == (2, *(network.voxels,) * 3)
    network.level.fill_(float(torch.sigmoid(occupancy.flatten().quantile(0.97))))
    surfaces = network.surfaces(prediction)
    assert len(surfaces) == 2
    for vertices, faces in surfaces:
        assert len(faces) > 100
        assert vertices.abs().max() <= 0.5 + 2 / network.voxels
        assert is_closed(faces)
    sum(vertices.square().sum() for vertices, _ in surfaces).backward()
    touched = [weight.grad for weight in network.parameters() if weight.grad is not None]
    assert all(bool(gradient.isfinite().all()) for gradient in touched)
    assert sum(float(gradient.abs().sum()) for gradient in touched) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_network_comes_back_from_its_folder_with_its_level(name, tmp_path):
    network = small(name)
    network.level.fill_(0.35)
    network.eval()
    save_model(tmp_path, RECONSTRUCTION, SavedModel(network, network.settings))
    loaded = load_model(tmp_path, RECONSTRUCTION).network
    assert float(loaded.level) == pytest.approx(0.35)
    with torch.no_grad():
        for one, other in zip(network(some_views()), loaded(some_views()), strict=True):
            assert torch.equal(one, other)


# meshes of volumes


def test_surfaces_are_cut_at_the_networks_level():
    network = Given(24)
    log_odds = 12 * ball(24)[None]
    for level in (0.2, 0.5, 0.7):
        network.level.fill_(level)
        ((vertices, faces),) = network.surfaces(log_odds)
        radius = 0.3 - math.log(level / (1 - level)) / 12
        np.testing.assert_allclose(vertices.norm(dim=1), radius, atol=2e-3)
        assert float(torch.linalg.det(vertices[faces]).sum()) > 0  # outwards


def test_empty_and_full_volumes_give_no_or_a_closed_mesh_and_a_gradient_of_zero():
    network = Given(8)
    volumes = torch.stack([torch.full((8, 8, 8), -2.0), torch.full((8, 8, 8), 2.0)]).requires_grad_()
    (nothing, no_faces), (cube, faces) = network.surfaces(volumes)
    assert nothing.shape == no_faces.shape == (0, 3)
    assert is_closed(faces)
    assert float(cube.detach().abs().max()) == pytest.approx(0.5 + (2 / 8 - 0.5) / 8)  # 2 of 8 from the centres out
    (gradient,) = torch.autograd.grad(nothing.sum(), volumes)
    assert torch.equal(gradient, torch.zeros_like(volumes))


def test_a_volume_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        Given(8).surfaces(torch.full((1, 8, 8, 8), math.nan))


@pytest.mark.parametrize("factor", [1e-3, 1e-6, 1e-9, 0.0])
def test_slivers_give_gradients_of_bounded_size_through_marching_cubes_and_the_rasteriser(factor):
    """A ball many of whose values are next to the level, as a network's can be."""
    network, side = Given(16), 16
    values = ball(side, 0.32)
    chosen = torch.randperm(side**3, generator=torch.Generator().manual_seed(0))[:800]
    values.view(-1)[chosen] *= factor
    values = values[None].requires_grad_()
    ((vertices, faces),) = network.surfaces(values)
    cameras = look_at(torch.tensor([[0.0, 0.4, 2.0], [1.5, 0.4, -1.0]]))
    images = render_soft([vertices], [faces], cameras, 32, Softness(sigma=1e-4))
    target = torch.linspace(0, 1, 32).expand_as(images.shaded)
    loss = (images.shaded - target).square().mean() + images.silhouette.square().mean()
    to_vertices, to_values = torch.autograd.grad(loss, (vertices, values))
    assert to_vertices.isfinite().all()
    assert to_values.isfinite().all()
    assert to_values.abs().sum() > 0
    assert to_values.abs().max() < 1e3 * to_vertices.abs().max()


# the level


def test_the_best_level_is_the_one_that_was_hidden():
    """Voxels whose true cut is .3: the mean over shapes finds it, one noisy shape alone would not."""
    generator = torch.Generator().manual_seed(0)
    occupancy = torch.randn(6, 12, 12, 12, generator=generator) * 2
    voxels = torch.sigmoid(occupancy) >= 0.3
    ious = ious_at_levels(occupancy, voxels)
    assert ious.shape == (6, len(LEVELS))
    assert best_level(ious) == 0.3
    np.testing.assert_allclose(ious[:, LEVELS.index(0.3)], 1.0)


def test_ious_are_those_of_sets():
    generator = torch.Generator().manual_seed(1)
    occupancy, voxels = torch.randn(3, 6, 6, 6, generator=generator), torch.rand(3, 6, 6, 6, generator=generator) < 0.3
    ious = ious_at_levels(occupancy, voxels, (0.4, 0.8))
    for shape in range(3):
        for column, level in enumerate((0.4, 0.8)):
            found = set(np.flatnonzero(torch.sigmoid(occupancy[shape]) >= level))
            true = set(np.flatnonzero(voxels[shape]))
            assert float(ious[shape, column]) == pytest.approx(len(found & true) / len(found | true))


def test_of_levels_that_are_equally_good_the_one_next_to_a_half_is_taken():
    ious = torch.zeros(2, len(LEVELS))
    ious[:, 3:8] = 0.6
    assert best_level(ious) == LEVELS[7]
    assert float(ious_at_levels(torch.full((1, 2, 2, 2), -9.0), torch.zeros(1, 2, 2, 2, dtype=torch.bool))[0, 9]) == 1


def test_voxels_of_another_resolution_are_refused():
    with pytest.raises(LiftnetError, match="16 a side and the network's 8"):
        true_voxels(Given(8), torch.zeros(1, 16, 16, 16, dtype=torch.bool))
    with pytest.raises(LiftnetError, match="are no a side"):
        true_voxels(Given(8), torch.empty(0))


# Matryoshka


def test_matryoshkas_perfect_maps_give_the_voxels_and_a_mesh_of_their_size():
    network = small("matryoshka")
    voxels = ball(32, 0.35)[None] > 0
    maps = encode_layers(voxels, 1)
    assert torch.equal(network.occupancy(maps) > 0, voxels)
    ((vertices, faces),) = network.surfaces(maps)
    volume = float(torch.linalg.det(vertices[faces].double()).sum() / 6)
    assert volume == pytest.approx(int(voxels.sum()) / 32**3, rel=0.03)
    assert is_closed(faces)


@pytest.mark.parametrize("level", [0.3, 0.5, 0.7])
def test_matryoshkas_meshes_are_closed_at_any_level_even_at_the_border(level):
    network = small("matryoshka")
    network.level.fill_(level)
    ((_, faces),) = network.surfaces(encode_layers(torch.ones(1, 32, 32, 32, dtype=torch.bool), 1) + 2)
    assert is_closed(faces)
    noise = torch.randn(2, 6, 32, 32, generator=torch.Generator().manual_seed(0)) * 8 + 16
    for _, faces in network.surfaces(noise):
        assert is_closed(faces)


def test_residual_blocks_pass_their_input_through_their_shortcuts():
    features = torch.rand(1, 4, 6, 6)
    down, up = Down(4, 6), Up(4, 2)
    for block in (down, up):
        nn.init.zeros_(block.change[-1].weight)
        nn.init.zeros_(block.change[-1].bias)
    halved = down(features)
    assert torch.equal(halved[:, :4], features[:, :, ::2, ::2])
    assert torch.count_nonzero(halved[:, 4:]) == 0
    repeated = features.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(up(features), up.mix(repeated))


def test_pictures_are_put_before_the_background():
    images = torch.rand(1, 4, 2, 2)
    images[:, 3] = torch.tensor([[0.0, 1.0], [0.5, 0.0]])
    placed = on_background(images, 0.2)
    assert torch.equal(placed[0, :, 0, 0], torch.full((3,), 0.2))
    assert torch.equal(placed[0, :, 0, 1], images[0, :3, 0, 1])
    torch.testing.assert_close(placed[0, :, 1, 0], images[0, :3, 1, 0] / 2 + 0.1)


# 3D-R2N2


def grid_convolution(kernel, grid):
    """Cross-correlation (C', 4, 4, 4) of a kernel (C', C, 3, 3, 3) with a grid (C, 4, 4, 4), zeros around it."""
    around = np.pad(grid, ((0, 0), (1, 1), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3, 3), axis=(1, 2, 3))
    return np.einsum("oiabc,ixyzabc->oxyz", kernel, windows)


def test_the_recurrent_unit_follows_its_formula():
    torch.manual_seed(0)
    unit = ConvolutionalGRU(5, 3).double()
    codes = torch.randn(2, 1, 5, dtype=torch.float64)
    with torch.no_grad():
        state = unit(codes[1], unit(codes[0], None))[0].numpy()
    kernels = [kernel.weight.detach().numpy() for kernel in unit.kernels]
    expected = np.zeros((3, 4, 4, 4))
    for code in codes[:, 0].numpy():
        u, r, h = (
            (layer.weight.detach().numpy() @ code + layer.bias.detach().numpy()).reshape(3, 4, 4, 4)
            for layer in unit.inputs
        )
        update, reset = (
            1 / (1 + np.exp(-(part + grid_convolution(kernel, expected))))
            for part, kernel in zip((u, r), kernels, strict=False)
        )
        new = np.tanh(h + grid_convolution(kernels[2], reset * expected))
        expected = update * expected + (1 - update) * new
    np.testing.assert_allclose(state, expected, atol=1e-12)


def test_one_picture_gives_the_recurrent_kernels_no_gradient_and_two_do():
    network = small("r2n2")
    network(some_views()).square().sum().backward()
    assert all(not kernel.weight.grad.any() for kernel in network.unit.kernels)
    assert not network.unit.inputs[1].weight.grad.any()  # the reset gate
    assert network.unit.inputs[0].weight.grad.any()
    network.from_several([some_views(seed=1), some_views(seed=2)]).square().sum().backward()
    assert all(kernel.weight.grad.any() for kernel in network.unit.kernels)


def test_a_second_picture_changes_the_answer_and_no_picture_gives_none():
    network = small("r2n2").eval()
    one, two = some_views(seed=1), some_views(seed=2)
    with torch.no_grad():
        assert torch.equal(network.from_several([one]), network(one))
        assert not torch.equal(network.from_several([one, two]), network.from_several([two, one]))
    with pytest.raises(ValueError, match="at least one picture"):
        network.from_several([])


@pytest.mark.parametrize(("before", "after"), [(3, 3), (3, 2)])
def test_the_unpooling_block_is_convolutions_of_a_grid_with_zeros_between(before, after):
    torch.manual_seed(0)
    block = Unpooled(before, after)
    channels_last(block)
    if block.between is not None:
        nn.init.normal_(block.between)
    cells = torch.randn(2, before, 3, 3, 3)
    apart = torch.zeros(2, before, 6, 6, 6)
    apart[:, :, ::2, ::2, ::2] = cells
    assert torch.equal(unpool(cells), apart)
    kernel = block.first.weight.transpose(0, 1).flip(2, 3, 4)
    first = nn.functional.leaky_relu(nn.functional.conv3d(apart, kernel, block.first.bias, padding=1), 0.1)
    changed = nn.functional.leaky_relu(block.second(first), 0.1)
    shortcut = apart if before == after else nn.functional.conv3d(apart, block.mix.weight, block.between.flatten())
    torch.testing.assert_close(block(cells), changed + shortcut)


# IM-Net


def test_the_output_is_continuous_with_slope_one_within_and_a_hundredth_beyond():
    at = torch.tensor([-5.0, -1e-9, 0.0, 1e-9, 0.3, 1 - 1e-9, 1.0, 1 + 1e-9, 3.0], dtype=torch.float64)
    expected = [-0.05, 0, 0, 0, 0.3, 1, 1, 1, 1.02]
    np.testing.assert_allclose(soft_clamp(at), expected, atol=1e-8)
    inner = torch.tensor([-2.0, -0.1, 0.1, 0.9, 1.1, 9.0], requires_grad=True)
    soft_clamp(inner).sum().backward()
    np.testing.assert_allclose(inner.grad, [0.01, 0.01, 1, 1, 0.01, 0.01], rtol=1e-6)


def test_the_decoder_sees_point_and_code_together():
    torch.manual_seed(0)
    decoder = Decoder(6, 2)
    codes, points = torch.rand(3, 6), torch.rand(3, 5, 3) - 0.5
    features = torch.cat([points, codes[:, None].expand(-1, 5, -1)], dim=2)
    for layer in (decoder.first, *decoder.others):
        features = layer(features)
        features = nn.functional.leaky_relu(features, 0.02) if layer.out_features > 1 else soft_clamp(features)
    torch.testing.assert_close(decoder(codes, points), features[..., 0])


@pytest.mark.parametrize("resolution", [16, 32, 64])
def test_the_code_of_voxels_is_that_of_the_shape_alone(resolution):
    torch.manual_seed(0)
    encoder = VoxelEncoder(resolution, 2, 8)
    voxels = torch.rand(2, *(resolution,) * 3) < 0.3
    codes = encoder(voxels)
    assert codes.shape == (2, 8)
    torch.testing.assert_close(encoder(voxels[1:]), codes[1:])  # it can be computed anew each time


class BallDecoder(nn.Module):
    """A ball whose radius is the first number of the code, as soft as IM-Net's answers."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, codes, points):
        self.seen += points.shape[1]
        return soft_clamp(0.5 + 8 * (codes[:, :1] - points.norm(dim=2)))


def test_imnets_mesh_is_that_of_all_64_cubed_points_at_a_fraction_of_them():
    network = small("imnet")
    network.decoder = BallDecoder()
    codes = torch.tensor([[0.3], [0.15]], requires_grad=True)
    surfaces = network.surfaces(codes)
    assert network.decoder.seen < 0.7 * 2 * 64**3
    for (vertices, faces), radius in zip(surfaces, (0.3, 0.15), strict=True):
        np.testing.assert_allclose(vertices.detach().norm(dim=1), radius, atol=1e-3)
        assert is_closed(faces)
    growth = torch.autograd.grad(surfaces[0][0].norm(dim=1).mean(), codes)[0]
    assert float(growth[0, 0]) == pytest.approx(1, abs=0.01)  # the surface moves as the radius does
    assert float(growth[1, 0]) == 0
    network.decoder.seen = 0
    with torch.no_grad():
        assert torch.equal(network.surfaces(codes)[0][0], surfaces[0][0])
    assert len(network.surfaces(torch.tensor([[-1.0]]))[0][1]) == 0


def test_imnets_occupancy_is_what_its_decoder_says_of_the_voxels_centres():
    network = small("imnet")
    assert isinstance(network, IMNet)
    network.decoder = BallDecoder()
    occupancy = network.occupancy(torch.tensor([[0.25]]))[0]
    assert torch.equal(occupancy >= 0, ball(32, 0.25) >= 0)
    assert float(occupancy.abs().max()) == pytest.approx(math.log(999), rel=1e-3)


def test_small_r2n2_is_narrow_but_whole():
    network = small("r2n2")
    assert isinstance(network, R2N2)
    assert network(some_views()).shape == (2, 2, 32, 32, 32)

"""Shape layers: depth maps from six sides give voxels back exactly, and a surface at real depths with its gradient."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liftnet.mesh.marching_cubes import MarchingCubes
from liftnet.mesh.shape_layers import decode_layers, encode_layers, layers_field, layers_needed

SIDE = 12


def random_voxels(seed, share, side=SIDE, count=1):
    return torch.from_numpy(np.random.default_rng(seed).random((count, side, side, side)) < share)


def box_maps(low, high, side=8, dtype=torch.float64):
    """Maps of a box between real faces, in voxels from the low end of the grid, with empty tubes beside it."""
    maps = torch.zeros(1, 6, side, side, dtype=dtype)
    centres = torch.arange(side) + 0.5
    for axis in range(3):
        rows, columns = (other for other in range(3) if other != axis)
        inside = [(centres > low[other]) & (centres < high[other]) for other in (rows, columns)]
        pixels = inside[0][:, None] & inside[1][None]
        pixels = pixels.T if axis == 0 else pixels
        maps[0, 2 * axis][pixels] = side + 1 - (low[axis])  # the first full voxel begins where the face is
        maps[0, 2 * axis + 1][pixels] = high[axis]
    return maps


def mesh_of(maps):
    end = 0.5 + 1 / maps.shape[-1]
    vertices, faces = MarchingCubes(0.0, (-end, end), outside=-1.0)(layers_field(maps, margin=1))
    return vertices[0], faces[0]


def volume(maps):
    vertices, faces = mesh_of(maps)
    return torch.linalg.det(vertices[faces]).sum() / 6


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.0, 1.0), side=st.sampled_from([1, 2, 5, SIDE]))
def test_enough_layers_give_any_voxels_back_exactly(seed, share, side):
    voxels = random_voxels(seed, share, side)
    layers = layers_needed(voxels)
    assert torch.equal(decode_layers(encode_layers(voxels, layers)), voxels)
    assert torch.equal(decode_layers(encode_layers(voxels, layers + 1)), voxels)  # one more that is empty


def test_random_voxels_need_three_layers_and_a_hollow_box_two():
    assert layers_needed(random_voxels(0, 0.4)) == 3
    box = torch.zeros(1, SIDE, SIDE, SIDE, dtype=torch.bool)
    box[:, 2:10, 2:10, 2:10] = True
    assert layers_needed(box) == 1
    box[:, 4:8, 4:8, 4:8] = False
    assert layers_needed(box) == 2
    one = decode_layers(encode_layers(box, 1))
    assert int(one.sum()) == 8**3  # one layer fills the cavity


def test_maps_count_as_the_paper_says_and_the_first_two_are_turned():
    voxels = torch.zeros(1, 4, 4, 4, dtype=torch.bool)
    voxels[0, 1:3, 2, 3] = True  # x = 1 and 2, y = 2, z = 3
    maps = encode_layers(voxels, 1)[0]
    assert (maps[0, 3, 2], maps[1, 3, 2]) == (4 + 1 - 1, 2 + 1)  # along x, turned to [z, y]
    assert (maps[2, 1, 3], maps[3, 1, 3]) == (4 + 1 - 2, 2 + 1)  # along y, [x, z]
    assert (maps[4, 2, 2], maps[5, 2, 2]) == (4 + 1 - 3, 3 + 1)  # along z, [x, y]
    assert torch.count_nonzero(maps) == 2 + 4 + 4
    assert torch.count_nonzero(encode_layers(voxels, 3)[0, 6:]) == 0


def test_depths_are_rounded_and_not_cut_off():
    voxels = random_voxels(1, 0.2, count=2)
    maps = encode_layers(voxels, 4)
    noise = torch.rand(maps.shape, generator=torch.Generator().manual_seed(0)) * 0.8 - 0.4
    assert torch.equal(decode_layers(maps + noise), voxels)
    assert not torch.equal(decode_layers((maps + noise).trunc()), voxels)


def test_faces_of_a_box_lie_at_its_real_depths():
    low, high = (1.3, 2.0, 0.6), (6.8, 7.25, 5.9)
    vertices, faces = mesh_of(box_maps(low, high))
    for axis in range(3):
        np.testing.assert_allclose(vertices[:, axis].min(), low[axis] / 8 - 0.5, atol=1e-6)
        np.testing.assert_allclose(vertices[:, axis].max(), high[axis] / 8 - 0.5, atol=1e-6)
    enclosed = float(torch.linalg.det(vertices[faces]).sum() / 6)
    true = np.prod((np.array(high) - low) / 8)
    assert 0.9 * true < enclosed < true  # marching cubes bevels the edges


def test_a_shape_that_fills_the_grid_has_a_closed_mesh_at_the_border():
    maps = encode_layers(torch.ones(1, 8, 8, 8, dtype=torch.bool), 1)
    vertices, _ = mesh_of(maps)
    np.testing.assert_allclose(vertices.abs().amax(0), 0.5, atol=1e-6)
    beyond, _ = mesh_of(maps + 3.0)  # depths that leave the grid stop at its border
    np.testing.assert_allclose(beyond.abs().amax(0), 0.5, atol=1e-6)


def test_empty_tubes_do_not_drag_the_surface_in():
    """A ball's mesh holds nearly what its voxels hold."""
    along = torch.arange(16) - 7.5
    ball = (torch.stack(torch.meshgrid(along, along, along, indexing="ij")).norm(dim=0) < 6)[None]
    maps = encode_layers(ball, 1).double()
    assert 0.95 < float(volume(maps)) * 16**3 / int(ball.sum()) < 1


@pytest.mark.parametrize("layers", [1, 3])
def test_the_gradient_of_the_volume_to_the_depths_is_that_of_finite_differences(layers):
    generator = torch.Generator().manual_seed(3)
    maps = encode_layers(random_voxels(5, 0.3, side=6), layers).double()
    maps += torch.where(maps > 0, 0.3 * torch.rand(maps.shape, generator=generator, dtype=torch.float64), -1.5)
    maps.requires_grad_()
    (gradient,) = torch.autograd.grad(volume(maps), maps)
    direction = torch.randn(maps.shape, generator=generator, dtype=torch.float64)
    step = 1e-6
    with torch.no_grad():
        difference = (volume(maps + step * direction) - volume(maps - step * direction)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(float(difference), rel=1e-6)
    assert torch.count_nonzero(gradient) > 20


def test_maps_that_are_no_layers_are_refused():
    with pytest.raises(ValueError, match="no whole number of layers"):
        layers_field(torch.zeros(1, 5, 4, 4))

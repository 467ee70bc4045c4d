"""Coordinates that no kernel can hold are refused or cut; they never overrun memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from liftnet.rasteriser import Softness, render_soft
from liftnet.rasteriser.camera_batch import look_at
from liftnet.rasteriser.hard import render_nearest
from liftnet.rasteriser.render import clip_sides
from liftnet.rasteriser.soft_images import rasterise

CAMERAS = look_at(torch.tensor([[0.0, 0.2, 2.0], [1.5, 0.3, 1.0]]))


@pytest.mark.parametrize("far", [1e3, 1e7, 1e9, 1e15, 1e18, 1e25, 1e37, 1e39, 1e60])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_projected_numbers_are_guarded(far, axis):
    triangles = torch.rand((20, 3, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
    triangles[::2, 0, axis] = far
    triangles.requires_grad_()
    softness = replace(Softness(), perspective=True)
    image, shades = torch.zeros(20, dtype=torch.int64), torch.ones(20, dtype=torch.float64)
    if far > 1e3 and (axis < 2 or far > 1e15):
        with pytest.raises(ValueError, match=r"reach|deeper|finite"):
            rasterise(triangles, shades, image, 1, 32, softness)
        return
    gray = rasterise(triangles, shades, image, 1, 32, softness).gray
    gray.sum().backward()
    assert torch.isfinite(gray).all()


@pytest.mark.parametrize("far", [1e4, 1e6, 1e8])
def test_a_mesh_that_reaches_far_beside_the_image_is_drawn_as_if_it_reached_its_border(far):
    """Oracle: a wall that ends far beside the picture looks as one that ends a little beside it."""
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    corners = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])

    def half_wall(reach: float) -> torch.Tensor:
        return torch.cat([corners[:, :1].clamp(max=0) * reach, corners[:, 1:2] * reach, corners[:, 2:]], 1)

    near, beyond = (render_soft([half_wall(reach)], [faces], CAMERAS[:1], 32).coverage[0, 0] for reach in (2.0, far))
    assert 0.2 < float(near.mean()) < 0.8
    torch.testing.assert_close(beyond, near, atol=0.02, rtol=0)


def test_cut_triangles_lie_within_the_border_and_know_where_they_come_from():
    triangles = torch.randn((50, 3, 3), generator=torch.Generator().manual_seed(1)) * 1e4
    triangles[..., 2] = triangles[..., 2].abs() + 0.1
    cut, source = clip_sides(triangles, CAMERAS)
    flat = CAMERAS.to_image(cut)[..., :2]
    assert float(flat.abs().max()) < 64.1
    assert (source.diff() >= 0).all()


def test_meshes_that_are_far_too_large_are_refused_by_every_rasteriser():
    ball = trimesh.creation.icosphere(1)
    huge = ball.vertices * 1e20
    with pytest.raises(ValueError, match="ordinary numbers"):
        render_soft([torch.tensor(huge)], [torch.tensor(ball.faces)], CAMERAS, 32)
    with pytest.raises(ValueError, match="ordinary numbers"):
        render_nearest(ball.vertices * 1e200, ball.faces, CAMERAS, 32)
    beside = look_at(torch.tensor([[0.0, 0.0, 2.0]]), half_width=1.0)
    seen = render_nearest(np.array([[-1e12, -1e12, 0], [1e12, -1e12, 0], [0, 1e12, 0]]), [[0, 1, 2]], beside, 32)
    assert (seen.face == 0).all()

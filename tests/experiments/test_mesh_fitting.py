"""A mesh moved by a loss."""

import numpy as np
import pytest
import torch
import trimesh

from liftnet.experiments.drkfs.fits import fit, geodesic_sphere, view_batches
from liftnet.experiments.settings import FitSettings

SETTINGS = FitSettings(steps=60, sizes=[32, 64], sigmas=[1e-3, 1e-4], rate=0.05, smoothness=5.0)


@pytest.mark.parametrize("frequency", [1, 3, 6])
def test_a_geodesic_sphere_is_closed_and_round(frequency):
    vertices, faces = geodesic_sphere(frequency, 0.4)
    body = trimesh.Trimesh(vertices.numpy(), faces.numpy(), process=False)
    assert (len(vertices), len(faces)) == (10 * frequency**2 + 2, 20 * frequency**2)
    assert body.is_watertight
    assert body.volume > 0
    torch.testing.assert_close(vertices.norm(dim=1), torch.full((len(vertices),), 0.4))
    if frequency == 6:
        assert body.volume == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.05)


def pulled(target):
    """A loss that sees the heights of the vertices in its views alone; stages and views are recorded."""
    seen = []

    def loss(vertices, views, stage):
        seen.append((stage, *views.tolist()))
        return (vertices - target).square().sum()

    return loss, seen


def test_a_fit_reaches_what_a_loss_asks_for_by_smooth_steps():
    vertices, faces = geodesic_sphere(3, 0.4)
    target = vertices * torch.tensor([1.0, 0.5, 1.3])
    loss, seen = pulled(target)
    found = fit(vertices, faces, loss, SETTINGS, view_batches(5, 2, seed=1), frames=4)
    torch.testing.assert_close(torch.as_tensor(found.frames[0]), vertices, atol=1e-5, rtol=0)
    assert np.abs(found.frames[-1] - target.numpy()).max() < 0.02
    assert found.losses[-1] < 1e-2 * found.losses[0]
    assert found.frames.shape == (4, len(vertices), 3)
    assert found.steps.tolist() == [0, 20, 40, 60]
    assert [stage for stage, *_ in seen] == [0] * 30 + [1] * 30
    again = fit(vertices, faces, pulled(target)[0], SETTINGS, view_batches(5, 2, seed=1), frames=4)
    np.testing.assert_array_equal(found.frames, again.frames)


def test_a_pull_at_one_vertex_moves_those_around_it():
    vertices, faces = geodesic_sphere(4, 0.4)
    top = int(vertices[:, 1].argmax())
    near = (vertices - vertices[top]).norm(dim=1) < 0.2

    def loss(moved, views, stage):
        return -moved[top, 1]

    settings = FitSettings(steps=3, rate=0.5, smoothness=5.0)
    rise = fit(vertices, faces, loss, settings, view_batches(1, 1, seed=0)).frames[-1][:, 1] - vertices[:, 1].numpy()
    others = near.numpy() & (np.arange(len(vertices)) != top)
    assert rise[top] > rise[others].max() > rise[others].min() > rise[~near.numpy()].max() > 0


def test_every_view_is_seen_before_one_is_seen_again():
    batches = view_batches(6, 2, seed=3)
    rounds = [torch.cat([next(batches) for _ in range(3)]).tolist() for _ in range(4)]
    assert all(sorted(found) == list(range(6)) for found in rounds)
    assert len(set(map(tuple, rounds))) > 1

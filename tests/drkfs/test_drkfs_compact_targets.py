"""Targets that are kept: without their pictures they give the same scores, to a file and back, together and apart."""

import pytest
import torch
import trimesh
from safetensors.torch import load, save

from liftnet.drkfs import DRKFS, Meshes, MetricSettings, Target


@pytest.fixture(scope="module")
def metric():
    return DRKFS(MetricSettings(image_size=64, views=3, sigma=3e-4))


def mesh(*sides):
    found = trimesh.creation.box(sides)
    return Meshes(torch.tensor(found.vertices, dtype=torch.float32), torch.tensor(found.faces))


@pytest.fixture(scope="module")
def targets(metric):
    return [metric.prepare(mesh(*sides)) for sides in ((0.6, 0.5, 0.4), (0.3, 0.6, 0.5))]


def test_a_compact_target_gives_the_same_score_within_half_precision(metric, targets):
    whole = metric(mesh(0.5, 0.5, 0.5), targets[0])
    compact = metric(mesh(0.5, 0.5, 0.5), targets[0].compact())
    assert not torch.equal(whole, compact)
    assert torch.allclose(whole, compact, rtol=1e-3)


def test_what_is_kept_is_small_and_returns_from_a_file(metric, targets):
    compact = targets[0].compact()
    data = save({name: tensor.contiguous() for name, tensor in compact.tensors().items()})
    assert len(data) < 3 * 9 * 130 * 2 + 1000  # half precision: 3 views of 3 x 3 patches
    again = Target.from_tensors(load(data), 64)
    assert torch.equal(metric(mesh(0.5, 0.5, 0.5), again), metric(mesh(0.5, 0.5, 0.5), compact))


def test_the_gradient_goes_to_the_vertices_in_single_precision(metric, targets):
    shape = mesh(0.5, 0.5, 0.5)
    vertices = shape.vertices[0].requires_grad_()
    metric(Meshes(vertices, shape.faces[0]), targets[0].compact()).sum().backward()
    assert vertices.grad.dtype == torch.float32
    assert vertices.grad.abs().max() > 0


def test_targets_of_several_shapes_are_joined_and_chosen(metric, targets):
    shapes = Meshes([mesh(0.5, 0.5, 0.5).vertices[0]] * 2, [mesh(0.5, 0.5, 0.5).faces[0]] * 2)
    alone = torch.cat([metric(mesh(0.5, 0.5, 0.5), target.compact()) for target in targets])
    joined = Target.joined([target.compact() for target in targets])
    assert torch.equal(metric(shapes, joined), alone)
    turned = joined.of_shapes([1, 0])
    assert torch.equal(metric(shapes, turned), alone.flip(0))
    assert torch.equal(turned.normalisation.scale, joined.normalisation.scale.flip(0))


def test_views_of_a_compact_target_add_up_to_the_whole(metric, targets):
    shape, compact = mesh(0.5, 0.4, 0.5), targets[0].compact()
    parts = sum(metric(shape, compact, torch.tensor([view])) for view in range(3))
    assert torch.allclose(parts, metric(shape, compact), rtol=1e-5)


def test_differences_need_the_pictures(metric, targets):
    with pytest.raises(ValueError, match="a compact target has no pictures"):
        metric.differences(mesh(0.5, 0.5, 0.5), targets[0].compact())


def test_targets_move_between_devices_with_their_normalisation(targets):
    moved = targets[0].compact().to("meta")
    assert {part.device.type for part in (moved.views, moved.features, moved.normalisation.scale)} == {"meta"}

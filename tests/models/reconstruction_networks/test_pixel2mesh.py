"""Pixel2Mesh: its sizes, its meshes, its projection, and what a vertex sees of the picture."""

from dataclasses import replace

import pytest
import torch
import trimesh

from liftnet.mesh.templates import edges_of, icosphere, neighbours
from liftnet.models.reconstruction import Views, network_from
from liftnet.models.reconstruction_networks import NetworkSettings
from liftnet.models.reconstruction_networks.pixel2mesh import (
    PUBLISHED,
    RADIUS,
    GraphConvolution,
    Pixel2Mesh,
    look,
    project,
)
from liftnet.rasteriser import CameraBatch

SMALL = NetworkSettings(architecture="pixel2mesh")


def views(count, image_size=64):
    """Pictures of random content, each with a camera of its own."""
    turns = torch.linalg.qr(torch.randn(count, 3, 3))[0]
    turns = turns * torch.linalg.det(turns)[:, None, None]
    distances, widths = 1.8 + torch.rand(count), 0.2 + 0.1 * torch.rand(count)
    return Views(torch.rand(count, 4, image_size, image_size), turns, distances, widths)


def count_of(module):
    return sum(weight.numel() for weight in module.parameters())


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return network_from(SMALL)


@pytest.mark.parametrize(("hidden", "graph"), [(192, 3_958_377), (256, 6_539_401)])
def test_as_published_it_has_as_many_weights(hidden, graph):
    with torch.device("meta"):
        published = Pixel2Mesh(replace(PUBLISHED, hidden=hidden))
    assert count_of(published.image) == 12_843_632
    assert count_of(published.steps) == graph


def test_as_published_vertices_look_at_maps_of_56_to_7_px():
    with torch.device("meta"):
        published = network_from(NetworkSettings(architecture="pixel2mesh", size="published"))
        maps = published.image(torch.zeros(1, 3, 224, 224))
    assert [tuple(one.shape[1:]) for one in maps] == [(64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]
    assert [len(mesh.index) for mesh in published.meshes] == [162, 642, 2562]


@torch.no_grad()
def test_each_step_divides_the_mesh(network):
    prediction = network(views(2))
    assert [tuple(part.shape) for part in prediction.after] == [(2, 42, 3), (2, 162, 3), (2, 642, 3)]
    for coarse, fine in zip(network.meshes, network.meshes[1:], strict=False):
        assert len(fine.index) == len(coarse.index) + len(coarse.edges)
        assert len(fine.faces) == 4 * len(coarse.faces)
    for number in (1, 2):
        old, new = prediction.after[number - 1], prediction.before[number]
        ends = old[:, network.meshes[number - 1].edges]
        assert torch.equal(new[:, : old.shape[1]], old)
        assert torch.allclose(new[:, old.shape[1] :], ends.mean(2))


@torch.no_grad()
def test_it_begins_with_a_sphere_at_the_origin(network):
    start = network(views(1)).before[0]
    assert torch.equal(start[0], icosphere(1, RADIUS)[0])


@torch.no_grad()
def test_its_meshes_are_closed_and_wound_outwards_where_they_are_spheres(network):
    for mesh, count in zip(network.meshes, (1, 2, 3), strict=True):
        vertices = icosphere(1)[0]
        for finer in list(network.meshes)[: count - 1]:
            vertices = torch.cat([vertices, vertices[finer.edges].mean(1)])
        solid = trimesh.Trimesh(vertices.numpy(), mesh.faces.numpy(), process=False)
        assert solid.is_watertight
        assert solid.volume > 0


def test_a_vertex_is_projected_as_cameras_do():
    """The camera of the rasteriser looks along its z axis with y down; the frame of views has z towards the camera."""
    torch.manual_seed(2)
    seen, vertices = views(4), 0.5 * torch.rand(4, 30, 3) - 0.25
    for number in range(4):
        turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None]
        shift = torch.tensor([[0.0, 0.0, float(seen.distance[number])]])
        camera = CameraBatch(turn, shift, float(seen.half_width[number]))
        expected = camera.project(vertices[number])[0, :, :2]
        assert torch.allclose(project(vertices, seen)[number], expected, atol=1e-6)


def test_a_vertex_sees_what_lies_at_its_pixel_at_whole_coordinates_too():
    """Each pixel of a map of 8 px holds its own number; vertices stand at the centres of all pixels and between."""
    one = replace(views(1), distance=torch.tensor([2.0]), half_width=torch.tensor([0.25]))
    numbers = torch.arange(64.0).view(1, 1, 8, 8)
    centres = (2 * torch.arange(8.0) + 1 - 8) / 8 * 0.5  # at depth 2 the picture is as wide as from -.5 to .5
    y, x = torch.meshgrid(-centres, centres, indexing="ij")
    vertices = torch.stack([x.flatten(), y.flatten(), torch.zeros(64)], 1)[None]
    seen = look([numbers], vertices, one)
    assert torch.allclose(seen[0, :, 3], numbers.flatten(), atol=1e-4)
    assert torch.equal(seen[..., :3], vertices)
    between = (vertices[:, :1] + vertices[:, 9:10]) / 2
    assert float(look([numbers], between, one)[0, 0, 3]) == pytest.approx(4.5, abs=1e-4)


def test_outside_of_the_picture_the_border_is_seen():
    one = replace(views(1), distance=torch.tensor([2.0]), half_width=torch.tensor([0.25]))
    far = torch.tensor([[[9.0, 0.0, 0.0], [0.0, 0.0, 5.0]]])  # beside the picture, and behind the camera
    seen = look([torch.ones(1, 2, 8, 8)], far, one)
    assert torch.equal(seen[0, :, 3:], torch.ones(2, 2))


@torch.no_grad()
def test_a_graph_convolution_is_its_formula():
    torch.manual_seed(3)
    _, faces = icosphere(1)
    layer, values = GraphConvolution(5, 4), torch.randn(42, 2, 5)
    graph = neighbours(edges_of(faces), 42, symmetric=True)
    matrix = graph.sums(torch.eye(42))
    for shape in range(2):
        x = values[:, shape]
        expected = x @ layer.own.weight.T + layer.own.bias + matrix @ x @ layer.others.weight.T
        assert torch.allclose(layer(values, graph)[:, shape], expected, atol=1e-5)


def test_shapes_turn_back_into_their_own_frame(network):
    seen = views(2)
    prediction = network(seen)
    in_view, in_object = network.surfaces(prediction), network.object_surfaces(prediction, seen)
    for (turned, _), (own, _), rotation in zip(in_view, in_object, seen.rotation, strict=True):
        assert torch.allclose(own @ rotation.T, turned, atol=1e-5)


def test_every_weight_gets_a_gradient(network):
    network.zero_grad()
    network.surfaces(network(views(2)))[0][0].square().sum().backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert without == []


@torch.no_grad()
def test_all_maps_depend_on_the_picture_from_the_start():
    torch.manual_seed(0)
    maps = network_from(SMALL).image(torch.rand(8, 4, 64, 64))
    assert min(float(one.std(dim=0).mean()) for one in maps) > 0.01

"""Regularisers of meshes, beside their formulas, flat meshes and numeric gradients."""

import math

import numpy as np
import pytest
import torch

from liftnet.mesh.regularisers import (
    edge_loss,
    flatten_loss,
    laplacian_change,
    laplacian_loss,
    laplacian_vectors,
    move_loss,
    normal_loss,
)
from liftnet.mesh.templates import edges_of, grid, hinges_of, icosphere, neighbours

FOLD = torch.tensor([[0, 1, 2], [1, 0, 3]])  # two faces with the edge from 0 to 1


def means(faces, count):
    return neighbours(edges_of(faces), count)


def folded(angle):
    """Two triangles that meet at an angle, in radians; pi is flat."""
    return torch.tensor([[[0, 0, 0], [1, 0, 0], [0.3, 2, 0], [0.8, 3 * math.cos(angle), 3 * math.sin(angle)]]])


def flat_grid(side=7):
    places, faces = grid(side)
    return torch.nn.functional.pad(places, (0, 1))[None].double(), faces


def test_the_laplacian_of_a_linear_function_is_0_inside_a_regular_mesh():
    vertices, faces = flat_grid()
    turned = vertices @ torch.randn(3, 3, dtype=torch.float64) + 1
    vectors = laplacian_vectors(turned, means(faces, 49)).view(7, 7, 3)
    assert torch.allclose(vectors[1:-1, 1:-1], torch.zeros(5, 5, 3, dtype=torch.float64), atol=1e-6)
    assert float(vectors[0, 3].norm()) > 0.01  # a border has neighbours on one side only


def test_the_laplacian_of_a_sphere_points_outwards():
    vertices, faces = icosphere(2)
    vectors = laplacian_vectors(vertices[None], means(faces, 162))[0]
    cosines = torch.nn.functional.cosine_similarity(vectors, vertices)
    assert float(cosines.min()) > 0.8  # 1 where neighbours are spread evenly


def test_the_laplacian_loss_is_that_of_the_matrix():
    _, faces = icosphere(1)
    vertices = torch.randn(2, 42, 3, dtype=torch.float64)
    graph = np.zeros((42, 42))
    for a, b in edges_of(faces).tolist():
        graph[a, b] = graph[b, a] = 1
    matrix = np.eye(42) - graph / graph.sum(1, keepdims=True)
    expected = ((matrix @ vertices.numpy()) ** 2).sum((1, 2))
    assert np.allclose(laplacian_loss(vertices, means(faces, 42)), expected)


@pytest.mark.parametrize("angle", [math.pi, math.pi / 2, math.pi / 3, 2.5, 1e-3])
def test_the_flatten_loss_is_that_of_the_angle(angle):
    expected = (math.cos(angle) + 1) ** 2
    assert float(flatten_loss(folded(angle), hinges_of(FOLD))) == pytest.approx(expected, abs=1e-5)
    other_way = FOLD.clone()
    other_way[1] = FOLD[1].flip(0)  # the winding of a face does not matter
    assert float(flatten_loss(folded(angle), hinges_of(other_way))) == pytest.approx(expected, abs=1e-5)


def test_a_flat_mesh_has_no_flatten_loss_and_a_box_one_for_each_edge():
    vertices, faces = flat_grid()
    assert float(flatten_loss(vertices, hinges_of(faces))) == pytest.approx(0, abs=1e-12)
    box = torch.tensor([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])[None]
    sides = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    faces = torch.tensor([row for a, b, c, d in sides for row in ([a, b, c], [a, c, d])])
    assert float(flatten_loss(box, hinges_of(faces))) == pytest.approx(12)


def test_edges_count_by_their_squared_length():
    vertices, faces = flat_grid(3)
    lengths = [8 * 0.25, 4 * 0.25, 4 * 0.5]  # outer, inner, diagonal
    assert float(edge_loss(vertices, edges_of(faces))) == pytest.approx(sum(lengths) / 16)
    assert float(edge_loss(3 * vertices, edges_of(faces))) == pytest.approx(9 * sum(lengths) / 16)


def test_edges_within_the_surface_have_no_normal_loss():
    vertices, faces = flat_grid()
    up = torch.tensor([0.0, 0.0, 1.0]).double().expand(1, 49, 3)
    assert float(normal_loss(vertices, edges_of(faces), up)) == 0
    upright = vertices[..., [2, 0, 1]]  # in the plane of y and z
    cosines = [abs(float(b[2] - a[2]) / float((b - a).norm())) for a, b in upright[0][edges_of(faces)]]
    assert float(normal_loss(upright, edges_of(faces), -up)) == pytest.approx(float(np.mean(cosines)))


def test_what_does_not_deform_neither_moves_nor_changes():
    vertices, faces = icosphere(2)
    shapes = vertices[None].double()
    assert float(laplacian_change(shapes, shapes, means(faces, 162))) == 0
    assert float(move_loss(shapes, shapes)) == 0
    shifted = shapes + torch.tensor([0.1, 0.0, -0.2])
    assert float(laplacian_change(shifted, shapes, means(faces, 162))) == pytest.approx(0, abs=1e-12)
    assert float(move_loss(shifted, shapes)) == pytest.approx(0.05, rel=1e-5)


def test_gradients_are_those_of_finite_differences():
    _, faces = icosphere(0)
    generator = torch.Generator().manual_seed(0)
    before = torch.randn(2, 12, 3, dtype=torch.float64, generator=generator)
    given = (before + 0.3 * torch.randn(2, 12, 3, dtype=torch.float64, generator=generator)).requires_grad_()
    normals = torch.nn.functional.normalize(torch.randn(2, 12, 3, dtype=torch.float64, generator=generator), dim=2)
    edges, hinges, near = edges_of(faces), hinges_of(faces), means(faces, 12)

    def all_of_them(shapes):
        return torch.stack(
            [
                laplacian_loss(shapes, near),
                flatten_loss(shapes, hinges),
                edge_loss(shapes, edges),
                normal_loss(shapes, edges, normals),
                laplacian_change(shapes, before, near),
                move_loss(shapes, before),
            ]
        )

    assert torch.autograd.gradcheck(all_of_them, (given,))


def test_shapes_of_a_batch_do_not_mix():
    _, faces = icosphere(1)
    shapes = torch.randn(3, 42, 3, dtype=torch.float64)
    for measure in (
        lambda some: laplacian_loss(some, means(faces, 42)),
        lambda some: flatten_loss(some, hinges_of(faces)),
        lambda some: edge_loss(some, edges_of(faces)),
    ):
        assert torch.allclose(measure(shapes)[1], measure(shapes[1:2])[0])


def test_meshes_without_size_have_finite_gradients():
    _, faces = icosphere(0)
    shapes = torch.zeros(1, 12, 3, requires_grad=True)
    normals = torch.ones(1, 12, 3) / math.sqrt(3)
    losses = flatten_loss(shapes, hinges_of(faces)) + normal_loss(shapes, edges_of(faces), normals)
    losses.sum().backward()
    assert bool(shapes.grad.isfinite().all())

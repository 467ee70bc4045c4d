"""Templates: spheres, grids, their edges, subdivision and neighbours, beside trimesh and numpy."""

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree

from liftnet.mesh.templates import (
    copies,
    edges_of,
    grid,
    hinges_of,
    icosphere,
    neighbours,
    subdivide,
    with_midpoints,
)


def trimesh_of(vertices, faces):
    return trimesh.Trimesh(vertices.numpy(), faces.numpy(), process=False)


@pytest.mark.parametrize(("subdivisions", "count"), [(0, 12), (1, 42), (2, 162), (3, 642), (4, 2562)])
def test_a_sphere_is_closed_round_and_wound_outwards(subdivisions, count):
    vertices, faces = icosphere(subdivisions, 0.3)
    sphere = trimesh_of(vertices, faces)
    assert (len(vertices), len(faces)) == (count, 2 * count - 4)
    assert sphere.is_watertight
    assert sphere.volume > 0
    assert torch.allclose(vertices.norm(dim=1), torch.tensor(0.3))


def test_a_sphere_is_the_same_under_a_change_of_sign():
    vertices, _ = icosphere(3)
    tree = cKDTree(vertices)
    for signs in ([-1, 1, 1], [1, -1, 1], [1, 1, -1]):
        assert tree.query(vertices * torch.tensor(signs))[0].max() < 1e-6


@pytest.mark.parametrize("side", [2, 10])
def test_a_grid_is_an_open_square_with_one_border(side):
    vertices, faces = grid(side)
    flat = trimesh_of(torch.nn.functional.pad(vertices, (0, 1)), faces)
    assert (len(vertices), len(faces)) == (side**2, 2 * (side - 1) ** 2)
    assert flat.area == pytest.approx(1)
    assert flat.euler_number == 1
    assert np.allclose(flat.face_normals, flat.face_normals[0])


def test_copies_stand_beside_each_other():
    _, faces = grid(3)
    assert trimesh.graph.connected_components(edges_of(copies(faces, 9, 4)).numpy(), min_len=9)[3].max() == 35
    assert len(copies(faces, 9, 4)) == 4 * len(faces)


@pytest.mark.parametrize("mesh", [icosphere(2), grid(5)], ids=["closed", "open"])
def test_edges_and_hinges_are_those_that_trimesh_finds(mesh):
    vertices, faces = mesh
    solid = trimesh_of(torch.nn.functional.pad(vertices, (0, 3 - vertices.shape[1])), faces)
    assert np.array_equal(edges_of(faces).numpy(), np.unique(solid.edges_unique, axis=0))
    found = {(*sorted(row[:2]), *sorted(row[2:])) for row in hinges_of(faces).tolist()}
    pairs = zip(solid.face_adjacency_edges, solid.face_adjacency_unshared, strict=True)
    assert found == {(*sorted(edge.tolist()), *sorted(third.tolist())) for edge, third in pairs}


def test_an_edge_of_three_faces_is_no_hinge():
    faces = torch.tensor([[0, 1, 2], [0, 1, 3], [0, 1, 4], [1, 2, 5]])
    ((*edge, one, other),) = hinges_of(faces).tolist()
    assert ({*edge}, {one, other}) == ({1, 2}, {0, 5})


def test_a_mesh_without_faces_has_no_edges():
    none = torch.zeros(0, 3, dtype=torch.int64)
    assert edges_of(none).shape == (0, 2)
    assert hinges_of(none).shape == (0, 4)


def test_subdivision_gives_a_vertex_an_edge_and_four_faces_a_face():
    vertices, faces = icosphere(1)
    parts = subdivide(faces, len(vertices))
    finer = with_midpoints(vertices, parts.edges)
    assert finer.shape == (42 + 120, 3)
    assert parts.faces.shape == (320, 3)
    coarse, fine = trimesh_of(vertices, faces), trimesh_of(finer, parts.faces)
    assert fine.is_watertight
    assert fine.volume == pytest.approx(coarse.volume, rel=1e-5)  # new vertices lie in the old faces
    assert torch.equal(finer[:42], vertices)


def test_midpoints_of_a_batch_are_those_of_each():
    edges = torch.tensor([[0, 1], [1, 2]])
    values = torch.randn(4, 3, 5)
    assert torch.equal(with_midpoints(values, edges)[2], with_midpoints(values[2], edges))


def matrix(given, count):
    return given.sums(torch.eye(count))


def test_the_symmetric_adjacency_has_eigenvalues_within_one():
    vertices, faces = icosphere(2)
    weights = matrix(neighbours(edges_of(faces), len(vertices), symmetric=True), len(vertices))
    assert torch.equal(weights, weights.T)
    values = np.linalg.eigvalsh(weights.double().numpy())
    assert values.min() >= -1 - 1e-6
    assert values.max() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("mesh", [icosphere(1), grid(4)], ids=["closed", "open"])
def test_the_symmetric_adjacency_is_the_formula(mesh):
    vertices, faces = mesh
    graph = np.zeros((len(vertices), len(vertices)))
    for a, b in edges_of(faces).tolist():
        graph[a, b] = graph[b, a] = 1
    roots = 1 / np.sqrt(graph.sum(1))
    expected = roots[:, None] * graph * roots
    found = matrix(neighbours(edges_of(faces), len(vertices), symmetric=True), len(vertices))
    assert np.allclose(found.numpy(), expected, atol=1e-6)


def test_with_as_many_neighbours_everywhere_rows_sum_to_one():
    _, faces = icosphere(0)
    for symmetric in (True, False):
        assert torch.allclose(matrix(neighbours(edges_of(faces), 12, symmetric), 12).sum(1), torch.ones(12))


def test_means_of_neighbours_are_those_that_are_counted():
    _, faces = grid(4)
    edges = edges_of(faces).tolist()
    values = torch.randn(16, 2, 3)
    means = neighbours(edges_of(faces), 16).sums(values)
    for vertex in range(16):
        others = [a if b == vertex else b for a, b in edges if vertex in (a, b)]
        assert torch.allclose(means[vertex], values[others].mean(0), atol=1e-6)


def test_a_vertex_without_neighbours_has_sums_of_nothing():
    assert neighbours(torch.tensor([[0, 1]]), 3).sums(torch.ones(3, 2)).tolist() == [[1, 1], [1, 1], [0, 0]]
    assert neighbours(torch.zeros(0, 2, dtype=torch.int64), 2).sums(torch.ones(2, 2)).tolist() == [[0, 0], [0, 0]]

import numpy as np
import pytest
import trimesh

from liftnet.mesh.isosurface import evaluate, mesh_field, sample_grid
from liftnet.mesh.mesh import stand
from liftnet.render.artists import FAMILIES, STYLES, plan_works
from liftnet.render.random_source import ShapeParams
from liftnet.render.sdf import box, capsule, ellipsoid, rotation, smooth_min, sphere, subtract, torus, twist, union


def test_sphere_is_meshed_exactly():
    mesh = mesh_field(sphere((0.1, -0.2, 0.3), 0.8), 40, up="z")
    outward = mesh.vertices - np.array([0.1, -0.2, 0.3])
    distance = np.linalg.norm(outward, axis=1)
    np.testing.assert_allclose(distance, 0.8, atol=2e-5)
    assert (mesh.normals * outward / distance[:, None]).sum(1).min() > 0.9995
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.is_watertight
    assert solid.volume == pytest.approx(4 / 3 * np.pi * 0.8**3, rel=0.01)  # positive: the faces look outward
    assert solid.euler_number == 2


def test_torus_and_pierced_box_keep_their_hole():
    for field in (
        torus((0, 0, 0), 0.6, 0.2),
        subtract(box((0, 0, 0), (0.7, 0.3, 0.7)), capsule((0, -1, 0), (0, 1, 0), 0.3)),
    ):
        mesh = mesh_field(field, 48, up="z")
        assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).euler_number == 0


@pytest.mark.parametrize("turn", [None, rotation(0.5, 0.3, -0.7)])
def test_primitives_measure_the_distance_along_their_axes(turn):
    axis = np.array([1.0, 0, 0]) if turn is None else turn @ np.array([1.0, 0, 0])
    points = (np.outer([0.0, 0.5, 0.7, 1.5], axis)).astype(np.float32)
    np.testing.assert_allclose(
        evaluate(box((0, 0, 0), (0.7, 0.2, 0.9), 0.1, turn), points)[1:], [-0.2, 0, 0.8], atol=1e-6
    )
    on_surface = evaluate(ellipsoid((0, 0, 0), (0.7, 0.3, 0.5), turn), points)
    assert abs(on_surface[2]) < 1e-6
    assert on_surface[1] < 0 < on_surface[3]


def test_smooth_minimum_lies_below_both_and_meets_them_away_from_the_seam():
    a, b = np.linspace(-1, 1, 101, dtype=np.float32), np.zeros(101, np.float32)
    value = smooth_min(a, b, 0.4)
    assert (value <= np.minimum(a, b) + 1e-7).all()
    far = np.abs(a) > 0.41
    np.testing.assert_allclose(value[far], np.minimum(a, b)[far], atol=1e-7)
    assert value[50] == pytest.approx(-0.1)


def test_twist_by_a_quarter_turn_swaps_the_sides_of_a_box():
    twisted = twist(box((0, 0, 0), (0.8, 0.1, 1.0)), np.pi / 2)
    top = np.array([[0, 0.6, 0.99], [0.6, 0, 0.99], [0.6, 0, 0], [0, 0.6, 0]], np.float32)
    np.testing.assert_array_equal(evaluate(twisted, top) < 0, [True, False, True, False])


def test_only_the_largest_piece_is_kept():
    mesh = mesh_field(union(sphere((0, 0, 0), 0.6), sphere((1.2, 0, 0), 0.2)), 40, up="z")
    assert mesh.vertices[:, 0].max() < 0.7


@pytest.mark.parametrize("name", FAMILIES)
def test_family_gives_a_solid_that_sparse_sampling_does_not_change(name):
    rng = np.random.default_rng(3)
    field = FAMILIES[name](ShapeParams(rng, 0.1, 1.0, 0.0))
    corner, spacing, values = sample_grid(field, 40)
    index = np.stack(np.meshgrid(*map(np.arange, values.shape), indexing="ij"), -1).reshape(-1, 3)
    inner = ((index > 0) & (index < np.array(values.shape) - 1)).all(1)
    full = evaluate(field, corner + index * spacing)
    assert ((full < 0) == (values.ravel() < 0))[inner].all()
    mesh = stand(mesh_field(field, 48, up="z"))
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.is_watertight
    assert solid.volume > 0.02
    assert mesh.vertices[:, 2].min() == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(mesh.vertices - (solid.bounds.sum(0) / 2), axis=1).max() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-4)


def test_works_differ_in_shape_within_and_between_artists():
    works = plan_works(16, 4, seed=0)
    filled = []
    for work in works:
        mesh = stand(mesh_field(work.shape(), 24, up="z"))
        solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        cells = ((mesh.vertices - solid.bounds.mean(0)) * 12).round().astype(int)
        filled.append({tuple(cell) for cell in cells})
    overlap = np.array([[len(a & b) / len(a | b) for b in filled] for a in filled])
    np.fill_diagonal(overlap, 0)
    assert overlap.max() < 0.75  # no two surfaces fill the same cells
    assert np.median(overlap) < 0.25
    assert len({work.family for work in works}) >= 24


def test_artists_and_works_have_names_of_their_own_and_seeds_that_do_not_depend_on_the_number():
    works = plan_works(40, 7, seed=1)
    assert len({work.artist for work in works}) == 40
    assert len({work.work_id for work in works}) == 280
    assert len({work.seed for work in works}) == 280
    few = plan_works(2, 3, seed=1)
    assert few == [work for work in works[:14] if work in few]
    assert any(not style.name.isascii() for style in STYLES)
    assert all(" " in style.name for style in STYLES)

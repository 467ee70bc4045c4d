"""Shape Google: spectra against theory and libigl, signatures that bending leaves alone, bags, vocabularies."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from liftnet.core.errors import LiftnetError
from liftnet.mesh.mesh import TriangleMesh
from liftnet.mesh.reading import load_mesh
from liftnet.shape.laplacian import heat_kernel_signature, sampled_spectrum, surface_spectrum
from liftnet.shape.settings import ShapeGoogleSettings
from liftnet.shape.shape_google import (
    cluster_words,
    describe,
    describe_pairs,
    distance,
    drawn_signatures,
    load_vocabulary,
)

SCULPTURES = Path(__file__).resolve().parents[3] / "shared" / "data" / "meshes" / "sculptures"
TIMES = np.geomspace(0.01, 0.08, 4)
SMALL = ShapeGoogleSettings(words=6, points=500, eigenpairs=60)


def solid(mesh):
    return TriangleMesh(np.asarray(mesh.vertices, float), np.asarray(mesh.faces, np.int64))


def sheet(width, height, columns, rows):
    """A rectangle in the plane z = 0, its vertices a little off the grid but for the border."""
    x, y = np.meshgrid(np.linspace(0, width, columns + 1), np.linspace(0, height, rows + 1), indexing="ij")
    off = np.random.default_rng(0).uniform(-0.2, 0.2, (2, *x.shape)) * width / columns
    off[:, [0, -1]] = off[:, :, [0, -1]] = 0
    vertices = np.stack([x + off[0], y + off[1], 0 * x], -1).reshape(-1, 3)
    corner = (np.arange(columns)[:, None] * (rows + 1) + np.arange(rows)).ravel()
    faces = [[corner, corner + rows + 1, corner + rows + 2], [corner, corner + rows + 2, corner + 1]]
    return TriangleMesh(vertices, np.concatenate([np.stack(face, 1) for face in faces]))


@pytest.fixture(scope="module")
def sphere():
    return solid(trimesh.creation.icosphere(4))


@pytest.fixture(scope="module")
def kinds():
    box, ball = trimesh.creation.box((1, 1, 1)), trimesh.creation.icosphere(2)
    rod = trimesh.creation.cylinder(0.4, 3)
    return {name: solid(mesh) for name, mesh in {"box": box, "ball": ball, "rod": rod}.items()}


def learnt_from(meshes, settings, seed=0):
    return cluster_words([drawn_signatures(mesh, settings, seed) for mesh in meshes], settings, seed)


@pytest.fixture(scope="module")
def words(kinds):
    return learnt_from(kinds.values(), SMALL, seed=3)


def test_the_eigenvalues_of_a_sphere(sphere):
    expected = np.concatenate([np.full(2 * k + 1, k * (k + 1)) for k in range(6)]) * 4 * np.pi
    assert surface_spectrum(sphere, 36).eigenvalues == pytest.approx(expected, rel=0.02, abs=1e-6)
    sampled = sampled_spectrum(sphere, 3000, 36, seed=1).eigenvalues
    assert sampled == pytest.approx(expected, rel=0.1, abs=1e-6)


def test_the_eigenvalues_of_an_open_rectangle_and_of_a_cylinder_without_ends():
    width, height = 2.0, 1.0
    flat = sheet(width, height, 60, 30)
    m, n = np.meshgrid(np.arange(12), np.arange(12))
    expected = np.sort((np.pi**2 * ((m / width) ** 2 + (n / height) ** 2)).ravel())[:20] * width * height
    assert surface_spectrum(flat, 20).eigenvalues == pytest.approx(expected, rel=0.02, abs=1e-6)
    pipe = trimesh.creation.cylinder(1, 1, sections=100)
    for _ in range(3):
        pipe = pipe.subdivide()
    wall = pipe.submesh([np.abs(pipe.face_normals[:, 2]) < 0.5], append=True)
    around = np.repeat(np.arange(10), 2)[1:]  # a wave around and its quarter turn
    expected = np.sort((around[:, None] ** 2 + (np.pi * np.arange(5)) ** 2).ravel())[:15] * 2 * np.pi
    assert surface_spectrum(solid(wall), 15).eigenvalues == pytest.approx(expected, rel=0.02, abs=1e-5)


def test_the_operator_is_the_cotangent_laplacian_of_libigl(sphere):
    igl = pytest.importorskip("igl", reason="libigl is a dependency of development")
    import robust_laplacian
    import scipy.sparse.linalg

    stretched = TriangleMesh(sphere.vertices * [1, 1.1, 0.9], sphere.faces)  # still Delaunay
    stiffness, mass = robust_laplacian.mesh_laplacian(stretched.vertices, stretched.faces)
    theirs = -igl.cotmatrix(stretched.vertices, stretched.faces)
    areas = igl.massmatrix(stretched.vertices, stretched.faces, igl.MASSMATRIX_TYPE_BARYCENTRIC)
    assert abs(stiffness - theirs).max() < 1e-4 * abs(theirs).max()
    assert mass.diagonal() == pytest.approx(areas.diagonal(), rel=1e-3)
    values = scipy.sparse.linalg.eigsh(theirs.tocsc(), 20, areas, sigma=-0.01, return_eigenvectors=False)
    expected = np.sort(values) * areas.diagonal().sum()
    assert surface_spectrum(stretched, 20).eigenvalues == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_the_signature_of_a_sphere_is_known_and_the_same_everywhere(sphere):
    degree = np.arange(60)[:, None]
    expected = ((2 * degree + 1) * np.exp(-degree * (degree + 1) * 4 * np.pi * TIMES)).sum(0)
    spectrum = surface_spectrum(sphere, 120)
    assert heat_kernel_signature(spectrum, TIMES) == pytest.approx(np.tile(expected, (2562, 1)), rel=0.01)
    trace = np.exp(-spectrum.eigenvalues[:, None] * TIMES).sum(0)
    assert spectrum.areas @ heat_kernel_signature(spectrum, TIMES) == pytest.approx(trace)


def test_bending_moving_and_scaling_change_no_signature():
    flat = sheet(2.0, 1.0, 40, 20)
    x, y = flat.vertices[:, 0], flat.vertices[:, 1]
    bent = TriangleMesh(np.stack([np.sin(x), y, np.cos(x)], 1), flat.faces)
    turn = trimesh.transformations.rotation_matrix(1.0, (1, 2, 3))[:3, :3]
    moved = TriangleMesh(17 * flat.vertices @ turn.T + [5, 6, 7], flat.faces)
    expected = heat_kernel_signature(surface_spectrum(flat, 80), TIMES)
    assert heat_kernel_signature(surface_spectrum(bent, 80), TIMES) == pytest.approx(expected, rel=5e-3)
    assert heat_kernel_signature(surface_spectrum(moved, 80), TIMES) == pytest.approx(expected, rel=1e-5)
    pressed = TriangleMesh(flat.vertices * [1, 1.5, 1], flat.faces)
    other = heat_kernel_signature(surface_spectrum(pressed, 80), TIMES)
    assert np.abs(other / expected - 1).max() > 0.05  # what is no bending does


def test_two_triangulations_have_the_same_bag_and_two_shapes_have_not(kinds, words):
    coarse = kinds["box"]
    fine = trimesh.creation.box((1, 1, 1)).subdivide().subdivide().subdivide().subdivide()
    bags = {name: describe(mesh, words) for name, mesh in kinds.items()}
    between = min(distance(bags["box"], bags["ball"]), distance(bags["box"], bags["rod"]))
    assert distance(bags["box"], describe(solid(fine), words)) < 0.35 * between
    moved = TriangleMesh(coarse.vertices[:, [1, 2, 0]] * 0.01 + 30, coarse.faces)
    assert distance(bags["box"], describe(moved, words)) < 1e-3


def test_words_of_the_mesh_itself_know_no_chance():
    sphere = solid(trimesh.creation.icosphere(3))
    along = SMALL.model_copy(update={"surface": "mesh"})
    words = learnt_from([sphere, TriangleMesh(sphere.vertices * [1, 2, 1], sphere.faces)], along)
    bags = [describe(sphere, words, seed) for seed in (0, 1)]
    assert np.array_equal(*bags)
    assert bags[0].max() > 0.5  # a sphere looks the same everywhere
    assert describe_pairs(sphere, words).sum(1) == pytest.approx(bags[0], abs=1e-6)


def test_parts_that_touch_are_one_shape():
    boxes = [trimesh.creation.box((1, 1, 1)), trimesh.creation.box((1, 1, 1)).apply_translation((1.001, 0, 0))]
    pair = solid(trimesh.util.concatenate(boxes))
    assert (sampled_spectrum(pair, 800, 6).eigenvalues < 0.1).sum() == 1
    assert (surface_spectrum(pair, 6).eigenvalues < 0.1).sum() == 2


def test_a_soup_with_a_sliver_a_lone_triangle_and_an_unused_vertex_is_described(words):
    ball = trimesh.creation.icosphere(2)
    vertices = np.concatenate([ball.vertices, [[3, 0, 0], [3, 1, 0], [3, 0, 1], [9, 9, 9], [3, 0.5, 1e-13]]])
    faces = np.concatenate([ball.faces, [[162, 163, 164], [162, 163, 166], [0, 1, 162]]])
    soup = TriangleMesh(vertices, faces)
    assert np.isfinite(surface_spectrum(soup, 20).functions).all()
    assert describe(soup, words).sum() == pytest.approx(1)
    line = TriangleMesh(np.array([[0, 0, 0], [1, 0, 0], [0.5, 1e-11, 0]]), np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match="on a line"):
        describe(line, words)


def test_a_distance_is_one(kinds, words):
    bags = [describe(mesh, words) for mesh in kinds.values()]
    for a in bags:
        assert distance(a, a) == 0
        assert a.min() >= 0
        assert a.sum() == pytest.approx(1)
        for b in bags:
            assert distance(a, b) == distance(b, a) <= 2
            assert all(distance(a, b) <= distance(a, c) + distance(c, b) + 1e-12 for c in bags)
    with pytest.raises(ValueError, match="same shape"):
        distance(bags[0], bags[0][:3])


def test_pairs_of_words_sum_to_the_bag(kinds, words):
    for mesh in kinds.values():
        bag, pairs = describe(mesh, words), describe_pairs(mesh, words)
        assert pairs == pytest.approx(pairs.T, abs=1e-12)
        assert pairs.sum(1) == pytest.approx(bag, abs=1e-6)  # heat is kept on a connected surface
    late = describe_pairs(kinds["ball"], words, time=5.0)
    bag = describe(kinds["ball"], words)
    assert late == pytest.approx(np.outer(bag, bag), abs=1e-6)  # in the end it is everywhere


def test_memberships_are_the_published_formula(words):
    signatures = np.random.default_rng(1).uniform(1, 3, (5, SMALL.times))
    expected = np.exp(-((signatures[:, None] - words.words) ** 2).sum(-1) / (2 * words.sigma**2))
    assert words.memberships(signatures) == pytest.approx(expected / expected.sum(1, keepdims=True))
    assert words.memberships(signatures * 1e6).sum(1) == pytest.approx(np.ones(5))  # far from every word


def test_the_same_shapes_and_seed_give_the_same_vocabulary(kinds, words, tmp_path):
    again = learnt_from(kinds.values(), SMALL, seed=3)
    assert np.array_equal(again.words, words.words)
    assert again.sigma == words.sigma
    words.save(tmp_path / "a.safetensors")
    again.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    read = load_vocabulary(tmp_path / "a.safetensors")
    assert np.array_equal(read.words, words.words)
    assert (read.sigma, read.settings, read.shapes) == (words.sigma, SMALL, 3)


def test_files_that_are_no_vocabulary_are_refused(tmp_path):
    from safetensors.numpy import save_file

    with pytest.raises(LiftnetError, match="does not exist"):
        load_vocabulary(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    save_file({"words": np.zeros((3, 2))}, tmp_path / "other.safetensors")
    for name in ("text", "other"):
        with pytest.raises(LiftnetError, match="no vocabulary"):
            load_vocabulary(tmp_path / f"{name}.safetensors")
    with pytest.raises(LiftnetError, match="too few"):
        cluster_words([], SMALL)


@pytest.mark.real
@pytest.mark.skipif(not SCULPTURES.is_dir(), reason=f"the sculptures are not at {SCULPTURES}")
def test_a_real_sculpture_is_nearest_to_itself_coarser_turned_and_in_other_units():
    bunny, skull, lucy = (load_mesh(SCULPTURES / f"{name}.ply") for name in ("bunny", "skull", "lucy"))
    cells = np.round(bunny.vertices * 40).astype(int)  # vertices within a fortieth of the diagonal become one
    _, first, place = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    faces = place.ravel()[bunny.faces]
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    coarse = TriangleMesh(-100 * bunny.vertices[first][:, [2, 0, 1]] * [1, -1, -1] + 7, faces)
    assert len(coarse.faces) < len(bunny.faces) / 4
    bags = [describe(mesh) for mesh in (bunny, coarse, skull, lucy)]
    apart = [distance(bags[0], bag) for bag in bags[1:]]
    assert apart[0] < 0.5 * min(apart[1:])

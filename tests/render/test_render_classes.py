"""Generated shapes of the classes: sound meshes, each its own, the same for the same seed."""

import numpy as np
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.render.classes import CLASSES, make_shape
from liftnet.render.classes.model import Model, ball, beam, box, lathe, loft, mirrored, ring, rod, slab, tube, wing
from liftnet.render.scene import Bodies

TABLE_2 = (
    "rifle bookshelf bus bed speaker cabinet lamp chair train airplane table display motorbike car watercraft "
    "telephone sofa"
)
CURVE = np.array([[-1.0, 0], [0, 0.1], [1, 0]])
PARTS = {
    "box": (box((1, 2, 3), (1, 2, 3), 0.0), 6.0),
    "tapered box": (box((0, 0, 0), (1, 1, 1), 0.0, taper=0.5), (1 + 0.25 + 0.5) / 3),
    "ball": (ball((3, 0, 0), (1, 2, 3), 48), 8 * np.pi),
    "rod": (rod((0, 0, 0), (1, 1, 0), 0.1, sides=64), np.pi * 0.01 * np.sqrt(2)),
    "cone": (rod((0, 0, 1), (0, 0, 0), 0.3, 0.0, sides=64), np.pi * 0.09 / 3),
    "beam": (beam((0, 0, 0), (0, 3, 4), 0.1, 0.2), 0.1),
    "lathe": (lathe([(0, 1), (2, 1)], axis=(0, 1, 0)), 2 * 16 * np.sin(np.pi / 16)),
    "tube": (tube([(0, 0, 0), (1, 0, 0), (2, 0, 0)], 0.2, 64), np.pi * 0.08),
    "ring": (ring((0, 0, 0), 1.0, 0.1), 36 * np.sin(np.pi / 18) * 0.05 * np.sin(np.pi / 5)),
    "slab": (slab(CURVE, np.add(CURVE, [0, 1]), 0.5), 1.0),
    "wing": (wing((0, 0, 0), (2, 1, 0), 1.0, 0.5, 0.1), None),
}


def volume(part):
    a, b, c = (part.vertices[part.faces[:, i]] for i in range(3))
    return abs(np.einsum("ij,ij->", np.cross(a, b), c)) / 6


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_closed_and_has_its_volume(name):
    part, expected = PARTS[name]
    _, index = np.unique(np.round(part.vertices, 9), axis=0, return_inverse=True)
    faces = index[part.faces]
    faces = faces[(faces != np.roll(faces, 1, 1)).all(1)]
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward = {tuple(edge) for edge in edges}
    assert all((b, a) in forward for a, b in forward)
    if expected is not None:
        assert volume(part) == pytest.approx(expected, rel=0.02)


def test_a_mirror_image_still_faces_outward():
    model = Model()
    model.add((0.5, 0.5, 0.5), *mirrored(ball((2, 0, 0), 1.0)))
    mesh = model.mesh()
    centre = np.array([np.sign(mesh.vertices[:, 0]) * 2 / 3, 0 * mesh.vertices[:, 0], 0 * mesh.vertices[:, 0]]).T
    out = mesh.vertices - centre
    assert (np.einsum("ij,ij->i", mesh.normals, out) > 0).all()


def test_edges_stay_sharp_and_round_surfaces_smooth():
    sharp, smooth = Model(), Model()
    sharp.add((0.5, 0.5, 0.5), box((0, 0, 0), (1, 1, 1), 0.0))
    smooth.add((0.5, 0.5, 0.5), ball((0, 0, 0), 1.0, 24))
    cube, sphere = sharp.mesh(), smooth.mesh()
    assert np.allclose(np.abs(cube.normals).max(1), 1, atol=1e-5)
    assert len(cube.vertices) == 24 + 2 * 1, "four corners for each face, and the middles of two of them"
    assert np.einsum("ij,ij->i", sphere.normals, sphere.vertices).min() > 0.99


def test_the_classes_are_those_of_table_2():
    assert " ".join(CLASSES) == TABLE_2


@pytest.mark.parametrize("name", CLASSES)
def test_twenty_shapes_of_a_class_are_sound_and_all_different(name):
    meshes = [make_shape(name, seed) for seed in range(20)]
    for mesh in meshes:
        assert mesh.vertices.dtype == np.float32
        assert mesh.faces.dtype == np.int32
        assert np.isfinite(mesh.vertices).all()
        assert np.linalg.norm(mesh.vertices, axis=1).max() == pytest.approx(1, abs=1e-5)
        assert np.abs(mesh.vertices.min(0) + mesh.vertices.max(0)).max() < 1e-5
        assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-4)
        assert 100 <= len(mesh.faces) <= 20_000
        assert np.unique(mesh.faces).tolist() == list(range(len(mesh.vertices)))
        assert mesh.colours.shape == mesh.vertices.shape
        assert 0 < mesh.colours.min() <= mesh.colours.max() <= 1
        a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(float) for i in range(3))
        cross = np.cross(b - a, c - a)
        assert np.linalg.norm(cross, axis=1).min() > 0
        assert np.einsum("ij,ij->i", cross, mesh.normals[mesh.faces].sum(1)).min() > 0, "a normal against its face"
    assert len({(len(mesh.faces), mesh.vertices.tobytes()) for mesh in meshes}) == 20
    assert len({len(mesh.faces) for mesh in meshes}) >= 3, "too few kinds"


@pytest.mark.parametrize("name", CLASSES)
def test_shapes_look_different_from_the_side(name):
    ticks = np.linspace(-1, 1, 32)
    grid = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
    way = np.array([np.sqrt(0.5), np.sqrt(0.5), 0])
    origins = grid[:, :1] * [way[1], -way[0], 0] + grid[:, 1:] * [0, 0, 1] - 3 * way
    directions = np.tile(way, (len(grid), 1))
    masks = [Bodies(make_shape(name, seed)).first(origins, directions)["geomID"] >= 0 for seed in range(8)]
    overlaps = [(a & b).sum() / (a | b).sum() for i, a in enumerate(masks) for b in masks[:i]]
    assert np.median(overlaps) < 0.95
    assert min(mask.sum() for mask in masks) > 10


@pytest.mark.parametrize("name", ["chair", "train"])
def test_the_same_seed_gives_the_same_shape(name):
    one, two, other = make_shape(name, 7), make_shape(name, 7), make_shape(name, 8)
    for field in ("vertices", "faces", "normals", "colours"):
        assert np.array_equal(getattr(one, field), getattr(two, field))
    assert not np.array_equal(one.vertices, other.vertices)


def test_an_unknown_class_is_refused_with_the_known_ones():
    with pytest.raises(LiftnetError, match=r"dragon.*chair"):
        make_shape("dragon", 0)


def test_a_loft_of_two_squares_is_a_box():
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    assert volume(loft(np.stack([square, np.add(square, [0, 0, 2])]))) == pytest.approx(2)

"""One mesh type: its axis, its normals, whether it is closed, and where it stands."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from liftnet.mesh.mesh import BadMeshError, TriangleMesh, check_mesh, is_closed, normalise, stand, with_creases
from liftnet.mesh.reading import find_meshes, read_mesh
from liftnet.mesh.settings import ReadingSettings


def mesh_of(solid: trimesh.Trimesh, up="y") -> TriangleMesh:
    return replace(check_mesh(solid.vertices, solid.faces), up=up)


def test_turning_upright_keeps_the_volume_and_comes_back():
    cone = trimesh.creation.cone(1, 3)
    z_up = mesh_of(cone, "z")
    y_up = z_up.to_up("y")
    assert (y_up.up, z_up.to_up("z")) == ("y", z_up)
    volume = trimesh.Trimesh(y_up.vertices, y_up.faces).volume
    assert volume == pytest.approx(cone.volume)  # not mirrored
    np.testing.assert_allclose(y_up.vertices[:, 1], cone.vertices[:, 2])  # what was high is high
    np.testing.assert_allclose(y_up.vertices[:, 2], -cone.vertices[:, 1])  # the front, at -y, comes to face +z
    np.testing.assert_array_equal(y_up.to_up("z").vertices, cone.vertices)


def test_normals_turn_with_the_mesh():
    mesh = replace(with_creases(mesh_of(trimesh.creation.box((1, 2, 3))), 40), up="z")
    turned = mesh.to_up("y")
    corners = turned.corners
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("fcd,fd->fc", turned.known_normals[turned.faces], outward) > 0).all()


def test_a_box_keeps_its_edges_and_a_ball_has_none():
    box = with_creases(mesh_of(trimesh.creation.box((1, 2, 3))), 40)
    assert len(box.vertices) == 24
    assert set(np.abs(box.known_normals).max(1).round(9)) == {1.0}
    ball = with_creases(mesh_of(trimesh.creation.icosphere(3)), 40)
    assert len(ball.vertices) == 642
    assert (ball.known_normals * ball.vertices).sum(1).min() > 0.999


def test_a_mesh_without_normals_says_so():
    with pytest.raises(ValueError, match="no normals"):
        mesh_of(trimesh.creation.box()).known_normals  # noqa: B018


def test_closed_is_what_trimesh_calls_watertight_and_two_boxes_that_touch_too():
    ball, open_ball = trimesh.creation.icosphere(2), trimesh.creation.icosphere(2)
    open_ball.faces = open_ball.faces[1:]
    for solid in (ball, open_ball, trimesh.creation.annulus(1, 2, 1), trimesh.creation.box()):
        assert is_closed(mesh_of(solid)) == solid.is_watertight
    two = trimesh.util.concatenate([trimesh.creation.box(), trimesh.creation.box().apply_translation([1, 1, 0])])
    two.merge_vertices()  # they share an edge: four faces meet there
    assert not two.is_watertight
    assert is_closed(mesh_of(two))


@pytest.mark.parametrize("up", ["y", "z"])
def test_standing_meshes_touch_the_ground_over_the_origin(up):
    solid = trimesh.creation.cylinder(0.3, 2).apply_translation([5, -7, 3])
    mesh = replace(mesh_of(solid, up), vertices=solid.vertices.astype(np.float32))
    placed = stand(mesh, radius=2)
    assert placed.vertices.dtype == np.float32
    axis = "xyz".index(up)
    low, high = placed.vertices.min(0), placed.vertices.max(0)
    assert low[axis] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(np.delete((low + high) / 2, axis), 0, atol=1e-6)
    assert np.linalg.norm(placed.vertices - (low + high) / 2, axis=1).max() == pytest.approx(2, abs=1e-5)


def test_normalising_keeps_axis_and_normals():
    mesh = replace(with_creases(mesh_of(trimesh.creation.box((1, 2, 4))), 40), up="z")
    placed = normalise(mesh, "side")
    assert placed.up == "z"
    np.testing.assert_allclose(np.ptp(placed.vertices, axis=0), [0.25, 0.5, 1])
    np.testing.assert_allclose(placed.known_normals, mesh.known_normals)


def test_only_unused_vertices_may_be_no_numbers():
    box = trimesh.creation.box()
    vertices = np.vstack([[[np.inf, 0, 0]], box.vertices])
    mesh = check_mesh(vertices, box.faces + 1)
    np.testing.assert_array_equal(mesh.corners, box.vertices[box.faces])
    with pytest.raises(BadMeshError) as caught:
        check_mesh(vertices, box.faces)
    assert caught.value.status == "not_finite"


def test_another_program_may_read_a_format(tmp_path):
    path = tmp_path / "part.fbx"
    path.write_bytes(b"anything")
    cone = trimesh.creation.cone(1, 3)

    def convert(given):
        assert given == path
        return TriangleMesh(cone.vertices, cone.faces, up="z")

    assert find_meshes(tmp_path, {".fbx": convert}) == {"part": path}
    read = read_mesh(path, "y", converters={".fbx": convert})
    assert read.mesh.up == "y"
    assert np.ptp(read.mesh.vertices[:, 1]) == pytest.approx(3)  # it says itself what is up
    with pytest.raises(BadMeshError, match="triangles") as caught:
        read_mesh(path, settings=ReadingSettings(max_faces=3), converters={".fbx": convert})
    assert caught.value.status == "too_large"
    with pytest.raises(BadMeshError, match="name vertices that do not exist"):
        read_mesh(path, converters={".fbx": lambda given: TriangleMesh(cone.vertices[:3], cone.faces)})
    with pytest.raises(BadMeshError, match="not a format") as caught:
        read_mesh(path)
    assert caught.value.status == "unreadable"
    with pytest.raises(BadMeshError) as caught:
        read_mesh(tmp_path / "gone.ply")
    assert caught.value.status == "missing"

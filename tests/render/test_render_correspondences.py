"""Orthographic views and the correspondences between them, against shapes whose answers are known."""

import numpy as np
import pytest

from liftnet.data.truth import TrueView
from liftnet.geometry.cameras import OrthographicCamera
from liftnet.mesh.isosurface import mesh_field
from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.artists import plan_works
from liftnet.render.materials import MATERIALS, paint
from liftnet.render.ray_caster import make_subject, render_view
from liftnet.render.sdf import sphere
from liftnet.render.sets import chosen, correspondences, pair_rows, visible
from liftnet.render.viewpoints import DISTANCE, FILL, fit_frame, orthographic_camera, shapenet_views, sketchfab_views

SIZE, RADIUS = 96, 0.8


def ball_view(azimuth: float) -> TrueView:
    """A ball about the origin, its depth by the formula."""
    axis = (np.arange(SIZE) - (SIZE - 1) / 2) / (SIZE / 2)
    inside = RADIUS**2 - axis[None] ** 2 - axis[:, None] ** 2
    near = np.sqrt(np.where(inside > 0, inside, np.nan))
    return TrueView(DISTANCE - near, orthographic_camera(np.zeros(3), azimuth, 0.0, SIZE))


@pytest.mark.parametrize("turn", [10, 30, 90, 150])
def test_correspondences_on_a_ball_follow_its_rotation(turn):
    delta = np.radians(turn)
    source, target = ball_view(0.4), ball_view(0.4 + delta)
    a, b = correspondences(source, target)
    u, v = (a - (SIZE - 1) / 2).T / (SIZE / 2)
    w = np.sqrt(RADIUS**2 - u**2 - v**2)  # towards the camera
    expected = np.stack([u * np.cos(delta) - w * np.sin(delta), v], 1) * (SIZE / 2) + (SIZE - 1) / 2
    np.testing.assert_allclose(b, expected, atol=1e-4)
    assert ((u * np.sin(delta) + w * np.cos(delta)) > 0).all()  # the points of b's own near side
    rows, columns = np.nonzero(source.mask)
    x, y = (columns - (SIZE - 1) / 2) / (SIZE / 2), (rows - (SIZE - 1) / 2) / (SIZE / 2)
    facing = x * np.sin(delta) + np.sqrt(RADIUS**2 - x**2 - y**2) * np.cos(delta) > 0.35 * RADIUS
    found = {tuple(point) for point in a.astype(int).tolist()}
    assert {(c, r) for c, r in zip(columns[facing].tolist(), rows[facing].tolist(), strict=True)} <= found


def test_what_stands_behind_is_not_seen():
    camera = OrthographicCamera(SIZE / 2, np.full(2, (SIZE - 1) / 2), np.eye(3), np.zeros(3))
    depth = np.full((SIZE, SIZE), 3.0)
    depth[:, :40] = 2.0  # a screen before the left part of a wall
    wall = TrueView(np.full((SIZE, SIZE), 3.0), camera)
    a, b = correspondences(wall, TrueView(depth, camera))
    np.testing.assert_array_equal(a, b)
    assert set(a[:, 0].astype(int)) == set(range(40, SIZE - 1))


def test_a_slanted_wall_is_seen_and_its_tolerance_stays_below_the_next_surface():
    """A wall at 60 degrees; points 5 px behind it are hidden."""
    camera = OrthographicCamera(SIZE / 2, np.full(2, (SIZE - 1) / 2), np.eye(3), np.zeros(3))
    slope = np.tan(np.radians(60)) / (SIZE / 2)
    view = TrueView(np.tile(3.0 + slope * np.arange(SIZE), (SIZE, 1)), camera)
    pixels = np.random.default_rng(0).uniform(1, SIZE - 2, (500, 2))
    own = 3.0 + slope * pixels[:, 0]
    assert visible(view, pixels, own).all()
    assert not visible(view, pixels, own + 5 / (SIZE / 2)).any()


def test_an_empty_view_sees_nothing():
    camera = orthographic_camera(np.zeros(3), 0.0, 0.0, SIZE)
    empty = TrueView(np.full((SIZE, SIZE), np.nan), camera)
    for pair in ((ball_view(0.0), empty), (empty, ball_view(0.0))):
        a, b = correspondences(*pair)
        assert a.shape == b.shape == (0, 2)


def sculpture(number: int) -> TriangleMesh:
    return fit_frame(mesh_field(plan_works(8, 1, 0)[number].shape(), 64, up="z"))


@pytest.mark.parametrize("number", [0, 3])  # a pierced reclining figure, two forms on a base
def test_visibility_agrees_with_rays(number):
    subject = make_subject(sculpture(number), MATERIALS["plaster"](np.random.default_rng(0)))
    views = [render_view(subject, view)[1] for view in sketchfab_views(subject.mesh, SIZE, True, 0)]
    right = wrong = missed = 0
    for source in views:
        rows, columns = np.nonzero(source.mask)
        pixels = np.column_stack([columns, rows]).astype(float)
        points = source.camera.unproject(pixels, source.depth[rows, columns].astype(float))
        for target in views:
            if target is source:
                continue
            at, depth = target.camera.project(points)
            back = np.tile(-target.camera.rotation[2], (len(points), 1))
            free = ~subject.bodies.blocked(points + 0.01 * back, back)
            seen = visible(target, at, depth)
            right, wrong = right + (seen & free).sum(), wrong + (seen & ~free).sum()
            missed += (~seen & free).sum()
    assert wrong / (right + wrong) < 0.003
    assert missed / (right + missed) < 0.35


def test_a_rendered_ball_has_the_depth_of_the_formula():
    mesh = fit_frame(mesh_field(sphere((0.3, 0.1, 0.2), 0.7), 64, up="z"))
    view = sketchfab_views(mesh, SIZE, False, 0)[2]
    image, truth = render_view(make_subject(mesh, paint(np.random.default_rng(0))), view)
    assert image.shape == (SIZE, SIZE, 3)
    assert truth.unit == "half width"
    axis = (np.arange(SIZE) - (SIZE - 1) / 2) / (SIZE / 2)
    inside = FILL**2 - axis[None] ** 2 - axis[:, None] ** 2
    well_inside = inside > 0.05
    assert truth.mask[well_inside].all()
    assert not truth.mask[inside < -0.02].any()
    expected = DISTANCE - np.sqrt(inside[well_inside])
    np.testing.assert_allclose(truth.depth[well_inside], expected, atol=2e-3)


def test_sheets_are_lit_from_both_sides():
    """A single triangle, seen from its front and its back: the same brightness of the same lamp."""
    corners = np.array([[-1, 0, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    normals = np.tile([0, -1.0, 0], (3, 1)).astype(np.float32)
    material = paint(np.random.default_rng(0))
    pictures = []
    for sign in (1, -1):
        mesh = fit_frame(TriangleMesh(corners, np.array([[0, 1, 2]], np.int32), sign * normals))
        view = sketchfab_views(mesh, SIZE, False, 0)[0]
        pictures.append(render_view(make_subject(mesh, material), view)[0])
    np.testing.assert_array_equal(*pictures)


def test_protocols_place_their_cameras():
    mesh = sculpture(0)
    fab, net = sketchfab_views(mesh, SIZE, True, 7), shapenet_views(mesh, SIZE, True, 7)
    np.testing.assert_allclose(np.degrees([view.azimuth for view in fab]), [0, 30, 60, 90, 120])
    assert all(view.elevation == 0 for view in fab)
    assert len(net) == 10
    many = [view for seed in range(30) for view in shapenet_views(mesh, SIZE, True, seed)]
    elevations, azimuths = np.degrees([v.elevation for v in many]), np.degrees([v.azimuth for v in many])
    assert -45 <= elevations.min() < -40
    assert 40 < elevations.max() <= 45
    assert azimuths.min() < 10
    assert azimuths.max() > 350
    middle = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    for view in (*fab, *net):
        pixels, depth = view.camera.project(middle[None].astype(float))
        np.testing.assert_allclose(pixels, (SIZE - 1) / 2, atol=1e-4)
        np.testing.assert_allclose(depth, DISTANCE, atol=1e-6)
        pixels, _ = view.camera.project(mesh.vertices.astype(float))
        assert np.abs(pixels - (SIZE - 1) / 2).max() <= FILL * SIZE / 2 + 1e-3
        up = view.camera.project((middle + np.array([0, 0, 0.1]))[None])[0]
        assert up[0, 1] < (SIZE - 1) / 2  # y down


def test_the_first_of_a_pairs_points_are_the_same_however_many_are_kept():
    truths, ids = [ball_view(0.0), ball_view(0.5), ball_view(3.4)], ["b0", "a0", "c0"]
    few, many = (list(pair_rows(ids, truths, limit)) for limit in (60, 100_000))
    assert [row["pair_id"] for row in many] == ["a0-b0", "a0-c0", "b0-c0"]
    assert [row["kept"] for row in many] == [True, False, False]
    assert [row["reason"] for row in many] == ["kept", "too_few_shared", "too_few_shared"]
    assert len(few[0]["x1"]) == 60
    for name in ("x1", "y1", "x2", "y2"):
        np.testing.assert_array_equal(few[0][name], many[0][name][:60])
    assert len(many[0]["x1"]) == many[0]["n_inliers"] > 1000
    columns = many[0]["x1"][:60]
    assert np.ptp(columns) > 20  # at random, not the first rows
    assert not np.array_equal(chosen(100, 100, 1), chosen(100, 100, 2))

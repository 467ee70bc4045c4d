from itertools import pairwise

import cv2
import numpy as np
import pytest
from scipy.ndimage import binary_erosion, map_coordinates

from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image
from liftnet.data.schemas import TRUTH, read_table
from liftnet.data.truth import load_truth, truth_files
from liftnet.mesh.isosurface import mesh_field
from liftnet.mesh.mesh import stand
from liftnet.render.materials import MATERIALS
from liftnet.render.ray_caster import photograph
from liftnet.render.scene import OBJECT, Bodies, ambient_openness, make_place
from liftnet.render.sdf import box, sphere, subtract
from liftnet.render.viewpoints import plan_views


@pytest.fixture(scope="module")
def ball():
    """A unit ball that stands on z = 0, photographed; meshed finely, so that it is a sphere for all purposes."""
    mesh = stand(mesh_field(sphere((0, 0, 0), 0.7), 128, up="z"))
    place = make_place(mesh, ambient_openness(mesh, rays=8), seed=4)
    views = plan_views(mesh.vertices, 6, 240, 60, seed=2)
    material = MATERIALS["plaster"](np.random.default_rng(0))
    return [photograph(place, material, view) for view in views]


def exact_sphere_depth(camera, shape):
    """Depth along the optical axis of the sphere of radius 1 about (0, 0, 1), NaN where a pixel's ray misses it."""
    v, u = np.mgrid[: shape[0], : shape[1]]
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(camera.intrinsics).T
    center = camera.rotation @ np.array([0, 0, 1.0]) + camera.translation
    a, b = (rays**2).sum(-1), (rays * center).sum(-1)
    root = b**2 - a * (center @ center - 1)
    with np.errstate(invalid="ignore"):
        return (b - np.sqrt(root)) / a


def test_sphere_has_the_exact_depth_and_silhouette(ball):
    for _, truth in ball:
        exact = exact_sphere_depth(truth.camera, truth.depth.shape)
        differs = truth.mask != np.isfinite(exact)
        # only pixels on the very rim, where the polygon is inside the circle, may differ
        assert differs.sum() < 0.02 * truth.mask.sum()
        core = binary_erosion(np.isfinite(exact), iterations=2)
        assert not (differs & core).any()
        assert np.abs(truth.depth - exact)[core].max() < 2e-3
        assert np.median(np.abs(truth.depth - exact)[core]) < 2e-4


def test_sphere_is_brighter_towards_its_light(ball):
    mesh = stand(mesh_field(sphere((0, 0, 0), 0.7), 32, up="z"))
    views = plan_views(mesh.vertices, 6, 240, 60, seed=2)
    shares = []
    for (image, truth), view in zip(ball, views, strict=True):
        pixels = np.argwhere(binary_erosion(truth.mask, iterations=3))[:, ::-1]
        points = truth.camera.unproject(pixels.astype(float), truth.depth[pixels[:, 1], pixels[:, 0]])
        facing = (points - [0, 0, 1]) @ view.light.direction
        grey = image.mean(-1)[pixels[:, 1], pixels[:, 0]]
        shares.append(np.corrcoef(np.maximum(facing, 0), grey)[0, 1])
    assert min(shares) > 0.5


def test_views_differ_in_light_azimuth_and_kind():
    mesh = stand(mesh_field(box((0, 0, 0), (0.3, 0.4, 0.8)), 32, up="z"))
    views = plan_views(mesh.vertices, 10, 480, 120, seed=5)
    eyes = np.array([-v.camera.rotation.T @ v.camera.translation for v in views])
    azimuths = np.degrees(np.arctan2(eyes[:, 0], -eyes[:, 1]))
    assert 85 < np.ptp(azimuths) < 150
    assert np.diff(azimuths).max() < 30  # neighbours overlap
    assert {view.flavour for view in views} == {"plain", "close", "turned", "near"}
    lights = np.array([view.light.direction for view in views])
    assert (lights @ lights.T - np.eye(10)).max() < 0.9999
    assert len({view.place for view in views}) > 1
    for view in views:
        assert max(view.width, view.height) == 480
        np.testing.assert_allclose(view.camera.rotation @ view.camera.rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(view.camera.rotation) == pytest.approx(1)
        pixels, depth = view.camera.project(mesh.vertices)
        assert depth.min() > 0.3
        tilt = np.degrees(
            np.arccos(np.clip(-view.camera.rotation[1, 2] / np.hypot(*view.camera.rotation[:2, 2]), -1, 1))
        )
        assert (tilt > 14) == (view.flavour == "turned")
        if view.flavour != "close":
            inside = ((pixels >= -0.5) & (pixels <= [view.width - 0.5, view.height - 0.5])).all(1)
            assert inside.mean() > 0.97


def test_hollow_is_darker_than_the_open_side():
    mesh = mesh_field(subtract(box((0, 0, 0.7), (0.7, 0.7, 0.7)), box((0, 0, 1.2), (0.2, 0.2, 0.9))), 64, up="z")
    openness = ambient_openness(mesh)
    inner = np.abs(mesh.vertices[:, :2]).max(1) < 0.25
    deep = inner & (mesh.vertices[:, 2] < 0.5)
    top = (mesh.vertices[:, 2] > 1.38) & (np.abs(mesh.vertices[:, :2]).max(1) > 0.4) & (mesh.normals[:, 2] > 0.99)
    assert openness[top].min() > 0.97
    assert openness[deep].max() < 0.5


def nearest_by_brute_force(mesh, origins, ways):
    """Distance to the nearest triangle of every ray by Moeller and Trumbore's formula over all triangles."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(float) for i in range(3))
    distances = []
    for origin, way in zip(origins, ways, strict=True):
        p = np.cross(way, c - a)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = 1 / ((b - a) * p).sum(1)
            u = ((origin - a) * p).sum(1) * scale
            q = np.cross(origin - a, b - a)
            v, t = q @ way * scale, ((c - a) * q).sum(1) * scale
        distances.append(np.where((u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0), t, np.inf).min())
    return np.array(distances)


def test_rays_meet_the_triangle_that_a_search_over_all_finds():
    mesh = stand(mesh_field(box((0, 0, 0), (0.5, 0.3, 0.8), 0.1), 32, up="z"))
    rng = np.random.default_rng(0)
    origins = rng.normal(size=(200, 3)) + np.array([0, 0, 4])
    ways = rng.uniform(-0.8, 0.8, (200, 3)) + np.array([0, 0, 0.8]) - origins
    found = Bodies(mesh).first(origins, ways)
    expected = nearest_by_brute_force(mesh, origins, ways)
    hit = np.isfinite(expected)
    assert 40 < hit.sum() < 190
    np.testing.assert_array_equal(found["geomID"] == OBJECT, hit)
    np.testing.assert_allclose(found["tfar"][hit], expected[hit], atol=1e-5)
    np.testing.assert_array_equal(Bodies(mesh).blocked(origins, ways), hit)


def test_depth_of_one_view_is_found_again_in_the_next(small_museum):
    table = read_table(small_museum / "truth.parquet", TRUTH).to_pandas()
    for _, rows in table.groupby("work_id"):
        truths = [load_truth(small_museum / path) for path in rows["truth"]]
        for first, second in pairwise(truths):
            pixels = np.argwhere(binary_erosion(first.mask))[:, ::-1]
            points = first.camera.unproject(pixels.astype(float), first.depth[pixels[:, 1], pixels[:, 0]])
            where, expected = second.camera.project(points)
            core = binary_erosion(second.mask, iterations=2)
            column, row = np.round(where).astype(int).T
            inside = (column >= 0) & (row >= 0) & (column < core.shape[1]) & (row < core.shape[0])
            inside[inside] &= core[row[inside], column[inside]]
            if inside.sum() < 200:
                continue
            seen = map_coordinates(np.nan_to_num(second.depth), where[inside].T[::-1], order=1)
            gap = expected[inside] - seen
            # a point is either seen, or behind what is seen; never before it (but at a step between two pixels)
            assert (gap < -0.03).mean() < 0.03
            assert (np.abs(gap) < 0.01).mean() > 0.35
            assert np.median(np.abs(gap[np.abs(gap) < 0.03])) < 2e-3


def test_given_masks_are_the_true_ones_and_images_fit(small_museum):
    import pandas as pd

    sources = pd.read_csv(small_museum / "sources.csv", keep_default_na=False)
    truth = truth_files(small_museum)
    for row in sources[sources["image"].isin(list(truth))].itertuples():
        view = load_truth(truth[row.image])
        assert read_image(small_museum / row.image).shape[:2] == view.depth.shape
        assert 0.02 < view.mask.mean() < 0.98
        if row.mask:
            np.testing.assert_array_equal(read_mask(small_museum / row.mask), view.mask)


def test_enough_keypoints_and_neighbours_match(small_museum):
    table = read_table(small_museum / "truth.parquet", TRUTH).to_pandas()
    sift = cv2.SIFT_create(enable_precise_upscale=True)
    counts, precise = [], []
    for _, rows in table.groupby("work_id"):
        found = []
        for row in rows.itertuples():
            view = load_truth(small_museum / row.truth)
            grey = cv2.cvtColor(read_image(small_museum / row.image_url), cv2.COLOR_RGB2GRAY)
            points, descriptors = sift.detectAndCompute(grey, view.mask.astype(np.uint8) * 255)
            counts.append(len(points) * (480 / max(grey.shape)) ** 2)  # the demo's images have 480 px
            found.append((view, np.array([point.pt for point in points]), descriptors))
        for (one, at, left), (two, to, right) in pairwise(found):
            good = [m for m, n in cv2.BFMatcher().knnMatch(left, right, k=2) if m.distance < 0.75 * n.distance]
            if len(good) < 10:
                continue
            start, end = at[[m.queryIdx for m in good]], to[[m.trainIdx for m in good]]
            nearest = np.round(start).astype(int)
            depth = one.depth[nearest[:, 1], nearest[:, 0]]
            true, _ = two.camera.project(one.camera.unproject(start, depth))
            precise.append((np.linalg.norm(true - end, axis=1) < 2).mean())
    assert np.median(counts) > 300
    assert len(precise) >= len(table) // 4
    assert np.median(precise) > 0.6

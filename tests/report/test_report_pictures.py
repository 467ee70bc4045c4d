"""Colours, masks and surfaces of the page, against known truth."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from liftnet.data.drawing import ZOOM, data_uri, depth_colours, new_view, resampled, shrunk, with_scale
from liftnet.report.figures import (
    MESH_SIDE,
    ONLY_MANUAL,
    ONLY_PREDICTED,
    intersection_over_union,
    mask_comparison,
    mask_overlay,
    mesh,
)


def disc(side, radius=0.6):
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side * 2 - 1
    return np.hypot(x, y) < radius, x, y


def test_data_uri_is_a_jpeg_of_the_pixels():
    pixels = np.full((10, 20, 3), [200, 100, 50], np.uint8)
    kind, data = data_uri(pixels).split(",", 1)
    assert kind == "data:image/jpeg;base64"
    decoded = np.asarray(Image.open(BytesIO(base64.b64decode(data))))
    assert np.abs(decoded.astype(int) - pixels).max() <= 3


def test_shrunk_keeps_the_aspect_and_never_enlarges():
    assert shrunk(np.zeros((400, 200, 3), np.uint8), 100).shape == (100, 50, 3)
    assert shrunk(np.zeros((40, 20, 3), np.uint8), 100).shape == (40, 20, 3)


def test_near_is_yellow_and_far_is_blue():
    depth = np.tile(np.linspace(-1, 1, 100, dtype=np.float32), (10, 1))
    mask = np.ones_like(depth, bool)
    mask[0] = False
    depth[1, 50] = np.nan
    picture = depth_colours(depth, mask).astype(int)
    near, far = picture[5, 0], picture[5, -1]
    assert min(near[0], near[1]) > 200
    assert near[2] < 120
    assert far[2] > max(far[0], far[1])
    assert (picture[0] == picture[0, 0]).all()
    assert (picture[1, 50] == picture[0, 0]).all()
    assert depth_colours(np.full((4, 4), np.nan), np.ones((4, 4), bool)).shape == (4, 4, 3)


def test_masks_are_told_apart():
    pixels = np.full((40, 40, 3), 128, np.uint8)
    a, b = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    a[:, :30] = True
    b[:, 10:] = True
    picture = mask_comparison(pixels, predicted=a, manual=b).astype(int)
    assert (picture[5, 20] == 128).all()
    assert np.abs(picture[5, 5] - ONLY_PREDICTED).max() < 60
    assert np.abs(picture[5, 35] - ONLY_MANUAL).max() < 60
    overlay = mask_overlay(pixels, a)
    assert (overlay[5, 5] == 128).all()
    assert (overlay[5, 38] < 64).all()
    assert intersection_over_union(a, b) == pytest.approx(20 / 40)
    assert intersection_over_union(~a & a, ~a & a) == 1


def test_mesh_of_a_plane_is_flat_and_whole():
    mask, x, _ = disc(64)
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb[..., 0] = 255
    surface = mesh(rgb, (0.5 * x + 3).astype(np.float32), mask, side=64)
    assert len(surface["x"]) == mask.sum()
    first = mask[:-1, :-1] & mask[1:, :-1] & mask[:-1, 1:]
    second = mask[1:, 1:] & mask[1:, :-1] & mask[:-1, 1:]
    assert len(surface["i"]) == first.sum() + second.sum()
    np.testing.assert_allclose(surface["y"], 0.5 * np.array(surface["x"]), atol=1e-3)
    assert set(surface["photo"]) == {"#ff0000"}
    assert max(surface["i"] + surface["j"] + surface["k"]) < len(surface["x"])
    # the triangles face the viewer, who looks along +y (x right, z up)
    corners = np.array([[surface[c][v] for c in "xyz"] for v in (surface["i"][0], surface["j"][0], surface["k"][0])])
    assert np.cross(corners[1] - corners[0], corners[2] - corners[0])[1] < 0


def test_mesh_is_cut_at_jumps_and_kept_small():
    mask, x, _ = disc(300)
    surface = mesh(np.zeros((300, 300, 3), np.uint8), np.where(x < 0, 0, 1).astype(np.float32), mask)
    assert len(surface["x"]) <= MESH_SIDE**2
    depth = np.array(surface["y"])
    assert np.ptp(depth) == pytest.approx(1, abs=0.01)
    sides = np.stack([depth[surface[c]] for c in "ijk"])
    assert np.ptp(sides, axis=0).max() < 0.15
    empty = mesh(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.float32), np.zeros((8, 8), bool))
    assert empty["x"] == empty["i"] == []


def test_resampling_keeps_the_surroundings_out():
    mask, x, _ = disc(32)
    fine, inside = resampled(np.where(mask, 0.3 * x, 50.0), mask, 96)
    columns = (2 * np.arange(96) + 1) / 96 - 1
    truth = np.broadcast_to(0.3 * columns, fine.shape)
    assert np.abs(fine - truth)[inside].max() < 0.02
    assert inside.mean() == pytest.approx(mask.mean(), rel=0.05)
    assert not resampled(np.full((4, 4), np.nan), np.ones((4, 4), bool), 8)[1].any()


def test_scale_of_a_surface_does_not_depend_on_that_of_the_depth():
    mask, x, _ = disc(64)
    scaled = [with_scale(factor * x + offset, mask)[mask] for factor, offset in ((1, 0), (7, -3))]
    np.testing.assert_allclose(scaled[0], scaled[1], atol=1e-9)
    low, high = np.percentile(scaled[0], [5, 95])
    assert high - low == pytest.approx(0.6 * 1.2, rel=0.05)
    assert np.isnan(with_scale(np.full((4, 4), np.nan), np.ones((4, 4), bool))).all()


def test_new_views_turn_the_right_way_and_hide_what_is_behind():
    """The red tip of a bump, nearer than the plate, moves to the left if seen from the right."""
    side = 128
    mask, x, y = disc(side, 0.8)
    r = np.hypot(x, y)
    rgb = np.full((side, side, 3), 120, np.uint8)
    rgb[r < 0.1] = [255, 0, 0]
    rgb[(np.abs(x + 0.62) < 0.05) & (np.abs(y) < 0.1)] = [0, 0, 255]
    depth = np.where(r < 0.5, -0.2 - 0.2 * np.cos(r / 0.5 * np.pi), 0).astype(np.float32)

    def seen(angle):
        view = new_view(rgb, depth, mask, angle).astype(int)
        red = view[..., 0] > 2 * view[..., 1] + 20
        blue = view[..., 2] > 2 * view[..., 1] + 20
        return np.nonzero(red)[1].mean() / view.shape[1] * 2 - 1, red.sum(), blue.sum()

    straight, right, left = seen(0), seen(30), seen(-30)
    expected = -0.4 * np.sin(np.radians(30)) * ZOOM
    assert abs(straight[0]) < 0.02
    assert right[0] == pytest.approx(expected, abs=0.05)
    assert left[0] == pytest.approx(-expected, abs=0.05)
    # from the far right the bump hides the blue mark on the plate to its left
    assert straight[2] > 100
    assert seen(60)[2] < 0.1 * straight[2]
    # seen straight on, the picture is the photograph at the renderer's zoom: the area of the bump tells
    assert straight[1] == pytest.approx(np.pi * (0.1 * ZOOM * 260 / 2) ** 2, rel=0.1)
    assert (new_view(rgb, depth, np.zeros_like(mask), 20) == 237).all()

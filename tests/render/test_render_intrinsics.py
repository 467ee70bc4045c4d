"""Intrinsics as programs write them down, and those that no camera has."""

import json
import struct

import numpy as np
import pytest
from PIL import Image

from liftnet.mesh.mesh import BadMeshError
from liftnet.render.intrinsics import PRIMESENSE, read_intrinsics
from liftnet.render.shapes import open_recording

SIZE = (64, 48)
MATRIX = [[60, 0, 31.5], [0, 61, 23.5], [0, 0, 1]]
BY_COLUMN = [60, 0, 0, 0, 61, 0, 31.5, 23.5, 1]
BY_ROW = [60, 0, 31.5, 0, 61, 23.5, 0, 0, 1]
WRITTEN = {
    "by name": {"fx": 60, "fy": "61", "cx": 31.5, "cy": 23.5},
    "Open3D": {"width": 64, "height": 48, "intrinsic_matrix": BY_COLUMN},
    "Record3D": {"w": 64, "h": 48, "K": BY_COLUMN, "fps": 30},
    "ARKit, by row": {"intrinsics": BY_ROW, "time": 1.5},
    "ARKit, columns": {"intrinsics": np.transpose(MATRIX).tolist()},
    "rows": {"camera_matrix": {"rows": 3, "cols": 3, "data": BY_ROW}},
    "within": {"color": {"fx": 60, "fy": 61, "cx": 31.5, "cy": 23.5}},
    "RealSense": {"fx": 60, "fy": 61, "ppx": 31.5, "ppy": 23.5, "model": "brown_conrady", "coeffs": [0, 0, 0, 0, 0]},
    "Nerfstudio": {"fl_x": 60, "fl_y": 61, "cx": 32, "cy": 24, "w": 64, "h": 48, "k1": 0.0, "frames": []},
    "ScanNet": {"intrinsic": [[60, 0, 31.5, 0], [0, 61, 23.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]]},
    "pycolmap": {"model": "PINHOLE", "width": 64, "height": 48, "params": [60, 61, 32, 24]},
}


@pytest.mark.parametrize("about", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("name", ["intrinsics.json", "camera_intrinsic.json"])
def test_intrinsics_as_programs_write_them(tmp_path, about, name):
    (tmp_path / name).write_text(json.dumps(about))
    np.testing.assert_allclose(read_intrinsics(tmp_path, SIZE), MATRIX)


@pytest.mark.parametrize(
    ("camera", "focal"),
    [
        ("PINHOLE 64 48 60 61 32 24", 61),
        ("SIMPLE_PINHOLE 64 48 60 32 24", 60),
        ("OPENCV 64 48 60 61 32 24 0 0", 61),
    ],
)
def test_colmap_counts_from_the_corner_of_the_first_pixel(tmp_path, camera, focal):
    (tmp_path / "cameras.txt").write_text(f"# Camera list\n1 {camera}\n")
    np.testing.assert_allclose(read_intrinsics(tmp_path, SIZE), [[60, 0, 31.5], [0, focal, 23.5], [0, 0, 1]])


def binary_camera(model, *numbers, count=1):
    return struct.pack("<Q", count) + struct.pack(f"<IiQQ{len(numbers)}d", 1, model, 64, 48, *numbers)


@pytest.mark.parametrize("place", ["", "sparse", "sparse/0"])
def test_the_binary_form_of_colmap_is_the_same(tmp_path, place):
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "cameras.bin").write_bytes(binary_camera(1, 60, 61, 32, 24))
    np.testing.assert_allclose(read_intrinsics(tmp_path, SIZE), MATRIX)


@pytest.mark.parametrize("name", ["camera-intrinsics.txt", "intrinsic.txt"])
def test_a_matrix_as_text_is_read(tmp_path, name):
    (tmp_path / name).write_text("60 0 31.5\n0\t61 23.5 \n0 0 1\n")
    np.testing.assert_allclose(read_intrinsics(tmp_path, SIZE), MATRIX)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("sparse/0/cameras.bin", binary_camera(4, 60, 61, 32, 24, 0.1, 0, 0, 0), "distorts"),
        ("cameras.bin", binary_camera(5, 60, 61, 32, 24, 0, 0, 0, 0), "model OPENCV_FISHEYE"),
        ("cameras.bin", binary_camera(1, 60, 61, 32, 24) + b"x", None),
        ("cameras.bin", binary_camera(1, 60, 61, 32, 24)[:-4], "cannot be used"),
        ("cameras.bin", binary_camera(77), "model number_77"),
        ("transforms.json", b'{"camera_angle_x": 0.69, "frames": []}', "it names camera_angle_x, frames, not fx"),
        ("calibration.yaml", b"fx: 60", "in a form that is not read"),
        ("camera_info.xml", b"<fx/>", "in a form that is not read"),
        ("K.npy", b"", None),
        ("intrinsics.txt", b"60 61 31.5 23.5", "4 numbers, not 9"),
    ],
)
def test_intrinsics_in_a_form_that_is_not_read_are_no_nominal_ones(tmp_path, name, content, reason):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(content)
    if reason is None:
        assert read_intrinsics(tmp_path, SIZE)[0, 0] in (60, PRIMESENSE["fx"])
        return
    with pytest.raises(BadMeshError, match=reason):
        read_intrinsics(tmp_path, SIZE)


def test_without_any_file_they_are_nominal(tmp_path):
    assert read_intrinsics(tmp_path, (640, 480))[0, 0] == PRIMESENSE["fx"]


GOOD = WRITTEN["by name"]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("intrinsics.json", json.dumps(GOOD | {"fx": 0}), "fx = 0 px"),
        ("intrinsics.json", json.dumps(GOOD | {"fy": -61}), "fy = -61"),
        ("intrinsics.json", json.dumps(GOOD | {"fx": float("nan")}), "fx = nan"),
        ("intrinsics.json", json.dumps(GOOD | {"cx": float("inf")}), "cx = inf"),
        ("intrinsics.json", json.dumps(GOOD | {"fx": 1e9}), "which no camera has"),
        ("intrinsics.json", json.dumps(GOOD | {"cx": 500}), "far outside"),
        ("intrinsics.json", json.dumps({"focal_x": 60, "px": 3}), "it names focal_x, px, not fx, fy, cx, cy"),
        ("intrinsics.json", json.dumps({"fx": 60, "fy": 60}), "not cx, cy"),
        ("intrinsics.json", json.dumps([1, 2]), "no JSON object"),
        ("intrinsics.json", json.dumps(GOOD | {"k1": -0.2, "p1": 0}), "its k1 say that the pictures are distorted"),
        ("intrinsics.json", json.dumps(GOOD | {"distortion": [0, 0.1]}), "its distortion say"),
        ("intrinsics.json", "{", r"cannot be used \(it is not valid JSON[^.]*\)\. Give fx"),
        ("intrinsics.json", json.dumps(GOOD | {"fx": None}), "something else where a number must be"),
        ("intrinsics.json", json.dumps({"width": 640, "height": 480, "K": BY_COLUMN}), "of pictures of 640x480"),
        ("intrinsics.json", json.dumps({"K": [1, 2, 3]}), "3 numbers, not 9"),
        ("cameras.txt", "1 OPENCV 64 48 60 61 32 24 .1 0 0 0\n", "distorts"),
        ("cameras.txt", "1 FISHEYE 64 48 60 61 32 24\n", "model FISHEYE"),
        ("cameras.txt", "1 PINHOLE 64 48 60 61 32 24\n2 PINHOLE 64 48 70 71 32 24\n", "2 cameras"),
    ],
)
def test_intrinsics_that_cannot_be_are_a_reason(tmp_path, name, text, reason):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadMeshError, match=reason) as caught:
        read_intrinsics(tmp_path, SIZE)
    assert caught.value.status == "bad_intrinsics"


def test_saturated_depth_is_no_depth(tmp_path, write_recording):
    write_recording(tmp_path, ["a [1]"])
    (tmp_path / "intrinsics.json").write_text(json.dumps({"fx": 50, "fy": 50, "cx": 20, "cy": 15}))
    depth = np.full((30, 40), 1234, np.uint16)
    depth[10:15] = 65535
    Image.fromarray(depth).save(tmp_path / "depth" / "a [1].png")
    ((_, _, truth),) = open_recording(tmp_path).frames(1)
    assert np.nanmax(truth.depth) == pytest.approx(123.4)
    assert truth.mask.sum() == 50

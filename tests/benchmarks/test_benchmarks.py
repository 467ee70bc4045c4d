"""What the benchmarks measure with: true geometry, peers that do the same, scenes that are what they say."""

import importlib
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from liftnet.data.schemas import PAIRS, write_table

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def cameras(rng):
    for degrees in (0, 25):
        angle = np.deg2rad(degrees)
        rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        yield np.array([[900, 0, 320], [0, 900, 240], [0, 0, 1.0]]) @ np.column_stack([rotation, [0.1, 0.2, 6]])


def test_distances_from_true_epipolar_lines(script):
    measuring = script("measuring")
    rng = np.random.default_rng(0)
    first, second = cameras(rng)
    world = np.column_stack([rng.uniform(-1, 1, (50, 3)), np.ones(50)])
    a, b = ((world @ camera.T)[:, :2] / (world @ camera.T)[:, 2:] for camera in (first, second))
    fundamental = measuring.fundamental_of(first, second)
    assert measuring.line_distances(fundamental, a, b).max() < 1e-6
    lines = np.column_stack([a, np.ones(50)]) @ fundamental.T
    normal = lines[:, :2] / np.hypot(*lines[:, :2].T)[:, None]
    moved = measuring.line_distances(fundamental, a, b + 3 * normal)
    assert (moved >= 3 - 1e-6).all()
    assert np.median(moved) < 3.5
    assert measuring.viewing_angle(first, second) == pytest.approx(25)
    assert measuring.viewing_angle(first, -second) == pytest.approx(25)  # the sign of a camera means nothing


def test_reference_distances_undo_the_half_pixel_and_the_distortion(script, tmp_path):
    pycolmap = pytest.importorskip("pycolmap")
    reference = script("reference_cameras")
    options = pycolmap.SyntheticDatasetOptions(
        num_rigs=1, num_cameras_per_rig=1, num_frames_per_rig=4, num_points3D=60, camera_params=[900, 320, 240, 0.08]
    )
    options.camera_model_id = pycolmap.CameraModelId.SIMPLE_RADIAL
    options.camera_width, options.camera_height = 640, 480
    model = pycolmap.synthesize_dataset(options)
    found = reference.Reference((model,), {})
    a, b = [image for image in model.images.values() if image.has_pose][:2]
    names = [Path(image.name).stem for image in (a, b)]
    both = {}
    for image in (a, b):
        for point in image.points2D:
            if point.has_point3D():
                both.setdefault(point.point3D_id, []).append(point.xy)
    matched = np.array([points for points in both.values() if len(points) == 2])
    assert len(matched) > 20
    ours = matched - 0.5
    distances = found.distances(*names, ours[:, 0], ours[:, 1])
    assert distances.max() < 1e-3
    assert np.median(found.distances(*names, ours[:, 0], ours[:, 1] + 2)) > 0.5
    assert found.distances(names[0], "unknown", ours[:, 0], ours[:, 1]) is None


def test_python_peers_give_the_matches_of_ours(script):
    matchers = script("matchers")
    rng = np.random.default_rng(2)
    a = np.minimum(rng.gamma(0.6, 50, (300, 128)), 255).astype(np.uint8)
    b = np.clip(a[rng.permutation(300)] + rng.normal(0, 25, (300, 128)), 0, 255).astype(np.uint8)
    methods = matchers.python_methods()
    ours = {tuple(pair) for pair in methods[matchers.OURS].match(a, b).tolist()}
    assert len(ours) > 200
    exact = [name for name, method in methods.items() if method.test == matchers.MUTUAL and "FLANN" not in name]
    assert len(exact) >= 2
    for name in exact:
        found = {tuple(pair) for pair in methods[name].match(a, b).tolist()}
        assert len(found ^ ours) <= (0 if "HNSW" not in name else 30), name


@pytest.mark.parametrize("affine", [True, False])
def test_right_matches_of_the_scenes_obey_their_cameras(script, affine):
    scenes = script("robust_estimation")
    a, b, right = scenes.matches(2000, 0.5, affine, 0)
    assert right.sum() == 1000
    joint = np.hstack([b, a])[right]
    residual = np.linalg.svd(joint - joint.mean(axis=0), compute_uv=False)[-1] / np.sqrt(1000)
    if affine:
        assert residual == pytest.approx(scenes.NOISE, rel=0.1)
    else:
        assert residual > 1.2 * scenes.NOISE
    wrong = np.hstack([b, a])[~right]
    assert np.linalg.svd(wrong - wrong.mean(axis=0), compute_uv=False)[-1] / np.sqrt(1000) > 20 * scenes.NOISE


def test_openmvg_matches_are_read_in_the_order_of_ids(script, tmp_path):
    scene = object.__new__(script("openmvg_programs").Scene)
    scene.folder, scene.ids = tmp_path, {0: "c", 1: "a", 2: "b"}
    (tmp_path / "matches.txt").write_text("0 1\n2\n5 6\n7 8\n1 2\n1\n3 4\n0 2\n0\n")
    found = scene._read("matches.txt")
    assert sorted(found) == sorted(combinations("abc", 2))
    assert found["a", "c"].tolist() == [[6, 5], [8, 7]]
    assert found["a", "b"].tolist() == [[3, 4]]
    assert found["b", "c"].shape == (0, 2)


def test_precision_counts_each_place_once_and_only_pairs_with_a_reference(script, tmp_path):
    pytest.importorskip("pycolmap")
    photographs = script("photographs")
    points = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [2, 1, 3, 0], [5, 1, 9, 0]], float)
    found = photographs.on_foreground({("a", "b"): points, ("a", "c"): points[:1], ("b", "c"): points[:0]}, {}, None)
    assert sorted(found) == [("a", "b"), ("a", "c")]
    row = photographs.quality(found, lambda a, b, x, y: y[:, 0] if b == "b" else None)
    assert row["correspondences"] == 4
    assert row["with reference"] == 3
    assert (row["right"], row["within 4 px"], row["pairs"]) == (1, pytest.approx(2 / 3), 2)


def test_only_kept_pairs_are_read(script, tmp_path):
    pytest.importorskip("pycolmap")
    line = {name: [1.0, 2.0] for name in ("x1", "y1", "x2", "y2")}
    rows = [{"image_a": "a", "image_b": name, "kept": name == "b", **line} for name in "bc"]
    write_table(tmp_path / "pairs.parquet", rows, PAIRS)
    found = script("photographs").kept_pairs(tmp_path / "pairs.parquet")
    assert {pair: points.tolist() for pair, points in found.items()} == {("a", "b"): [[1, 1, 1, 1], [2, 2, 2, 2]]}

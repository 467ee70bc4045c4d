"""The column rotation_deg: from EXIF to degrees, null where it is not known."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.data.camera_angles import Focals, focal_px
from liftnet.data.schemas import MANIFEST, PAIRS, write_table
from liftnet.data.shards import Cutting, write_pairs
from liftnet.geometry.cameras import Camera
from liftnet.geometry.perspective import estimate_fundamental

WIDTH, HEIGHT, FOCAL_35MM = 900, 600, 50.0
FOCAL = FOCAL_35MM / 36 * WIDTH
TURNS = {"a": 0.0, "b": 12.0, "c": 30.0, "d": 45.0}  # degrees about the vertical, of four cameras around a body


def camera(degrees):
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    intrinsics = np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1]])
    return Camera(intrinsics, rotation, np.array([0, 0, 6.0]))


def row(a, b, n=150, **other):
    rng = np.random.default_rng(ord(a) * 256 + ord(b))
    points = rng.normal(size=(n, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True) * (1 + 0.3 * rng.uniform(size=(n, 1)))
    seen_a, seen_b = (camera(TURNS[i]).project(points)[0] + rng.normal(0, 0.2, (n, 2)) for i in (a, b))
    matrix = estimate_fundamental(seen_a, seen_b, 1.5, rng).F
    lists = dict(zip(("x1", "y1", "x2", "y2"), [*seen_a.T, *seen_b.T], strict=True)) | {"score": np.ones(n)}
    sizes = {"width_a": WIDTH, "height_a": HEIGHT, "width_b": WIDTH, "height_b": HEIGHT}
    about = {"pair_id": f"{a}-{b}", "work_id": "w", "artist_id": "m", "split": "train", "kept": True, "reason": "kept"}
    return about | lists | sizes | {"image_a": a, "image_b": b, "f_perspective": matrix.ravel()} | other


def manifest(**focals):
    rows = [
        {"image_id": i, "status": "ok", "width": WIDTH, "height": HEIGHT, "focal_35mm": f} for i, f in focals.items()
    ]
    return pa.Table.from_pylist(rows, MANIFEST)


def rotations(folder, rows, manifest):
    write_table(folder / "pairs.arrow", rows, PAIRS)
    write_pairs(folder, [folder / "pairs.arrow"], Cutting(), "shard", manifest=manifest)
    table = pq.read_table(folder / "train-00000-of-00001.parquet", columns=["pair_id", "rotation_deg"])
    return dict(zip(table["pair_id"].to_pylist(), table["rotation_deg"].to_pylist(), strict=True))


def test_angles_of_known_cameras_and_nulls_where_a_focal_length_is_not_known(tmp_path):
    rows = [row("a", "b"), row("a", "c"), row("b", "c"), row("a", "d"), row("b", "d")]
    known = dict.fromkeys("abc", FOCAL_35MM) | {"d": None}
    found = rotations(tmp_path, rows, manifest(**known))
    assert found["a-b"] == pytest.approx(12, abs=0.5)
    assert found["a-c"] == pytest.approx(30, abs=0.5)
    assert found["b-c"] == pytest.approx(18, abs=0.5)
    assert found["a-d"] is None
    assert found["b-d"] is None


def test_no_angle_without_a_matrix_or_points_enough(tmp_path):
    rows = [row("a", "b", f_perspective=None), row("a", "c", n=20), row("b", "c")]
    found = rotations(tmp_path, rows, manifest(a=FOCAL_35MM, b=FOCAL_35MM, c=FOCAL_35MM))
    assert found["a-b"] is None
    assert found["a-c"] is None
    assert found["b-c"] == pytest.approx(18, abs=0.5)


def test_damaged_pairs_are_named_and_pairs_without_points_have_no_angle(tmp_path):
    known = manifest(a=FOCAL_35MM, b=FOCAL_35MM, c=FOCAL_35MM)
    nothing = dict.fromkeys(("x1", "y1", "x2", "y2", "score"))
    found = rotations(tmp_path, [row("a", "b", **nothing), row("a", "c")], known)
    assert found["a-b"] is None
    assert found["a-c"] == pytest.approx(30, abs=0.5)
    with pytest.raises(LiftnetError, match="pair a-b: has another number of y1"):
        rotations(tmp_path, [row("a", "b", y1=[1.0, 2.0])], known)


def test_35_mm_equivalents_in_pixels():
    sizes = np.array([[1200, 800], [800, 1200], [1200, 900], [1600, 900], [1000, 1000], [1200, 800], [1200, 800]])
    values = focal_px(np.array([36.0, 36, 34.614, 34.614, 50, 0, np.nan]), *sizes.T.astype(float))
    np.testing.assert_allclose(values, [1200, 1200, 1200, 1600, np.nan, np.nan, np.nan], rtol=1e-4)


def test_focal_lengths_of_stored_images_only():
    table = manifest(a=50.0, b=None).append_column("x", pa.array([1, 2])).drop_columns(["x"])
    failed = pa.Table.from_pylist([{"image_id": None, "status": "http_404", "focal_35mm": 50.0}], MANIFEST)
    focals = Focals.of_manifest(pa.concat_tables([table, failed]))
    found = focals(pa.chunked_array([["a", "b", "z", None]], pa.string()))
    np.testing.assert_allclose(found, [FOCAL, np.nan, np.nan, np.nan])
    assert np.isnan(Focals.of_manifest(None)(pa.chunked_array([["a"]], pa.string()))).all()

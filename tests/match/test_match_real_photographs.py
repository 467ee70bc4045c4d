"""Real photographs with known cameras: how many matches keep to the true epipolar lines."""

import importlib.util
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from liftnet.core.settings import changed
from liftnet.data.pictures import read_image
from liftnet.data.schemas import MANIFEST, MATCHES, read_table, write_table
from liftnet.match.match import match_work
from liftnet.match.settings import MatchSettings

BUDDHA = Path(__file__).resolve().parents[2] / "../shared/data/photos/buddha"
LIVIA = BUDDHA.parent / "livia/images"
VIEWS = ("00046._c", "00047._c", "00049._c")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not BUDDHA.is_dir(), reason="the photographs are not there"),
]


def match(root, files, **changes):
    rows = []
    (root / "images").mkdir(parents=True)
    for name, file in files.items():
        (root / "images" / f"{name}.jpg").symlink_to(file.resolve())
        rows.append({"image_id": name, "work_id": "w", "status": "ok", "file": f"{name}.jpg"})
    write_table(root / "manifest.parquet", rows, MANIFEST)
    match_work(root, "w", root / "m.parquet", changed(MatchSettings(), **changes), threads=2)
    return {(row["image_a"], row["image_b"]): row for row in read_table(root / "m.parquet", MATCHES).to_pylist()}


def fundamental(camera_a, camera_b):
    """(3, 3) F with x_b^T F x_a = 0 (Hartley and Zisserman, equation 9.1)."""
    centre = np.linalg.svd(camera_a)[2][-1]
    epipole = camera_b @ centre
    cross = np.cross(np.eye(3), -epipole)
    return cross @ camera_b @ np.linalg.pinv(camera_a)


def epipolar_distance(row):
    """(K,) larger of the distances to the true epipolar lines in the two images, in px."""
    cameras = [np.loadtxt(BUDDHA / "cameras" / f"{row[key]}.txt") for key in ("image_a", "image_b")]
    f = fundamental(*cameras)
    first, second = (
        np.column_stack([row[f"x{k}"], row[f"y{k}"], np.ones(len(row["score"]))]).reshape(-1, 3) for k in (1, 2)
    )
    lines_b, lines_a = first @ f.T, second @ f
    off = np.abs((lines_b * second).sum(1))
    return np.maximum(off / np.hypot(*lines_b.T[:2]), off / np.hypot(*lines_a.T[:2]))


@pytest.mark.parametrize(
    ("features", "matcher", "correct", "precision"),
    [("opencv", "exact", 300, 0.85), ("colmap", "colmap", 115, 0.82), ("colmap", "exact", 115, 0.82)],
)
def test_matches_of_neighbouring_views_keep_to_true_lines(tmp_path, features, matcher, correct, precision):
    if "colmap" in (features, matcher) and importlib.util.find_spec("pycolmap") is None:
        pytest.skip("pycolmap is not installed")
    rows = match(
        tmp_path, {name: BUDDHA / "images" / f"{name}.jpg" for name in VIEWS}, extractor=features, matcher=matcher
    )
    assert list(rows) == list(combinations(VIEWS, 2))
    distances = epipolar_distance(rows[VIEWS[0], VIEWS[1]])
    print(features, matcher, [(len(d), int((d < 4).sum())) for d in map(epipolar_distance, rows.values())])
    assert (distances < 4).sum() > correct
    assert (distances < 4).mean() > precision
    assert np.median(distances[distances < 4]) < 0.6  # half a pixel of bias would show


def test_smooth_marble_gives_matches_at_the_default_threshold(tmp_path):
    files = sorted(LIVIA.glob("*.jpg"))[:2]
    few = match(tmp_path / "few", dict(zip("ab", files, strict=True)), contrast_threshold=0.04)["a", "b"]
    many = match(tmp_path / "many", dict(zip("ab", files, strict=True)))["a", "b"]
    print("livia", len(few["score"]), len(many["score"]), read_image(files[0]).shape)
    assert len(many["score"]) > max(100, 2 * len(few["score"]))

"""The command with the built-in matcher: true positions, bad input, and a table that is always whole."""

import argparse
import json
import logging
import subprocess
import sys
from itertools import combinations

import cv2
import numpy as np
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.data.features import Features
from liftnet.data.masks import write_mask
from liftnet.data.pictures import write_image
from liftnet.match.cli import add_commands
from liftnet.match.methods.opencv import OpencvSettings, extract_sift, root_sift
from liftnet.match.settings import MatchSettings
from liftnet.match.work_features import distinct_matches


def command(root, *options, work="a-work-123abc", out="m.parquet"):
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    arguments = ["match", "--root", root.path, "--work", work, "--out", root.path / out, *options]
    parsed = parser.parse_args(list(map(str, arguments)))
    return parsed.run(parsed)


def errors(row, motion):
    """Distance of each second point from the true place of the first, in px."""
    first, second = np.array([row["x1"], row["y1"]]), np.array([row["x2"], row["y2"]])
    return np.linalg.norm(motion[:, :2] @ first + motion[:, 2:] - second, axis=0)


def test_matches_lie_where_they_should(two_views, motion, caplog):
    caplog.set_level(logging.INFO)
    assert not command(two_views)
    (row,) = two_views.matches()
    assert (row["image_a"], row["image_b"], row["status"], row["matcher"]) == ("a0", "b1", "ok", "exact")
    found = errors(row, motion)
    assert len(found) > 150
    assert (found < 1.0).mean() > 0.97
    assert np.median(found) < 0.15
    assert row["n_keypoints_a"] >= len(found)
    assert all(0.2 <= score <= 1 for score in row["score"])
    recorded = json.loads(row["settings"])
    assert recorded["ratio"] == 0.8
    assert recorded == MatchSettings().recorded(0)
    assert recorded["contrast_threshold"] == 0.005
    assert "a-work-123abc: 2 images, 1 pairs," in caplog.messages[-1]
    assert "putative matches (median per pair" in caplog.messages[-1]


def test_no_place_has_two_partners(two_views):
    command(two_views)
    (row,) = two_views.matches()
    for x, y in (("x1", "y1"), ("x2", "y2")):
        places = list(zip(row[x], row[y], strict=True))
        assert len(set(places)) == len(places)


def test_shrinking_keeps_the_pixel_convention(two_views, motion):
    command(two_views, "--features.opencv.max-side", 203)
    (row,) = two_views.matches()
    found = errors(row, motion)
    assert len(found) > 50
    assert np.median(found) < 0.4


@pytest.mark.parametrize("max_side", [1600, 150])
def test_a_blob_is_found_at_its_centre(max_side):
    """No bias of a quarter or half pixel, at full size or shrunk by a factor that is not whole."""
    y, x = np.mgrid[:200, :240]
    distance = (x - 100) ** 2 + (y - 60) ** 2
    image = (30 + 200 * np.exp(-distance / (2 * 8.0**2))).astype(np.uint8)
    features = extract_sift(image, OpencvSettings(max_side=max_side))
    nearest = np.linalg.norm(features.keypoints - [100, 60], axis=1).min()
    assert nearest < 0.06 * max(1, 240 / max_side)


def test_more_threads_same_table(two_views, textured):
    two_views.add("c2", textured(seed=5))
    two_views.add("d3", textured()[:200, 20:])
    command(two_views, "--threads", 1, out="one.parquet")
    command(two_views, "--threads", 4, out="four.parquet")
    assert two_views.matches("one.parquet") == two_views.matches("four.parquet")
    assert len(two_views.matches("one.parquet")) == 6


def test_the_order_of_the_manifest_does_not_matter(two_views, textured):
    two_views.add("c2", textured()[:, 40:])
    command(two_views, out="before.parquet")
    two_views.rows.reverse()
    two_views.add_row("other", work_id="another-work")
    command(two_views, out="after.parquet")
    assert two_views.matches("before.parquet") == two_views.matches("after.parquet")


def test_bad_images_become_rows_with_reasons(two_views, textured, caplog):
    caplog.set_level(logging.INFO)
    two_views.add_row("c-missing")
    two_views.add("d-truncated", textured()).write_bytes((two_views.path / "images/a0.jpg").read_bytes()[:2000])
    two_views.add("e-html", textured()).write_bytes(b"<!doctype html><title>404</title>")
    two_views.add("f-empty", textured()).write_bytes(b"")
    two_views.add("g-plain", np.full((120, 160, 3), 128, np.uint8))
    two_views.add_row("h-not-ok", status="http_404", file=None)
    two_views.add_row(None, status="http_404", file=None)
    assert not command(two_views)
    rows = {(row["image_a"], row["image_b"]): row for row in two_views.matches()}
    ids = ["a0", "b1", "c-missing", "d-truncated", "e-html", "f-empty", "g-plain"]
    assert list(rows) == list(combinations(ids, 2))
    assert rows["a0", "b1"]["status"] == "ok"
    assert len(rows["a0", "b1"]["x1"]) > 150
    expected = {
        "c-missing": "image_missing",
        "d-truncated": "image_truncated",
        "e-html": "image_not_image",
        "f-empty": "image_empty_file",
        "g-plain": "too_few_keypoints",
    }
    for image_id, status in expected.items():
        row = rows["a0", image_id]
        assert row["status"] == status
        assert image_id in row["reason"]
        assert row["x1"] == row["score"] == []
        assert row["n_keypoints_a"] > 100
        assert row["n_keypoints_b"] == (0 if image_id == "g-plain" else None)
    both = rows["c-missing", "g-plain"]
    assert "c-missing" in both["reason"]
    assert "g-plain" in both["reason"]
    assert "7 images, 21 pairs" in caplog.messages[-1]
    assert "not matched: " in caplog.messages[-1]


def test_other_kinds_of_pictures(root, textured):
    """Grey, of one pixel, and very long pictures are images like any other."""
    grey = textured()[..., 0]
    root.add("grey", grey)
    root.add("one-pixel", np.zeros((1, 1, 3), np.uint8))
    root.add("strip", textured(20, 2500))
    root.add("whole", textured())
    command(root)
    rows = {(row["image_a"], row["image_b"]): row for row in root.matches()}
    assert len(rows["grey", "whole"]["x1"]) > 150
    assert rows["one-pixel", "whole"]["status"] == "too_few_keypoints"
    assert rows["strip", "whole"]["status"] == "ok"


@pytest.mark.parametrize("usable", [0, 1])
def test_a_work_without_pairs_is_an_empty_table(root, textured, usable, caplog):
    caplog.set_level(logging.INFO)
    root.add_row("z9", status="not_image")
    if usable:
        root.add("a0", textured())
    assert not command(root)
    assert root.matches() == []
    assert f"{usable} usable image(s): no pair" in caplog.text
    assert f"{usable} images, 0 pairs, 0 putative matches" in caplog.messages[-1]


def test_an_unknown_work_and_a_missing_manifest(two_views, root):
    with pytest.raises(LiftnetError, match="no-such-work"):
        command(two_views, work="no-such-work")
    (root.path / "manifest.parquet").unlink()
    with pytest.raises(LiftnetError, match="does not exist"):
        command(root)


def test_unwritable_output_leaves_nothing(two_views):
    (two_views.path / "file").write_text("")
    with pytest.raises(LiftnetError, match="cannot be written"):
        command(two_views, out="file/m.parquet")


def test_a_failed_write_keeps_the_old_table(two_views, monkeypatch):
    command(two_views)
    before = (two_views.path / "m.parquet").read_bytes()

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("liftnet.data.schemas.pq.ParquetWriter.write_table", full)
    with pytest.raises(LiftnetError, match="disk is full"):
        command(two_views, "--search.ratio", 0.7)
    assert (two_views.path / "m.parquet").read_bytes() == before
    assert not list(two_views.path.glob(".*"))


def test_a_killed_run_keeps_the_features_it_found(two_views, textured):
    two_views.add("c2", textured()[:, 40:])
    code = """
import argparse, os, sys
from liftnet.match import cli
from liftnet.match.methods import opencv
calls = []
def killed(pixels, settings, extract=opencv.extract_sift):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), 9)
    return extract(pixels, settings)
opencv.extract_sift = killed
parser = argparse.ArgumentParser()
cli.add_commands(parser.add_subparsers())
arguments = parser.parse_args(sys.argv[1:])
arguments.run(arguments)
"""
    out = two_views.path / "m.parquet"
    options = ["match", "--root", two_views.path, "--work", "a-work-123abc", "--out", out, "--threads", "1"]
    assert subprocess.run([sys.executable, "-c", code, *map(str, options)], check=False).returncode == -9
    assert {path.name for path in two_views.path.iterdir()} == {"images", "features", "manifest.parquet"}
    done = {path: path.stat().st_mtime_ns for path in two_views.path.glob("features/*/[!.]*")}
    assert len(done) == 2
    command(two_views)
    assert len(two_views.matches()) == 3
    assert all(path.stat().st_mtime_ns == before for path, before in done.items())


class TestMaskFirst:
    def masked(self, root, left, right):
        for image_id, columns in (("a0", left), ("b1", right)):
            mask = np.zeros((240, 320), bool)
            mask[:, columns] = True
            write_mask(root.path / "masks" / f"{image_id}.png", mask)

    def test_only_the_foreground_is_matched(self, two_views, motion):
        self.masked(two_views, slice(100, 260), slice(0, 320))
        command(two_views, out="all.parquet")
        command(two_views, "--search.mask-first")
        (row,), (everything,) = two_views.matches(), two_views.matches("all.parquet")
        assert 50 < len(row["x1"]) < 0.75 * len(everything["x1"])
        assert min(row["x1"]) >= 99.5
        assert max(row["x1"]) < 259.5
        assert row["n_keypoints_a"] < everything["n_keypoints_a"]
        assert row["n_keypoints_b"] == everything["n_keypoints_b"]
        assert np.median(errors(row, motion)) < 0.2

    def test_masks_that_cannot_be_used(self, two_views, textured):
        two_views.add("c2", textured())
        self.masked(two_views, slice(0, 0), slice(0, 320))
        command(two_views, "--search.mask-first")
        rows = {(row["image_a"], row["image_b"]): row for row in two_views.matches()}
        assert rows["a0", "b1"]["status"] == "too_few_keypoints"
        assert "on the foreground" in rows["a0", "b1"]["reason"]
        assert rows["b1", "c2"]["status"] == "mask_missing"
        write_image(two_views.path / "masks" / "c2.png", np.zeros((3, 3), np.uint8))
        command(two_views, "--search.mask-first")
        assert two_views.matches()[-1]["status"] == "mask_wrong_size"


def test_root_sift_is_a_unit_vector_in_bytes():
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 200, (50, 128)).astype(np.float32)
    raw[0] = 0
    raw[1, 1:] = 0
    stored = root_sift(raw)
    assert stored.dtype == np.uint8
    assert not stored[0].any()
    assert stored[1, 0] == 255
    assert np.linalg.norm(stored[2:].astype(float), axis=1) == pytest.approx(512, rel=0.01)
    hellinger = np.sqrt((raw[2] / raw[2].sum()) * (raw[3] / raw[3].sum())).sum()
    assert stored[2].astype(float) @ stored[3] / 512**2 == pytest.approx(hellinger, abs=0.005)


def test_mask_takes_the_nearest_pixel():
    mask = np.zeros((4, 6), bool)
    mask[2, 3] = True
    keypoints = np.array([[3.4, 2.4], [3.6, 2], [3, 1.4], [2.6, 1.6], [-0.4, 9]], np.float32)
    nothing = np.zeros(5, np.float32)
    kept = Features(keypoints, nothing, nothing, np.zeros((5, 128), np.uint8)).on_mask(mask)
    assert kept.keypoints.tolist() == keypoints[[0, 3]].tolist()


def test_distinct_matches_keep_the_best_of_each_place():
    a = np.array([[0, 0], [0, 0], [5, 5], [5, 5], [9, 9]], np.float32)
    b = np.array([[1, 1], [2, 2], [3, 3], [3, 3], [2, 2]], np.float32)
    scores = np.array([0.5, 0.9, 0.4, 0.4, 0.6], np.float32)
    assert distinct_matches(a, b, scores, one_to_one=True).tolist() == [1, 2]
    assert distinct_matches(a, b, scores, one_to_one=False).tolist() == [0, 1, 2, 4]
    assert distinct_matches(a[:0], b[:0], scores[:0], one_to_one=True).tolist() == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--search.matcher", "superglue"),
        ("--search.ratio", "0"),
        ("--search.ratio", "nan"),
        ("--features.opencv.max-keypoints", "1"),
        ("--features.opencv.max-side", "x"),
    ],
)
def test_impossible_settings_name_the_option(two_views, option, value):
    with pytest.raises(LiftnetError, match=option):
        command(two_views, option, value)


def test_opencv_threads_are_put_back(two_views):
    before = cv2.getNumThreads()
    command(two_views)
    assert cv2.getNumThreads() == before


def test_the_stage_is_light_to_import():
    code = (
        "import sys, liftnet.match, liftnet.match.cli; print([m for m in ('cv2','numba','torch') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_long_work_is_announced(two_views, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("liftnet.match.methods.exact._OPERATIONS_PER_SECOND", 1e4)
    command(two_views)
    assert any("matching 1 pairs, about" in message for message in caplog.messages)

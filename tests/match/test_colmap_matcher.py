"""The matcher colmap: real pycolmap on synthetic views."""

import importlib.util
import json
import sys

import numpy as np
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.data.masks import write_mask
from liftnet.match.match import match_work
from liftnet.match.settings import MatchSettings

needs_pycolmap = pytest.mark.skipif(importlib.util.find_spec("pycolmap") is None, reason="pycolmap is not installed")
COLMAP = changed(MatchSettings(), extractor="colmap", matcher="colmap")


def run(root, settings=COLMAP, threads=1, out="m.parquet"):
    match_work(root.path, "a-work-123abc", root.path / out, settings, threads=threads)
    return {(row["image_a"], row["image_b"]): row for row in root.matches(out)}


@needs_pycolmap
def test_matches_lie_where_they_should(two_views, motion):
    """COLMAP's half pixel would show as a shift of (.06, .06) px under the rotation; see also the blob."""
    row = run(two_views)["a0", "b1"]
    first, second = np.array([row["x1"], row["y1"]]), np.array([row["x2"], row["y2"]])
    difference = motion[:, :2] @ first + motion[:, 2:] - second
    assert len(row["x1"]) > 80
    assert (np.linalg.norm(difference, axis=0) < 1).mean() > 0.95
    assert row["matcher"] == "colmap"
    assert json.loads(row["settings"])["seed"] == 0
    assert 0 < np.mean(row["score"]) <= 1


@needs_pycolmap
def test_same_pixel_convention_as_opencv(root, textured):
    """Matching a picture with itself gives the places of its keypoints; both matchers must agree on them."""
    image = textured()
    root.add("a0", image)
    root.add("b1", image)
    colmap = run(root)["a0", "b1"]
    opencv = run(root, MatchSettings(), out="o.parquet")["a0", "b1"]
    ours = np.column_stack([opencv["x1"], opencv["y1"]])
    theirs = np.column_stack([colmap["x1"], colmap["y1"]])
    away = theirs[:, None] - ours[None]
    nearest = np.linalg.norm(away, axis=-1).argmin(1)
    offsets = away[np.arange(len(theirs)), nearest]
    offsets = offsets[np.linalg.norm(offsets, axis=1) < 1]
    assert len(offsets) > 80
    assert np.abs(np.median(offsets, axis=0)).max() < 0.05


@needs_pycolmap
def test_threads_and_repetition_change_nothing(two_views, textured):
    two_views.add("c2", textured()[:, 30:])
    assert run(two_views) == run(two_views, threads=2, out="n.parquet")


@needs_pycolmap
def test_bad_images_become_rows(two_views, textured):
    two_views.add("c2", textured()).write_bytes(b"<html>")
    two_views.add("d3", np.full((90, 90, 3), 200, np.uint8))
    rows = run(two_views)
    assert len(rows) == 6
    assert rows["a0", "b1"]["status"] == "ok"
    assert rows["a0", "c2"]["status"] == "image_not_image"
    assert rows["a0", "d3"]["status"] in ("too_few_keypoints", "colmap_no_features")


@needs_pycolmap
def test_mask_first(two_views):
    for image_id, columns in (("a0", slice(100, 260)), ("b1", slice(0, 320))):
        mask = np.zeros((240, 320), bool)
        mask[:, columns] = True
        write_mask(two_views.path / "masks" / f"{image_id}.png", mask)
    row = run(two_views, changed(MatchSettings(), extractor="colmap", matcher="colmap", mask_first=True))["a0", "b1"]
    assert len(row["x1"]) > 30
    assert min(row["x1"]) > 98.5
    assert max(row["x1"]) < 260.5


@pytest.mark.parametrize("installed", [None, "old"])
def test_missing_or_old_pycolmap_says_how_to_install_it(two_views, monkeypatch, installed):
    module = None
    if installed:
        module = type(sys)("pycolmap")
        module.__version__ = "3.9"
    monkeypatch.setitem(sys.modules, "pycolmap", module)
    with pytest.raises(LiftnetError, match=r"pycolmap.*pip install 'liftnet\[colmap\]'"):
        run(two_views)

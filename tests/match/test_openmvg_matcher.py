"""The driver of OpenMVG end to end: with imitations of its programs that fail as it does, and with the real ones."""

import json
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from liftnet.io.errors import LiftnetError
from liftnet.io.images import write_mask
from liftnet.match.openmvg import FEATURES, LISTING, MATCHES, PAIRS
from liftnet.match.settings import MatchSettings
from liftnet.match.work import match_work

PROGRAMS = (LISTING, FEATURES, PAIRS, MATCHES)
POINTS = 30
REAL = shutil.which(MATCHES) and shutil.which(FEATURES)


class Imitation:
    """A folder of programs that do what they are told, wrong or right."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        source = Path(__file__).with_name("openmvg_imitation.py").read_text()
        for name in PROGRAMS:
            (folder / name).write_text(f"#!{sys.executable}\n{source}")
            (folder / name).chmod(0o755)

    def do(self, **faults):
        (self.folder / "faults.json").write_text(json.dumps(faults))

    @property
    def calls(self):
        return (self.folder / "calls.txt").read_text().splitlines()


@pytest.fixture
def openmvg(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Imitation(tmp_path / "bin")


@pytest.fixture
def three(two_views, textured):
    two_views.add("c2", textured(seed=9))
    return two_views


def run(root, openmvg, out="m.parquet", **changes):
    settings = MatchSettings(**{"matcher": "openmvg", "openmvg_bin": str(openmvg.folder), **changes})
    match_work(root.path, "a-work-123abc", root.path / out, settings)
    return {(row["image_a"], row["image_b"]): row for row in root.matches(out)}


def test_reads_what_the_programs_write(three, openmvg, tmp_path):
    rows = run(three, openmvg, ratio=0.75)
    assert list(rows) == [("a0", "b1"), ("a0", "c2"), ("b1", "c2")]
    for row in rows.values():
        assert row["status"] == "ok"
        assert row["matcher"] == "openmvg"
        assert row["n_keypoints_a"] == row["n_keypoints_b"] == POINTS
        assert row["x1"] == row["x2"] == [10 + 5 * k for k in range(POINTS)]
        assert row["y1"] == row["y2"] == [20 + 3 * k for k in range(POINTS)]
        assert row["score"] == [1] * POINTS  # equal descriptors: distance 0
    recorded = json.loads(rows["a0", "b1"]["settings"])
    assert recorded == {
        "mask_first": False,
        "mutual": True,
        "openmvg_method": "HNSWL2",
        "openmvg_preset": "HIGH",
        "ratio": 0.75,
    }
    assert not list(tmp_path.glob("liftnet-openmvg-*"))
    called = [call.split()[1] for call in openmvg.calls]
    assert called == [name.removeprefix("openMVG_main_") for name in (LISTING, FEATURES, LISTING, PAIRS, MATCHES)]
    assert all(call.startswith("1 ") for call in openmvg.calls)
    assert "-m SIFT -p HIGH" in openmvg.calls[1]
    assert "-r 0.75 -n HNSWL2 -f 1" in openmvg.calls[-1]


def test_without_mutual_a_place_may_match_twice(three, openmvg):
    row = run(three, openmvg, mutual=False)["a0", "b1"]
    assert len(row["x1"]) == POINTS + 1
    assert row["score"][-1] == 0  # feature 1 of b is nearer to feature 1 of a


@pytest.mark.parametrize(
    ("faults", "status"),
    [
        ({"drop": ["b1"]}, "openmvg_not_listed"),
        ({"no_feat": ["b1"]}, "openmvg_no_features"),
        ({"no_desc": ["b1"]}, "openmvg_no_features"),
        ({"desc_cut": ["b1"]}, "openmvg_bad_features"),
        ({"feat_short": ["b1"]}, "openmvg_bad_features"),
        ({"outside": ["b1"]}, "openmvg_bad_features"),
        ({"count": {"b1": 1}}, "too_few_keypoints"),
        ({"count": {"b1": 0}}, "too_few_keypoints"),
    ],
)
def test_silent_failures_of_one_image_become_rows(three, openmvg, faults, status):
    openmvg.do(**faults)
    rows = run(three, openmvg)
    assert rows["a0", "b1"]["status"] == rows["b1", "c2"]["status"] == status
    assert "b1" in rows["a0", "b1"]["reason"]
    assert rows["a0", "c2"]["status"] == "ok"
    assert len(rows["a0", "c2"]["x1"]) == POINTS


def test_images_it_would_misread_never_reach_it(three, openmvg, textured):
    three.add("d-truncated", textured()).write_bytes((three.path / "images/a0.jpg").read_bytes()[:3000])
    three.add("e-html", textured()).write_bytes(b"<html>")
    rows = run(three, openmvg)
    assert len(rows) == 10
    assert rows["a0", "d-truncated"]["status"] == rows["a0", "e-html"]["status"] == "image_decode_error"
    assert rows["b1", "c2"]["status"] == "ok"


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"fails": "SfMInit_ImageListing"}, r"ImageListing: ended with exit status 1.*something went wrong"),
        ({"fails": "ComputeFeatures"}, "ComputeFeatures: ended with exit status 1"),
        ({"fails": "PairGenerator"}, "PairGenerator: ended with exit status 1"),
        ({"fails": "ComputeMatches"}, "ComputeMatches: ended with exit status 1"),
        ({"killed": "ComputeMatches"}, "ComputeMatches: was ended by signal 9"),
        ({"no_matches": True}, r"exit status 0 but wrote no matches\.bin.*this is ComputeMatches"),
        ({"cut_matches": 3}, r"matches\.bin: is too short"),
        ({"out_of_range": True}, "feature 999 of view 0, which has 30"),
        ({"pairs": 1}, r"pairs\.txt: does not list the 3 pairs"),
        ({"describer": "AKAZE"}, "not SIFT"),
        ({"rename": {"b1": "a0.png"}}, r"a0\.png and a0\.jpg, which would share"),
        ({"rename": {"b1": "old.jpg"}}, r"lists old\.jpg, which it was not given"),
        ({"size": [7, 7]}, "no usable features for any image.*7x7 pixels instead of 320x240"),
        ({"no_feat": ["a0", "b1", "c2"]}, "no usable features for any image"),
    ],
)
def test_what_cannot_be_trusted_stops_the_command(three, openmvg, faults, message, tmp_path):
    openmvg.do(**faults)
    with pytest.raises(LiftnetError, match=message):
        run(three, openmvg)
    assert not (three.path / "m.parquet").exists()
    assert not list(tmp_path.glob("liftnet-openmvg-*"))


def test_a_program_that_hangs_is_stopped(three, openmvg):
    openmvg.do(wait=60)
    with pytest.raises(LiftnetError, match=r"stopped after 0\.02 minutes.*openmvg_timeout"):
        run(three, openmvg, openmvg_timeout=0.02)


@pytest.mark.parametrize("missing", PROGRAMS)
def test_a_missing_program_says_how_to_get_it(three, openmvg, missing):
    (openmvg.folder / missing).unlink()
    with pytest.raises(LiftnetError, match=rf"{missing}: was not found in .*build it from source.*vcpkg.*openmvg_bin"):
        run(three, openmvg)
    assert not (openmvg.folder / "calls.txt").exists()


def test_programs_are_found_on_the_path(three, openmvg, monkeypatch):
    monkeypatch.setenv("PATH", str(openmvg.folder), prepend=os.pathsep)
    assert len(run(three, openmvg, openmvg_bin="")["a0", "b1"]["x1"]) == POINTS
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LiftnetError, match="was not found on PATH"):
        run(three, openmvg, openmvg_bin="")


def test_a_program_that_cannot_be_run(three, openmvg):
    program = openmvg.folder / LISTING
    program.write_bytes(b"\x7fELF of another machine")
    with pytest.raises(LiftnetError, match="cannot be run"):
        run(three, openmvg)
    program.chmod(stat.S_IRUSR)
    with pytest.raises(LiftnetError, match="was not found"):
        run(three, openmvg)


def test_masks_are_handed_over(three, openmvg, monkeypatch):
    for image_id in ("a0", "b1", "c2"):
        write_mask(three.path / "masks" / f"{image_id}.png", np.ones((240, 320), bool))
    seen = []
    original = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: seen.append(path.name) or original(path, data))
    run(three, openmvg, mask_first=True)
    assert {"a0_mask.png", "b1_mask.png", "c2_mask.png"} <= set(seen)


@pytest.mark.skipif(not REAL, reason="the programs of OpenMVG are not on PATH")
def test_the_real_programs(two_views, motion, tmp_path):
    folder = type("Folder", (), {"folder": ""})
    first, second = run(two_views, folder), run(two_views, folder, out="n.parquet")
    assert first == second
    row = first["a0", "b1"]
    there, here = np.array([row["x1"], row["y1"]]), np.array([row["x2"], row["y2"]])
    away = np.linalg.norm(motion[:, :2] @ there + motion[:, 2:] - here, axis=0)
    assert len(away) > 100
    assert (away < 1).mean() > 0.95
    assert np.median(away) < 0.2

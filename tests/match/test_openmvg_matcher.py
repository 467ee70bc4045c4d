"""The driver of OpenMVG end to end, with imitations of its programs that fail as it does: silently."""

import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections import namedtuple
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.data.features import read_features
from liftnet.data.masks import write_mask
from liftnet.match.match import match_work
from liftnet.match.methods.openmvg import methods as openmvg_match
from liftnet.match.methods.openmvg.programs import FEATURES, FILTER, LISTING, MATCHES, PAIRS
from liftnet.match.settings import MatchSettings

PROGRAMS = (LISTING, FEATURES, PAIRS, MATCHES, FILTER)
POINTS = 30


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

    def called(self, program):
        return [call for call in self.calls if call.split()[1] == program.removeprefix("openMVG_main_")]


@pytest.fixture
def openmvg(tmp_path, monkeypatch):
    folder = tmp_path / "temporary, with; strange $names 雕塑"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield Imitation(tmp_path / "bin")
    assert not list(folder.iterdir())


@pytest.fixture
def three(two_views, textured):
    two_views.add("c2", textured(seed=9))
    return two_views


def run(root, openmvg, out="m.parquet", threads=1, **changes):
    settings = changed(
        MatchSettings(), **{"extractor": "openmvg", "matcher": "openmvg", "bin": str(openmvg.folder), **changes}
    )
    match_work(root.path, "a-work-123abc", root.path / out, settings, threads)
    return {(row["image_a"], row["image_b"]): row for row in root.matches(out)}


def features_of(root, image_id):
    (path,) = root.path.glob(f"features/*/{image_id}.safetensors")
    return read_features(path)


def test_reads_what_the_programs_write(three, openmvg):
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
    wanted = {"features": "openmvg", "method": "HNSWL2", "preset": "HIGH", "filter": "none"}
    assert recorded.items() >= (wanted | {"ratio": 0.75, "mutual": True}).items()
    found = features_of(three, "b1")
    np.testing.assert_array_equal(found.scales, np.full(POINTS, 2.5, np.float32))
    np.testing.assert_array_equal(found.orientations, np.full(POINTS, 0.1, np.float32))


def test_each_call_is_alone_with_its_files(three, openmvg):
    run(three, openmvg)
    called = [call.split()[1] for call in openmvg.calls]
    each = [name.removeprefix("openMVG_main_") for name in (LISTING, FEATURES)]
    assert called == 3 * each + [name.removeprefix("openMVG_main_") for name in (PAIRS, MATCHES)]
    assert all(call.startswith("1 ") for call in openmvg.calls)  # OMP_NUM_THREADS
    assert all("-m SIFT -p HIGH -u 0 -f 1" in call for call in openmvg.called(FEATURES))
    assert openmvg.called(MATCHES)[0].endswith("-r 0.8 -n HNSWL2 -f 1")
    assert not any("/" in word.removeprefix("out/") for call in openmvg.calls for word in call.split())


def test_features_are_computed_once(three, openmvg, textured):
    first = run(three, openmvg)
    three.add("d3", textured(seed=4))
    again = run(three, openmvg, ratio=0.9)
    assert len(openmvg.called(FEATURES)) == 4
    assert again["a0", "b1"]["x1"] == first["a0", "b1"]["x1"]
    run(three, openmvg, **{"features.openmvg.upright": True})
    assert len(openmvg.called(FEATURES)) == 8
    assert "-u 1" in openmvg.calls[-3]


def test_takes_features_of_any_extractor(three, openmvg):
    rows = run(three, openmvg, extractor="opencv")
    assert not openmvg.called(FEATURES)
    row, a, b = rows["a0", "b1"], features_of(three, "a0"), features_of(three, "b1")
    assert row["n_keypoints_a"] == len(a) != len(b) == row["n_keypoints_b"]
    points = {tuple(point) for point in a.keypoints.tolist()}
    assert len(row["x1"]) > 100
    assert set(zip(row["x1"], row["y1"], strict=True)) <= points


def test_its_features_go_to_the_exact_matcher(three, openmvg):
    rows = run(three, openmvg, matcher="exact")
    assert [len(row["x1"]) for row in rows.values()] == 3 * [POINTS]
    assert not openmvg.called(MATCHES)


def test_without_mutual_a_place_may_match_twice(three, openmvg):
    row = run(three, openmvg, mutual=False)["a0", "b1"]
    assert len(row["x1"]) == POINTS + 1
    assert row["score"][-1] == 0  # feature 1 of b is nearer to feature 1 of a


@pytest.mark.parametrize("model", ["f", "h"])
def test_its_geometric_filter_on_demand(three, openmvg, model):
    rows = run(three, openmvg, filter=model)
    assert [len(row["x1"]) for row in rows.values()] == [
        10,
        0,
        0,
    ]  # a third of the matches, less one of a place that has a better
    assert [row["status"] for row in rows.values()] == 3 * ["ok"]
    assert openmvg.called(FILTER)[0].endswith(f"-m out/matches.bin -o out/filtered.bin -g {model}")


def test_many_pairs_go_in_groups(three, openmvg, textured, monkeypatch):
    for k in range(3):
        three.add(f"d{k}", textured(seed=20 + k))
    whole = run(three, openmvg)
    monkeypatch.setattr(openmvg_match, "_PAIRS_AT_ONCE", 4)
    in_parts = run(three, openmvg, out="n.parquet", threads=2)
    assert list(in_parts) == list(combinations(["a0", "b1", "c2", "d0", "d1", "d2"], 2))
    assert in_parts == whole
    assert len(openmvg.called(MATCHES)) == 1 + 4
    assert len(openmvg.called(PAIRS)) == 2  # once a work


def test_chosen_pairs_are_listed_by_us(three, openmvg, textured, monkeypatch):
    three.add("d3", textured(seed=4))
    monkeypatch.setattr("liftnet.match.match.pairs_to_try", lambda *_: [("a0", "c2"), ("b1", "d3")])
    rows = run(three, openmvg)
    assert list(rows) == [("a0", "c2"), ("b1", "d3")]
    assert all(len(row["x1"]) == POINTS for row in rows.values())
    assert not openmvg.called(PAIRS)


@pytest.mark.parametrize(
    ("faults", "status", "reason"),
    [
        ({"drop": ["b1"]}, "openmvg_not_listed", "left out the image b1"),
        ({"rename": {"b1": "a0.ppm"}}, "openmvg_not_listed", r"lists a0\.ppm where it was given the image b1"),
        ({"size": {"b1": [240, 320]}}, "openmvg_wrong_size", "reads b1 as 240x320 pixels instead of 320x240"),
        ({"no_feat": ["b1"]}, "openmvg_no_features", "no features of the image b1"),
        ({"no_desc": ["b1"]}, "openmvg_no_features", "no features of the image b1"),
        ({"desc_cut": ["b1"]}, "openmvg_bad_features", r"b1\.desc of the image b1 has 3798 bytes"),
        ({"feat_short": ["b1"]}, "openmvg_bad_features", "29 keypoints but 30 descriptors of the image b1"),
        ({"outside": ["b1"]}, "openmvg_bad_features", "features of b1 lie outside the image"),
        (
            {"crash": ["b1"]},
            "openmvg_failed",
            "ComputeFeatures was ended by signal 11 on the image b1.*Its last words",
        ),
        ({"count": {"b1": 1}}, "too_few_keypoints", "b1 has 1 keypoint"),
        ({"count": {"b1": 0}}, "too_few_keypoints", "b1 has 0 keypoint"),
    ],
)
def test_silent_failures_of_one_image_become_rows(three, openmvg, faults, status, reason):
    openmvg.do(**faults)
    rows = run(three, openmvg)
    for pair in (("a0", "b1"), ("b1", "c2")):
        assert rows[pair]["status"] == status
        assert re.search(reason, rows[pair]["reason"])
    assert rows["a0", "c2"]["status"] == "ok"
    assert len(rows["a0", "c2"]["x1"]) == POINTS


def test_an_image_that_hangs_it_becomes_a_row(three, openmvg):
    openmvg.do(hang=["b1"])
    rows = run(three, openmvg, timeout_minutes=0.05)
    assert rows["a0", "b1"]["status"] == "openmvg_failed"
    assert (
        "stopped after 0.05 minutes on the image b1. Raise match.openmvg.timeout_minutes" in rows["a0", "b1"]["reason"]
    )
    assert rows["a0", "c2"]["status"] == "ok"


def test_a_failed_image_is_looked_at_again_the_next_time(three, openmvg):
    openmvg.do(crash=["b1"])
    run(three, openmvg)
    openmvg.do()
    assert {row["status"] for row in run(three, openmvg).values()} == {"ok"}


def test_images_it_would_misread_never_reach_it(three, openmvg, textured):
    three.add("d-truncated", textured()).write_bytes((three.path / "images/a0.jpg").read_bytes()[:3000])
    three.add("e-html", textured()).write_bytes(b"<html>")
    three.add("f-vanished", textured()).unlink()
    rows = run(three, openmvg)
    assert len(rows) == 15
    assert rows["a0", "d-truncated"]["status"] == "image_truncated"
    assert rows["a0", "e-html"]["status"] == "image_not_image"
    assert rows["a0", "f-vanished"]["status"] == "image_missing"
    assert "f-vanished" in rows["a0", "f-vanished"]["reason"]
    assert rows["b1", "c2"]["status"] == "ok"


def test_wrong_masks_become_rows(three, openmvg):
    """OpenMVG ignores a mask of the wrong size, and stops at one it cannot read, both with exit status 0."""
    mask = np.ones((240, 320), bool)
    mask[:, 100:] = False
    write_mask(three.path / "masks/a0.png", mask)
    write_mask(three.path / "masks/b1.png", mask[:, :40])
    (three.path / "masks/c2.png").parent.mkdir(exist_ok=True)
    (three.path / "masks/c2.png").write_bytes(b"no picture")
    rows = run(three, openmvg, mask_first=True)
    assert [row["status"] for row in rows.values()] == ["mask_wrong_size", "mask_not_image", "mask_wrong_size"]
    assert "mask of b1: 40x240 px" in rows["a0", "b1"]["reason"]
    write_mask(three.path / "masks/b1.png", mask)
    rows = run(three, openmvg, mask_first=True)
    assert max(rows["a0", "b1"]["x1"]) < 100
    assert rows["a0", "b1"]["n_keypoints_a"] == 18


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"fails": "SfMInit_ImageListing"}, r"even on a simple picture:.*ImageListing ended with exit status 1"),
        (
            {"fails": "ComputeFeatures"},
            "even on a simple picture:.*ComputeFeatures ended with exit status 1.*went wrong",
        ),
        ({"killed": "ComputeFeatures"}, "even on a simple picture:.*ComputeFeatures was ended by signal 9"),
        (
            {"describer": "AKAZE"},
            r"even on a simple picture:.*names AKAZE_Image_describer and AKAZE_Regions, not SIFT",
        ),
        ({"stale": "NORMAL"}, r"even on a simple picture:.*peak_threshold=0.0399.* instead of .*peak_threshold=0.01"),
        ({"disk_full": True}, r"even on a simple picture:.*image_describer\.json.* is not valid JSON"),
        ({"fails": "PairGenerator"}, "PairGenerator: ended with exit status 1"),
        ({"fails": "ComputeMatches"}, "ComputeMatches: ended with exit status 1.*something went wrong"),
        ({"killed": "ComputeMatches"}, "ComputeMatches: was ended by signal 9"),
        ({"no_matches": True}, r"exit status 0 but wrote no matches\.bin.*this is ComputeMatches"),
        ({"cut_matches": 3}, r"matches\.bin: is too short"),
        ({"out_of_range": True}, r"matches\.bin: matches the feature 999 of a0, which has 30"),
        ({"unasked": True}, r"matches\.bin: matches the view 3, which the scene does not have"),
        ({"pairs": 1}, r"PairGenerator: lists 1 pairs, not the 3 of all images"),
        ({"fails": "GeometricFilter"}, "GeometricFilter: ended with exit status 1"),
        ({"killed": "GeometricFilter"}, "GeometricFilter: was ended by signal 9"),
        ({"no_filtered": True}, r"GeometricFilter: ended with exit status 0 but wrote no filtered\.bin"),
        ({"cut_filtered": 5}, r"filtered\.bin: is too short"),
        ({"invents": True}, "GeometricFilter: kept matches of a0 and b1 that it was not given"),
    ],
)
def test_what_cannot_be_trusted_stops_the_command(three, openmvg, faults, message):
    openmvg.do(**faults)
    with pytest.raises(LiftnetError, match=message):
        run(three, openmvg, filter="f")
    assert not (three.path / "m.parquet").exists()


def test_pairs_that_were_not_asked_for(three, openmvg, monkeypatch):
    monkeypatch.setattr("liftnet.match.match.pairs_to_try", lambda *_: [("a0", "b1"), ("a0", "c2")])
    monkeypatch.setattr(openmvg_match, "write_pairs", lambda path, _: path.write_text("0 1\n0 2\n1 2\n"))
    with pytest.raises(LiftnetError, match="matched b1 and c2, which it was not asked to"):
        run(three, openmvg)


def test_a_full_disk_is_not_blamed_on_the_images(three, openmvg, monkeypatch):
    openmvg.do(desc_cut=["a0"])
    usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 30, 1 << 30, 4096))
    with pytest.raises(LiftnetError, match=r"is on a full disk.*TMPDIR"):
        run(three, openmvg)


def test_features_that_cannot_be_handed_over(three, openmvg, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LiftnetError, match=r"is on a full disk.*TMPDIR"):
        run(three, openmvg)


def test_a_program_that_hangs_is_stopped(three, openmvg):
    openmvg.do(wait=60)
    with pytest.raises(LiftnetError, match=r"ComputeMatches: was stopped after 0\.05 minutes.*timeout_minutes"):
        run(three, openmvg, timeout_minutes=0.05)


@pytest.mark.parametrize("missing", PROGRAMS)
def test_a_missing_program_says_how_to_get_it(three, openmvg, missing):
    (openmvg.folder / missing).unlink()
    with pytest.raises(LiftnetError, match=rf"{missing}: was not found in .*build it from source.*vcpkg.*openmvg.bin"):
        run(three, openmvg, filter="f")


def test_the_filter_is_needed_only_where_it_is_used(three, openmvg):
    (openmvg.folder / FILTER).unlink()
    assert len(run(three, openmvg)["a0", "b1"]["x1"]) == POINTS


def test_programs_are_found_on_the_path(three, openmvg, monkeypatch):
    monkeypatch.setenv("PATH", str(openmvg.folder), prepend=os.pathsep)
    assert len(run(three, openmvg, bin="")["a0", "b1"]["x1"]) == POINTS
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LiftnetError, match="was not found on PATH"):
        run(three, openmvg, bin="", preset="ULTRA")


def test_a_relative_folder_of_programs(three, openmvg, monkeypatch):
    monkeypatch.chdir(openmvg.folder.parent)
    assert len(run(three, openmvg, bin="bin")["a0", "b1"]["x1"]) == POINTS


def test_a_program_that_cannot_be_run(three, openmvg):
    program = openmvg.folder / LISTING
    program.write_bytes(b"\x7fELF of another machine")
    with pytest.raises(LiftnetError, match="cannot be run"):
        run(three, openmvg)
    program.chmod(stat.S_IRUSR)
    with pytest.raises(LiftnetError, match="was not found"):
        run(three, openmvg)


def test_graphviz_is_kept_from_drawing(three, openmvg, tmp_path, monkeypatch):
    drawn = tmp_path / "drawn"
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/neato").write_text(f"#!/bin/sh\necho >> '{drawn}'\n")
    (tmp_path / "tools/neato").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "tools"), prepend=os.pathsep)
    openmvg.do(draws=True)
    run(three, openmvg)
    assert not drawn.exists()
    assert os.system("neato") == 0
    assert drawn.exists()

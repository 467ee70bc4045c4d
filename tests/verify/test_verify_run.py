"""`verify run`: every pair of a table of matches comes back with its reason and its numbers."""

import argparse

import numpy as np
import pyarrow.parquet as pq
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.data.codes import PairReason
from liftnet.data.masks import write_mask
from liftnet.data.schemas import PAIRS, read_table, write_table
from liftnet.verify.cli import add_commands
from liftnet.verify.inputs import MatchTable, mask_long_side, points_on_mask
from liftnet.verify.settings import VerifySettings
from liftnet.verify.verify import _row, verify_matches


def command(*words):
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    arguments = parser.parse_args([*map(str, words)])
    return arguments.run(arguments)


def noisy_matches(run, tools, image_a, image_b, n=200, wrong=60, off=50):
    """True matches, wrong matches on the foreground, and matches on the background, in this order."""
    rng = np.random.default_rng(int(image_a[1:]) * 10 + int(image_b[1:]))
    a, b = tools.matches(run.views[image_a], run.views[image_b], n, rng)
    other, shuffled = tools.matches(run.views[image_a], run.views[image_b], wrong, rng)
    corner = rng.uniform(0, 20, (off, 2))
    a = np.vstack([a + rng.normal(size=a.shape) * 0.3, other, corner])
    b = np.vstack([b + rng.normal(size=b.shape) * 0.3, rng.permutation(shuffled), corner])
    return a, b


def pairs_of(run, rows, threads=1, seed=0, **settings):
    matches = run.match("balls", rows)
    out = run.root / "pairs" / "balls.parquet"
    verify_matches(run.root, matches, out, changed(VerifySettings(), **settings), seed, threads)
    return read_table(out, PAIRS).to_pylist()


def test_turned_views_are_kept_with_their_correspondences(run, tools):
    a, b = noisy_matches(run, tools, "v0", "v1")
    (row,) = pairs_of(run, [tools.row("v0", "v1", a, b)])
    assert row["reason"] == "kept"
    assert row["kept"]
    assert (row["pair_id"], row["work_id"], row["artist_id"], row["split"]) == ("v0-v1", "balls", "a", "test")
    assert (row["width_a"], row["height_a"], row["width_b"], row["height_b"]) == (*tools.size, *tools.size)
    assert row["n_putative"] == 310
    assert row["n_masked"] == pytest.approx(260, abs=15)  # noise moves some points over the edge
    assert 170 <= row["n_f"] <= 220
    assert row["noise_px"] == 1.5
    assert row["threshold_px"] == 1.5  # the balls are about 220 px wide, 0.6 % of which is less
    assert row["model"] == "affine"
    assert row["n_inliers"] == row["n_agreed"] >= 0.97 * row["n_f"]
    assert 170 <= row["n_p"] <= 220
    assert len(row["f_perspective"]) == 9
    assert 200 < row["object_px"] < 240
    lists = ("x1", "y1", "x2", "y2", "score", "residual", "residual_p")
    assert {len(row[name]) for name in lists} == {row["n_agreed"]}
    x1, y1, x2, y2 = (np.array(row[name]) for name in lists[:4])
    fa, fb, fc, fd, fe = row["f"]
    np.testing.assert_allclose(np.abs(fa * x2 + fb * y2 + fc * x1 + fd * y1 + fe), row["residual"], atol=2e-3)
    rejected = {len(row[f"rejected_{name}"]) for name in lists[:4]}
    assert rejected == {min(200, 310 - row["n_agreed"])}
    kept_points = set(zip(row["x1"], row["y1"], strict=True))
    assert kept_points.isdisjoint(zip(row["rejected_x1"], row["rejected_y1"], strict=True))


def test_every_pair_is_a_row_with_its_reason(run, tools):
    a, b = noisy_matches(run, tools, "v0", "v1")
    empty = np.empty((0, 2))
    write_mask(run.root / "masks" / "v2.png", np.ones((7, 9), bool))  # of another size than its image
    (run.root / "masks" / "v3.png").write_bytes(b"no picture")
    broken = a.copy()
    broken[3] = np.nan
    rows = [
        tools.row("v0", "v1", a, b),
        tools.row("v0", "v2", a, b),
        tools.row("v0", "v3", a, b),
        tools.row("v0", "zz", a, b),
        tools.row("v1", "v2", a[:5], b[:5]),
        tools.row("v1", "v3", empty, empty, status="no_keypoints"),
        tools.row("v2", "v3", broken, b),
        tools.row("v0", "v1", a[-50:], b[-50:]),
        tools.row("v0", "v1", a, a + np.array([3, 4])),
        {**tools.row("v0", "v1", a, b), "y2": np.zeros(4, np.float32)},
    ]
    found = pairs_of(run, rows)
    wanted = ["kept", "no_mask", "no_mask", "no_image", "few_putative", "no_keypoints", "bad_matches", "few_masked"]
    assert [row["reason"] for row in found[:8]] == wanted
    assert found[8]["reason"] == "duplicate"
    assert found[8]["rho"] > 0.95
    assert len(found[8]["x1"]) == found[8]["n_inliers"] > 200  # stored, so that the cut can be moved
    assert found[9]["reason"] == "bad_matches"
    assert [row["kept"] for row in found] == [row["reason"] == "kept" for row in found]
    assert found[3]["width_b"] is None
    assert found[3]["work_id"] == "balls"
    assert found[1]["n_putative"] == 310
    assert len(found[1]["rejected_x1"]) == 200
    known = {*PairReason} | {"no_keypoints"}
    assert {row["reason"] for row in found} <= known


def test_missing_mask_is_named_once(run, tools, caplog):
    a, b = noisy_matches(run, tools, "v0", "v1")
    (run.root / "masks" / "v1.png").unlink()
    caplog.set_level("INFO")
    found = pairs_of(run, [tools.row("v0", "v1", a, b)] * 3)
    assert {row["reason"] for row in found} == {"no_mask"}
    assert "1 images have no usable mask" in caplog.text
    assert "v1.png: does not exist" in caplog.text
    assert "3 pairs: 0 kept with 0 correspondences; rejected: 3 no_mask" in caplog.text


def test_without_the_foreground_filter_masks_are_not_needed(run, tools):
    a, b = noisy_matches(run, tools, "v0", "v1", off=0)
    for mask in (run.root / "masks").iterdir():
        mask.unlink()
    (run.root / "masks").rmdir()
    (row,) = pairs_of(run, [tools.row("v0", "v1", a, b)], foreground=False)
    assert row["kept"]
    assert row["n_masked"] == row["n_putative"]
    with pytest.raises(LiftnetError, match="--no-foreground"):
        pairs_of(run, [tools.row("v0", "v1", a, b)])


def test_same_result_whatever_the_threads_and_another_with_another_seed(run, tools):
    rows = []
    for first in range(3):
        for second in range(first + 1, 4):
            a, b = noisy_matches(run, tools, f"v{first}", f"v{second}", off=300)
            rows.append(tools.row(f"v{first}", f"v{second}", a, b))
    one, four = pairs_of(run, rows, threads=1), pairs_of(run, rows, threads=4)
    assert one == four
    assert one == [pairs_of(run, [row])[0] for row in rows]  # nor does it depend on the other pairs
    assert [row["rejected_x1"] for row in pairs_of(run, rows, seed=1)] != [row["rejected_x1"] for row in one]


def test_no_pairs_give_an_empty_table(run):
    assert pairs_of(run, []) == []


def test_command_writes_the_table_and_takes_settings(run, tools):
    a, b = noisy_matches(run, tools, "v0", "v1")
    matches = run.match("balls", [tools.row("v0", "v1", a, b)])
    out = run.root / "pairs" / "balls.parquet"
    words = ["verify", "run", "--root", run.root, "--matches", matches, "--out", out]
    command(*words, "--thresholds.max-planar-fraction", "0.01")
    assert read_table(out, PAIRS).to_pylist()[0]["reason"] == "affine_homography"
    with pytest.raises(LiftnetError, match=r"--thresholds\.max-planar-fraction"):
        command(*words, "--thresholds.max-planar-fraction", "7")


def test_damaged_and_wrong_tables_are_named(run, tools, tmp_path):
    out = tmp_path / "out.parquet"
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1 no")
    for path in (damaged, tmp_path / "none.parquet", run.root / "manifest.parquet"):
        with pytest.raises(LiftnetError, match=path.name):
            verify_matches(run.root, path, out, VerifySettings())
    assert not out.exists()
    write_table(out, [], PAIRS)
    before = pq.read_metadata(out).num_rows
    assert before == 0


def test_rounding_to_the_pixel_of_the_mask():
    mask = np.zeros((3, 4), bool)
    mask[1, 2] = True
    points = np.array([[2, 1], [2.4, 0.6], [2.6, 1], [1.4, 1], [-1, 0], [4, 1], [2, 3], [-2, -2]])
    assert points_on_mask(mask, points).tolist() == [True, True, False, False, False, False, False, False]
    assert points_on_mask(mask, np.empty((0, 2))).shape == (0,)


def test_long_tables_are_read_and_written_in_groups(run, tools, monkeypatch):
    """A work of any size needs the memory of a few row groups, and comes out as if done at once."""
    a, b = noisy_matches(run, tools, "v0", "v1", n=30, wrong=5, off=0)
    rows = [tools.row(f"v{k % 3}", "v3", a, b) for k in range(30)]
    at_once = pairs_of(run, rows)
    for module in ("verify", "inputs"):
        monkeypatch.setattr(f"liftnet.verify.{module}.ROWS_PER_GROUP", 4)
    waiting, most = [], 0

    class Watched(MatchTable):
        def __iter__(self):
            nonlocal most
            for pair in super().__iter__():
                waiting.append(pair)
                most = max(most, len(waiting))
                yield pair

    def watched_rows(*arguments):
        row = _row(*arguments)
        waiting.pop(0)
        return row

    monkeypatch.setattr("liftnet.verify.verify.MatchTable", Watched)
    monkeypatch.setattr("liftnet.verify.verify._row", watched_rows)
    in_groups = pairs_of(run, rows, threads=2)
    assert pq.read_metadata(run.root / "pairs/balls.parquet").num_row_groups == 8
    assert in_groups == at_once
    assert most <= 16


def test_table_damaged_in_the_middle_leaves_no_output(run, tools):
    a, b = noisy_matches(run, tools, "v0", "v1")
    rng = np.random.default_rng(0)
    path = run.match("balls", [tools.row("v0", "v1", a + rng.normal(size=a.shape), b) for _ in range(40)])
    data = bytearray(path.read_bytes())
    data[len(data) // 4 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 4)
    path.write_bytes(data)
    out = run.root / "pairs" / "balls.parquet"
    with pytest.raises(LiftnetError, match=r"balls\.parquet.*(not a readable Parquet|damaged)"):
        verify_matches(run.root, path, out, VerifySettings())
    assert not out.exists()


def test_side_of_the_object_ignores_stray_spots():
    mask = np.zeros((300, 400), bool)
    assert mask_long_side(mask) is None
    mask[50:150, 100:300] = True
    assert mask_long_side(mask) == pytest.approx(200, abs=5)
    mask[290:293, 390:393] = True
    assert mask_long_side(mask) == pytest.approx(200, abs=5)
    assert mask_long_side(mask.T) == mask_long_side(mask)

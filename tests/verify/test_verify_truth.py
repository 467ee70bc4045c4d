"""`verify evaluate` and the distances to the true geometry."""

import argparse
import shutil

import numpy as np
import pandas as pd
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.geometry.cameras import Camera
from liftnet.verify.cli import add_commands
from liftnet.verify.evaluate import count_by_reason
from liftnet.verify.settings import VerifySettings
from liftnet.verify.truth import depth_at, transfer_errors
from liftnet.verify.verify import verify_matches


def command(*words):
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    arguments = parser.parse_args([*map(str, words)])
    return arguments.run(arguments)


def test_true_matches_have_no_error_and_displaced_ones_theirs(run, tools):
    a, b = tools.matches(run.views["v0"], run.views["v1"], 300, np.random.default_rng(0))
    errors, visible = transfer_errors(run.views["v0"], run.views["v1"], a, b)
    assert errors.max() < 1e-6
    assert visible.mean() > 0.99
    moved, _ = transfer_errors(run.views["v0"], run.views["v1"], a, b + np.array([3, 4]))
    np.testing.assert_allclose(moved, 5, atol=1e-6)


def test_points_between_pixels_are_interpolated(run, tools):
    """Depth at half pixels, against a camera whose pixels lie there."""
    camera = tools.camera(0)
    shifted = Camera(camera.intrinsics - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]], camera.rotation, camera.translation)
    exact = tools.view(shifted).depth  # pixel (x, y) lies at (x + 0.5, y + 0.5) of the other
    rows, columns = np.nonzero(np.isfinite(exact))
    near = np.hypot(columns - 200, rows - 150) < 60  # well inside
    points = np.column_stack([columns, rows])[near] + 0.5
    depth, _ = depth_at(run.views["v0"].depth, points)
    assert np.abs(depth - exact[rows, columns][near]).max() < 0.03
    assert np.median(np.abs(depth - exact[rows, columns][near])) < 1e-4


def test_hidden_points_and_background_are_no_correspondences(run):
    front, back = run.views["v0"], run.views["v3"]
    rows, columns = np.nonzero(front.mask)
    a = np.column_stack([columns, rows]).astype(float)
    b, distance = back.camera.project(front.camera.unproject(a, front.depth[rows, columns]))
    errors, visible = transfer_errors(front, back, a, b)
    assert errors.max() < 1e-6
    column, row = np.rint(b.T).astype(int)
    clearly_hidden = back.depth[row, column] < distance - 0.3
    assert clearly_hidden.sum() > 500
    assert not visible[clearly_hidden].any()
    off, seen = transfer_errors(front, back, np.array([[2.0, 2.0], [-50, 3], [1e12, 0]]), np.zeros((3, 2)))
    assert np.isinf(off).all()
    assert not seen.any()


def test_depth_does_not_mix_two_surfaces():
    depth = np.array([[1.0, 5.0], [1.0, np.nan]])
    value, farthest = depth_at(depth, np.array([[0.3, 0.0], [0.7, 0.0], [0.0, 0.5], [1.0, 1.0], [np.nan, 0.0]]))
    np.testing.assert_allclose(value, [1, 5, 1, np.nan, np.nan])
    np.testing.assert_allclose(farthest, [5, 5, 5, np.nan, np.nan])


def test_reasons_are_counted_by_split():
    pairs = pd.DataFrame(
        {
            "split": ["train", "train", "val", "test", None],
            "reason": ["kept", "chance", "kept", "no_keypoints", "no_image"],
        }
    )
    table = count_by_reason(pairs).set_index("reason")
    assert table.index.tolist() == ["kept", "no_image", "chance", "no_keypoints", "all"]
    assert table.loc["kept", ["train", "val", "test", "all"]].tolist() == [1, 1, 0, 2]
    assert table.loc["all", "all"] == 5
    assert table.loc["no_keypoints", "meaning"] == "not matched"
    assert (table[["train", "val", "test", "unknown"]].sum(axis=1) == table["all"]).all()


def evaluated(run, tools, museum=True):
    rng = np.random.default_rng(0)
    rows = []
    for image_b, wrong in (("v1", 0), ("v2", 40)):
        a, b = tools.matches(run.views["v0"], run.views[image_b], 160, rng)
        b[:wrong] = rng.permutation(b[:wrong])
        corner = np.full((40, 2), 3.0) + rng.uniform(size=(40, 2))
        rows.append(tools.row("v0", image_b, np.vstack([a, corner]), np.vstack([b, corner])))
    rows.append(tools.row("v0", "v3", a[:5], b[:5]))
    matches = run.match("balls", rows)
    verify_matches(run.root, matches, run.root / "pairs" / "balls.parquet", VerifySettings())
    shutil.copy(run.root / "pairs" / "balls.parquet", run.root / "pairs" / "gone.parquet")  # no longer collected
    tables = run.root / "tables"
    command(
        "verify", "evaluate", "--root", run.root, "--tables", tables, *(["--museum", run.museum] if museum else [])
    )
    return tables


def test_each_step_raises_the_precision(run, tools):
    tables = evaluated(run, tools)
    table = pd.read_csv(tables / "correspondences_truth.csv")
    assert len(table) == 16
    test = table[table["split"] == "test"].drop(columns="split").reset_index(drop=True)
    everything = table[table["split"] == "all"].drop(columns="split").reset_index(drop=True)
    pd.testing.assert_frame_equal(test, everything)
    assert table[table["split"] == "train"]["correspondences"].sum() == 0
    putative, foreground, epipolar, kept = (row for _, row in test.iterrows())
    assert putative["correspondences"] == 405
    assert putative["within_2_px"] == pytest.approx(280 / 405, abs=0.02)
    assert putative["off_object"] == pytest.approx(80 / 405)
    assert foreground["within_2_px"] == pytest.approx(280 / 325, abs=0.02)
    assert kept["within_2_px"] > 0.97 > foreground["within_2_px"] > putative["within_2_px"]
    assert kept["correspondences"] >= 250
    assert kept["pairs"] == epipolar["pairs"] == 2
    assert kept["median_error_px"] < 0.01
    assert (test["within_1_px"] <= test["within_2_px"]).all()
    assert (test["within_2_px"] <= test["within_4_px"]).all()
    reasons = pd.read_csv(tables / "pairs_by_reason.csv").set_index("reason")
    assert reasons["all"].to_dict() == {"kept": 2, "few_putative": 1, "all": 3}
    for name in ("correspondences_truth", "pairs_by_reason"):
        assert (tables / f"{name}.md").is_file()
        assert (tables / f"{name}.tex").is_file()


def test_without_a_museum_only_the_reasons_are_written(run, tools):
    tables = evaluated(run, tools, museum=False)
    assert (tables / "pairs_by_reason.csv").is_file()
    assert not (tables / "correspondences_truth.csv").exists()


def test_lost_matches_leave_the_rest_measured(run, tools, caplog):
    tables = evaluated(run, tools)
    before = pd.read_csv(tables / "correspondences_truth.csv")
    (run.root / "matches" / "balls.parquet").unlink()
    command("verify", "evaluate", "--root", run.root, "--tables", tables, "--museum", run.museum)
    after = pd.read_csv(tables / "correspondences_truth.csv")
    assert after.loc[12, "correspondences"] == 0
    pd.testing.assert_series_equal(after.loc[15], before.loc[15])
    assert "not there any more" in caplog.text


def test_nothing_to_evaluate_is_an_error(run, tools, tmp_path):
    with pytest.raises(LiftnetError, match="no table of pairs"):
        command("verify", "evaluate", "--root", run.root, "--tables", tmp_path)
    evaluated(run, tools)
    with pytest.raises(LiftnetError, match=r"truth\.parquet"):
        command("verify", "evaluate", "--root", run.root, "--tables", tmp_path, "--museum", tmp_path)

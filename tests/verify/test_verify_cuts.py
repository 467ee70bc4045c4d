"""`verify cuts`: other cuts from the stored numbers, equal to what the run itself decides at those cuts."""

import argparse
import math
import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.data.schemas import PAIRS, read_table
from liftnet.verify.cli import add_commands
from liftnet.verify.evaluate import COLUMNS, GRID, read_numbers, sweep
from liftnet.verify.settings import ThresholdSettings, VerifySettings
from liftnet.verify.verify import verify_matches


def command(*words):
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    arguments = parser.parse_args([*map(str, words)])
    return arguments.run(arguments)


@pytest.fixture
def matched(run, tools):
    """Pairs with many and few, right, wrong and copied matches, without a mask, and not matched at all."""
    rng = np.random.default_rng(0)
    rows = []
    for first in range(4):
        for second in range(first + 1, 4):
            for n in (8, 15, 25, 60):
                a, b = tools.matches(run.views[f"v{first}"], run.views[f"v{second}"], n, rng)
                wrong = int(len(a) * rng.uniform(0, 0.5))
                b[:wrong] = rng.permutation(b[:wrong])
                if n == 60 and first == 0:
                    b = a + rng.normal(size=a.shape) * 0.2
                rows.append(tools.row(f"v{first}", f"v{second}", a + rng.normal(size=a.shape) * 0.3, b))
    empty = np.empty((0, 2))
    rows += [tools.row("v0", "zz", a, b), tools.row("v0", "v1", empty, empty, status="no_keypoints")]
    return run.match("balls", rows)


def verified(run, matches, **settings):
    out = run.root / "pairs" / "balls.parquet"
    verify_matches(run.root, matches, out, changed(VerifySettings(), **settings))
    return read_table(out, PAIRS).to_pandas()


@pytest.mark.parametrize("model", ["affine", "perspective"])
def test_every_row_is_what_a_run_with_those_cuts_keeps(run, matched, model):
    verified(run, matched, model=model)
    settings = changed(VerifySettings(), model=model)
    table = sweep(read_numbers(run.root / "pairs/balls.parquet", settings), settings.thresholds)
    assert len(table) == math.prod(map(len, GRID.values()))
    different = set()
    for row in table.iloc[:: 7 if model == "affine" else 19].to_dict("records"):
        cuts = {name: row[column] for name, column in zip(GRID, COLUMNS, strict=True)}
        again = verified(run, matched, model=model, **cuts)
        kept = again[again["kept"]]
        assert (row["pairs"], row["correspondences"]) == (len(kept), kept["n_inliers"].sum()), cuts
        assert kept["n_inliers"].sum() == sum(map(len, kept["x1"]))
        different.add(row["pairs"])
    assert len(different) > 2


def test_row_of_the_run_equals_the_run_and_precision_is_measured(run, matched):
    pairs = verified(run, matched, min_inliers=17, max_planar_fraction=0.77)
    shutil.copy(run.root / "pairs" / "balls.parquet", run.root / "pairs" / "gone.parquet")  # no longer collected
    tables = run.root / "tables"
    options = ["--thresholds.min-inliers", 17, "--thresholds.max-planar-fraction", 0.77]
    command("verify", "cuts", "--root", run.root, "--museum", run.museum, "--tables", tables, *options)
    table = pd.read_csv(tables / "cuts.csv")
    assert len(table) == math.prod(map(len, GRID.values())) + 1
    (own,) = table[table["this_run"]].to_dict("records")
    kept = pairs[pairs["kept"]]
    assert own["pairs"] == own["pairs_test"] == len(kept) > 0
    assert own["correspondences"] == own["correspondences_test"] == kept["n_inliers"].sum()
    assert own["pairs_train"] == own["pairs_val"] == 0
    assert own["within_2_px"] > 0.9
    assert (tables / "cuts.md").is_file()
    assert (tables / "cuts.tex").is_file()


def test_stricter_cuts_keep_less(run, matched):
    verified(run, matched)
    table = sweep(read_numbers(run.root / "pairs/balls.parquet", VerifySettings()), ThresholdSettings())
    for name, sign in (("min_inliers", -1), ("floor_factor", -1), ("max_rho", 1)):
        others = [other for other in ("min_inliers", "floor_factor", "max_rho") if other != name]
        for _, group in table.sort_values(name).groupby(others):
            assert (sign * group["pairs"].diff().dropna() >= 0).all()


def test_no_museum_no_precision_and_nothing_kept_is_a_table_too(run, tools):
    a, b = tools.matches(run.views["v0"], run.views["v1"], 6, np.random.default_rng(0))
    assert Counter(verified(run, run.match("balls", [tools.row("v0", "v1", a, b)]))["kept"]) == {False: 1}
    command("verify", "cuts", "--root", run.root, "--tables", run.root / "tables")
    table = pd.read_csv(run.root / "tables/cuts.csv")
    assert (table["pairs"] == 0).all()
    assert "within_2_px" not in table
    verified(run, run.match("balls", []))
    command("verify", "cuts", "--root", run.root, "--museum", run.museum, "--tables", run.root / "tables")
    assert (pd.read_csv(run.root / "tables/cuts.csv")["correspondences"] == 0).all()


def test_pairs_without_a_mask_cannot_be_kept_by_any_cut(run, tools):
    a, b = tools.matches(run.views["v0"], run.views["v1"], 200, np.random.default_rng(0))
    (run.root / "masks" / "v1.png").unlink()
    assert verified(run, run.match("balls", [tools.row("v0", "v1", a, b)]))["reason"].tolist() == ["no_mask"]
    pairs = read_numbers(run.root / "pairs/balls.parquet", VerifySettings())
    assert (sweep(pairs, ThresholdSettings())["pairs"] == 0).all()


def test_another_model_and_missing_tables_are_named(run, matched, tmp_path):
    verified(run, matched, model="perspective")
    with pytest.raises(LiftnetError, match=r"balls\.parquet.*perspective model"):
        command("verify", "cuts", "--root", run.root, "--tables", tmp_path)
    with pytest.raises(LiftnetError, match="no table of pairs"):
        command("verify", "cuts", "--root", tmp_path, "--tables", tmp_path)

"""Tables 2 to 5 from score files, against numbers worked out by hand."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from liftnet.__main__ import main
from liftnet.core.errors import LiftnetError
from liftnet.data.schemas import SCORES, write_table
from liftnet.experiments.plan import DepthPlan, DrkfsPlan, read_plan

ROOT = Path(__file__).resolve().parents[2]
PLANS = ROOT / "workflow" / "experiments"
LOWER = {"kind": "lower error", "run": "ours", "than": "theirs", "set": "shapes"}
PLAN = {
    "sets": {
        "shapes": {"title": "Shapes", "folder": "renders/shapes"},
        "hall": {"title": "Hall", "folder": "hall", "unit": "cm"},
    },
    "runs": {
        "ours": {"train": "shapes"},
        "theirs": {"train": "shapes", "method": "regression"},
        "flat": {"prior": "constant"},
    },
    "tables": {
        "classes": {
            "caption": "RMSE by class.",
            "layout": "classes",
            "sets": ["shapes"],
            "factor": 100,
            "reference": "theirs",
            "rows": [
                {"run": "theirs", "method": "pix2pix", "paper": {"car": 1.33, "bed": 2.16}},
                {"run": "ours", "method": "LiftNet", "paper": {"car": 1.12, "bed": 1.21}},
            ],
        },
        "methods": {
            "caption": "All methods.",
            "sets": ["shapes", "hall"],
            "reference": "ours",
            "rows": [
                {"run": "ours", "method": "LiftNet", "paper": {"hall": {"rmse": 11.6}}},
                {"run": "theirs", "method": "pix2pix", "supervision": "depth", "trained_on": "Shapes"},
                {"run": "flat", "method": "constant"},
            ],
        },
    },
}


def row(run, seed, kind, work, view, rmse, set_name="shapes", unit="half width", **more):
    errors = {"l1": rmse / 2, "rmse": rmse, "rel_l1": rmse / 3, "rel_sq": rmse**2, "rmse_affine": rmse / 4}
    about = {"run": run, "seed": seed, "set": set_name, "split": "test", "class": kind, "work_id": work}
    end = {"image_id": f"{work}-{view}", "status": "ok", "reason": "", "n_pixels": 9, "unit": unit, "resolution": 64}
    return about | errors | end | more


ROWS = [
    # car: two shapes with one view each; bed: one shape with two views
    *(row("ours", 0, "car", shape, 0, value) for shape, value in (("car-1", 0.1), ("car-2", 0.3))),
    *(row("ours", 1, "car", shape, 0, value) for shape, value in (("car-1", 0.3), ("car-2", 0.5))),
    *(row("ours", seed, "bed", "bed-1", view, 0.2) for seed in (0, 1) for view in (0, 1)),
    *(row("theirs", seed, "car", shape, 0, 0.25) for seed in (0, 1) for shape in ("car-1", "car-2")),
    *(row("theirs", seed, "bed", "bed-1", view, 0.1 + view / 10) for seed in (0, 1) for view in (0, 1)),
    row("ours", 0, "car", "car-3", 0, float("nan"), status="empty", reason="the object is not in the crop"),
    row("ours", 0, "hall", "stone", 0, 12.0, "hall", "cm"),
    row("theirs", 0, "hall", "stone", 0, 15.0, "hall", "cm"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN, sort_keys=False))
    frame = pd.DataFrame(ROWS)
    for (run, seed), rows in frame.groupby(["run", "seed"]):
        write_table(folder / f"{run}-s{seed}.parquet", rows.to_dict("records"), SCORES)
    return folder


def compile_table(files, name):
    arguments = ["experiments", "table", "--table", name, "--plan", str(files / "plan.yaml"), "--scores"]
    arguments += [*map(str, sorted(files.glob("*.parquet"))), "--out", str(files / f"depth_table{name}")]
    assert main(arguments) == 0
    return pd.read_csv(files / f"depth_table{name}.csv"), (files / f"depth_table{name}.md").read_text()


def test_by_class(files):
    frame, text = compile_table(files, "classes")
    frame = frame.set_index("class")
    assert frame.index.tolist() == ["car", "bed", "mean of the classes"]  # the paper's order, then the mean
    assert frame.loc["car", "LiftNet"] == pytest.approx(100 * 0.3)
    assert frame.loc["car", "LiftNet low"] == pytest.approx(100 * 0.2)  # shape car-1 alone, over both seeds
    assert frame.loc["car", "LiftNet high"] == pytest.approx(100 * 0.4)
    assert frame.loc["car", "LiftNet seeds"] == pytest.approx(100 * 0.2 / 2**0.5)
    assert frame.loc["bed", "pix2pix"] == pytest.approx(100 * 0.15)
    assert pd.isna(frame.loc["bed", "pix2pix low"])  # one shape
    assert frame["lowest"].tolist() == ["pix2pix", "pix2pix", "pix2pix"]
    assert frame.loc["mean of the classes", "LiftNet"] == pytest.approx(100 * (0.3 + 0.2) / 2)
    gap = "LiftNet - pix2pix"
    assert frame.loc["car", gap] == pytest.approx(100 * (0.3 - 0.25))
    assert frame.loc["car", f"{gap} low"] == pytest.approx(100 * (0.2 - 0.25))
    assert frame.loc["mean of the classes", gap] == pytest.approx(100 * (0.05 + 0.05) / 2)
    assert frame.loc["mean of the classes", f"{gap} seeds"] == pytest.approx(100 * 0.2 / 2**0.5 / 2)
    assert frame["shapes"].tolist() == [2, 1, 3]
    assert frame["n"].tolist() == [2, 2, 4]
    assert frame.loc["car", "pix2pix (paper)"] == 1.33
    assert frame.loc["bed", "LiftNet (paper)"] == 1.21
    assert "30.00 [20.00, 40.00] ± 14.14" in text
    assert "64 px" in text
    assert "median and scale" in text


def test_by_method(files):
    frame, text = compile_table(files, "methods")
    assert frame[["set", "method"]].to_numpy().tolist() == [
        ["Shapes", "LiftNet"],
        ["Shapes", "pix2pix"],
        ["Hall", "LiftNet"],
        ["Hall", "pix2pix"],
    ]  # `flat` was not scored
    ours, theirs, in_hall, _ = frame.to_dict("records")
    assert ours["rmse"] == pytest.approx((0.2 + 0.4 + 0.2 + 0.2) / 4)  # the mean is over images
    assert ours["rmse seeds"] == pytest.approx((0.3 - 0.2) / 2**0.5)
    assert (ours["n"], ours["shapes"], ours["seeds"]) == (4, 3, 2)
    assert ours["rel_sq"] == pytest.approx(((0.1**2 + 0.3**2) / 2 + (0.3**2 + 0.5**2) / 2 + 2 * 0.2**2) / 4)
    assert pd.isna(ours["difference"])
    assert theirs["difference"] == pytest.approx(((0.25 - 0.2) + (0.25 - 0.4) + (0.1 - 0.2) + (0.2 - 0.2)) / 4)
    assert (in_hall["unit"], in_hall["rmse"], in_hall["rmse (paper)"]) == ("cm", 12.0, 11.6)
    assert pd.isna(in_hall["rmse seeds"])
    for name in ("alignment", "mask", "resolution", "unit", "split"):
        assert frame[name].notna().all()
    assert "12.00" in text
    assert "Difference: RMSE less that of the row LiftNet, image by image." in text
    assert (files / "depth_tablemethods.tex").read_text().count(r"\\") == 5


def test_scores_of_two_resolutions_are_not_mixed(files, tmp_path, capsys):
    mixed = tmp_path / "mixed.parquet"
    write_table(mixed, [row("ours", 2, "car", "car-1", 0, 0.1, resolution=128)], SCORES)
    arguments = ["--plan", str(files / "plan.yaml"), "--scores", str(files / "ours-s0.parquet"), str(mixed)]
    assert main(["experiments", "table", "--table", "classes", *arguments, "--out", str(tmp_path / "t")]) == 1
    assert "several units or resolutions" in capsys.readouterr().err


def test_a_table_without_scores_is_refused(files, tmp_path, capsys):
    empty = tmp_path / "empty.parquet"
    write_table(empty, [], SCORES)
    arguments = ["--plan", str(files / "plan.yaml"), "--scores", str(empty), "--out", str(tmp_path / "t")]
    assert main(["experiments", "table", "--table", "classes", *arguments]) == 1
    assert "no run of the table has scores" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"runs": {"ours": {"train": "nowhere"}}}, "there is no set 'nowhere'"),
        ({"runs": {"ours": {"train": "shapes", "prior": "constant"}}}, "either a set"),
        ({"runs": {"ours": {"train": "shapes", "settings": {"iteration": 3}}}}, "iteration"),
        ({"runs": {}}, "not known are"),
        ({"figures": {"9": {"models": ["nobody"], "sets": ["shapes"]}}}, "nobody"),
        ({"criteria": [{"claim": "c", "paper": "p", "test": {"kind": "similar"}}]}, "criteria"),
        (
            {"criteria": [{"claim": "c", "paper": "p", "test": LOWER | {"than": "nobody"}}]},
            "criterion 'c': not known are nobody",
        ),
    ],
)
def test_a_wrong_plan_is_refused(tmp_path, change, words):
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN | change))
    with pytest.raises(LiftnetError, match=re.escape(words)):
        read_plan(tmp_path / "plan.yaml", DepthPlan)


def test_the_shipped_plan_has_the_papers_tables():
    plan = read_plan(PLANS / "depth.yaml", DepthPlan)
    assert {"2", "3", "4", "5"} <= set(plan.tables)
    second = {row.method: row.paper for row in plan.tables["2"].rows}
    assert len(second["LiftNet"]) == len(second["pix2pix"]) == 17
    better = sum(second["LiftNet"][name] < second["pix2pix"][name] for name in second["LiftNet"])
    assert better == 11  # counted in the paper's Table 2
    with pytest.raises(LiftnetError, match="--table 6"):
        plan.table("6")


def test_the_shipped_plan_of_dr_kfs_has_the_papers_figures():
    plan = read_plan(PLANS / "drkfs.yaml", DrkfsPlan)
    assert plan.experiments == ["legs", "bars", "shading", "sphere"]
    assert plan.bars.paper["DR-KFS"] == (0.0143, 0.0160, 0.0256)
    assert {title for title, loss in plan.fits.losses.items() if loss.compared_by == "similarity"} == set(
        plan.fits.followed
    )


def test_a_plan_of_dr_kfs_names_rows_of_the_paper(tmp_path):
    plan = yaml.safe_load((PLANS / "drkfs.yaml").read_text())
    plan["bars"]["rows"]["DR-KFS"] = "nothing"
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(LiftnetError, match="not known are nothing"):
        read_plan(tmp_path / "plan.yaml", DrkfsPlan)

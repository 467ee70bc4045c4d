"""Tables 3 and 4 from score files, against numbers worked out by hand."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from liftnet.core.errors import LiftnetError
from liftnet.data.schemas import RECONSTRUCTION_SCORES, write_table
from liftnet.experiments.plan import read_plan
from liftnet.experiments.reconstruction.plan import ReconstructionPlan
from liftnet.experiments.reconstruction.tables import COLUMNS, write_reconstruction_table

ROOT = Path(__file__).resolve().parents[2]
PLAN_FILE = ROOT / "workflow" / "experiments" / "reconstruction.yaml"
PLAN = {
    "runs": {
        "net": {"network": "shape_generator", "losses": {"drkfs": 1}},
        "net-drkfs": {"network": "shape_generator", "start": "net", "losses": {"drkfs": 1}},
        "nearest": {"reference": "retrieval"},
    },
    "tables": {
        "table3": {
            "caption": "All of it.",
            "metrics": ["chamfer_l2", "iou", "lfd", "mvcnn"],
            "rows": [
                {"run": "net", "network": "Net", "training": "original", "paper": {"chamfer_l2": 6.53, "lfd": 4338}},
                {"run": "net-drkfs", "network": "Net", "training": "DR-KFS", "than": "net"},
                {"run": "nearest", "network": "none", "training": "nearest picture"},
            ],
        }
    },
    "demo": {"networks": ["shape_generator"]},
}


def row(run, seed, kind, work, iou, **more):
    trained = {} if run == "nearest" else {"steps": 10, "training_s": 90.0}
    return {
        "run": run, "seed": seed, "set": "toys", "split": "test", "class": kind, "work_id": work, "image_id": work,
        "status": "ok", "reason": "", "chamfer_l2": (1 - iou) / 100, "iou": iou, "lfd": 10_000 * (1 - iou),
        "image_size": 64, "views": 4, **trained, **more,
    }  # fmt: skip


ROWS = [
    # two cars and one lamp; two seeds of the network, one of the same by DR-KFS
    *(row("net", seed, "car", f"car-{k}", iou + seed / 10) for seed in (0, 1) for k, iou in ((1, 0.4), (2, 0.6))),
    *(row("net", seed, "lamp", "lamp-1", 0.2) for seed in (0, 1)),
    *(row("net-drkfs", 0, "car", f"car-{k}", iou) for k, iou in ((1, 0.5), (2, 0.8))),
    row("net-drkfs", 0, "lamp", "lamp-1", 0.0, status="empty", reason="the network gave no surface", lfd=20_000.0),
    *(row("nearest", 0, kind, work, 0.9) for kind, work in (("car", "car-1"), ("car", "car-2"), ("lamp", "lamp-1"))),
]


def compiled(folder, rows=ROWS, seeds=(0, 1)):
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN, sort_keys=False))
    for (run, seed), mine in pd.DataFrame(rows).groupby(["run", "seed"]):
        records = [{k: v for k, v in one.items() if pd.notna(v)} for one in mine.to_dict("records")]
        write_table(folder / f"{run}-s{seed}.parquet", records, RECONSTRUCTION_SCORES)
    files = sorted(folder.glob("*.parquet"))
    write_reconstruction_table("table3", folder / "plan.yaml", files, folder / "table3", seeds)
    return pd.read_csv(folder / "table3.csv"), (folder / "table3.md").read_text(), (folder / "table3.tex").read_text()


def test_figures_are_means_over_shapes_and_classes_of_equal_weight(tmp_path):
    frame, _, _ = compiled(tmp_path)
    assert frame["part"].tolist() == ["average"] * 3 + ["car"] * 3 + ["lamp"] * 3
    at = frame.set_index(["part", "run"])
    assert at.loc[("car", "net"), "iou"] == pytest.approx((0.45 + 0.65) / 2)
    assert at.loc[("car", "net"), "iou low"] == pytest.approx(0.45)  # both cars are the first
    assert at.loc[("car", "net"), "iou high"] == pytest.approx(0.65)
    assert at.loc[("car", "net"), "iou seeds"] == pytest.approx(0.1 / 2**0.5)
    assert at.loc[("lamp", "net"), "iou"] == pytest.approx(0.2)
    assert at.loc[("average", "net"), "iou"] == pytest.approx((0.55 + 0.2) / 2)
    assert at.loc[("average", "net"), "chamfer_l2"] == pytest.approx((0.45 + 0.8) / 2 / 100)
    assert at.loc[("average", "net"), "chamfer_l2 (paper)"] == 6.53
    assert pd.isna(at.loc[("car", "net"), "chamfer_l2 (paper)"])
    assert at.loc[("average", "net"), ["n", "shapes"]].tolist() == [6, 3]
    assert "mvcnn" not in frame  # which nobody has measured


def test_differences_are_paired_over_the_seeds_that_both_have(tmp_path):
    frame, _, _ = compiled(tmp_path)
    at = frame.set_index(["part", "run"])
    gaps = at.loc[("car", "net-drkfs")]  # .5 - .4 and .8 - .6, by seed 0 alone
    assert gaps["iou difference"] == pytest.approx(0.15)
    assert (gaps["iou difference low"], gaps["iou difference high"]) == pytest.approx((0.1, 0.2))
    assert gaps["lfd difference"] == pytest.approx(-1500)
    assert at.loc[("average", "net-drkfs"), "iou difference"] == pytest.approx((0.15 - 0.2) / 2)
    assert pd.isna(at.loc[("car", "net"), "iou difference"])


def test_what_is_no_mesh_counts_and_is_counted(tmp_path):
    frame, text, _ = compiled(tmp_path)
    at = frame.set_index(["part", "run"])
    assert at.loc[("lamp", "net-drkfs"), "lfd"] == 20_000
    assert at["empty"].tolist() == [0, 1, 0, 0, 0, 0, 0, 1, 0]
    assert "LFD 30,000" in text


def test_a_reader_sees_the_paper_the_difference_and_what_is_unfinished(tmp_path):
    _, text, tex = compiled(tmp_path)
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert lines[0][:5] == ["part", "network", "training", "CD x 1000", "IoU %"]
    trainings = [line[2] for line in lines[2:]]
    part = ["original", "DR-KFS", "difference to: original", "nearest picture"]
    assert trainings == [part[0], "original (paper)", *part[1:], *part, *part]
    first = dict(zip(lines[0], lines[2], strict=False))
    assert first["IoU %"] == "37.5 [32.5, 42.5] ± 3.5"
    assert dict(zip(lines[0], lines[3], strict=False))["CD x 1000"] == "6.53"
    assert first["CPU min"] == "1.5"
    assert first["seeds"] == "2"
    assert dict(zip(lines[0], lines[4], strict=False))["seeds"] == "1 of 2, unfinished: 1"
    nearest = next(line for line in lines if line[2] == "nearest picture")
    assert nearest[-1] == "-"
    assert "64 px from 4 views" in text
    assert r"IoU \%" in tex


def test_the_order_of_rows_in_files_does_not_matter(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = compiled(tmp_path / "a")[0], compiled(tmp_path / "b", ROWS[::-1])[0]
    pd.testing.assert_frame_equal(one, two)


def test_runs_on_other_pictures_are_not_compared(tmp_path):
    with pytest.raises(LiftnetError, match="other pictures"):
        compiled(tmp_path, [*ROWS, row("nearest", 0, "lamp", "lamp-2", 0.9)])


def test_a_table_without_scores_is_refused(tmp_path):
    with pytest.raises(LiftnetError, match="empty"):
        compiled(tmp_path, [row("other", 0, "car", "car-1", 0.5)])


# The plan itself


def test_the_plan_has_the_rows_of_both_tables():
    plan = read_plan(PLAN_FILE, ReconstructionPlan)
    table = plan.tables["reconstruction"]
    papers = [row for row in table.rows if row.paper]
    assert len(papers) == 14  # Table 3
    assert all(set(row.paper) == {*table.metrics[:8]} for row in papers)
    assert len([row for row in plan.tables["reconstruction_losses"].rows if row.paper]) == 3  # Table 4
    assert all(metric in COLUMNS for one in plan.tables.values() for metric in one.metrics)
    trained = [run for run in plan.runs.values() if run.network]
    assert len({run.network for run in trained}) == 7
    assert sum(run.pace is not None for run in trained) == 6


def test_the_papers_claims_follow_from_its_own_figures():
    """The counts of the paper, from its Table 3 as the plan has it: 7 of 7, 4 of 10, 24 and 22 of 30."""
    plan = read_plan(PLAN_FILE, ReconstructionPlan)
    printed = {row.run: row.paper for row in plan.tables["reconstruction"].rows if row.paper}
    counted = []
    for criterion in plan.criteria:
        test = criterion.test
        if test.kind != "figures won" or any({pair.run, pair.than} - {*printed} for pair in test.pairs):
            continue
        better = [
            (printed[pair.run][metric] > printed[pair.than][metric]) == COLUMNS[metric].higher_is_better
            for pair in test.pairs
            for metric in test.metrics
        ]
        counted.append((sum(better), len(better)))
    assert counted == [(7, 7), (4, 10), (1, 1), (22, 30), (24, 30), (15, 18)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"runs": {**PLAN["runs"], "x": {"network": "shape_generator", "start": "y", "losses": {"drkfs": 1}}}}, "y"),
        ({"runs": {**PLAN["runs"], "x": {"reference": "nearest"}}}, "no reference 'nearest'"),
        ({"runs": {**PLAN["runs"], "x": {"network": "shape_generator", "reference": "mean"}}}, "either"),
        ({"demo": {"networks": ["shape_generator"], "training": {"iterationz": 3}}}, "iterationz"),
    ],
)
def test_a_wrong_plan_is_refused(tmp_path, change, words):
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN | change, sort_keys=False))
    with pytest.raises(LiftnetError, match=words):
        read_plan(tmp_path / "plan.yaml", ReconstructionPlan)

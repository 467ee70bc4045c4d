"""The experiments of the paper as Snakemake plans them, and one table of a tiny plan from nothing to its rows."""

import json
import re
import shlex

import pandas as pd
import pytest
import yaml
from workflow_tools import ROOT, TINY, scheduled

pytestmark = pytest.mark.workflow
SETS = ("sketchfab", "shapenet", "scanned")


def dry_run(workflow, *more):
    run = workflow.run("--dry-run", "--printshellcmds", "--workflow-profile", "none", "depth_tables", *more)
    assert run.returncode == 0, run.stdout + run.stderr
    return scheduled(run), run.stdout + run.stderr


def commands(text, name):
    """The commands of a rule with their line breaks taken out."""
    return [re.sub(r"\\\n\s*", "", command) for command in re.findall(rf"python -m liftnet {name}(?:.*\\\n)*.*", text)]


def settings_of(command):
    """What a command is told by --settings."""
    words = shlex.split(command)
    return json.loads(words[words.index("--settings") + 1])


def runs_of_the_plan():
    plan = yaml.safe_load((ROOT / "workflow/experiments/depth.yaml").read_text())
    used = {row["run"] for table in plan["tables"].values() for row in table["rows"]}
    return plan, {name for name in used if "prior" not in plan["runs"][name]}


def test_every_run_score_table_and_figure_is_planned(workflow):
    plan, trained = runs_of_the_plan()
    workflow.configure(experiments={"depth": {"seeds": 2}})
    jobs, _ = dry_run(workflow)
    assert jobs["render_set"] == len(SETS)
    assert jobs["train_run"] == 2 * len(trained)
    assert jobs["compile_depth_table"] == len(plan["tables"])
    assert jobs["draw_depth_figure"] == 2
    assert jobs["reconstruct_works"] == 1
    scores = {
        (row["run"], name, seed)
        for table in plan["tables"].values()
        for name in set(table["sets"]) - {"scans"}
        for row in table["rows"]
        for seed in range(2 if row["run"] in trained else 1)
    }
    assert jobs["score_run"] == len(scores)


def test_the_demo_does_not_run_them(workflow):
    run = workflow.run("--dry-run", "--workflow-profile", "none")
    assert not {"train_run", "score_run", "render_set", "reconstruct_works"} & set(scheduled(run))


def test_settings_come_from_the_configuration_then_the_plan_then_the_overrides(workflow):
    overrides = {
        "sketchfab": {"optimiser": {"learning_rate": 0.5}},
        "liftnet-sketchfab-50": {"optimiser": {"learning_rate": 0.25}},
    }
    depth = {"train": {**TINY["depth"]["train"], "loss": {"orthography_weight": 3.0}}}
    workflow.configure(experiments={"depth": {"seeds": 1, "overrides": overrides}}, depth=depth, seed=7)
    _, text = dry_run(workflow)
    trains = {
        re.search(r"models/([\w-]+)-s7\b", line)[1]: line for line in commands(text, "depth train") if "-s7" in line
    }
    assert {name for name in trains if name != "liftnet"} == runs_of_the_plan()[1]
    told = {name: settings_of(line) for name, line in trains.items()}
    fifty, ten, sculptures = (told[f"liftnet-{name}"] for name in ("sketchfab-50", "sketchfab-10", "sculptures-no-r"))
    assert fifty["correspondences"] == {"fixed": True, "max_per_pair": 50}
    assert [run["optimiser"]["learning_rate"] for run in (fifty, ten, sculptures)] == [0.25, 0.5, 0.001]
    assert fifty["optimiser"]["name"] == "adam"  # what is not overridden stays
    assert sculptures["loss"]["robust"] is False
    assert sculptures["loss"]["orthography_weight"] == 0.0  # the paper's, whatever the section depth says
    assert told["liftnet-sculptures-calibrated"]["loss"]["orthography_weight"] == 1.0
    assert "--seed 7" in trains["liftnet-sculptures-no-r"]
    assert sculptures["iterations"] == TINY["depth"]["train"]["iterations"]
    assert told["pix2pix-shapenet"]["method"] == "regression"
    assert "--targets results/renders/shapenet" in trains["pix2pix-shapenet"]
    assert "--targets results/sfm" in trains["colmap-sculptures"]
    scores = commands(text, "depth score")
    assert {"--unit cm" in line for line in scores if "--set scanned" in line} == {True}
    assert {"--unit cm" in line for line in scores if "--set scanned" not in line} == {False}
    assert any("--prior constant --run constant --set shapenet" in line for line in scores)


def test_photographs_leave_out_what_needs_the_museums_truth(workflow):
    (workflow.folder / "photos").mkdir()
    (workflow.folder / "photos" / "sources.csv").write_text("artist,work,image_url\n")
    workflow.configure(photos="photos", experiments={"depth": {"seeds": 1}})
    _, text = dry_run(workflow)
    assert "ordinal-sculptures" not in text
    assert "--set sculptures" not in text
    assert "models/liftnet-sculptures-s0" in text


def test_real_scans_are_measured_where_they_are_given(workflow):
    scans = workflow.folder / "my" / "scans"
    scans.mkdir(parents=True)
    for name in ("manifest", "truth"):
        (scans / f"{name}.parquet").touch()
    workflow.configure(experiments={"depth": {"seeds": 1, "scans": str(scans)}})
    _, text = dry_run(workflow)
    scores = [line for line in commands(text, "depth score") if "--set scans" in line]
    assert scores
    assert all(f"--root {scans} --truth {scans}" in line for line in scores)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"sketchfob": {}}, "'sketchfob' is neither a run nor a training set"),
        ({"sketchfab": {"optimiser": {"learning_rat": 1}}}, "unknown key 'learning_rat'"),
        ({"sketchfab": 3}, "experiments.depth.overrides.sketchfab"),
    ],
)
def test_wrong_overrides_stop_before_any_job(workflow, overrides, words):
    workflow.configure(experiments={"depth": {"overrides": overrides}})
    run = workflow.run("--dry-run")
    assert run.returncode != 0
    assert words in run.stdout + run.stderr


TINY_PLAN = {
    "sets": {"sketchfab": {"title": "SketchFab", "folder": "renders/sketchfab"}},
    "runs": {
        "liftnet-few": {"train": "sketchfab", "settings": {"correspondences": {"max_per_pair": 10, "fixed": True}}},
        "pix2pix": {"train": "sketchfab", "method": "regression", "targets": "renders/sketchfab"},
        "constant": {"prior": "constant"},
    },
    "tables": {
        "3": {
            "caption": "A tiny table.",
            "sets": ["sketchfab"],
            "reference": "pix2pix",
            "rows": [
                {"run": "liftnet-few", "method": "LiftNet"},
                {"run": "pix2pix", "method": "pix2pix"},
                {"run": "constant", "method": "constant"},
            ],
        }
    },
    "figures": {"5": {"models": ["liftnet-few", "pix2pix"], "sets": ["sketchfab"]}},
}


def test_a_table_and_a_figure_from_nothing(workflow):
    (workflow.folder / "workflow" / "experiments" / "depth.yaml").write_text(yaml.safe_dump(TINY_PLAN))
    workflow.configure(
        experiments={"depth": {"seeds": 2}},
        render={
            "sketchfab": {"sculptures": 8, "resolution": 32, "val_fraction": 0.25, "test_fraction": 0.25},
            "views": {"size": 64},
        },
        depth={
            "train": {
                "input": {"image_size": 32},
                "network": {"levels": 3, "width": 4},
                **{"iterations": 4, "batch_size": 4, "validate_every": 2},
            }
        },
    )
    run = workflow.run("--workflow-profile", "none", "depth_tables")
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    results = workflow.folder / "results"
    table = pd.read_csv(results / "tables/depth_table3.csv").set_index("method")
    assert table.index.tolist() == ["LiftNet", "pix2pix", "constant"]
    assert table["seeds"].tolist() == [2, 2, 1]
    assert table["n"].nunique() == 1
    assert table["n"].iloc[0] == 5 * table["shapes"].iloc[0] > 0
    assert table[["l1", "rmse", "rel_l1", "rel_sq", "rmse_affine"]].notna().all().all()
    assert (results / "figures/depth_figure5.html").stat().st_size > 10_000
    again = workflow.run("--workflow-profile", "none", "depth_tables")
    assert "Nothing to be done" in again.stdout + again.stderr

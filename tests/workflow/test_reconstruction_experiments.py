"""The experiments with reconstruction networks as Snakemake plans them."""

import pytest
import yaml
from workflow_tools import ROOT, scheduled

pytestmark = pytest.mark.workflow
PLAN = yaml.safe_load((ROOT / "workflow/experiments/reconstruction.yaml").read_text())
TRAINED = [name for name, run in PLAN["runs"].items() if "network" in run]


def planned(workflow, target):
    run = workflow.run("--dry-run", "--workflow-profile", "none", target)
    assert run.returncode == 0, run.stdout + run.stderr
    return scheduled(run), run.stdout + run.stderr


def test_every_run_of_every_seed_is_trained_and_measured(workflow):
    workflow.configure(experiments={"reconstruction": {"seeds": 2}})
    jobs, text = planned(workflow, "reconstruct")
    assert jobs["train_reconstruction_run"] == 2 * len(TRAINED)
    shown = {row["run"] for table in PLAN["tables"].values() for row in table["rows"]}
    references = len(shown - set(TRAINED))
    assert jobs["evaluate_reconstruction_run"] == 2 * len(shown & set(TRAINED)) + references
    assert jobs["describe_true_shapes"] == jobs["render_reconstruction_set"] == jobs["train_mvcnn"] == 1
    assert jobs["compile_reconstruction_table"] == 3
    assert "models/ogn-drkfs-s1" in text


def test_the_demo_needs_nothing_else(workflow):
    jobs, text = planned(workflow, "reconstruct_demo")
    assert not {"render_reconstruction_set", "render_shapes", "train_mvcnn", "collect_images"} & set(jobs)
    demo = [name for name in TRAINED if PLAN["runs"][name]["network"] in PLAN["demo"]["networks"]]
    assert jobs["train_reconstruction_run"] == len(demo)
    assert "results/reconstruct/" not in text


def test_all_leaves_them_out(workflow):
    run = workflow.run("--dry-run", "--workflow-profile", "none")
    assert not {"train_reconstruction_run", "describe_true_shapes"} & set(scheduled(run))

"""Snakemake on this workflow: plans, refusals, and the whole line on a tiny museum."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from workflow_tools import ROOT, copy_workflow, scheduled

pytestmark = pytest.mark.workflow


def test_lint_finds_nothing():
    run = subprocess.run([sys.executable, "-m", "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("section", "change", "words"),
    [
        ("match", {"ratoi": 0.8}, ["match: unknown key 'ratoi'", "known keys are", "ratio"]),
        ("match", {"ratio": "high"}, ["match.ratio", "'high' is not of type 'number'"]),
        ("match", {"ratio": 7}, ["match.ratio", "7", "maximum"]),
        ("match", {"matcher": "superglue"}, ["match.matcher", "opencv", "colmap", "openmvg"]),
    ],
)
def test_a_wrong_configuration_stops_before_any_job(workflow, section, change, words):
    workflow.configure(**{section: change})
    run = workflow.run("--dry-run")
    assert run.returncode != 0
    assert [word for word in words if word not in run.stdout + run.stderr] == []


def test_an_unknown_section_is_named(workflow):
    workflow.configure(colect={"val_share": 0.2})
    run = workflow.run("--dry-run")
    assert run.returncode != 0
    assert "unknown key 'colect'" in run.stdout + run.stderr


def test_photos_that_are_not_there_are_named(workflow):
    run = workflow.run("--dry-run", "--config", "photos=no/such/folder")
    assert run.returncode != 0
    assert "no/such/folder" in run.stdout + run.stderr


def test_missing_conda_is_only_needed_when_asked_for(workflow):
    assert workflow.run("--dry-run").returncode == 0
    run = workflow.run("--use-conda", environment={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"})
    assert run.returncode != 0
    assert "conda" in run.stdout + run.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The whole line on a tiny museum with --use-conda (through a stand-in), killed once on the way."""
    workflow = copy_workflow(tmp_path_factory.mktemp("line"))
    stand_in = Path(__file__).parent / "conda" / "bin"
    environment = workflow.environment(
        {
            "PATH": f"{stand_in}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "CONDA_BASE_PYTHON": sys.executable,
            "CONDA_CALLS": str(workflow.folder / "conda_calls.txt"),
        }
    )
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--use-conda"]
    with open(workflow.folder / "first.log", "w") as log:
        first = subprocess.Popen(
            command, cwd=workflow.folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        wait_for(lambda: list(workflow.folder.glob("results/matches/*.parquet")), first, 300)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    subprocess.run([*command, "--unlock"], cwd=workflow.folder, env=environment, check=True, capture_output=True)
    second = subprocess.run(command, cwd=workflow.folder, env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stdout[-4000:] + second.stderr[-4000:]
    return workflow, environment


def wait_for(condition, process, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "Snakemake ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.2)


def test_the_whole_line_survives_a_kill_and_gives_everything(finished):
    results = finished[0].folder / "results"
    expected = [
        "report.html",
        "manifest.parquet",
        "models/segmenter/model.safetensors",
        "models/liftnet/model.safetensors",
        *(f"tables/{name}.{kind}" for kind in ("csv", "md", "tex") for name in TABLES),
    ]
    assert [name for name in expected if not (results / name).stat().st_size] == []
    statistics = pd.read_csv(results / "tables/statistics.csv", index_col=0)
    assert statistics.iloc[0].astype(float)["all"] >= 3


TABLES = (
    "statistics",
    "segmentation",
    "segmentation_truth",
    "correspondences_truth",
    "pairs_by_reason",
    "depth_pairs",
    "depth_demo",
    "funnel",
)


def test_conda_environments_were_made_and_used(finished):
    workflow, _ = finished
    calls = (workflow.folder / "conda_calls.txt").read_text()
    assert calls.count("create") >= 4
    links = list((workflow.folder / ".snakemake" / "conda").glob("*/lib/python3*/site-packages/liftnet.pth"))
    assert len(links) >= 4, "the post-deploy scripts did not run"


def test_a_second_run_does_nothing_with_or_without_conda(finished):
    workflow, environment = finished
    for options in ([], ["--use-conda"]):
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *options]
        run = subprocess.run(
            command, cwd=workflow.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert "Nothing to be done" in run.stdout + run.stderr


def test_statistics_alone_come_from_the_shards(finished):
    workflow, _ = finished
    (workflow.folder / "results/tables/statistics.csv").unlink()
    run = workflow.run("--dry-run", "statistics", "--quiet", "none")
    assert scheduled(run.stdout) == {"count_statistics": 1, "statistics": 1, "total": 2}
    assert workflow.run("statistics").returncode == 0


def test_moved_results_leave_the_old_ones_alone(finished):
    run = finished[0].run("--dry-run", "--config", "results=elsewhere", "--quiet", "none")
    assert "elsewhere/museum/sources.csv" in run.stdout


def test_snakemakes_own_report_works_offline(finished):
    workflow, _ = finished
    run = workflow.run("--report", "snakemake_report.zip")
    assert run.returncode == 0, run.stderr[-2000:]
    assert (workflow.folder / "snakemake_report.zip").stat().st_size > 100_000


def test_changing_the_cut_verifies_again_but_does_not_match_again(finished):
    workflow, _ = finished
    workflow.configure(verify={"max_rho": 0.75})
    jobs = scheduled(workflow.run("--dry-run", "--quiet", "none").stdout)
    workflow.configure()
    assert jobs["verify_work"] >= 3
    assert "match_work" not in jobs
    assert "train_segmenter" not in jobs


def test_benchmarks_are_kept_per_job(finished):
    tables = list((finished[0].folder / "results/benchmarks/match_work").glob("*.tsv"))
    assert tables
    assert json.loads(pd.read_csv(tables[0], sep="\t").to_json(orient="records"))[0]["s"] > 0

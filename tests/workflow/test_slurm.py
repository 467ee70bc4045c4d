"""The cluster profiles on a real cluster: works grouped into few jobs, a killed job started again, equal results."""

import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from slurm_cluster import one_node_cluster, reason_against
from workflow_tools import copy_workflow

from liftnet.data.masks import write_mask
from liftnet.data.schemas import MANIFEST, MASKS, read_table, write_table

PROBLEM = reason_against()
pytestmark = [pytest.mark.slurm, pytest.mark.skipif(PROBLEM is not None, reason=f"no cluster: {PROBLEM}")]


@pytest.fixture
def cluster(tmp_path_factory):
    with one_node_cluster(tmp_path_factory.mktemp("cluster")):
        yield


@pytest.fixture
def masked(tmp_path):
    """The line up to the masks, which here are whole images: nothing is trained."""
    workflow = copy_workflow(tmp_path)
    run = workflow.run("results/works.tsv")
    assert run.returncode == 0, run.stdout + run.stderr
    results = workflow.folder / "results"
    model = results / "models" / "segmenter"
    model.mkdir(parents=True)
    (model / "model.safetensors").touch()
    (results / "tables").mkdir()
    (results / "tables" / "segmentation.csv").touch()
    manifest = read_table(results / "manifest.parquet", MANIFEST).to_pandas()
    for artist, rows in manifest[manifest.status == "ok"].groupby("artist_id"):
        for row in rows.itertuples():
            write_mask(results / "masks" / f"{row.image_id}.png", np.ones((int(row.height), int(row.width)), bool))
        table = [{"image_id": image, "status": "ok", "coverage": 1.0, "confidence": 1.0} for image in rows.image_id]
        write_table(results / "masks" / f"{artist}.parquet", table, MASKS)
    return workflow


def contents(results):
    """The bytes of every file of matches, pairs and dataset."""
    folders = [results / name for name in ("matches", "across", "pairs", "dataset")]
    return {
        str(path.relative_to(results)): path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def start(workflow, profile, *arguments):
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", f"profiles/{profile}", *arguments]
    with open(workflow.folder / f"{profile}.log", "w") as log:
        return subprocess.Popen(command, cwd=workflow.folder, env=workflow.environment(), stdout=log, stderr=log)


def jobs(comment):
    """State of every job of the cluster, ended ones included, whose comment or name holds `comment`; by job id."""
    command = ["squeue", "--states=all", "--noheader", "--format=%i %T %j %k"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[0]: line.split()[1] for line in lines if comment in line}


def kill_first_running_job(comment, process):
    while not (running := [job for job, state in jobs(comment).items() if state == "RUNNING"]):
        assert process.poll() is None, "Snakemake ended before a job ran"
        time.sleep(0.5)
    subprocess.run(["scancel", running[0]], check=True)
    return running[0]


def test_works_run_in_groups_and_a_killed_job_is_started_again(cluster, masked):
    results = masked.folder / "results"
    local = masked.run("dataset")
    assert local.returncode == 0, local.stdout + local.stderr
    expected = contents(results)
    works = len(list((results / "pairs").glob("*.parquet")))
    assert works >= 5
    for name in ("matches", "across", "pairs", "dataset"):
        shutil.rmtree(results / name)

    process = start(masked, "slurm", "dataset", "--slurm-init-seconds-before-status-checks", "2")
    killed = kill_first_running_job("match_work", process)
    assert process.wait(400) == 0, (masked.folder / "slurm.log").read_text()[-4000:]

    grouped = jobs("match_work")
    assert grouped.pop(killed) == "CANCELLED"
    assert list(grouped.values()) == ["COMPLETED"]  # one job for match and verify of all works
    assert jobs("verify_work").keys() == {killed, *grouped}
    assert list(jobs("write_shards").values()) == ["COMPLETED"]
    assert contents(results) == expected

    lost = sorted(results.glob("pairs/*.parquet"))[:2]
    for path in lost:
        path.unlink()
    process = start(masked, "generic", *(str(path.relative_to(masked.folder)) for path in lost))
    assert process.wait(180) == 0, (masked.folder / "generic.log").read_text()[-4000:]
    assert list(jobs("liftnet-GROUP").values()) == ["COMPLETED"]
    assert contents(results) == expected

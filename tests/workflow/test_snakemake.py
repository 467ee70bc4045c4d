"""Snakemake on this workflow: plans, refusals, and the whole line on a tiny museum."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from workflow_tools import ROOT, copy_workflow, scheduled

from liftnet.data.schemas import MANIFEST, PAIRS, read_table
from liftnet.data.truth import truth_files

pytestmark = pytest.mark.workflow
LIFTNET = (sys.executable, "-m", "liftnet")


def test_lint_finds_nothing():
    run = subprocess.run([sys.executable, "-m", "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_wrong_configuration_stops_before_any_job_and_all_its_faults_are_told(workflow):
    workflow.configure(
        match={"search": {"ratoi": 0.8, "ratio": "high", "matcher": "superglue"}}, colect={"val_share": 0.2}, seed=-1
    )
    run = workflow.run("--dry-run")
    assert run.returncode != 0
    told = run.stdout + run.stderr
    words = [
        "match.search: unknown key 'ratoi'; did you mean 'ratio'?",
        "known keys are",
        "match.search.ratio: 'high' is not of type 'number'",
        *("match.search.matcher", "exact", "colmap", "openmvg"),
        "unknown key 'colect'; did you mean 'collect'?",
        "seed: -1 is less than the minimum of 0",
    ]
    assert [word for word in words if word not in told] == []


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
    """The whole line on a tiny museum with --use-conda (through a stand-in), killed once, resumed from elsewhere."""
    folder = tmp_path_factory.mktemp("somewhere") / "line"
    folder.mkdir()
    workflow = copy_workflow(folder)
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
    resume = [*LIFTNET, "resume", "line/results", "--unlock", "--cores", "2", "--snakemake=--use-conda"]
    second = subprocess.run(
        resume, cwd=workflow.folder.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert second.returncode == 0, second.stdout[-4000:] + second.stderr[-4000:]
    assert f"done: {workflow.folder}/results/report.html" in second.stderr
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
    "split_sizes",
    "funnel_by_source",
    "tracks",
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
    links = list((workflow.folder / ".snakemake" / "conda").glob("*/lib/python3*/site-packages/liftnet"))
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
    run = workflow.run("--dry-run", "statistics")
    assert scheduled(run) == {"count_cuts": 1, "count_statistics": 1, "statistics": 1, "total": 3}
    assert workflow.run("statistics").returncode == 0


def test_moved_results_leave_the_old_ones_alone(finished):
    run = finished[0].run("--dry-run", "--workflow-profile", "none", "--config", "results=elsewhere")
    assert "elsewhere/museum/sources.csv" in run.stdout + run.stderr


def test_snakemakes_own_report_works_offline(finished):
    workflow, _ = finished
    run = workflow.run("--report", "snakemake_report.zip")
    assert run.returncode == 0, run.stderr[-2000:]
    assert (workflow.folder / "snakemake_report.zip").stat().st_size > 100_000


def test_changing_the_cut_verifies_again_but_does_not_match_again(finished):
    workflow, _ = finished
    workflow.configure(verify={"thresholds": {"max_planar_fraction": 0.75}})
    jobs = scheduled(workflow.run("--dry-run"))
    workflow.configure()
    assert jobs["verify_work"] >= 3
    assert "match_work" not in jobs
    assert "train_segmenter" not in jobs


def test_benchmarks_are_kept_per_job(finished):
    tables = list((finished[0].folder / "results/benchmarks/match_work").glob("*.tsv"))
    assert tables
    assert json.loads(pd.read_csv(tables[0], sep="\t").to_json(orient="records"))[0]["s"] > 0


def photograph_folder(folder, museum):
    """Photographs as people have them: three artists from the museum, and every trouble a folder can hold."""
    by_work = {}
    for path in sorted(museum / name for name in truth_files(museum)):  # without the museum's own troubles
        by_work.setdefault((path.parts[-3], path.parts[-2]), []).append(path)
    for (artist, work), paths in list(by_work.items())[:4]:
        target = folder / f"{artist} Größe" / f"{work} & Söhne"
        (target / "masks").mkdir(parents=True)
        for number, path in enumerate(paths):
            shutil.copy(path, target / f"Ansicht {number} ö.jpg")
    spare = list(by_work.values())[4]  # not copies of the others, which would be dropped
    alone = folder / "Alone" / "One view"
    alone.mkdir(parents=True)
    turned = Image.open(spare[3])
    exif = turned.getexif()
    exif[274] = 6
    turned.rotate(90, expand=True).save(alone / spare[3].name, exif=exif, quality=95)
    odd = folder / "Odd" / "Formats"
    odd.mkdir(parents=True)
    Image.open(spare[0]).convert("L").save(odd / "grey.jpg")
    Image.open(spare[1]).convert("CMYK").save(odd / "cmyk.jpg")
    Image.fromarray(np.asarray(Image.open(spare[2]).convert("L")).astype(np.uint16) * 257).save(odd / "sixteen.png")
    broken = folder / "Broken" / "Nothing works"
    broken.mkdir(parents=True)
    (broken / "page.jpg").write_text("<html>not found</html>")
    (broken / "empty.jpg").write_bytes(b"")
    (broken / "cut.jpg").write_bytes(spare[3].read_bytes()[:2000])


def test_troublesome_photographs_stop_nothing_and_are_all_counted(finished, tmp_path):
    done, _ = finished
    workflow = copy_workflow(tmp_path / "run")
    photograph_folder(tmp_path / "photographs", done.folder / "results" / "museum")
    workflow.configure(segment={"weights": None})  # no masks are given: the segmenter that ships masks them
    words = ["run", "../photographs", "--configfile", "config.yaml", "--cores", "2"]
    run = subprocess.run([*LIFTNET, *words], cwd=workflow.folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "photographs: taken as artist/work/*" in run.stderr
    results = workflow.folder / "results"
    manifest = read_table(results / "manifest.parquet", MANIFEST).to_pandas()
    files = [path for path in (tmp_path / "photographs").glob("*/*/*") if path.is_file()]
    assert len(manifest) == len(files)
    broken = manifest[manifest.artist == "Broken"]
    assert len(broken) == 3
    assert not (broken.status == "ok").any()
    assert broken.reason.str.len().min() > 10
    assert (manifest[manifest.artist != "Broken"].status == "ok").all()
    one = manifest[manifest.artist == "Alone"].iloc[0]
    assert (one.exif_orientation, one.width) == (6, 448)
    pairs = pd.concat(read_table(path, PAIRS).to_pandas() for path in (results / "pairs").glob("*.parquet"))
    views = manifest[manifest.status == "ok"].groupby("work_id").size()
    assert len(pairs) == (views * (views - 1) // 2).sum()
    reasons = pd.read_csv(results / "tables/pairs_by_reason.csv")
    assert reasons["all"].iloc[:-1].sum() == reasons["all"].iloc[-1] == len(pairs)
    page = (results / "report.html").read_text()
    assert "not accounted for" not in page
    assert "Größe" in page


@pytest.mark.parametrize("profile", ["slurm", "generic"])
def test_cluster_profiles_plan_the_whole_line(workflow, profile):
    run = workflow.run("--dry-run", "--workflow-profile", f"profiles/{profile}")
    assert run.returncode == 0, run.stdout + run.stderr
    assert scheduled(run)["train_liftnet"] == 1


KILL_AT_RENAME = """
import os, signal, sys
from liftnet.__main__ import main
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("output", "command"),
    [
        ("matches/{work}.parquet", "match --root . --work {work} --out matches/{work}.parquet"),
        ("pairs/{work}.parquet", "verify run --root . --matches matches/{work}.parquet --out pairs/{work}.parquet"),
        ("tables/statistics.csv", "shard statistics --dataset dataset --tables tables"),
        ("report.html", "report --root . --out report.html"),
    ],
)
def test_a_command_killed_when_it_is_done_but_for_the_rename_leaves_the_old_file(finished, tmp_path, output, command):
    results = tmp_path / "results"
    shutil.copytree(finished[0].folder / "results", results)
    work = next(results.glob("pairs/*.parquet")).stem
    words = command.format(work=work).split()
    target = results / output.format(work=work)
    target.write_text("the old file")
    killed = subprocess.run([sys.executable, "-c", KILL_AT_RENAME, *words], cwd=results, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert target.read_text() == "the old file"
    again = subprocess.run([sys.executable, "-m", "liftnet", *words], cwd=results, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert target.stat().st_size > len("the old file")

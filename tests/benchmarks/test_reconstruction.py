"""Parts of the long run are joined: a run that is gathered again replaces what it was."""

import importlib
from pathlib import Path

import pytest

from liftnet.data.schemas import RECONSTRUCTION_SCORES, read_table, write_table

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("reconstruction")
    monkeypatch.setattr(module, "SCORES", tmp_path / "scores.parquet")
    monkeypatch.setattr(module, "JOBS", tmp_path / "jobs.csv")
    return module


def part(folder, runs, lfd, cpu_s):
    rows = [
        {"run": run, "seed": seed, "class": "chair", "work_id": "a", "image_id": "a-0", "status": "ok", "lfd": lfd}
        for run, seed in runs
    ]
    write_table(folder / "reconstruct" / "scores" / "some.parquet", rows, RECONSTRUCTION_SCORES)
    for run, seed in runs:
        path = folder / "benchmarks" / "train_reconstruction_run" / f"{run}-s{seed}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\tmax_rss\tcpu_time\n1\t500\t{cpu_s}\n")
    return folder


def test_a_part_adds_to_what_was_gathered_and_replaces_its_own(script, tmp_path):
    first = part(tmp_path / "one", [("ogn-drkfs", 0), ("ogn-drkfs", 1)], 5000, 60)
    script.keep_scores(script.gathered_scores([first]))
    script.gathered_jobs([first]).to_csv(script.JOBS, index=False)
    second = part(tmp_path / "two", [("ogn-drkfs", 1), ("ogn-drkfs", 2)], 4000, 180)
    rows = script.gathered_scores([second])
    assert dict(zip(rows["seed"], rows["lfd"], strict=True)) == {0: 5000, 1: 4000, 2: 4000}
    jobs = script.gathered_jobs([second])
    assert dict(zip(jobs["seed"], jobs["cpu_s"], strict=True)) == {0: 60, 1: 180, 2: 180}
    hours = script.hours_table(jobs).set_index("work")
    assert hours.loc["trainings", "CPU min a seed"] == pytest.approx((60 + 180 + 180) / 3 / 60, abs=0.05)
    assert len(read_table(script.SCORES, RECONSTRUCTION_SCORES)) == 2

"""What `snakemake reconstruct` found and took, gathered over parts of it: scores, hours, cost of a step.

A run of all networks takes hours, one with several seeds days; it can be done in parts, on several machines. This adds
what the results of a part hold to what was gathered before, and writes the tables anew:

    python benchmarks/reconstruction.py [RESULTS ...]

`reconstruction_scores.parquet` has the rows of `reconstruct evaluate`, `reconstruction_jobs.csv` a row a job with its
CPU seconds and memory. A run that is gathered again replaces what it was. To fill in docs/reproduction.md, put the
scores below a folder of results as `reconstruct/scores/all.parquet`.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import torch
from measuring import machine, write_report

from liftnet.core.files import atomic_path, read_json
from liftnet.core.tables import markdown_table
from liftnet.data.schemas import RECONSTRUCTION_SCORES, write_table
from liftnet.experiments.plan import read_plan
from liftnet.experiments.reconstruction.plan import ReconstructionPlan
from liftnet.experiments.reconstruction.tables import read_scores, write_reconstruction_table

HERE = Path(__file__).resolve().parent
PLAN = HERE.parent / "workflow" / "experiments" / "reconstruction.yaml"
SCORES, JOBS = HERE / "reconstruction_scores.parquet", HERE / "reconstruction_jobs.csv"
RUN = re.compile(r"(?P<run>.+)-s(?P<seed>\d+)$")
WORK = {  # what a rule does, in words
    "render_reconstruction_set": "shapes and pictures",
    "render_shapes": "meshes for MVCNN",
    "train_mvcnn": "MVCNN",
    "describe_true_shapes": "descriptors of the true shapes",
    "train_reconstruction_run": "trainings",
    "evaluate_reconstruction_run": "evaluations",
}


def gathered_scores(results: Sequence[Path]) -> pd.DataFrame:
    """The rows known before and those of the results, which replace rows of the same run, seed and picture."""
    files = [path for folder in results for path in sorted(folder.glob("reconstruct/scores/*.parquet"))]
    rows = read_scores([*([SCORES] if SCORES.exists() else []), *files])
    rows = rows.drop_duplicates(["run", "seed", "image_id"], keep="last")
    return rows.sort_values(["run", "seed", "image_id"], ignore_index=True)


def keep_scores(rows: pd.DataFrame) -> None:
    """Write the rows beside this script."""
    write_table(SCORES, pa.Table.from_pandas(rows, RECONSTRUCTION_SCORES, preserve_index=False), RECONSTRUCTION_SCORES)


def jobs_of(results: Path) -> Iterator[dict[str, Any]]:
    """A row a job that has ended: rule, run, seed, CPU seconds, most memory in MB, and the machine."""
    where = f"{machine('torch')}, {torch.backends.cpu.get_cpu_capability()}"
    for rule in WORK:
        for path in sorted([*results.glob(f"benchmarks/{rule}.tsv"), *results.glob(f"benchmarks/{rule}/*.tsv")]):
            found = RUN.match(path.stem)
            spent = pd.read_csv(path, sep="\t").iloc[-1]
            steps = steps_s(results / "reconstruct" / "models" / path.stem) if rule.startswith("train_recon") else 0.0
            yield {
                "rule": rule,
                "run": found["run"] if found else "",
                "seed": int(found["seed"]) if found else 0,
                "cpu_s": round(max(float(spent["cpu_time"]), steps), 1),
                "memory_mb": round(float(spent["max_rss"])),
                "machine": where,
            }


def steps_s(model: Path) -> float:
    """CPU seconds of a model's steps: a job that was stopped and goes on has measured the rest of them only."""
    config = model / "config.json"
    return float(read_json(config)["training"]["cpu_seconds"]) if config.exists() else 0.0


def gathered_jobs(results: Sequence[Path]) -> pd.DataFrame:
    """The jobs known before and those of the results."""
    before = pd.read_csv(JOBS, keep_default_na=False) if JOBS.exists() else pd.DataFrame()
    rows = pd.concat([before, *(pd.DataFrame(list(jobs_of(folder))) for folder in results)], ignore_index=True)
    return rows.drop_duplicates(["rule", "run", "seed"], keep="last").sort_values(["rule", "run", "seed"])


def hours_table(jobs: pd.DataFrame) -> pd.DataFrame:
    """CPU minutes of each kind of work, once for all seeds or a seed, and the most memory of a job."""
    rows = []
    for rule, work in WORK.items():
        mine = jobs[jobs["rule"] == rule]
        if not len(mine):
            continue
        seeds = max(1, mine["seed"].nunique())
        rows.append(
            {
                "work": work,
                "jobs": len(mine),
                "CPU min a seed": round(mine["cpu_s"].sum() / seeds / 60, 1),
                "most memory, MB": int(mine["memory_mb"].max()),
            }
        )
    table = pd.DataFrame(rows)
    total = {
        "work": "together",
        "jobs": int(table["jobs"].sum()),
        "most memory, MB": int(table["most memory, MB"].max()),
    }
    total["CPU min a seed"] = round(float(table["CPU min a seed"].sum()), 1)
    return pd.concat([table, pd.DataFrame([total])], ignore_index=True)


def step_table(scores: pd.DataFrame, plan: ReconstructionPlan) -> pd.DataFrame:
    """CPU seconds of a step of each run, beside those of the run that its row is compared with."""
    trained = scores[scores["steps"].notna()].drop_duplicates(["run", "seed"])
    seconds = (trained["training_s"] / trained["steps"]).groupby(trained["run"]).mean()
    steps = trained.groupby("run")["steps"].mean()
    rows = []
    for row in plan.tables["reconstruction"].rows:
        if row.run in seconds:
            than = seconds.get(row.than or "")
            rows.append(
                {
                    "network": row.network,
                    "training": row.training,
                    "steps": round(float(steps[row.run])),
                    "CPU s a step": round(float(seconds[row.run]), 3),
                    "times its own loss": "" if than is None else round(float(seconds[row.run] / than), 1),
                }
            )
    return pd.DataFrame(rows)


def score_tables(plan: ReconstructionPlan, seeds: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Title and Markdown of each table of the plan for which there are scores."""
    runs = set(read_scores([SCORES])["run"])
    with tempfile.TemporaryDirectory() as folder:
        for name, table in plan.tables.items():
            if any(row.run in runs for row in table.rows):
                out = Path(folder) / name
                write_reconstruction_table(name, PLAN, [SCORES], out, seeds)
                yield name, out.with_suffix(".md").read_text(encoding="utf-8").strip()


def main() -> None:
    """Gather, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="*", type=Path, help="folders of results of parts of the run")
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the trainings that there should be"
    )
    arguments = parser.parse_args()
    plan = read_plan(PLAN, ReconstructionPlan)
    scores, jobs = gathered_scores(arguments.results), gathered_jobs(arguments.results)
    keep_scores(scores)
    with atomic_path(JOBS) as temporary:
        jobs.to_csv(temporary, index=False)
    parts = [
        "# Reconstruction networks",
        "Gathered by `python benchmarks/reconstruction.py` from parts of `snakemake reconstruct`; machines: "
        + "; ".join(sorted(jobs["machine"].unique()))
        + ".",
        "## Where the hours go",
        markdown_table(hours_table(jobs)),
        "## A step",
        "CPU seconds of one thread; the first training of a network sees 16 shapes a step, all others 8.",
        markdown_table(step_table(scores, plan)),
        *(part for name, text in score_tables(plan, arguments.seeds) for part in (f"## {name}", text)),
    ]
    write_report(HERE / "reconstruction.md", parts)


if __name__ == "__main__":
    main()

"""What a collection of 1,187 works and 182,000 image pairs costs, and whether the cost of a pair stays the same.

Claims: planning all jobs takes under 30 s and checking a finished run under 60 s; a pair costs the same in a
collection a hundred times smaller; no job needs more memory because the collection is larger. The collection is
simulated (see scale_collection.py): 172 keypoints an image instead of thousands, so that the machinery is measured and
not the matrix product. `match` and `verify` run one work after the other in one process each, on one thread; all
seconds are CPU seconds.

    python benchmarks/scale.py FOLDER [--shares 0.01 0.1 1] [--report benchmarks/scale.md]
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from measuring import machine, shown, write_report
from scale_collection import (
    SIZE,
    Work,
    collection,
    simulated_work,
    write_features_of,
    write_lists,
    write_other_outputs,
    write_pictures,
    write_plan,
    write_run,
)

from liftnet.data.schemas import MANIFEST, read_rows, read_table
from liftnet.match.settings import MatchSettings
from liftnet.verify.settings import GuidedSettings, VerifySettings

ROOT = Path(__file__).resolve().parents[1]
# A cloud of points has no surface on which neighbours could lead the second search; second_search.md has its cost.
ONE_SEARCH = VerifySettings(guided=GuidedSettings(search=False))
# A process counts the memory of the one that started it as its own most, so a small one stands between them.
LAUNCHER = """
import os, resource, sys
status = os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"\\n{used.ru_utime + used.ru_stime} {used.ru_maxrss / 1024}")
sys.exit(status)
"""
Task = Callable[[Path, list[Work]], None]
MANIFEST_COLUMNS = ["image_id", "status", "file"]  # what `match` reads of it


@dataclass(frozen=True)
class Cost:
    """What a program took: CPU seconds, seconds, and the most memory of one process, MB."""

    cpu: float
    wall: float
    memory: float


def cost_of_command(*words: str, says: str = "") -> Cost:
    """Run `python -m ...` and measure it; without an error, and saying what is expected, or there is no benchmark."""
    start = time.monotonic()
    command = [sys.executable, "-S", "-E", "-c", LAUNCHER, sys.executable, "-m", *words]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode != 0 or says not in run.stdout + run.stderr:
        raise SystemExit(
            f"{' '.join(words)} failed, or does not say {says!r}\n{run.stdout[-1000:]}{run.stderr[-3000:]}"
        )
    cpu, memory = map(float, run.stdout.splitlines()[-1].split())
    return Cost(cpu, time.monotonic() - start, memory)


def cost_of_call(function: Task, root: Path, works: list[Work]) -> Cost:
    """Call a function for all works in a process of its own and measure it, without the loading of libraries."""
    pipe, other = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_measured, args=(other, function, root, works))
    process.start()
    other.close()
    cost: Cost = pipe.recv()
    process.join()
    return cost


def _measured(pipe: multiprocessing.connection.Connection, function: Task, root: Path, works: list[Work]) -> None:
    logging.disable(logging.WARNING)
    function(root, works[:1])
    start, cpu = time.monotonic(), time.process_time()
    function(root, works)
    cpu, wall = time.process_time() - cpu, time.monotonic() - start
    status = Path("/proc/self/status").read_text()
    pipe.send(Cost(cpu, wall, int(status.partition("VmHWM:")[2].split()[0]) / 1024))


def match_all(root: Path, works: list[Work]) -> None:
    """`match` of every work."""
    from liftnet.match.match import match_work

    for work in works:
        match_work(root, work.work_id, root / "matches" / f"{work.work_id}.parquet", MatchSettings())


def verify_all(root: Path, works: list[Work]) -> None:
    """`verify run` of every work."""
    from liftnet.verify.verify import verify_matches

    for work in works:
        name = f"{work.work_id}.parquet"
        verify_matches(root, root / "matches" / name, root / "pairs" / name, ONE_SEARCH)


def features_of_all(root: Path, works: list[Work]) -> None:
    """The cached features of every work."""
    for work in works:
        write_features_of(work, root, MatchSettings())


def snakemake(folder: Path, *words: str, says: str = "") -> Cost:
    """Run Snakemake with the project's rules in the folder of the simulated run."""
    options = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--cores", "2"]
    return cost_of_command("snakemake", *options, "--configfile", str(folder / "config.yaml"), *words, says=says)


def measure(folder: Path, share: float) -> dict[str, float]:
    """Make a share of the collection in `folder`, which must be empty, and run it."""
    root, works = folder / "results", collection(share)
    write_run(folder)
    write_plan(root)
    write_lists(root, works)
    write_pictures(root, works)
    snakemake(folder, "--touch", "results/works.tsv")
    row: dict[str, float] = {"share": share, "works": len(works), "images": sum(len(work.images) for work in works)}
    row["pairs"] = sum(work.pairs for work in works)
    row["largest"] = max(len(work.images) for work in works)
    row |= labelled("plan", snakemake(folder, "--dry-run", says="match_work "))
    cost_of_call(features_of_all, root, works)
    row |= labelled("match", cost_of_call(match_all, root, works))
    row |= labelled("verify", cost_of_call(verify_all, root, works))
    row |= labelled("one match", job(root, "match", min(works, key=lambda work: work.pairs)))
    row |= labelled("one verify", job(root, "verify", min(works, key=lambda work: work.pairs)))
    row |= labelled("largest match", job(root, "match", max(works, key=lambda work: work.pairs)))
    row |= labelled("largest verify", job(root, "verify", max(works, key=lambda work: work.pairs)))
    dataset, tables = str(root / "dataset"), str(root / "tables")
    row |= labelled(
        "shard", cost_of_command("liftnet", "shard", "write", "--root", str(root), "--out", dataset, "--no-images")
    )
    row |= labelled(
        "statistics", cost_of_command("liftnet", "shard", "statistics", "--dataset", dataset, "--tables", tables)
    )
    write_other_outputs(root)
    snakemake(folder, "--touch", "--forceall")
    row |= labelled("check", snakemake(folder, "--dry-run", says="Nothing to be done"))
    row["kept"] = pd.read_csv(root / "tables" / "statistics.csv").set_index("quantity").at["matching pairs", "all"]
    row["dataset MB"] = sum(path.stat().st_size for path in (root / "dataset").iterdir()) / 1e6
    return row


def job(root: Path, stage: str, work: Work) -> Cost:
    """The job of one work, as its rule runs it."""
    matches, pairs = (str(root / name / f"{work.work_id}.parquet") for name in ("matches", "pairs"))
    words = ["match", "--work", work.work_id, "--out", matches]
    if stage == "verify":
        words = ["verify", "run", "--matches", matches, "--out", pairs]
    return cost_of_command("liftnet", *words, "--root", str(root), "--threads", "1")


def labelled(name: str, cost: Cost) -> dict[str, float]:
    """The numbers of a cost under the name of what it was for."""
    return {f"{name} cpu": cost.cpu, f"{name} wall": cost.wall, f"{name} memory": cost.memory}


def rows_of_works(root: Path, works: list[Work]) -> None:
    """The manifest's rows of each work, as `match` reads them."""
    for work in works:
        read_rows(root / "manifest.parquet", MANIFEST, MANIFEST_COLUMNS, "work_id", [work.work_id])


def rows_of_images(root: Path, works: list[Work]) -> None:
    """The manifest's rows of the images of each work, as `verify` reads them."""
    for work in works:
        read_rows(root / "manifest.parquet", MANIFEST, MANIFEST_COLUMNS, "image_id", work.images)


def whole_manifest(root: Path, works: list[Work]) -> None:
    """All of the manifest, for each work."""
    for _ in works:
        read_table(root / "manifest.parquet", MANIFEST)


def manifest_costs(folder: Path, lengths: list[int]) -> list[dict[str, float]]:
    """What one work's rows of a manifest cost, by its length."""
    rows = []
    for length in lengths:
        works = [simulated_work(number, 12) for number in range(length // 12)]
        root = folder / f"manifest-{length}"
        write_lists(root, works)
        row: dict[str, float] = {"rows": length}
        for name, function in (("work", rows_of_works), ("images", rows_of_images), ("whole", whole_manifest)):
            row |= labelled(name, cost_of_call(function, root, works[len(works) // 2 :][:1]))
        rows.append(row)
        shutil.rmtree(root)
    return rows


def collections_table(rows: list[dict[str, float]]) -> str:
    """Plan, check and cost per pair of each share."""
    frame = pd.DataFrame(rows)
    for stage in ("match", "verify"):
        frame[f"{stage}, ms a pair"] = 1000 * frame[f"{stage} cpu"] / frame["pairs"]
    frame["plan, s"], frame["check, s"] = frame["plan cpu"], frame["check cpu"]
    frame["shard, s"], frame["statistics, s"] = frame["shard cpu"], frame["statistics cpu"]
    names = ["works", "images", "pairs", "kept", "plan, s", "check, s"]
    names += ["match, ms a pair", "verify, ms a pair", "shard, s", "statistics, s", "dataset MB"]
    counts = dict.fromkeys(("works", "images", "pairs", "kept"), ",.0f")
    return shown(
        frame[names], counts | dict.fromkeys(names[6:8], ".2f") | dict.fromkeys(names[4:6] + names[8:], ".1f")
    )


def memory_table(rows: list[dict[str, float]]) -> str:
    """Most memory of one process, by what it did."""
    kinds = {
        "snakemake, plan": "plan",
        "snakemake, check": "check",
        "match, largest work": "largest match",
        "verify, largest work": "largest verify",
        "shard write": "shard",
        "shard statistics": "statistics",
    }
    columns = {
        f"{row['works']:,} works, the largest of {row['largest']} images": [
            row[f"{kind} memory"] for kind in kinds.values()
        ]
        for row in rows
    }
    frame = pd.DataFrame({"MB": list(kinds), **columns})
    return shown(frame, dict.fromkeys(columns, ",.0f"))


def manifest_table(rows: list[dict[str, float]]) -> str:
    """What a job pays for its rows of the manifest."""
    frame = pd.DataFrame(rows)
    labels = {"work": "by work", "images": "by images", "whole": "whole"}
    for name, label in labels.items():
        frame[f"{label}, ms"], frame[f"{label}, MB"] = 1000 * frame[f"{name} cpu"], frame[f"{name} memory"]
    names = [f"{label}, {unit}" for label in labels.values() for unit in ("ms", "MB")]
    return shown(frame[["rows", *names]], {"rows": ",.0f"} | dict.fromkeys(names, ",.0f"))


def report(rows: list[dict[str, float]], manifests: list[dict[str, float]]) -> list[str]:
    """The page."""
    start = rows[-1]["one match cpu"], rows[-1]["one verify cpu"]
    return [
        "# Scale",
        "Written by `python benchmarks/scale.py FOLDER`: a simulated collection (benchmarks/scale_collection.py) with "
        f"about 172 keypoints an image of {SIZE[0]}x{SIZE[1]} px, features already in the cache. Plan and check are "
        "`snakemake --dry-run` of everything before the first and after the last job. All seconds are CPU seconds of "
        "one thread; every program here is single-threaded, so on an idle machine the clock shows the same.",
        machine("snakemake", "pyarrow", "numpy"),
        "## Cost as the collection grows",
        collections_table(rows),
        f"A job of one work with one pair takes {start[0]:.2f} s (`match`) and {start[1]:.2f} s (`verify`), nearly "
        "all of it loading Python, numpy, numba and pyarrow.",
        "## Memory",
        memory_table(rows),
        "## The manifest",
        "What a job pays for its rows: `match` finds them by their work, `verify` by their image ids; beside it what "
        "reading all rows would cost. Loading the libraries takes no part in the time, but in the memory.",
        manifest_table(manifests),
    ]


def main() -> None:
    """Measure every share and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the collections are made; a share is removed once measured")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.1, 1.0], help="shares of 1,187 works")
    parser.add_argument("--manifests", type=int, nargs="+", default=[10_000, 1_000_000], help="rows of the manifests")
    parser.add_argument("--report", type=Path, default=ROOT / "benchmarks" / "scale.md", help="page to write")
    arguments = parser.parse_args()
    rows = []
    for share in arguments.shares:
        folder = arguments.folder.absolute() / f"share-{share:g}"
        rows.append(measure(folder, share))
        print({name: round(value, 2) for name, value in rows[-1].items()}, flush=True)
        shutil.rmtree(folder)
    write_report(arguments.report, report(rows, manifest_costs(arguments.folder.absolute(), arguments.manifests)))


if __name__ == "__main__":
    main()

"""The downloader beside img2dataset on the same local server: time, behaviour under faults, and a storm with kills.

Claims: with hashes and checks an image costs less CPU than with img2dataset as it comes where it is brought down to
256 px, and about as much (within a fifth) from 2048 to 1024 px; every fault has its own status, and nothing bad is
stored; a killed run does not ask again for what it has written down. Politeness is off for both, 32 connections each;
CPU seconds are those of all processes of a run, and what a run of four images takes (starting Python, loading
libraries) is taken off and shown by itself. The clock runs on a machine shared with other work, so images a second are
a hint only.

    python benchmarks/downloading.py [--peer-python ENVIRONMENT/bin/python] [--report benchmarks/downloading.md]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from downloading_faults import faults, resuming, storm
from downloading_runs import PEER, Cost, img2dataset, liftnet, pictures, served, timed
from downloading_steps import SIDES, SOURCES, filters, steps
from fault_server import FaultServer, addresses
from measuring import machine, one_thread, shown, write_report

RUNS, FEW = 3, 4


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer-python", type=Path, help="interpreter of an environment with img2dataset 1.47")
    parser.add_argument("--images", type=int, default=250, help="images of a run that is timed")
    parser.add_argument("--storm", type=int, default=10_000, help="URLs of the storm")
    parser.add_argument("--kills", type=int, default=10, help="SIGKILLs in the storm")
    parser.add_argument("--report", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, one_thread():
        work = Path(temporary)
        parts = [
            "# Downloading",
            f"`python benchmarks/downloading.py`; {machine('pillow', 'requests', 'urllib3')}"
            f"{_peer_versions(options.peer_python)}. " + " ".join(__doc__.split("\n\n")[1].split()),
            *_speed(work, options.peer_python, options.images),
            *steps(work),
            *filters(),
            *faults(work, options.peer_python),
            *resuming(work, options.peer_python),
            *storm(work, options.storm, options.kills),
        ]
    if options.report:
        write_report(options.report, parts)
    else:
        print("\n\n".join(parts))


def _peer_versions(python: Path | None) -> str:
    if python is None:
        return f"; {PEER} absent and left out"
    code = "from importlib.metadata import version as v; print(*(n + ' ' + v(n) for n in ("
    names = f"'{PEER}', 'opencv-python-headless')), sep=', ')"
    return "; peer: " + subprocess.run([python, "-c", code + names], capture_output=True, text=True).stdout.strip()


def _speed(work: Path, python: Path | None, count: int) -> list[str]:
    """CPU and images a second of whole runs."""
    rows = []
    with FaultServer(addresses(4)) as server:
        files = {source: served(server, pictures(source, count), str(source)) for source in SOURCES[:2]}
        for name, command in _contenders(server, python).items():
            urls = files[SOURCES[0]][:FEW]
            few = [_once(work, command, urls, SIDES[0]) for _ in range(RUNS)]
            for source, side in itertools.product(files, SIDES):
                costs = [_once(work, command, files[source], side) for _ in range(RUNS)]
                rows.append({"source_px": source, "stored_px": side, "method": name} | _an_image(few, costs, count))
                print(rows[-1], flush=True)
    frame = pd.DataFrame(rows).sort_values(["source_px", "stored_px"], kind="stable")
    formats = {"cpu_ms": ".1f", "images_s": ".0f", "start_cpu_s": ".1f", "memory_mb": ".0f"}
    return [
        f"Whole runs of {count} images, median of {RUNS}: CPU milliseconds an image, images a second by the clock, "
        "CPU seconds to start, most memory of one process. Photographs side by side (JPEG of quality 90, 3:2), as "
        "wide as `source_px`; the longest side is brought down to `stored_px`. Ours: JPEG of quality 95 without "
        "chroma subsampling, SHA-256, eight perceptual hashes, EXIF, each file synced to disk, opt-out headers, "
        f"limits. {PEER} as it comes: the same quality with chroma subsampling, SHA-256, EXIF. Files only: without "
        "hashes and EXIF, and what need not shrink is stored as it came, as ours is.",
        shown(frame, formats),
    ]


Command = Callable[[Path, list[str], int], list[str]]


def _contenders(server: FaultServer, python: Path | None) -> dict[str, Command]:
    found: dict[str, Command] = {
        "liftnet": lambda folder, urls, side: liftnet(folder, urls, server.hosts, max_side=side)
    }
    if python is not None:
        less = {"skip_reencode": True, "compute_hash": None, "extract_exif": False}
        found[PEER] = lambda folder, urls, side: img2dataset(python, folder, urls, image_size=side)
        found[f"{PEER}, files only"] = lambda folder, urls, side: img2dataset(
            python, folder, urls, image_size=side, **less
        )
    return found


def _an_image(few: list[Cost], costs: list[Cost], count: int) -> dict[str, float]:
    """The cost of an image: of `count` of them, less what `FEW` of them took."""
    start, start_wall = (statistics.median(getattr(cost, name) for cost in few) for name in ("cpu_s", "wall_s"))
    cpu, wall = (statistics.median(getattr(cost, name) for cost in costs) for name in ("cpu_s", "wall_s"))
    return {
        "cpu_ms": 1000 * (cpu - start) / (count - FEW),
        "images_s": (count - FEW) / max(wall - start_wall, 1e-3),
        "start_cpu_s": start,
        "memory_mb": max(cost.memory_mb for cost in costs),
    }


def _once(work: Path, command: Command, urls: list[str], side: int) -> Cost:
    with tempfile.TemporaryDirectory(dir=work) as temporary:
        folder = Path(temporary)
        return timed(command(folder, urls, side), folder / "log.txt")


if __name__ == "__main__":
    main()

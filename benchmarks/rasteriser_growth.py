"""How the cost of soft images grows with faces, views and image size. Writes rasteriser_growth.md and a figure.

    python benchmarks/rasteriser_growth.py [--quick]

`render_soft` on a rough sphere, from vertices to gray and silhouette and back, sigma 1e-5: CPU seconds on one thread,
medians, and the most memory of a process of its own beyond what it held before. From 25 views at 256 px of 5,120
faces, one number grows at a time. Beside our CPU kernels the plain specification (a list of all pairs of pixel and
face, torch, float32), as long as it needs no more than so many pairs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from measuring import OURS, PEER, machine, measured, one_thread, save_figure, shown, tidy, write_report
from rasteriser_scene import SIDE, VIEWS, projected, sphere

from liftnet.rasteriser import Softness, hemisphere, render_soft
from liftnet.rasteriser.softness import pixel_boxes

FACES = (320, 1_280, 5_120, 20_480, 81_920, 327_680, 1_310_720)
AXES = {"faces": FACES, "views": (1, 5, 25, 100), "size": (64, 128, 256, 512, 1024)}
STANDARD = {"faces": 5_120, "views": VIEWS, "size": SIDE}
TITLES = {"faces": "faces (25 views, 256 px)", "views": "views (5,120 faces, 256 px)", "size": "image size, px"}
DESIGNS = {"liftnet": ("numba", OURS), "list of pairs, torch": ("reference", PEER)}
SIGMA, MOST_PAIRS = 1e-5, 5_000_000


def subdivisions(faces: int) -> int:
    """How often an icosahedron is divided to have so many faces."""
    return (faces // 20).bit_length() // 2


def held(name: str) -> float:
    """Memory of this process, MB: "VmRSS" now, "VmHWM" the most since the last call of `forget_the_most`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name)) * 1.024e-3


def forget_the_most() -> None:
    """Let the most memory held begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


def measure(backend: str, faces: int, views: int, size: int) -> dict[str, float]:
    """CPU seconds forward and back, and memory, in this process."""
    vertices, triangles = sphere(subdivisions(faces))
    cameras = hemisphere(views)

    def run() -> float:
        moving = vertices.clone().requires_grad_()
        images = render_soft(moving, triangles, cameras, size, Softness(SIGMA), backend=backend)  # type: ignore[arg-type]
        (images.gray.sum() + images.silhouette.sum()).backward()
        return float(moving.grad.norm())  # type: ignore[union-attr]

    with one_thread():
        render_soft(vertices[:3], triangles[:1] * 0, cameras[:1], 16, Softness(SIGMA), backend=backend)  # type: ignore[arg-type]
        forget_the_most()
        before = held("VmRSS")
        gradient, seconds, _ = measured(run, 3, enough=20)
        return {"CPU s": seconds, "MB": held("VmHWM") - before, "gradient": gradient}


def pairs(faces: int, views: int, size: int) -> int:
    """Pairs of pixel and face in the grown boxes of faces, from one view."""
    triangles, _, _ = projected(subdivisions(faces), 1).triangles()
    first, past = pixel_boxes(triangles, size, Softness(SIGMA).reach)
    return views * int((past - first).clamp_min(0).prod(1).sum())


def in_its_own_process(backend: str, case: dict[str, int]) -> dict[str, float]:
    """`measure` in a new process, so that memory is that of one case."""
    arguments = [backend, *(str(case[name]) for name in STANDARD)]
    run = subprocess.run([sys.executable, __file__, "--one", *arguments], capture_output=True, text=True)
    if run.returncode:
        print(run.stderr[-2000:], flush=True)
        run.check_returncode()
    return json.loads(run.stdout.splitlines()[-1])


def table(quick: bool) -> pd.DataFrame:
    """A row for each case and design."""
    rows: list[dict[str, object]] = []
    done: dict[tuple[object, ...], dict[str, float]] = {}
    for axis, values in AXES.items():
        for value in values[:2] if quick else values:
            case = STANDARD | {axis: value}
            count = pairs(**case)
            for name, (backend, _) in DESIGNS.items():
                if backend == "reference" and count > MOST_PAIRS:
                    continue
                key = (name, *case.values())
                done[key] = done.get(key) or in_its_own_process(backend, case)
                rows.append({"grows": axis, "design": name, **case, "pairs, M": count / 1e6, **done[key]})
                print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def draw(frame: pd.DataFrame) -> None:
    """CPU seconds above, memory below, one column for each number that grows."""
    plt.rcParams.update({"font.size": 9, "axes.titlesize": 10})
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.2), sharex="col", sharey="row", layout="constrained")
    for column, axis in zip(axes.T, AXES, strict=True):
        for panel, unit in zip(column, ("CPU s", "MB"), strict=True):
            for name, (_, colour) in DESIGNS.items():
                rows = frame[(frame["grows"] == axis) & (frame["design"] == name)]
                panel.plot(rows[axis], rows[unit], "o-", color=colour, label=name, markersize=4)
            panel.set_xscale("log")
            panel.set_yscale("log")
            tidy(panel)
            panel.grid(axis="y", color="#e2e8f0", linewidth=0.7)
        column[0].set_title(f"more {TITLES[axis]}" if axis != "size" else "larger images (25 views, 5,120 faces)")
        column[1].set_xlabel(axis if axis != "size" else TITLES["size"])
    axes[0, 0].set_ylabel("CPU seconds, forward and back")
    axes[1, 0].set_ylabel("memory, MB")
    axes[0, 0].legend(frameon=False)
    save_figure(figure, "rasteriser_growth")


def report(frame: pd.DataFrame) -> list[str]:
    """The paragraphs of the report."""
    formats = {"pairs, M": ".2f", "CPU s": ".3f", "MB": ",.0f", "faces": ",d"}
    lines = [
        "# How the cost of soft images grows",
        f"`python benchmarks/rasteriser_growth.py`; one thread; {machine('torch', 'numba')}.",
        "`render_soft` on a rough sphere, from vertices to gray and silhouette and back, sigma 1e-5; CPU seconds,"
        " medians of up to 3; memory: the most a process of its own held beyond what it held before. The list of pairs"
        f" is the plain specification in torch, float32, up to {MOST_PAIRS / 1e6:.0f} million pairs of pixel and face"
        " in its grown box. Figure: docs/figures/rasteriser_growth.png.",
    ]
    for axis in AXES:
        rows = frame[frame["grows"] == axis].drop(columns=["grows", "gradient"])
        lines += [f"## {TITLES[axis].split(' (')[0].capitalize()}", shown(rows, formats)]
    return lines


def main() -> None:
    """Measure one case, or all and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the first two cases of each number, nothing written")
    parser.add_argument("--one", nargs=4, metavar=("BACKEND", "FACES", "VIEWS", "SIZE"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.one:
        backend, *numbers = arguments.one
        print(json.dumps(measure(backend, *map(int, numbers))))
        return
    frame = table(arguments.quick)
    if not arguments.quick:
        draw(frame)
        write_report(arguments.out, report(frame))


if __name__ == "__main__":
    main()

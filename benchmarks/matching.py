"""Matching real SIFT descriptors: ours beside OpenCV, faiss, COLMAP, kornia, torch, OpenMVG and the bare product.

    python benchmarks/matching.py [--quick] [--photos DIR] [--openmvg-bin [BUILD=]DIR ...]

Descriptors are those of our SIFT on the calibrated photographs of a plaster head; every method gets the same ones.
Time is CPU seconds on one thread, the median of several runs over all pairs. A match is right if it lies within 4 px
of the epipolar lines of the calibrated cameras, in both images; it is asked of the pairs whose optical axes differ by
less than 45 degrees. Writes benchmarks/matching.md and docs/figures/matching.png.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from matchers import MUTUAL, ONE_WAY, OURS, Method, Work, colmap_database, openmvg_methods, python_methods
from measuring import (
    PHOTOS,
    bars,
    fundamental_of,
    line_distances,
    machine,
    measured,
    new_figure,
    one_thread,
    peer,
    save_figure,
    shown,
    viewing_angle,
    write_report,
)

from liftnet.data.pictures import read_image
from liftnet.match.methods.opencv import OpencvSettings, extract_sift

RUNS = 5
OVERLAP_DEGREES, RIGHT_PX = 45.0, 4.0
SIZES = (1000, 2000, 4000, 8000)
PACKAGES = ("numpy", "opencv-python", "faiss-cpu", "pycolmap", "kornia", "torch")


def load_work(photos: Path, quick: bool) -> Work:
    """Extract the features of the calibrated photographs, once for all methods."""
    files = {path.name.split(".")[0]: path for path in sorted((photos / "buddha/images").glob("*.jpg"))}
    files = dict(list(files.items())[:5]) if quick else files
    features = {name: extract_sift(read_image(path), OpencvSettings()) for name, path in files.items()}
    cameras = {name: np.loadtxt(photos / f"buddha/cameras/{path.stem}.txt") for name, path in files.items()}
    return Work(files, features, cameras, list(combinations(sorted(files), 2)))


def bare_product(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Callable[[], None]:
    """The matrix products alone, on numbers that are ready in single precision and with the room for the result."""
    ready = [(a.astype(np.float32), np.ascontiguousarray(b.astype(np.float32).T)) for a, b in pairs]
    room = np.empty(max(a.shape[0] * b.shape[1] for a, b in ready), np.float32)

    def run() -> None:
        for a, b in ready:
            np.matmul(a, b, out=room[: a.shape[0] * b.shape[1]].reshape(a.shape[0], b.shape[1]))

    return run


def quality(work: Work, matches: Sequence[np.ndarray]) -> tuple[int, int, int]:
    """Matches of all pairs at different places; of the overlapping pairs, how many, and how many are right."""
    total = overlapping = right = 0
    for (name_a, name_b), found in zip(work.pairs, matches, strict=True):
        a, b = work.features[name_a].keypoints[found[:, 0]], work.features[name_b].keypoints[found[:, 1]]
        places = np.unique(np.hstack([a, b]), axis=0).astype(np.float64)
        total += len(places)
        cameras = work.cameras[name_a], work.cameras[name_b]
        if viewing_angle(*cameras) < OVERLAP_DEGREES and len(places):
            overlapping += len(places)
            right += int((line_distances(fundamental_of(*cameras), places[:, :2], places[:, 2:]) < RIGHT_PX).sum())
    return total, overlapping, right


def compare(work: Work, methods: dict[str, Method], runs: int) -> pd.DataFrame:
    """Time and quality of each method on all pairs, and the bare product."""
    descriptors = work.descriptors()
    floor = bare_product(descriptors)
    floor()
    rows = [{"method": "bare matrix product", "test": "none", "cpu_s": measured(floor, max(runs, 5))[1]}]
    ours: dict[str, list[np.ndarray]] = {}
    for name, method in methods.items():

        def run(method: Method = method) -> list[np.ndarray]:
            return method.match_all() if method.match_all else [method.match(a, b) for a, b in descriptors]

        if method.match:
            method.match(*(x[:500] for x in descriptors[0]))  # compiled and loaded before it is measured
        found, seconds, done = measured(run, runs, enough=30)
        if name.startswith("liftnet"):
            ours[method.test] = found
        total, overlapping, right = quality(work, found)
        precision = right / overlapping if overlapping else float("nan")
        same = agreement(found, ours[ONE_WAY if method.test == ONE_WAY else MUTUAL])
        rows.append({"method": name, "test": method.test, "cpu_s": seconds, "runs": done, "matches": total})
        rows[-1] |= {"right": right, "precision": precision, "also ours": same}
        print(f"{name}: {seconds:.2f} CPU s", flush=True)
    frame = pd.DataFrame(rows)
    frame.insert(3, "times ours", frame["cpu_s"] / frame.set_index("method").loc[OURS, "cpu_s"])
    return frame.sort_values("cpu_s", ignore_index=True)


def agreement(found: Sequence[np.ndarray], ours: Sequence[np.ndarray]) -> float:
    """Share of a method's matches that ours of the same test has too (in either direction of the ratio test)."""
    same = total = 0
    for theirs, mine in zip(found, ours, strict=True):
        total += len(theirs)
        same += len(set(map(tuple, theirs.tolist())) & set(map(tuple, mine.tolist())))
    return same / total if total else float("nan")


def by_size(work: Work, methods: dict[str, Method], sizes: Sequence[int], runs: int) -> pd.DataFrame:
    """CPU ms of one pair of N x N real descriptors, drawn from two halves of the photographs."""
    names = sorted(work.features)
    halves = [np.vstack([work.features[n].descriptors for n in names[part::2]]) for part in (0, 1)]
    rows = []
    for size in sizes:
        if size > min(map(len, halves)):
            continue
        rng = np.random.default_rng(0)
        a, b = (half[rng.choice(len(half), size, replace=False)] for half in halves)
        times = {"bare matrix product": measured(bare_product([(a, b)]), max(runs, 9))[1] * 1e3}
        for name, method in methods.items():
            if method.match:
                times[name] = measured(partial(method.match, a, b), runs, enough=10)[1] * 1e3
        rows += [{"N": size, "method": name, "cpu_ms": value} for name, value in times.items()]
    return pd.DataFrame(rows)


def draw(frame: pd.DataFrame, sizes: pd.DataFrame, title: str) -> None:
    """CPU seconds with matches and precision; and time against the number of descriptors."""
    figure, (left, right) = new_figure(2, 5.0, width_ratios=[1.7, 1])
    labels = [
        f"{row.cpu_s:.2f} s" + ("" if pd.isna(row.right) else f"   {row.right:,.0f} right ({row.precision:.0%})")
        for row in frame.itertuples()
    ]
    bars(left, frame["method"].tolist(), frame["cpu_s"].tolist(), labels, "CPU seconds, one thread")
    left.set_title(title, loc="left")
    for name, group in sizes[sizes["method"] != "liftnet exact"].groupby("method", sort=False):
        mine = name == OURS
        colour = "#c2410c" if mine else "#a8a29e" if name.startswith("bare") else None
        right.plot(group["N"], group["cpu_ms"], "o-", ms=3, lw=2.2 if mine else 1.1, color=colour, label=name)
    right.set(xscale="log", yscale="log", xlabel="descriptors in each image", ylabel="CPU ms for a pair")
    right.set_xticks(sorted(sizes["N"].unique()), [f"{n:,}" for n in sorted(sizes["N"].unique())])
    right.minorticks_off()
    handles, names = right.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    right.grid(color="#e2e8f0", linewidth=0.7)
    right.spines[["top", "right"]].set_visible(False)
    right.set_title("One pair of N x N", loc="left")
    save_figure(figure, "matching")


def main() -> None:
    """Measure every method on the same descriptors and write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=PHOTOS, help="folder with buddha/images and buddha/cameras")
    parser.add_argument(
        "--openmvg-bin",
        nargs="+",
        default=[],
        help="folders of its programs, perhaps with a word on the build: BUILD=DIR",
    )
    parser.add_argument("--quick", action="store_true", help="five photographs, one run, no slow peers")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    work = load_work(arguments.photos, arguments.quick)
    runs, sizes = (1, SIZES[:2]) if arguments.quick else (RUNS, SIZES)
    if pycolmap := peer("pycolmap", silent=True):
        pycolmap.logging.minloglevel = int(pycolmap.logging.ERROR)
    methods = python_methods()
    with tempfile.TemporaryDirectory() as folder, one_thread():
        if pycolmap:
            methods["pycolmap database (faiss)"] = colmap_database(pycolmap, work, Path(folder))
        for given in arguments.openmvg_bin:
            build, _, programs = given.rpartition("=")
            methods |= openmvg_methods(Path(programs), build, work, Path(folder))
        frame = compare(work, methods, runs)
        single = by_size(work, methods, sizes, runs)
    report(arguments, work, frame, single)


def report(arguments: argparse.Namespace, work: Work, frame: pd.DataFrame, single: pd.DataFrame) -> None:
    """Write the tables and, for a full run, the figure."""
    counts = [len(features) for features in work.features.values()]
    title = f"{len(work.pairs)} pairs of {len(counts)} photographs, {min(counts):,} to {max(counts):,} descriptors"
    wide = single.pivot(index="method", columns="N", values="cpu_ms")
    wide = wide.loc[wide.iloc[:, -1].sort_values().index]
    wide.columns = [f"{n:,}" for n in wide.columns]
    absent = "" if arguments.openmvg_bin else " OpenMVG's programs were not given and are left out."
    write_report(
        arguments.out,
        [
            "# Matching real descriptors",
            f"`python benchmarks/{Path(__file__).name}`; {title} (SIFT of liftnet on calibrated photographs 1024 px "
            f"wide). {machine(*PACKAGES)}.{absent} CPU seconds on one thread, median of the runs. Right: within "
            f"{RIGHT_PX:.0f} px of the true epipolar lines, counted and divided for pairs whose optical axes differ "
            f"by at most {OVERLAP_DEGREES:.0f} degrees; matches of one place to one place count once. Also ours: "
            "share of a method's matches that `liftnet exact` has (with the ratio of b for OpenMVG, else mutual).",
            shown(
                frame,
                {"cpu_s": ".2f", "times ours": ".2f", "runs": ".0f", "matches": ",.0f", "right": ",.0f"}
                | {"precision": ".3f", "also ours": ".3f"},
            ),
            "CPU milliseconds for one pair of N x N descriptors, drawn from two halves of the photographs:",
            shown(wide.reset_index(), dict.fromkeys(wide.columns, ",.1f")),
        ],
    )
    if not arguments.quick:
        draw(frame, single, title)


if __name__ == "__main__":
    main()

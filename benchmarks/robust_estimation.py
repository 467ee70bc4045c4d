"""Robust epipolar geometry: our affine F beside OpenCV, pydegensac, poselib, COLMAP and openmvg-rs.

    python benchmarks/robust_estimation.py [--quick]

Matches of 200, 2,000 and 20,000 points, 20, 50 and 70 % of them wrong, 0.7 px noise, threshold 2 px, confidence .999.
First two affine cameras, the model of the dataset, for which a perspective F has three unknowns too many; then two
pinhole cameras near an object a fifth as deep as it is far away, for which the affine model is only near the truth.
The peers estimate the perspective fundamental matrix, which is what they offer. Prints medians of the CPU time on one
thread and of the true and wrong matches taken for inliers; writes benchmarks/robust_estimation.md and
docs/figures/robust_estimation.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from measuring import (
    machine,
    measured,
    new_figure,
    one_thread,
    peer,
    save_figure,
    shown,
    tidy,
    write_report,
)

from liftnet.core.ids import stable_seed
from liftnet.geometry import estimate_affine_fundamental, estimate_fundamental
from liftnet.geometry.ransac import Search

COUNTS, OUTLIERS = (200, 2000, 20000), (0.2, 0.5, 0.7)
NOISE, THRESHOLD, CONFIDENCE, MOST = 0.7, 2.0, 0.999, 100_000
RUNS, ENOUGH = 15, 3.0  # scenes, and the CPU seconds after which a method sees no further one
SIDE, DEPTH_OF_DISTANCE = 1000.0, 0.2
ANGLE = np.deg2rad(20)
OURS = "liftnet affine F"
PACKAGES = ("numpy", "opencv-python", "pydegensac", "poselib", "pycolmap", "openmvg-rs")
Method = Callable[[np.ndarray, np.ndarray, int], np.ndarray]  # points a, points b, seed -> (N,) bool


def matches(count: int, outliers: float, affine: bool, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, 2) points of both images in px and (N,) which are right; the object fills a third of the image."""
    rng = np.random.default_rng(stable_seed(seed, str(count), str(outliers), str(affine)))
    points = rng.uniform(-1, 1, size=(count, 3)) * SIDE / 6
    turned = points @ np.array([[np.cos(ANGLE), 0, np.sin(ANGLE)], [0, 1, 0], [-np.sin(ANGLE), 0, np.cos(ANGLE)]]).T
    distance = SIDE / 3 / DEPTH_OF_DISTANCE
    a, b = (p[:, :2] * (1 if affine else distance / (distance + p[:, 2:])) + SIDE / 2 for p in (points, turned))
    a, b = a + rng.normal(size=a.shape) * NOISE, b + rng.normal(size=b.shape) * NOISE
    wrong = rng.permutation(count) < round(count * outliers)
    b[wrong] = rng.uniform(SIDE / 3, 2 * SIDE / 3, (wrong.sum(), 2))
    return a, b, ~wrong


def methods() -> dict[str, Method]:
    """Ours and every peer that is installed."""
    found: dict[str, Method] = {
        OURS: lambda a, b, seed: estimate_affine_fundamental(a, b, THRESHOLD, np.random.default_rng(seed)).inliers,
        "liftnet perspective F (cv2 USAC)": lambda a, b, seed: (
            estimate_fundamental(a, b, THRESHOLD, np.random.default_rng(seed), Search(CONFIDENCE, MOST)).inliers
        ),
        "cv2 USAC_FAST": opencv(cv2.USAC_FAST),
        "cv2 USAC_MAGSAC": opencv(cv2.USAC_MAGSAC),
    }
    if pydegensac := peer("pydegensac"):
        found["pydegensac"] = lambda a, b, seed: pydegensac.findFundamentalMatrix(a, b, THRESHOLD, CONFIDENCE, MOST)[1]
    if poselib := peer("poselib"):
        options = {"max_epipolar_error": THRESHOLD, "max_iterations": MOST, "success_prob": CONFIDENCE}
        found["poselib"] = lambda a, b, seed: np.array(
            poselib.estimate_fundamental(a, b, options | {"seed": seed}, {})[1]["inliers"]
        )
    if pycolmap := peer("pycolmap"):

        def colmap(a: np.ndarray, b: np.ndarray, seed: int) -> np.ndarray:
            ransac = pycolmap.RANSACOptions(
                max_error=THRESHOLD, confidence=CONFIDENCE, max_num_trials=MOST, random_seed=seed
            )
            result = pycolmap.estimate_fundamental_matrix(a, b, ransac)
            return np.zeros(len(a), bool) if result is None else result["inlier_mask"]

        found["pycolmap"] = colmap
    if openmvg := peer("openmvg_rs"):

        def rust(a: np.ndarray, b: np.ndarray, seed: int) -> np.ndarray:
            try:
                return openmvg.estimate_fundamental(a, b, threshold=THRESHOLD, seed=seed).inlier_mask
            except openmvg.EstimationError:
                return np.zeros(len(a), bool)

        found["openmvg-rs"] = rust
    return found


def opencv(method: int) -> Method:
    """One of OpenCV's estimators of the perspective fundamental matrix."""

    def run(a: np.ndarray, b: np.ndarray, seed: int) -> np.ndarray:
        cv2.setRNGSeed(seed)
        mask = cv2.findFundamentalMat(a, b, method, THRESHOLD, CONFIDENCE, MOST)[1]
        return np.zeros(len(a), bool) if mask is None else mask[:, 0] > 0

    return run


def compare(counts: Sequence[int], runs: int) -> pd.DataFrame:
    """Median CPU ms, true and wrong inliers of every method in every case."""
    found = methods()
    rows = []
    for affine in (True, False):
        for count in counts:
            for outliers in OUTLIERS:
                case = {"cameras": "affine" if affine else "near pinhole", "N": count, "wrong": outliers}
                scenes = [matches(count, outliers, affine, seed) for seed in range(runs + 1)]
                for name, method in found.items():
                    rows.append(case | {"method": name} | one_by_one(method, scenes))
        print(f"{case['cameras']} cameras done", flush=True)
    return pd.DataFrame(rows)


def one_by_one(method: Method, scenes: Sequence[tuple]) -> dict[str, float]:
    """A method's medians over the scenes; the first one compiles and warms up."""
    results, total = [], 0.0
    for seed, (a, b, truth) in enumerate(scenes):
        inliers, seconds, _ = measured(lambda a=a, b=b, seed=seed: np.asarray(method(a, b, seed), bool), 1)
        if seed:
            results.append((seconds * 1e3, (inliers & truth).sum() / truth.sum(), (inliers & ~truth).sum()))
            total += seconds
        if total > ENOUGH:
            break
    cpu, true, wrong = np.median(results, axis=0)
    return {"cpu_ms": cpu, "true": true, "false": wrong, "runs": len(results)}


def tables(frame: pd.DataFrame, cameras: str) -> list[str]:
    """Three tables with a row a method and a column a case: time, true inliers, wrong inliers."""
    chosen = frame[frame["cameras"] == cameras].copy()
    chosen["case"] = [f"{row.N:,}, {row.wrong:.0%}" for row in chosen.itertuples()]
    cases, names = chosen["case"].unique(), chosen["method"].unique()
    parts = []
    for column, text, form in (
        ("cpu_ms", "CPU ms", ",.2f"),
        ("true", "True matches found, in %", ".1f"),
        ("false", "Wrong matches taken for true", ",.0f"),
    ):
        wide = chosen.pivot(index="method", columns="case", values=column).loc[names, cases]
        wide = wide * 100 if column == "true" else wide
        parts += [f"{text} (columns: matches, share of wrong ones):"]
        parts += [shown(wide.rename_axis(columns=None).reset_index(), dict.fromkeys(cases, form))]
    return parts


def draw(frame: pd.DataFrame) -> None:
    """CPU time against the number of matches, a panel for each share of wrong matches; and what was found."""
    affine = frame[frame["cameras"] == "affine"]
    figure, axes = new_figure(4, 4.0, width_ratios=[1, 1, 1, 1.2])
    names = list(frame["method"].unique())
    colours = {name: f"C{k}" for k, name in enumerate(name for name in names if name != OURS)} | {OURS: "#c2410c"}
    for axis, (wrong, group) in zip(axes, affine.groupby("wrong"), strict=False):
        for name, line in group.groupby("method", sort=False):
            axis.plot(line["N"], line["cpu_ms"], "o-", ms=3, lw=2.4 if name == OURS else 1.1, color=colours[name])
        axis.set(xscale="log", yscale="log", xlabel="matches", title=f"{wrong:.0%} wrong")
        axis.set_ylim(affine["cpu_ms"].min() / 1.5, affine["cpu_ms"].max() * 1.5)
        axis.set_xticks(COUNTS, [f"{count:,}" for count in COUNTS])
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(color="#e2e8f0", linewidth=0.7)
    axes[0].set_ylabel("CPU ms, one thread (affine cameras)")
    case = frame[(frame["N"] == 2000) & (frame["wrong"] == 0.5)]
    for cameras, mark in (("affine", "o"), ("near pinhole", "D")):
        rows = case[case["cameras"] == cameras].set_index("method").loc[names]
        shades = [colours[name] for name in names]
        fill = shades if cameras == "affine" else "none"
        axes[3].scatter(rows["true"] * 100, range(len(names)), marker=mark, s=40, edgecolors=shades, facecolors=fill)
    axes[3].set(xlabel="% of 1,000 true (50% wrong)", title="dots affine, diamonds near")
    axes[3].set_yticks([])
    axes[3].invert_yaxis()
    tidy(axes[3])
    handles = [plt.Line2D([], [], marker="o", color=colours[name], label=name) for name in names]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    save_figure(figure, "robust_estimation")


def main() -> None:
    """Time every method on the same matches and write tables and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="200 and 2,000 matches, three runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    counts, runs = (COUNTS[:2], 3) if arguments.quick else (COUNTS, RUNS)
    with one_thread():
        frame = compare(counts, runs)
    write_report(
        arguments.out,
        [
            "# Robust epipolar geometry",
            f"`python benchmarks/{Path(__file__).name}`; noise {NOISE} px, threshold {THRESHOLD:.0f} px (each "
            f"method's own kind of distance), confidence {CONFIDENCE}, at most {MOST:,} samples for the peers and "
            f"{Search().max_hypotheses:,} for ours. Medians of {runs} scenes, fewer where a method "
            f"needs more than {ENOUGH:.0f} s. {machine(*PACKAGES)}. One thread. The peers fit a perspective F.",
            "## Two affine cameras",
            *tables(frame, "affine"),
            f"## Two pinhole cameras, depth of the object {DEPTH_OF_DISTANCE:.0%} of its distance",
            *tables(frame, "near pinhole"),
        ],
    )
    if not arguments.quick:
        draw(frame)


if __name__ == "__main__":
    main()

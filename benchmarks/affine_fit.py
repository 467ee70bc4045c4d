"""Robust epipolar geometry of 2000 matches, half of them wrong: ours beside OpenCV and, where installed, others.

    python benchmarks/affine_fit.py

Affine cameras, 0.7 px noise, threshold 2 px. The peers estimate the perspective fundamental matrix (seven unknowns;
ours has four), which is what they offer for this step. Prints the median CPU time of 21 runs of each method, its ratio
to ours and the true matches found; writes benchmarks/affine_fit.md.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np

from liftnet.geometry.affine import Search, estimate_affine_fundamental
from liftnet.io.files import write_text

N, OUTLIERS, NOISE, THRESHOLD, RUNS = 2000, 0.5, 0.7, 2.0, 21
Method = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def matches(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matched points of two affine views and which of them are right."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(N, 3)) * 150
    angle = np.deg2rad(20)
    a = points[:, :2] + 500
    b = np.column_stack([points[:, 0] * np.cos(angle) + points[:, 2] * np.sin(angle), points[:, 1]]) + 500
    a, b = a + rng.normal(size=a.shape) * NOISE, b + rng.normal(size=b.shape) * NOISE
    wrong = rng.permutation(N) < N * OUTLIERS
    b[wrong] = rng.uniform(0, 1000, (wrong.sum(), 2))
    return a, b, ~wrong


def affine(a: np.ndarray, b: np.ndarray, seed: int) -> np.ndarray:
    """Ours, with the settings of `verify`."""
    return estimate_affine_fundamental(a, b, THRESHOLD, np.random.default_rng(seed)).inliers


def affine_all(a: np.ndarray, b: np.ndarray, seed: int) -> np.ndarray:
    """Ours without the early stop."""
    search = Search(confidence=1, max_hypotheses=2000)
    return estimate_affine_fundamental(a, b, THRESHOLD, np.random.default_rng(seed), search).inliers


def opencv(method: int) -> Method:
    """One of OpenCV's estimators of the perspective fundamental matrix."""

    def run(a: np.ndarray, b: np.ndarray, seed: int) -> np.ndarray:
        cv2.setRNGSeed(seed)
        return cv2.findFundamentalMat(a, b, method, THRESHOLD, 0.999, 2000)[1][:, 0] > 0

    return run


def peers() -> dict[str, Method]:
    """What is installed beside OpenCV; a line for what is not."""
    found: dict[str, Method] = {
        "cv2 USAC_FAST": opencv(cv2.USAC_FAST),
        "cv2 USAC_DEFAULT": opencv(cv2.USAC_DEFAULT),
        "cv2 USAC_MAGSAC": opencv(cv2.USAC_MAGSAC),
        "cv2 FM_RANSAC": opencv(cv2.FM_RANSAC),
    }

    def pydegensac(module: object) -> Method:
        return lambda a, b, seed: module.findFundamentalMatrix(a, b, THRESHOLD, 0.999, 2000)[1]

    def poselib(module: object) -> Method:
        options = {"max_epipolar_error": THRESHOLD, "max_iterations": 2000}
        return lambda a, b, seed: np.array(
            module.estimate_fundamental(a, b, options | {"seed": seed}, {})[1]["inliers"]
        )

    def pycolmap(module: object) -> Method:
        options = module.RANSACOptions(max_error=THRESHOLD, confidence=0.999, max_num_trials=2000)
        return lambda a, b, seed: module.estimate_fundamental_matrix(a, b, options)["inlier_mask"]

    for name, wrap in (("pydegensac", pydegensac), ("poselib", poselib), ("pycolmap", pycolmap)):
        try:
            found[name] = wrap(importlib.import_module(name))
        except ImportError:
            print(f"{name} is not installed: left out")
    return found


def main() -> None:
    """Time every method on the same matches, in turn, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    methods: dict[str, Method] = {
        "liftnet affine F": affine,
        "liftnet affine F, all 2000 samples": affine_all,
        **peers(),
    }
    cpu: dict[str, list[float]] = {name: [] for name in methods}
    right: dict[str, list[int]] = {name: [] for name in methods}
    marked: dict[str, list[int]] = {name: [] for name in methods}
    for seed in range(RUNS + 1):
        a, b, truth = matches(seed)
        for name, method in methods.items():
            start = time.process_time()
            inliers = np.asarray(method(a, b, seed), bool)
            if seed:  # the first run compiles and warms up
                cpu[name].append((time.process_time() - start) * 1e3)
                right[name].append(int((inliers & truth).sum()))
                marked[name].append(int(inliers.sum()))
    ours = np.median(cpu["liftnet affine F"])
    lines = [
        f"Robust epipolar geometry of {N} matches, {OUTLIERS:.0%} of them wrong, threshold {THRESHOLD} px: median of "
        f"{RUNS} runs. {_machine()}. The peers fit a perspective F.",
        "",
        "| method | CPU ms | times ours | inliers | of the 1000 true |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name in methods:
        spent = np.median(cpu[name])
        numbers = f"{spent:.2f} | {spent / ours:.1f} | {np.median(marked[name]):.0f} | {np.median(right[name]):.0f}"
        lines.append(f"| {name} | {numbers} |")
    write_text(arguments.out, "\n".join(lines) + "\n")
    print("\n".join(lines))


def _machine() -> str:
    cpu = Path("/proc/cpuinfo")
    models = [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")]
    return f"{len(models)} cores {models[0]}" if models else platform.machine()


if __name__ == "__main__":
    main()

"""Exact descriptor matching against OpenCV's brute force and against the bare matrix product.

Claim: ratio test and mutual check together cost little more than the matrix product they need, and much less than
`cv2.BFMatcher`, with the same matches. One thread each; seconds are CPU seconds of the process, the median of several
runs after one to warm up.

    python benchmarks/matcher.py [--size 4000] [--runs 9]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from liftnet.match import match_descriptors

RATIO = 0.8


def descriptors(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of SIFT-like descriptors (count, 128) uint8, the second a shuffled copy with noise."""
    rng = np.random.default_rng(0)
    first = np.minimum(rng.gamma(0.6, 50, (count, 128)), 255).astype(np.uint8)
    noise = rng.normal(0, 40, (count, 128))
    second = np.clip(first[rng.permutation(count)] + noise, 0, 255).astype(np.uint8)
    return first, second


def opencv_matches(a: np.ndarray, b: np.ndarray) -> list[tuple[int, int]]:
    """Ratio test and mutual check with cv2.BFMatcher, the way its tutorials do it."""
    matcher = cv2.BFMatcher(cv2.NORM_L2)
    back = {match.queryIdx: match.trainIdx for match in matcher.match(b, a)}
    return [
        (best.queryIdx, best.trainIdx)
        for best, second in matcher.knnMatch(a, b, k=2)
        if best.distance < RATIO * second.distance and back[best.trainIdx] == best.queryIdx
    ]


def cpu_seconds(function: Callable[[], object], runs: int) -> float:
    """Median CPU seconds of `runs` calls after one to warm up."""
    function()
    spent = []
    for _ in range(runs):
        start = time.process_time()
        function()
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def processor() -> str:
    """The processor's name and the number of cores."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores {names[0] if names else platform.processor()}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    a, b = descriptors(arguments.size)
    a_float, b_float = a.astype(np.float32), b.astype(np.float32)
    product = np.empty((arguments.size, arguments.size), np.float32)
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        ours, theirs = match_descriptors(a, b, RATIO), opencv_matches(a_float, b_float)
        if set(map(tuple, ours.tolist())) != set(theirs):
            raise SystemExit("the two matchers disagree")
        methods: dict[str, Callable[[], object]] = {
            "liftnet.match.match_descriptors": lambda: match_descriptors(a, b, RATIO),
            "cv2.BFMatcher, both directions": lambda: opencv_matches(a_float, b_float),
            "bare matrix product (numpy)": lambda: np.matmul(a_float, b_float.T, out=product),
        }
        seconds = {name: cpu_seconds(call, arguments.runs) for name, call in methods.items()}
    reference = seconds["liftnet.match.match_descriptors"]
    print(f"{arguments.size} x {arguments.size} descriptors, one thread, {len(ours)} matches, the same from both")
    print(f"{processor()}, numpy {np.__version__}, OpenCV {cv2.__version__}\n")
    print("| method | CPU ms | times liftnet's |\n| --- | ---: | ---: |")
    for name, value in seconds.items():
        print(f"| {name} | {1000 * value:.1f} | {value / reference:.2f} |")


if __name__ == "__main__":
    main()

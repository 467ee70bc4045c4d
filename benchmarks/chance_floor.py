"""How many inliers of a fundamental matrix do random matches reach? Writes benchmarks/chance_floor.md.

    python benchmarks/chance_floor.py [--trials 100]

Matches are drawn uniformly in two squares of side L, independent of each other, and the affine and the perspective
fundamental matrix are estimated exactly as in `verify`. The formula of `liftnet.geometry.two_view.chance_floor` is
printed beside the 99 % quantile: it must not lie below it.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from liftnet.core.files import write_text
from liftnet.core.ids import stable_seed
from liftnet.geometry import chance_floor, estimate_affine_fundamental, estimate_fundamental

COUNTS = (30, 60, 120, 250, 500, 1000, 2000)
SHARES = (0.001, 0.002, 0.004, 0.01)
SIDE = 1000.0


ESTIMATORS = {"affine": estimate_affine_fundamental, "perspective": estimate_fundamental}


def chance_inliers(model: str, count: int, share: float, trials: int) -> np.ndarray:
    """Inliers of `trials` sets of `count` random matches at a threshold of `share` of the side."""
    found = []
    for trial in range(trials):
        rng = np.random.default_rng(stable_seed(0, str(count), str(share), str(trial)))
        a, b = rng.uniform(0, SIDE, (2, count, 2))
        found.append(ESTIMATORS[model](a, b, share * SIDE, rng).n_inliers)
    return np.array(found)


def main() -> None:
    """Simulate every cell and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    start = time.process_time()
    lines = [
        f"Inliers of a fundamental matrix among N random matches: median / 99 % quantile of {arguments.trials} trials "
        "(`chance_floor`). t is the threshold, L the side of the square the matches fill.",
    ]
    for model in ESTIMATORS:
        heading = f"| {model}, t / L | " + " | ".join(f"N = {count}" for count in COUNTS) + " |"
        lines += ["", heading, "| --- |" + " ---: |" * len(COUNTS)]
        for share in SHARES:
            cells = []
            for count in COUNTS:
                found = chance_inliers(model, count, share, arguments.trials)
                floor = chance_floor(count, share * SIDE, SIDE, model)
                cells.append(f"{np.median(found):.0f} / {np.quantile(found, 0.99):.0f} ({floor:.0f})")
            lines.append(f"| {share} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    write_text(arguments.out, "\n".join(lines) + "\n")
    print(f"{time.process_time() - start:.0f} CPU s; written to {arguments.out}")


if __name__ == "__main__":
    main()

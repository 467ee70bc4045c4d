"""How often the intervals of a perceptual study hold the share they are about. Writes benchmarks/study_intervals.md.

    python benchmarks/study_intervals.py [--studies 400]

Simulated studies, no people: 80 voters choose in 50 items each, and the logit of a choice is bias + item + voter, both
normal, with the bias such that the share over all items and voters is 71 %. For each study, Wilson's interval of all
votes, the bootstrap over voters alone, and the two-way bootstrap over voters and items that `study analyse` writes.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.special import expit
from scipy.stats import binomtest

from liftnet.core.files import write_text
from liftnet.core.ids import stable_seed
from liftnet.core.intervals import crossed_interval, mean_interval
from liftnet.core.types import BoolArray, Float64Array
from liftnet.reconstruct.study.simulate import bias_for

VOTERS, ITEMS, SHARE = 80, 50, 0.71
SPREADS = ((0.0, 0.0), (0.5, 0.3), (1.0, 0.4))  # of items and of voters, standard deviations of the logit
NAMES = ("Wilson", "voters alone", "voters and items")


def votes_of_study(item_sd: float, voter_sd: float, seed: int) -> BoolArray:
    """(voters, items) whether DR-KFS was chosen."""
    rng = np.random.default_rng(seed)
    logit = bias_for(SHARE, math.hypot(item_sd, voter_sd)) + item_sd * rng.standard_normal((1, ITEMS))
    return rng.random((VOTERS, ITEMS)) < expit(logit + voter_sd * rng.standard_normal((VOTERS, 1)))


def intervals_of(votes: BoolArray, seed: int) -> Float64Array:
    """(3, 2) lower and upper ends in the order of `NAMES`."""
    voters, items = np.indices(votes.shape).reshape(2, -1)
    wilson = binomtest(int(votes.sum()), votes.size).proportion_ci(method="wilson")
    alone = mean_interval(votes.sum(1), np.full(VOTERS, ITEMS), seed)
    return np.array([[wilson.low, wilson.high], alone, crossed_interval(votes.ravel(), voters, items, seed)])


def main() -> None:
    """Simulate the studies and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    start = time.process_time()
    lines = [
        f"Simulated voters, no people: {arguments.studies} studies of {VOTERS} voters and {ITEMS} items whose share "
        f"is {SHARE:.0%}. How often a 95 % interval holds that share, and its mean width in percentage points.",
        "",
        "| items differ by (sd of the logit) | voters differ by | " + " | ".join(NAMES) + " |",
        "| ---: | ---: |" + " ---: |" * len(NAMES),
    ]
    for item_sd, voter_sd in SPREADS:
        seeds = [stable_seed(0, str(item_sd), str(voter_sd), str(study)) for study in range(arguments.studies)]
        found = np.stack([intervals_of(votes_of_study(item_sd, voter_sd, seed), seed) for seed in seeds])
        held = ((found[..., 0] <= SHARE) & (found[..., 1] >= SHARE)).mean(0)
        width = 100 * (found[..., 1] - found[..., 0]).mean(0)
        cells = [f"{share:.0%}, {points:.1f}" for share, points in zip(held, width, strict=True)]
        lines.append(f"| {item_sd} | {voter_sd} | " + " | ".join(cells) + " |")
    lines += ["", f"{time.process_time() - start:.0f} s of one core."]
    write_text(arguments.out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

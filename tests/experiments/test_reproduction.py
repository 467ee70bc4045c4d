"""The verdicts of docs/reproduction.md on scores whose answer is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from liftnet.data.schemas import SCORES
from liftnet.experiments import reproduction
from liftnet.experiments.plan import read_plan

ROOT = Path(__file__).resolve().parents[2]


PAGE, PLAN = ROOT / "docs" / "reproduction.md", ROOT / "workflow" / "experiments.yaml"


def scores(run, mean, noise=0.0, seed_shift=0.0, name="sketchfab"):
    rng = np.random.default_rng(len(run))
    hard = np.linspace(0, 0.1, 12)  # some shapes are harder for everyone
    rows = [
        {"seed": seed, "work_id": f"w{k:02d}", "rmse": mean + hard[k] + noise * rng.normal() + seed_shift * (seed - 1)}
        for seed in range(3)
        for k in range(12)
    ]
    frame = pd.DataFrame(rows).assign(run=run, set=name, **{"class": "sculpture"})
    return frame.assign(image_id=frame["work_id"])


def found(*frames):
    return reproduction.Results(ROOT, read_plan(PLAN), pd.concat(frames))


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ({"mean": 0.20}, {"mean": 0.25}, "holds"),
        ({"mean": 0.25}, {"mean": 0.20}, "does not hold"),
        ({"mean": 0.20, "noise": 0.1}, {"mean": 0.21, "noise": 0.1}, "within chance"),  # the interval holds 0
        ({"mean": 0.20, "seed_shift": 0.03}, {"mean": 0.22}, "same direction, within chance"),  # seeds differ by more
        ({"mean": 0.22, "seed_shift": 0.03}, {"mean": 0.20}, "opposite direction, within chance"),
    ],
)
def test_which_is_lower(ours, theirs, verdict):
    results = found(scores("ours", **ours), scores("theirs", **theirs))
    text, data, said = reproduction.lower("ours", "theirs", "sketchfab")(results)
    assert said.endswith(verdict)
    assert data == "12 views of 12 shapes, SketchFab"
    assert "beside" in text


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [({"mean": 0.203}, "holds"), ({"mean": 0.25}, "does not hold"), ({"mean": 0.25, "noise": 0.4}, "undecided")],
)
def test_what_is_similar(ours, verdict):
    results = found(scores("ours", **ours), scores("theirs", 0.20))
    assert reproduction.similar("ours", "theirs", "sketchfab")(results)[2].startswith(verdict)


def test_classes_are_counted():
    parts = []
    for kind, ours, theirs in (("car", 0.1, 0.2), ("bed", 0.1, 0.2), ("bus", 0.3, 0.2)):
        parts += [
            scores(run, mean, name="shapenet").assign(**{"class": kind})
            for run, mean in (("liftnet-shapenet-50", ours), ("pix2pix-shapenet", theirs))
        ]
    text, _, verdict = reproduction.classes_won(found(*parts))
    assert text == "2 of 3; beyond chance 2 won, 1 lost"
    assert verdict == "holds"


def test_what_was_not_run_says_so(tmp_path):
    empty = SCORES.empty_table().to_pandas()
    table = reproduction.claims_table(reproduction.Results(tmp_path, read_plan(PLAN), empty))
    assert table.count("| not run |") == len(reproduction.CLAIMS)
    assert len(table.splitlines()) == len(reproduction.CLAIMS) + 2


def test_the_page_has_the_place_for_the_claims():
    text = PAGE.read_text()
    assert text.count(reproduction.BEGIN) == text.count(reproduction.END) == 1

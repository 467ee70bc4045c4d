"""The verdicts of docs/reproduction.md on scores whose answer is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from liftnet.data.schemas import SCORES
from liftnet.experiments import reproduction
from liftnet.experiments.criteria import DepthResults, find_depth
from liftnet.experiments.plan import ClassesWon, DepthPlan, LowerError, SimilarError, read_plan

ROOT = Path(__file__).resolve().parents[2]

PAGE = ROOT / "docs" / "reproduction.md"
PLAN = read_plan(ROOT / "workflow" / "experiments" / "depth.yaml", DepthPlan)
PAIR = {"run": "ours", "than": "theirs", "set": "sketchfab"}


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
    return DepthResults(ROOT, PLAN, pd.concat(frames))


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
    finding = find_depth(LowerError(kind="lower error", **PAIR), results)
    assert finding.verdict.endswith(verdict)
    assert finding.data == "12 views of 12 shapes, SketchFab"
    assert "beside" in finding.ours


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [({"mean": 0.203}, "holds"), ({"mean": 0.25}, "does not hold"), ({"mean": 0.25, "noise": 0.4}, "undecided")],
)
def test_what_is_similar(ours, verdict):
    results = found(scores("ours", **ours), scores("theirs", 0.20))
    assert find_depth(SimilarError(kind="similar error", **PAIR), results).verdict.startswith(verdict)


def test_classes_are_counted():
    parts = []
    for kind, ours, theirs in (("car", 0.1, 0.2), ("bed", 0.1, 0.2), ("bus", 0.3, 0.2)):
        parts += [
            scores(run, mean, name="shapenet").assign(**{"class": kind})
            for run, mean in (("liftnet-shapenet-50", ours), ("pix2pix-shapenet", theirs))
        ]
    test = ClassesWon(kind="classes won", run="liftnet-shapenet-50", than="pix2pix-shapenet", set="shapenet")
    finding = find_depth(test, found(*parts))
    assert finding.ours == "2 of 3; beyond chance 2 won, 1 lost"
    assert finding.verdict == "holds"


def test_what_was_not_run_says_so(tmp_path):
    empty = SCORES.empty_table().to_pandas()
    table = reproduction.depth_verdicts(DepthResults(tmp_path, PLAN, empty))
    assert table.count("| not run |") == len(PLAN.criteria)
    assert len(table.splitlines()) == len(PLAN.criteria) + 2


def test_the_page_has_the_places_for_what_is_written():
    text = PAGE.read_text()
    for begin, end in reproduction.PARTS.values():
        assert text.count(begin) == text.count(end) == 1


def test_only_what_lies_between_the_markers_is_replaced():
    begin, end = reproduction.PARTS["errors"]
    page = f"before\n{begin}\nold\n{end}\nafter\n"
    assert reproduction.replaced(page, "errors", "new") == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"

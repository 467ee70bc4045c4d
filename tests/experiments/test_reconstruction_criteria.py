"""Which claims on reconstruction networks hold, on scores whose answer is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from liftnet.experiments.plan import read_plan
from liftnet.experiments.reconstruction.criteria import (
    ReconstructionResults,
    figures_of,
    find_reconstruction,
    interval_of_wins,
)
from liftnet.experiments.reconstruction.plan import (
    ClassesPassed,
    FiguresWon,
    InOrder,
    PairPlan,
    ReconstructionPlan,
)

ROOT = Path(__file__).resolve().parents[2]
PLAN = read_plan(ROOT / "workflow" / "experiments" / "reconstruction.yaml", ReconstructionPlan)
METRICS = ["lfd", "iou", "mvcnn", "f_score_2"]


def scores(run, lfd, iou, noise=0.0, seeds=(0,), classes=("car", "lamp"), **more):
    rng = np.random.default_rng(len(run))
    rows = [
        {
            "run": run, "seed": seed, "class": name, "work_id": f"{name}-{k}", "image_id": f"{name}-{k}", "steps": 10,
            "lfd": lfd + 100 * k + noise * rng.normal(), "iou": iou + 0.01 * k, "mvcnn": None, "f_score_2": iou,
        } | more
        for seed in seeds
        for name in classes
        for k in range(10)
    ]  # fmt: skip
    return pd.DataFrame(rows).astype({"mvcnn": float})


def results(*frames):
    return ReconstructionResults(PLAN, pd.concat(frames, ignore_index=True))


def won(metrics, at_least, *pairs):
    pairs = pairs or (("a", "b"),)
    given = [PairPlan(run=run, than=than) for run, than in pairs]
    return FiguresWon(kind="figures won", pairs=given, metrics=metrics, at_least=at_least)


def test_a_figure_is_won_by_less_distance_or_more_overlap():
    found = results(scores("a", 4000, 0.6), scores("b", 5000, 0.5))
    finding = find_reconstruction(won(["lfd", "iou"], 2), found)
    assert finding.ours == "2 of 2 [2, 2]; beyond chance 2 won, 0 lost"
    assert finding.verdict == "holds"
    assert finding.data == "20 shapes of 2 classes, seeds: 1"


@pytest.mark.parametrize(("metrics", "verdict"), [(["lfd", "iou"], "does not hold"), (["lfd"], "holds")])
def test_what_is_lost_is_named(metrics, verdict):
    found = results(scores("a", 4000, 0.4), scores("b", 5000, 0.5))
    finding = find_reconstruction(won(metrics, len(metrics)), found)
    assert finding.verdict == verdict
    assert ("lost: a IoU %" in finding.ours) == ("iou" in metrics)


def test_most_figures_are_a_part():
    found = results(scores("a", 4000, 0.6), scores("b", 5000, 0.5), scores("c", 5000, 0.7))
    pairs = (("a", "b"), ("a", "c"))
    finding = find_reconstruction(won(["lfd", "iou"], 4, *pairs), found)
    assert finding.ours.startswith("3 of 4 ")
    assert finding.verdict == "in part"


def test_chance_widens_the_interval_of_the_count():
    found = results(scores("a", 5000, 0.5, noise=2000), scores("bb", 5050, 0.5, noise=2000))
    finding = find_reconstruction(won(["lfd"], 1, ("a", "bb")), found)
    assert "[0, 1]; beyond chance 0 won, 0 lost" in finding.ours


def test_the_interval_of_a_count_is_that_of_drawing_shapes_again():
    """Better on nine shapes by 1, worse on one by 12: won in a third of the samples, those without that one."""
    gaps = np.r_[np.full(9, -1.0), 12.0]
    one = scores("a", 0, 0.5, classes=("car",)).assign(lfd=gaps)
    other = scores("b", 0, 0.5, classes=("car",)).assign(lfd=0.0)
    figures = figures_of(PairPlan(run="a", than="b"), ["lfd"], results(one, other))
    assert figures[0].worse.mean == pytest.approx(gaps.mean())
    assert interval_of_wins(figures) == (0, 1)


def test_what_was_not_run_is_said():
    found = results(scores("a", 4000, 0.6), scores("b", 5000, 0.5))
    assert find_reconstruction(won(["lfd"], 1, ("x", "y")), found).ours == "not run"
    part = find_reconstruction(won(["lfd", "mvcnn"], 2), found)
    assert part.verdict == "unfinished"
    assert "1 figures not run" in part.ours


@pytest.mark.parametrize(
    ("lfds", "verdict"),
    [((4000, 5000, 7000), "holds"), ((4000, 7000, 5000), "in part"), ((7000, 5000, 4000), "does not hold")],
)
def test_an_order_holds_between_all_neighbours(lfds, verdict):
    found = results(*(scores(name, lfd, 0.5) for name, lfd in zip("abc", lfds, strict=True)))
    finding = find_reconstruction(InOrder(kind="in order", runs=["a", "b", "c"], metrics=["lfd"]), found)
    assert finding.verdict == verdict
    assert finding.ours.startswith(f"LFD {lfds[0] + 450:,}, {lfds[1] + 450:,}, {lfds[2] + 450:,}")
    assert "2 of 2 steps beyond chance" in finding.ours


def test_a_network_passes_a_reference_class_by_class():
    better = scores("a", 0, 0.6, classes=("car",))
    worse = scores("a", 0, 0.4, classes=("lamp",))
    reference = scores("mean", 0, 0.5, steps=None)
    test = ClassesPassed(kind="classes passed", runs=["a"], than="mean", metric="f_score_2")
    finding = find_reconstruction(test, results(better, worse, reference))
    assert finding.ours == "1 of 2 by FS 2 %; not a: lamp"
    assert finding.verdict == "does not hold"
    assert find_reconstruction(test, results(better, reference[reference["class"] == "car"])).verdict == "holds"


def test_the_control_is_paired_by_seed():
    """Seed 1 of the first run is missing: only seed 0 of the second counts."""
    found = results(scores("a", 4000, 0.6), scores("b", 5000, 0.5), scores("b", 1000, 0.5, seeds=(1,)))
    figure = figures_of(PairPlan(run="a", than="b"), ["lfd"], found)[0]
    assert figure.worse.mean == pytest.approx(-1000)


def test_every_criterion_of_the_plan_can_be_found():
    for criterion in PLAN.criteria:
        assert find_reconstruction(criterion.test, results(scores("x", 1, 0.5))).ours == "not run"

"""What is said of the paper's claims, on tables whose answer is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from liftnet.core.files import write_text
from liftnet.experiments import reproduction
from liftnet.experiments.criteria import find_drkfs
from liftnet.experiments.drkfs.legs import EDITS, REMOVED
from liftnet.experiments.plan import BetterLoss, DeletionCosts, DrkfsPlan, ScoreFalls, StructureOverEdits, read_plan

METRICS = ("chamfer_l1", "chamfer_l2", "iou", "lfd", "drkfs", "drkfs_dense")


def legs(equal):
    """Distances of 3 chairs that grow with strength and reach a lost leg's at `equal[metric]`."""
    rows = []
    for chair in range(3):
        rows.append({"chair": chair, "edit": REMOVED, "strength": 0.0} | dict.fromkeys(METRICS, 1.0 + chair))
        rows += [
            {"chair": chair, "edit": edit, "strength": s} | {m: (1 + chair) * s / equal[m] for m in METRICS}
            for edit in EDITS
            for s in (0.1, 0.2)
        ]
    return pd.DataFrame(rows)


def table(folder, name, frame):
    write_text(folder / "tables" / f"drkfs_{name}.csv", frame.to_csv(index=False))


@pytest.mark.parametrize(("lfd", "verdict"), [(0.15, "holds"), (0.05, "does not hold"), (5.0, "holds")])
def test_structure_is_told_where_the_visual_metric_reaches_a_lost_leg_later(tmp_path, lfd, verdict):
    equal = dict.fromkeys(METRICS, 0.08) | {"lfd": lfd}
    table(tmp_path, "legs_chairs", legs(equal))
    test = StructureOverEdits(kind="structure over edits", spatial="chamfer_l1", visual="lfd", edits=["legs bent"])
    found = find_drkfs(test, tmp_path)
    assert found.verdict == verdict
    assert "legs bent: 8% beside" in found.ours
    assert ("more than measured" in found.ours) == (lfd == 5.0)


def test_bars_losses_and_the_fit(tmp_path):
    bars = pd.DataFrame(
        {"loss": ["DR-KFS", "MSE of pixels"], "ratio": [1.5, 0.6], "ratio low": [1.2, 0.5], "ratio high": [1.9, 0.7]}
        | {"deletion costs more": [0.75, 0.1], "n": [20, 20]}
    )
    table(tmp_path, "bars", bars)

    def deletion(loss, more):
        return find_drkfs(DeletionCosts(kind="deletion costs", loss=loss, more=more), tmp_path)

    assert deletion("DR-KFS", more=True).verdict == "holds"
    assert deletion("DR-KFS", more=False).verdict == "does not hold"
    pixels = deletion("MSE of pixels", more=False)
    assert (pixels.ours, pixels.verdict) == ("0.60 [0.50, 0.70]; in 90% of 20 cases", "holds")
    shading = pd.DataFrame({"loss": ["a", "b", "c"], "LFD": [3.0, 4.0, 2.0], "Shape Google": [1.0, 2.0, np.nan]})
    table(tmp_path, "shading", shading)
    both = BetterLoss(kind="better loss", loss="a", than="b", metrics=["LFD", "Shape Google"])
    assert find_drkfs(both, tmp_path).verdict == "holds"
    worse = find_drkfs(both.model_copy(update={"than": "c"}), tmp_path)
    assert (worse.ours, worse.verdict) == ("LFD 3 beside 2", "does not hold")
    table(
        tmp_path, "sphere", pd.DataFrame({"loss": ["a", "a"], "step": [0, 9], "drkfs": [2.0, 1.0], "iou": [0.6, 0.2]})
    )
    falls = find_drkfs(ScoreFalls(kind="score falls"), tmp_path)
    assert (falls.ours, falls.verdict) == ("a: 2 to 1 in 9 steps, IoU 0.40 to 0.80", "holds")


def test_what_was_not_run_says_so(tmp_path):
    plan = read_plan(Path(__file__).parents[2] / "workflow" / "experiments" / "drkfs.yaml", DrkfsPlan)
    text = reproduction.drkfs_verdicts(plan, tmp_path)
    assert text.count("| not run |") == len(plan.criteria)
    assert len(text.splitlines()) == len(plan.criteria) + 2

"""What of the DR-KFS paper holds, from the tables of its experiments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from liftnet.experiments.criteria import FAILS, HOLDS, IN_PART, NOT_RUN, Finding, verdict_of_all
from liftnet.experiments.drkfs.legs import REMOVED, equal_strength
from liftnet.experiments.plan import BetterLoss, DeletionCosts, DrkfsTest, ScoreFalls, StructureOverEdits


@dataclass(frozen=True)
class DrkfsTables:
    """The tables below a folder of results."""

    folder: Path

    def read(self, name: str) -> pd.DataFrame | None:
        """`tables/drkfs_<name>.csv`, None where its experiment was not run."""
        path = self.folder / "tables" / f"drkfs_{name}.csv"
        return pd.read_csv(path) if path.exists() else None


def find(test: DrkfsTest, tables: DrkfsTables) -> Finding:
    """What a test comes to on the tables; NOT_RUN where they lack what it needs."""
    match test:
        case StructureOverEdits():
            return structure_over_edits(test, tables)
        case DeletionCosts():
            return deletion_costs(test, tables)
        case BetterLoss():
            return better_loss(test, tables)
        case ScoreFalls():
            return score_falls(tables)


def structure_over_edits(test: StructureOverEdits, tables: DrkfsTables) -> Finding:
    """On how many chairs an edit reaches a lost leg earlier by the metric in space than by the visual one."""
    frame = tables.read("legs_chairs")
    if frame is None or test.spatial not in frame or test.visual not in frame:
        return NOT_RUN
    fractions, strengths = [], []
    for edit in test.edits:
        spatial, visual = (equal_strengths(frame, metric, edit) for metric in (test.spatial, test.visual))
        fractions.append(float((spatial < visual).mean()))
        strengths.append(f"{edit}: {_percent(spatial)} beside {_percent(visual)}, {fractions[-1]:.0%} of chairs")
    return Finding("; ".join(strengths), _verdict(min(fractions), max(fractions)))


def equal_strengths(frame: pd.DataFrame, metric: str, edit: str) -> np.ndarray:
    """(chairs,) the strength at which an edit is as far as a lost leg; inf if none that was measured is."""
    removed = frame[frame["edit"] == REMOVED].set_index("chair")[metric]
    mine = frame[frame["edit"] == edit].pivot(index="chair", columns="strength", values=metric)
    ratios = mine.div(removed, axis=0)
    return np.array([equal_strength(ratios.columns.to_numpy(), row) for row in ratios.to_numpy()])


def deletion_costs(test: DeletionCosts, tables: DrkfsTables) -> Finding:
    """The ratio of deletion to the mean of both shifts, and in how many cases it is on the right side of 1."""
    frame = tables.read("bars")
    if frame is None or test.loss not in set(frame["loss"]):
        return NOT_RUN
    row = frame.set_index("loss").loc[test.loss].to_dict()
    fraction = float(row["deletion costs more"] if test.more else 1 - row["deletion costs more"])
    spread = f"{row['ratio']:.2f} [{row['ratio low']:.2f}, {row['ratio high']:.2f}]"
    is_right = (row["ratio"] > 1) == test.more
    text = f"{spread}; in {fraction:.0%} of {row['n']:.0f} cases"
    return Finding(text, _verdict(fraction, fraction) if is_right else FAILS)


def better_loss(test: BetterLoss, tables: DrkfsTables) -> Finding:
    """The mean distances of what two losses lead to."""
    frame = tables.read("shading")
    if frame is None:
        return NOT_RUN
    means, losses = frame.set_index("loss"), [test.loss, test.than]
    known = [name for name in test.metrics if name in means and means.loc[losses, name].notna().all()]
    if not known:
        return NOT_RUN
    ours, theirs = (means.loc[loss, known].to_numpy(np.float64).tolist() for loss in losses)
    pairs = list(zip(ours, theirs, strict=True))
    text = "; ".join(f"{name} {_short(a)} beside {_short(b)}" for name, (a, b) in zip(known, pairs, strict=True))
    return Finding(text, verdict_of_all([a < b for a, b in pairs]))


def score_falls(tables: DrkfsTables) -> Finding:
    """How far the score of each fit falls."""
    frame = tables.read("sphere")
    if frame is None:
        return NOT_RUN
    texts, falls = [], []
    for loss, mine in frame.groupby("loss", sort=False):
        first, last = mine.iloc[0], mine.iloc[-1]
        text = f"{loss}: {first['drkfs']:.3g} to {last['drkfs']:.3g} in {last['step']:.0f} steps"
        texts.append(text + (f", IoU {1 - first['iou']:.2f} to {1 - last['iou']:.2f}" if "iou" in frame else ""))
        falls.append(bool(last["drkfs"] < first["drkfs"]))
    return Finding("; ".join(texts), verdict_of_all(falls))


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _percent(strengths: np.ndarray) -> str:
    middle = float(np.median(strengths))
    return f"{middle:.0%}" if np.isfinite(middle) else "more than measured"


def _verdict(least: float, most: float) -> str:
    """Of fractions of cases: all beyond half, some, or none."""
    if least > 0.5:
        return HOLDS
    return IN_PART if most > 0 else FAILS

"""Figure 2: legs of a chair thickened, lengthened, shortened, bent, and one removed.

A lost leg changes the structure of a chair, all others change its measures. Distances in space are said to weigh the
measures more, visual similarity the structure. Each edit is made at several strengths on several chairs, so that the
claim is a fraction of cases and not one picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from liftnet.core.log import get_logger, progress
from liftnet.core.tables import write_tables
from liftnet.experiments.drkfs.experiment import VISUAL, Experiment, ShapeDistances, title_of
from liftnet.experiments.drkfs.shapes import Chair, chair_of
from liftnet.experiments.figure_page import (
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    Panel,
    draw_panel,
    mesh_picture,
    new_figure,
    save_figure,
)
from liftnet.experiments.plan import LegsPlan
from liftnet.mesh.mesh import TriangleMesh, normalising

LOG = get_logger("experiments")
REMOVED = "one leg removed"
FRONT_LEG = 2  # of chairs.CORNERS
EDITS: dict[str, Callable[[Chair, float], Chair]] = {
    "legs thicker and longer": lambda chair, by: chair.with_legs(thicker=1 + by, longer=1 + by),
    "legs shorter": lambda chair, by: chair.with_legs(longer=1 - by),
    "legs bent": lambda chair, by: replace(chair, leg_bend=by),
    "back bent": lambda chair, by: replace(chair, back_bend=by),
}
CAPTION = (
    "Edits of {chairs} generated chairs, each as a multiple of the same metric's distance for one leg removed (median"
    " over chairs): below 1 the lost leg counts more. `structure counts more` is the share of chairs for which that"
    " holds at {shown:.0%}; `as much as a leg` the strength at which an edit counts as much as the lost leg,"
    " interpolated (inf: more than the strongest). Similarities are turned into distances, 1 less their value."
)


def run(experiment: Experiment) -> None:
    """Write `tables/drkfs_legs.*`, `tables/drkfs_legs_chairs.*` and `figures/drkfs_legs.png`."""
    settings = experiment.settings
    cases = edit_cases(settings.chairs, settings.legs.strengths)
    scores = score_edits(cases, experiment, experiment.distances(settings.legs.close_views))
    shown = shown_strength(settings.legs.strengths)
    each = "Distances of edited chairs to the chairs they come from."
    write_tables(scores, experiment.table("legs_chairs"), each, 5)
    caption = CAPTION.format(chairs=settings.chairs, shown=shown)
    write_tables(summary(scores, shown), experiment.table("legs"), caption, 2)
    draw(experiment.picture("legs"), experiment.plan.legs, scores, shown, experiment.seed)
    LOG.info("legs: %d chairs, %d shapes; %s", settings.chairs, len(scores), experiment.table("legs"))


@dataclass(frozen=True)
class EditCase:
    """A chair, and an edit of it at some strength."""

    chair: int
    edit: str
    strength: float

    @property
    def name(self) -> str:
        """For a file."""
        return f"{self.chair}-{self.edit.replace(' ', '-')}-{self.strength:g}"

    def mesh(self, chair: Chair) -> TriangleMesh:
        """The chair, edited."""
        return edited(chair, self.edit, self.strength).mesh()


def edit_cases(chairs: int, strengths: Sequence[float]) -> list[EditCase]:
    """Every edit at every strength of every chair, and the lost leg."""
    edits = [(REMOVED, 0.0), *((edit, strength) for edit in EDITS for strength in sorted(strengths))]
    return [EditCase(number, edit, strength) for number in range(chairs) for edit, strength in edits]


def score_edits(cases: Sequence[EditCase], experiment: Experiment, distances: ShapeDistances) -> pd.DataFrame:
    """One row per case: distances of the edited chair to its original, both where the latter fills a sphere."""
    cache = experiment.cache("legs", distances.contents)
    rows = []
    for case in progress(cases, "experiments", "edited chairs"):
        chair = chair_of(experiment.seed, case.chair)

        def measure(case: EditCase = case, chair: Chair = chair) -> dict[str, Any]:
            place = normalising(chair.mesh()).mesh
            reference, changed = place(chair.mesh()), place(case.mesh(chair))
            return distances(changed, reference, f"chair {case.chair}")

        about = {"chair": case.chair, "edit": case.edit, "strength": case.strength}
        rows.append(about | cache.of(chair, case).row(case.name, measure))
    return pd.DataFrame(rows)


def edited(chair: Chair, edit: str, strength: float) -> Chair:
    """A chair changed by an edit of this strength."""
    return replace(chair, missing_legs=(FRONT_LEG,)) if edit == REMOVED else EDITS[edit](chair, strength)


def shown_strength(strengths: Sequence[float]) -> float:
    """The strength that is drawn: the second least, or the only one."""
    return sorted(strengths)[:2][-1]


def summary(scores: pd.DataFrame, shown: float) -> pd.DataFrame:
    """One row per metric and edit: medians of its distance over that of a lost leg, and where both are equal."""
    metrics = [name for name in scores.columns if name not in ("chair", "edit", "strength")]
    removed = scores[scores["edit"] == REMOVED].set_index("chair")
    rows = []
    for metric in metrics:
        for edit in EDITS:
            mine = scores[scores["edit"] == edit].pivot(index="chair", columns="strength", values=metric)
            ratios = mine.div(removed[metric], axis=0)
            if ratios[shown].isna().all():
                continue
            equal = [equal_strength(ratios.columns.to_numpy(), row) for row in ratios.dropna().to_numpy()]
            rows.append(
                {"metric": title_of(metric), "edit": edit}
                | {f"{strength:.0%}": float(ratios[strength].median()) for strength in ratios.columns}
                | {"structure counts more": float((ratios[shown].dropna() < 1).mean())}
                | {"as much as a leg": float(np.median(equal)), "n": int(ratios[shown].notna().sum())}
            )
    return pd.DataFrame(rows)


def equal_strength(strengths: np.ndarray, ratios: np.ndarray) -> float:
    """The least strength at which an edit is as far as a lost leg, between the strengths measured; inf if none is."""
    strengths, ratios = np.r_[0.0, strengths], np.r_[0.0, ratios]
    beyond = np.nonzero(ratios >= 1)[0]
    if not len(beyond):
        return float("inf")
    last = int(beyond[0])
    fraction = (1 - ratios[last - 1]) / (ratios[last] - ratios[last - 1])
    return float(strengths[last - 1] + fraction * (strengths[last] - strengths[last - 1]))


def draw(path: Path, plan: LegsPlan, scores: pd.DataFrame, strength: float, seed: int) -> None:
    """Figure 2: the edited chairs, and bars of each metric's distances to the chair they come from."""
    chair = chair_of(seed, 0)
    place = normalising(chair.mesh()).mesh
    visual = [metric for metric in VISUAL if metric in scores.columns]
    figure = new_figure(8.2 + 0.9 * (2 + len(visual)), 2.2 * len(plan.figure))
    widths = [1.25] * 4 + [0.8] * (2 + len(visual))
    axes = figure.subplots(len(plan.figure), len(widths), width_ratios=widths, squeeze=False)
    for line, row in zip(axes, plan.figure, strict=True):
        edits = (*row.edits, REMOVED)
        shapes = [chair.mesh(), *(edited(chair, edit, strength).mesh() for edit in edits)]
        titles = ["reference", *(f"{edit}\n{strength:.0%}" if edit != REMOVED else edit for edit in edits)]
        for axis, mesh, title, colour in zip(line, shapes, titles, (PINK, BLUE, GREEN, ORANGE), strict=False):
            draw_panel(axis, Panel(title, mesh_picture(place(mesh), half_width=0.62), frame=colour))
        metrics = [metric for metric in (*row.spatial, *visual) if metric in scores.columns]
        for axis, metric in zip(line[4:], metrics, strict=False):
            _draw_bars(axis, scores, metric, edits, strength)
        for axis in line[4 + len(metrics) :]:
            axis.axis("off")
    chairs = scores["chair"].nunique()
    figure.suptitle(
        f"Distances to the unchanged chair: mean over {chairs} chairs, points are single chairs. "
        "Blue, green: measures changed; orange: structure changed",
        fontsize=9,
    )
    save_figure(figure, path)


def _draw_bars(axis: Any, scores: pd.DataFrame, metric: str, edits: Sequence[str], strength: float) -> None:
    """One bar per edit, and one point per chair."""
    for place, (edit, colour) in enumerate(zip(edits, (BLUE, GREEN, ORANGE), strict=True)):
        mine = scores[(scores["edit"] == edit) & ((scores["strength"] == strength) | (edit == REMOVED))][metric]
        height = float(mine.mean()) if mine.notna().any() else 0.0
        axis.bar(place, height, color=colour, width=0.75)
        axis.plot([place] * len(mine), mine, ".", color="black", markersize=3, alpha=0.6)
    axis.set_title(title_of(metric).replace(", ", ",\n"), fontsize=8)
    axis.set_xticks([])
    axis.tick_params(labelsize=6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4))
    axis.yaxis.get_offset_text().set_fontsize(6)

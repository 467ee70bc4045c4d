"""Figure 2: legs of a chair thickened, lengthened, shortened, bent, and one removed.

A lost leg changes the structure of a chair, all others change its measures. Distances in space are said to weigh the
measures more, visual similarity the structure. Each edit is made at several strengths on several chairs, so that the
claim is a share of cases and not one picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from liftnet.core.log import get_logger, progress
from liftnet.core.tables import write_tables
from liftnet.experiments.drkfs.chairs import Chair, Frame, chair_of
from liftnet.experiments.drkfs.distances import Measures, title_of
from liftnet.experiments.drkfs.pictures import BLUE, GREEN, ORANGE, PINK, Panel, draw_panel, looks, new_figure, save
from liftnet.experiments.drkfs.settings import ShapeExperimentSettings
from liftnet.experiments.result_cache import Memory
from liftnet.mesh.mesh import TriangleMesh

LOG = get_logger("drkfs")
REMOVED = "one leg removed"
FRONT_LEG = 2  # of chairs.CORNERS
EDITS: dict[str, Callable[[Chair, float], Chair]] = {
    "legs thicker and longer": lambda chair, by: chair.with_legs(thicker=1 + by, longer=1 + by),
    "legs shorter": lambda chair, by: chair.with_legs(longer=1 - by),
    "legs bent": lambda chair, by: replace(chair, leg_bend=by),
    "back bent": lambda chair, by: replace(chair, back_bend=by),
}
CLAIMS = {  # of Figure 2: the distance in space that the paper shows beside LFD
    "top": ("chamfer_l1", ("legs thicker and longer", "legs shorter")),
    "bottom": ("iou", ("legs bent", "back bent")),
}
CAPTION = (
    "Edits of {chairs} generated chairs, each as a multiple of the same metric's distance for one leg removed (median"
    " over chairs): below 1 the lost leg counts more. `structure counts more` is the share of chairs for which that"
    " holds at {shown:.0%}; `as much as a leg` the strength at which an edit counts as much as the lost leg,"
    " interpolated (inf: more than the strongest). Similarities are turned into distances, 1 less their value."
)


def compare_legs(out: Path, settings: ShapeExperimentSettings, measures: Measures, seed: int) -> None:
    """Write `tables/drkfs_legs.*`, `tables/drkfs_legs_chairs.*` and `figures/drkfs_legs.png` below `out`."""
    memory = Memory(out / "drkfs" / "legs", {**measures.about, "seed": seed})
    strengths = sorted(settings.strengths)
    jobs = [
        (number, name, strength)
        for number in range(settings.chairs)
        for name, strength in [(REMOVED, 0.0), *((edit, s) for edit in EDITS for s in strengths)]
    ]
    rows = []
    for number, edit, strength in progress(jobs, "drkfs", "edited chairs"):

        def row(number: int = number, edit: str = edit, strength: float = strength) -> dict[str, Any]:
            chair = chair_of(seed, number)
            frame = Frame.of(chair.mesh())
            reference, changed = frame.place(chair.mesh()), frame.place(edited(chair, edit, strength).mesh())
            return measures.distances(changed, reference, f"{seed}-{number}")

        name = f"{number}-{edit.replace(' ', '-')}-{strength:g}"
        rows.append({"chair": number, "edit": edit, "strength": strength} | memory.row(name, row))
    frame = pd.DataFrame(rows)
    shown = shown_strength(strengths)
    stem = out / "tables" / "drkfs_legs"
    write_tables(frame, f"{stem}_chairs", "Distances of edited chairs to the chairs they come from.", 5)
    write_tables(summary(frame, shown), stem, CAPTION.format(chairs=settings.chairs, shown=shown), 2)
    draw(out / "figures" / "drkfs_legs.png", frame, shown, seed)
    LOG.info("legs: %d chairs, %d shapes; %s", settings.chairs, len(frame), f"{stem}.csv")


def edited(chair: Chair, edit: str, strength: float) -> Chair:
    """A chair changed by an edit of this strength."""
    return replace(chair, missing_legs=(FRONT_LEG,)) if edit == REMOVED else EDITS[edit](chair, strength)


def shown_strength(strengths: Sequence[float]) -> float:
    """The strength that is drawn: the second least, or the only one."""
    return sorted(strengths)[:2][-1]


def summary(frame: pd.DataFrame, shown: float) -> pd.DataFrame:
    """A row a metric and edit: medians of its distance over that of a lost leg, and where both are equal."""
    metrics = [name for name in frame.columns if name not in ("chair", "edit", "strength")]
    removed = frame[frame["edit"] == REMOVED].set_index("chair")
    rows = []
    for metric in metrics:
        for edit in EDITS:
            mine = frame[frame["edit"] == edit].pivot(index="chair", columns="strength", values=metric)
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
    share = (1 - ratios[last - 1]) / (ratios[last] - ratios[last - 1])
    return float(strengths[last - 1] + share * (strengths[last] - strengths[last - 1]))


def draw(path: Path, frame: pd.DataFrame, strength: float, seed: int) -> None:
    """Figure 2: the edited chairs, and bars of each metric's distances to the chair they come from."""
    chair = chair_of(seed, 0)
    place = Frame.of(chair.mesh())
    extra = {"top": "chamfer_l2", "bottom": "normal_consistency"}
    visual = [metric for metric in ("lfd", "drkfs", "drkfs_dense") if metric in frame.columns]
    figure = new_figure(8.2 + 0.9 * (2 + len(visual)), 4.4)
    axes = figure.subplots(2, 6 + len(visual), width_ratios=[1.25] * 4 + [0.8] * (2 + len(visual)))
    for line, (name, (spatial, edits)) in zip(axes, CLAIMS.items(), strict=True):
        all_edits = (*edits, REMOVED)
        shapes = [chair.mesh(), *(edited(chair, edit, strength).mesh() for edit in all_edits)]
        titles = ["reference", *(f"{edit}\n{strength:.0%}" if edit != REMOVED else edit for edit in all_edits)]
        for axis, mesh, title, colour in zip(line, shapes, titles, (PINK, BLUE, GREEN, ORANGE), strict=False):
            draw_panel(axis, Panel(looks(*_arrays(place.place(mesh)), half_width=0.62), title, frame=colour))
        metrics = [m for m in (spatial, extra[name], *visual) if m in frame.columns]
        for axis, metric in zip(line[4:], metrics, strict=False):
            _bars(axis, frame, metric, all_edits, strength)
        for axis in line[4 + len(metrics) :]:
            axis.axis("off")
    chairs = frame["chair"].nunique()
    figure.suptitle(
        f"Distances to the unchanged chair: mean over {chairs} chairs, points are single chairs. "
        "Blue, green: measures changed; orange: structure changed",
        fontsize=9,
    )
    save(figure, path)


def _bars(axis: Any, frame: pd.DataFrame, metric: str, edits: Sequence[str], strength: float) -> None:
    """A bar an edit, and a point a chair."""
    for place, (edit, colour) in enumerate(zip(edits, (BLUE, GREEN, ORANGE), strict=True)):
        mine = frame[(frame["edit"] == edit) & ((frame["strength"] == strength) | (edit == REMOVED))][metric]
        axis.bar(place, mean_of(mine), color=colour, width=0.75)
        axis.plot([place] * len(mine), mine, ".", color="black", markersize=3, alpha=0.6)
    axis.set_title(title_of(metric).replace(", ", ",\n"), fontsize=8)
    axis.set_xticks([])
    axis.tick_params(labelsize=6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4))
    axis.yaxis.get_offset_text().set_fontsize(6)


def mean_of(values: pd.Series) -> float:
    """The mean of what is there, 0 if nothing is, so that a bar can be drawn."""
    return float(values.mean()) if values.notna().any() else 0.0


def _arrays(mesh: TriangleMesh) -> tuple[np.ndarray, np.ndarray]:
    return mesh.vertices, mesh.faces

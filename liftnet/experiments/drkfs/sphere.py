"""A sphere turned into a target by DR-KFS, as a sequence of pictures with its score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from liftnet.core.log import get_logger
from liftnet.core.tables import write_tables
from liftnet.drkfs.metric import DRKFS
from liftnet.experiments.drkfs.distances import Measures
from liftnet.experiments.drkfs.fits import DRKFS_SHADED, DRKFS_SILHOUETTE, remembered_fit
from liftnet.experiments.drkfs.mesh_fitting import geodesic_sphere
from liftnet.experiments.drkfs.pictures import BLUE, ORANGE, Panel, draw_panel, looks, new_figure, save
from liftnet.experiments.drkfs.settings import ShapeExperimentSettings
from liftnet.experiments.drkfs.targets import targets_of
from liftnet.experiments.result_cache import Memory
from liftnet.mesh.mesh import TriangleMesh

LOG = get_logger("drkfs")
COLOURS = {DRKFS_SILHOUETTE: ORANGE, DRKFS_SHADED: BLUE}
CAPTION = (
    "A sphere turned into a target ({name}) by DR-KFS on silhouettes and on shaded images: {views} of its views a"
    " step, drawn in rotation; distances of the mesh to the target on the way, over all views."
)


def follow_fit(out: Path, settings: ShapeExperimentSettings, metric: DRKFS, measures: Measures, seed: int) -> None:
    """Write `tables/drkfs_sphere.*` and `figures/drkfs_sphere.png` below `out`: the first target's fit.

    Args:
        out: Folder of the results.
        settings: Targets and fits; the fit is shared with the experiment `shading`.
        metric: DR-KFS, whose gradient is used.
        measures: Of the meshes on the way.
        seed: Of the run.
    """
    name, target = next(iter(targets_of(settings, seed).items()))
    memory = Memory(out / "drkfs" / "fits", measures.about)
    faces = geodesic_sphere(settings.fit_frequency, 1.0)[1].numpy()
    rows: list[dict[str, Any]] = []
    sequences: dict[str, list[TriangleMesh]] = {}
    for loss in COLOURS:
        found = remembered_fit(memory, name, loss, target, settings, metric, seed)
        sequences[loss] = [TriangleMesh(vertices.astype(np.float64), faces) for vertices in found.frames]
        for step, mesh in zip(found.steps, sequences[loss], strict=True):
            rows.append({"loss": loss, "step": int(step)} | measures.distances(mesh, target, name))
    frame = pd.DataFrame(rows)
    stem = out / "tables" / "drkfs_sphere"
    write_tables(frame, stem, CAPTION.format(name=name, views=settings.fit_views), 4)
    draw(out / "figures" / "drkfs_sphere.png", sequences, target, frame)
    LOG.info("sphere: %s", f"{stem}.csv")


def draw(path: Path, sequences: dict[str, list[TriangleMesh]], target: TriangleMesh, frame: pd.DataFrame) -> None:
    """The meshes on the way by each loss, the target last, and the scores below."""
    columns = len(next(iter(sequences.values()))) + 1
    figure = new_figure(1.35 * columns + 0.3, 1.5 * len(sequences) + 2.0)
    grid = figure.add_gridspec(len(sequences) + 1, columns, height_ratios=[1] * len(sequences) + [1.2])
    steps = frame["step"].unique()
    for line, (loss, meshes) in enumerate(sequences.items()):
        for column, mesh in enumerate([*meshes, target]):
            title = "" if line else "target" if column == len(meshes) else f"step {steps[column]}"
            axis = figure.add_subplot(grid[line, column])
            draw_panel(axis, Panel(looks(mesh.vertices, mesh.faces), title))
            if not column:
                axis.set_ylabel(loss.replace(", ", ",\n"), fontsize=8)
    axis = figure.add_subplot(grid[-1, :])
    for loss, colour in COLOURS.items():
        mine = frame[frame["loss"] == loss]
        axis.plot(mine["step"], mine["drkfs"], "o-", color=colour, markersize=4, label=f"fitted by {loss}")
    axis.set_xlabel("step", fontsize=8)
    axis.set_ylabel("DR-KFS, shaded, all views", fontsize=8)
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=7, frameon=False, loc="upper right")
    save(figure, path)

"""A sphere turned into a target by DR-KFS, as a sequence of pictures with its score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from liftnet.drkfs.experiments.fits import DRKFS_SHADED, remembered_fit
from liftnet.drkfs.experiments.fitting import Fit, geodesic_sphere
from liftnet.drkfs.experiments.measures import Measures
from liftnet.drkfs.experiments.pictures import Panel, draw_panel, looks, new_figure, save
from liftnet.drkfs.experiments.remembering import Memory
from liftnet.drkfs.experiments.targets import targets_of
from liftnet.drkfs.metric import DRKFS
from liftnet.drkfs.settings import ShapeExperimentSettings
from liftnet.io.log import get_logger
from liftnet.io.tables import write_tables
from liftnet.shape.mesh import TriangleMesh

LOG = get_logger("drkfs")
AZIMUTHS = (35.0, 145.0)
CAPTION = (
    "A sphere turned into a target ({name}) by DR-KFS on shaded images: {views} of its views a step, drawn in"
    " rotation; distances of the mesh to the target on the way, over all views."
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
    found = remembered_fit(memory, name, DRKFS_SHADED, target, settings, metric, seed)
    faces = geodesic_sphere(settings.fit_frequency, 1.0)[1].numpy()
    meshes = [TriangleMesh(vertices.astype(np.float64), faces) for vertices in found.frames]
    rows = [
        {"step": int(step)} | measures.distances(mesh, target, name)
        for step, mesh in zip(found.steps, meshes, strict=True)
    ]
    frame = pd.DataFrame(rows)
    stem = out / "tables" / "drkfs_sphere"
    write_tables(frame, stem, CAPTION.format(name=name, views=settings.fit_views), 4)
    draw(out / "figures" / "drkfs_sphere.png", meshes, target, frame, found)
    LOG.info("sphere: DR-KFS %.4g to %.4g; %s", rows[0]["drkfs"], rows[-1]["drkfs"], f"{stem}.csv")


def draw(path: Path, meshes: list[TriangleMesh], target: TriangleMesh, frame: pd.DataFrame, found: Fit) -> None:
    """The meshes on the way from two sides, the target last, and the scores below."""
    columns = len(meshes) + 1
    figure = new_figure(1.35 * columns, 2 * 1.45 + 1.9)
    grid = figure.add_gridspec(3, columns, height_ratios=[1, 1, 1.1])
    titles = [*(f"step {step}" for step in found.steps), "target"]
    for column, (mesh, title) in enumerate(zip([*meshes, target], titles, strict=True)):
        for line, azimuth in enumerate(AZIMUTHS):
            picture = looks(mesh.vertices, mesh.faces, azimuth)
            draw_panel(figure.add_subplot(grid[line, column]), Panel(picture, title if line == 0 else ""))
    axis = figure.add_subplot(grid[2, :])
    axis.plot(np.arange(len(found.losses)), found.losses, color="0.75", linewidth=0.8, label="loss of a step's views")
    axis.set_xlabel("step", fontsize=8)
    axis.set_ylabel("loss a view", fontsize=8)
    scores = axis.twinx()
    scores.plot(frame["step"], frame["drkfs"], "o-", color="#4c78a8", markersize=4, label="DR-KFS, all views")
    scores.set_ylabel("DR-KFS", fontsize=8)
    scores.set_ylim(bottom=0)
    axis.set_ylim(bottom=0)
    for each in (axis, scores):
        each.tick_params(labelsize=7)
        each.spines["top"].set_visible(False)
    lines, names = (a + b for a, b in zip(*(e.get_legend_handles_labels() for e in (axis, scores)), strict=True))
    axis.legend(lines, names, fontsize=7, frameon=False, loc="upper right")
    save(figure, path)

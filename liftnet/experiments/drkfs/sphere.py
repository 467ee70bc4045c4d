"""A sphere turned into a target by DR-KFS, as a sequence of pictures with its score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from liftnet.core.log import get_logger
from liftnet.core.tables import write_tables
from liftnet.experiments.drkfs.experiment import Experiment
from liftnet.experiments.drkfs.mesh_fitting import TargetFits, geodesic_sphere
from liftnet.experiments.drkfs.targets import targets_of
from liftnet.experiments.figure_page import BLUE, ORANGE, Panel, draw_panel, mesh_picture, new_figure, save_figure
from liftnet.mesh.mesh import TriangleMesh

LOG = get_logger("experiments")
COLOURS = (ORANGE, BLUE)  # of the losses, in the order of the plan
CAPTION = (
    "A sphere turned into a target ({name}) by DR-KFS on silhouettes and on shaded images: {views} of its views a"
    " step, drawn in rotation; distances of the mesh to the target on the way, over all views."
)
Sequences = dict[str, dict[int, TriangleMesh]]  # by loss, meshes by step


def run(experiment: Experiment) -> None:
    """Write `tables/drkfs_sphere.*` and `figures/drkfs_sphere.png`: the first target's fits.

    They are shared with the experiment `shading`.

    Raises:
        LiftnetError: No target can be read.
    """
    name, target = next(iter(targets_of(experiment.settings.targets, experiment.seed).items()))
    sequences, distances = followed(experiment, name, target), experiment.distances()
    rows: list[dict[str, Any]] = [
        {"loss": loss, "step": step} | distances(mesh, target, name)
        for loss, meshes in sequences.items()
        for step, mesh in meshes.items()
    ]
    scores = pd.DataFrame(rows)
    caption = CAPTION.format(name=name, views=experiment.settings.fit.views)
    write_tables(scores, experiment.table("sphere"), caption, 4)
    draw(experiment.picture("sphere"), sequences, target, scores)
    LOG.info("sphere: %s", experiment.table("sphere"))


def followed(experiment: Experiment, name: str, target: TriangleMesh) -> Sequences:
    """The meshes on the way to a target, by each loss of the plan that is followed."""
    plan, settings = experiment.plan.fits, experiment.settings.fit
    faces = geodesic_sphere(settings.frequency, 1.0)[1].numpy()
    fits = TargetFits(settings, experiment.fit_metric(), experiment.cache("fits"), experiment.seed)
    found = {title: fits(name, title, plan.losses[title], target) for title in plan.followed}
    return {
        title: {
            int(step): TriangleMesh(vertices.astype(np.float64), faces)
            for step, vertices in zip(fit.steps, fit.frames, strict=True)
        }
        for title, fit in found.items()
    }


def draw(path: Path, sequences: Sequences, target: TriangleMesh, scores: pd.DataFrame) -> None:
    """The meshes on the way by each loss, the target last, and the scores below."""
    columns = len(next(iter(sequences.values()))) + 1
    figure = new_figure(1.35 * columns + 0.3, 1.5 * len(sequences) + 2.0)
    grid = figure.add_gridspec(len(sequences) + 1, columns, height_ratios=[1] * len(sequences) + [1.2])
    for line, (loss, meshes) in enumerate(sequences.items()):
        titled = {f"step {step}": mesh for step, mesh in meshes.items()} | {"target": target}
        for column, (title, mesh) in enumerate(titled.items()):
            axis = figure.add_subplot(grid[line, column])
            draw_panel(axis, Panel("" if line else title, mesh_picture(mesh)))
            if not column:
                axis.set_ylabel(loss.replace(", ", ",\n"), fontsize=8)
    _draw_scores(figure.add_subplot(grid[-1, :]), scores)
    save_figure(figure, path)


def _draw_scores(axis: Any, scores: pd.DataFrame) -> None:
    for (loss, mine), colour in zip(scores.groupby("loss", sort=False), COLOURS, strict=False):
        axis.plot(mine["step"], mine["drkfs"], "o-", color=colour, markersize=4, label=f"fitted by {loss}")
    axis.set_xlabel("step", fontsize=8)
    axis.set_ylabel("DR-KFS, shaded, all views", fontsize=8)
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=7, frameon=False, loc="upper right")

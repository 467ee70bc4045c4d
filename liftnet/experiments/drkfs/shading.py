"""The design analysis (Table 4, Figure 5) without a network: which loss turns a sphere into its target best.

The paper trains a shape generator with DR-KFS on silhouettes, with the error of pixels on shaded images, and with
DR-KFS on shaded images. Here each loss moves the vertices of a sphere itself.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from liftnet.core.log import get_logger
from liftnet.core.tables import write_tables
from liftnet.experiments.drkfs.distances import title_of
from liftnet.experiments.drkfs.experiment import Experiment
from liftnet.experiments.drkfs.mesh_fitting import START, TargetFits, geodesic_sphere
from liftnet.experiments.drkfs.targets import targets_of
from liftnet.experiments.figure_page import Panel, Strip, mesh_picture, write_picture
from liftnet.experiments.plan import FitsPlan
from liftnet.mesh.mesh import TriangleMesh

LOG = get_logger("experiments")
AZIMUTHS = (35.0, -50.0)
SPHERE = "sphere (start)"
CAPTION = (
    "A sphere turned into {targets} targets by each loss ({steps} steps, {views} views a step of {sizes} px, patches"
    " {stride} px apart): means of the distances of the results, and the paper's figures of its shape generator"
    " trained by the same losses (Table 4)."
)


def run(experiment: Experiment) -> None:
    """Write `tables/drkfs_shading.*`, `tables/drkfs_shading_targets.*` and `figures/drkfs_shading.png`.

    Raises:
        LiftnetError: No target can be read.
    """
    plan, fit, distances = experiment.plan.fits, experiment.settings.fit, experiment.distances()
    targets = targets_of(experiment.settings.targets, experiment.seed)
    results = fitted(experiment, targets)
    rows: list[dict[str, Any]] = []
    for name, target in targets.items():
        for loss, mesh in results[name].items():
            rows.append({"target": name, "loss": loss} | distances(mesh, target, name))
            LOG.info("%s by %s: DR-KFS %.3g", name, loss, rows[-1]["drkfs"])
    scores = pd.DataFrame(rows)
    sizes = ", ".join(map(str, fit.sizes))
    caption = CAPTION.format(targets=len(targets), steps=fit.steps, views=fit.views, sizes=sizes, stride=fit.stride)
    each = "Distances of spheres turned into targets by a loss."
    write_tables(scores, experiment.table("shading_targets"), each, 4)
    write_tables(summary(scores, plan), experiment.table("shading"), caption, 4)
    strips = [strip for name, target in targets.items() for strip in target_strips(name, target, results[name])]
    write_picture(experiment.picture("shading"), strips, "A sphere turned into a target by a loss on its views")
    LOG.info("shading: %d targets; %s", len(targets), experiment.table("shading"))


def fitted(experiment: Experiment, targets: dict[str, TriangleMesh]) -> dict[str, dict[str, TriangleMesh]]:
    """By target, the sphere and what each loss turns it into."""
    start, faces = (part.numpy() for part in geodesic_sphere(experiment.settings.fit.frequency, START))
    metric = experiment.fit_metric()
    fits = TargetFits(experiment.settings.fit, metric, experiment.cache("fits"), experiment.seed)
    return {
        name: {SPHERE: TriangleMesh(start, faces)}
        | {
            title: TriangleMesh(fits(name, title, loss, target).vertices, faces)
            for title, loss in experiment.plan.fits.losses.items()
        }
        for name, target in targets.items()
    }


def summary(scores: pd.DataFrame, plan: FitsPlan) -> pd.DataFrame:
    """One row per loss: means over targets, and the paper's LFD and Shape Google."""
    metrics = [name for name in scores.columns if name not in ("target", "loss")]
    means = scores.groupby("loss", sort=False)[metrics].mean().reset_index()
    means = means.rename(columns={name: title_of(name) for name in metrics})
    paper = {title: (loss.paper_lfd, loss.paper_shape_google) for title, loss in plan.losses.items()}
    means["paper LFD"] = means["loss"].map(lambda loss: paper.get(loss, (None, None))[0]).astype("Int64")
    means["paper Shape Google"] = means["loss"].map(lambda loss: paper.get(loss, (None, None))[1])
    return means


def target_strips(name: str, target: TriangleMesh, results: dict[str, TriangleMesh]) -> list[Strip]:
    """The target and what each loss leads to, from two sides; titles above the first."""
    shown = {"target": target, **{loss: mesh for loss, mesh in results.items() if loss != SPHERE}}
    return [
        Strip(
            "",
            [
                (
                    "" if turn else name,
                    [Panel("" if turn else title, mesh_picture(mesh, azimuth)) for title, mesh in shown.items()],
                )
            ],
        )
        for turn, azimuth in enumerate(AZIMUTHS)
    ]

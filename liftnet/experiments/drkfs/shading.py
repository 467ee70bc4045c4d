"""The design analysis (Table 4, Figure 5) without a network: which loss turns a sphere into its target best.

The paper trains a shape generator with DR-KFS on silhouettes, with the error of pixels on shaded images, and with
DR-KFS on shaded images. Here each loss moves the vertices of a sphere itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from liftnet.core.log import get_logger
from liftnet.core.tables import write_tables
from liftnet.drkfs.metric import DRKFS
from liftnet.experiments.drkfs.distances import Measures, title_of
from liftnet.experiments.drkfs.fits import (
    DRKFS_SHADED,
    DRKFS_SILHOUETTE,
    LOSSES,
    MSE_SHADED,
    START,
    remembered_fit,
)
from liftnet.experiments.drkfs.mesh_fitting import geodesic_sphere
from liftnet.experiments.drkfs.pictures import Panel, Row, looks, write_panels
from liftnet.experiments.drkfs.settings import ShapeExperimentSettings
from liftnet.experiments.drkfs.targets import targets_of
from liftnet.experiments.result_cache import Memory
from liftnet.mesh.mesh import TriangleMesh

LOG = get_logger("drkfs")
AZIMUTHS = (35.0, -50.0)
SPHERE = "sphere (start)"
PAPER = {DRKFS_SILHOUETTE: (6989, 8.98), MSE_SHADED: (5156, 7.33), DRKFS_SHADED: (4125, 5.48)}
CAPTION = (
    "A sphere turned into {targets} targets by each loss ({steps} steps, {views} views a step of {sizes} px, patches"
    " {stride} px apart): means of the distances of the results, and the paper's figures of its shape generator"
    " trained by the same losses (Table 4)."
)


def compare_losses(out: Path, settings: ShapeExperimentSettings, metric: DRKFS, measures: Measures, seed: int) -> None:
    """Write `tables/drkfs_shading.*`, `tables/drkfs_shading_targets.*` and `figures/drkfs_shading.png` below `out`.

    Args:
        out: Folder of the results.
        settings: Targets and fits.
        metric: DR-KFS, whose gradient is used.
        measures: Of the results.
        seed: Of the run.
    """
    memory = Memory(out / "drkfs" / "fits", measures.about)
    start, faces = (part.numpy() for part in geodesic_sphere(settings.fit_frequency, START))
    targets = targets_of(settings, seed)
    rows: list[dict[str, Any]] = []
    lines: list[Row] = []
    for name, target in targets.items():
        results = {SPHERE: TriangleMesh(start, faces)}
        for loss in LOSSES:
            found = remembered_fit(memory, name, loss, target, settings, metric, seed)
            results[loss] = TriangleMesh(found.vertices, faces)
        for loss, result in results.items():
            row = {"target": name, "loss": loss} | measures.distances(result, target, name)
            rows.append(row)
            LOG.info("%s by %s: DR-KFS %.3g", name, loss, row["drkfs"])
        shown = {"target": target, **{loss: results[loss] for loss in LOSSES}}
        lines += [
            Row(
                name if azimuth == AZIMUTHS[0] else "",
                [
                    Panel(looks(mesh.vertices, mesh.faces, azimuth), title if azimuth == AZIMUTHS[0] else "")
                    for title, mesh in shown.items()
                ],
            )
            for azimuth in AZIMUTHS
        ]
    frame = pd.DataFrame(rows)
    caption = CAPTION.format(
        targets=len(targets),
        steps=settings.fit_steps,
        views=settings.fit_views,
        sizes=", ".join(map(str, settings.fit_sizes)),
        stride=settings.fit_stride,
    )
    stem = out / "tables" / "drkfs_shading"
    write_tables(frame, f"{stem}_targets", "Distances of spheres turned into targets by a loss.", 4)
    write_tables(summary(frame), stem, caption, 4)
    write_panels(out / "figures" / "drkfs_shading.png", lines, "A sphere turned into a target by a loss on its views")
    LOG.info("shading: %d targets; %s", len(targets), f"{stem}.csv")


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a loss: means over targets, and the paper's LFD and Shape Google."""
    metrics = [name for name in frame.columns if name not in ("target", "loss")]
    means = frame.groupby("loss", sort=False)[metrics].mean().reset_index()
    means = means.rename(columns={name: title_of(name) for name in metrics})
    means["paper LFD"] = means["loss"].map(lambda loss: PAPER.get(loss, (None, None))[0]).astype("Int64")
    means["paper Shape Google"] = means["loss"].map(lambda loss: PAPER.get(loss, (None, None))[1])
    return means

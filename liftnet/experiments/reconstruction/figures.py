"""Figures 5 and 7 of the DR-KFS paper: pictures, true shapes and what networks made of them, from two sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.types import FloatArray, UInt8Array
from liftnet.data.reconstruction_set import ReconstructionSet, ReconstructionShape
from liftnet.data.schemas import RECONSTRUCTION_SCORES, read_table
from liftnet.experiments.figure_page import Panel, Strip, mesh_picture, write_page, write_picture
from liftnet.experiments.plan import read_plan
from liftnet.experiments.reconstruction.plan import FigurePlan, ReconstructionPlan
from liftnet.mesh.mesh import BadMeshError
from liftnet.mesh.reading import load_mesh

LOG = get_logger("experiments")
SIDES = (35.0, -60.0)  # degrees of azimuth from the front
PANEL = 200  # px
NOTHING = "no surface"
HOW = "Beside each picture the true shape and the reconstructions of held-out shapes, from two sides."


@dataclass(frozen=True)
class Scored:
    """The reconstructions of a run.

    Attributes:
        rows: Of RECONSTRUCTION_SCORES, by the name of the picture.
        meshes: Folder of the meshes.
        title: Of the run's training.
    """

    rows: pd.DataFrame
    meshes: Path
    title: str

    def sides(self, picture: str) -> list[Panel]:
        """What it made of a picture, from both sides."""
        lfd = float(self.rows["lfd"].astype(float)[picture])
        try:
            known = "" if np.isnan(lfd) else f", LFD {lfd:,.0f}"
            return _sides(self.title + known, self.meshes / f"{picture}.ply")
        except BadMeshError:  # there is none, or it has no area
            return [Panel(f"{self.title}: {NOTHING}", np.full((PANEL, PANEL, 3), 255, np.uint8))] * len(SIDES)


def write_reconstruction_figure(
    number: str, plan_file: Path, root: Path, score_files: Sequence[Path], out: Path
) -> None:
    """Write `<out>.html` and `<out>.png`.

    Args:
        number: Of the figure in the plan.
        plan_file: The plan.
        root: Folder of the set of shapes.
        score_files: What `reconstruct evaluate` wrote; the meshes lie beside them.
        out: Path without suffix.

    Raises:
        LiftnetError: The plan, the set or a score file cannot be read, or no run of the figure has scores.
    """
    plan = read_plan(plan_file, ReconstructionPlan)
    if number not in plan.figures:
        raise LiftnetError(f"--figure {number}", "is not in the plan", f"Choose one of {', '.join(plan.figures)}")
    figure, runs = plan.figures[number], _scored(plan, score_files)
    if not any(name in runs for names in figure.runs.values() for name in names):
        raise LiftnetError(out, "no run of the figure has scores", "Run `reconstruct evaluate` first")
    strips = [_strip(shape, root, figure, runs) for shape in _chosen(figure, runs, root)]
    write_page(out.with_suffix(".html"), f"Figure {number}", f"{figure.caption} {HOW}", strips)
    write_picture(out.with_suffix(".png"), strips)
    LOG.info("figure %s: %d shapes; %s", number, len(strips), out.with_suffix(".html"))


def _scored(plan: ReconstructionPlan, files: Sequence[Path]) -> dict[str, Scored]:
    titles = {row.run: row.training for table in plan.tables.values() for row in table.rows}
    scored = {}
    for path in files:
        rows = read_table(path, RECONSTRUCTION_SCORES).to_pandas().set_index("image_id")
        name = str(rows["run"].iloc[0])
        scored[name] = Scored(rows, path.with_suffix(""), titles.get(name, name))
    return scored


def _chosen(figure: FigurePlan, runs: Mapping[str, Scored], root: Path) -> list[tuple[ReconstructionShape, str]]:
    """The first shapes of each class that all runs have reconstructed, with the name of their picture."""
    data = ReconstructionSet.open(root)
    used = [runs[name].rows for names in figure.runs.values() for name in names if name in runs]
    common = sorted(set.intersection(*({*rows.index} for rows in used)))
    shown = used[0].loc[common].groupby("class").head(figure.shapes)
    shapes = {shape.shape_id: shape for shape in data.all_shapes}
    return [(shapes[row["work_id"]], str(name)) for name, row in shown.iterrows()]


def _strip(
    chosen: tuple[ReconstructionShape, str], root: Path, figure: FigurePlan, runs: Mapping[str, Scored]
) -> Strip:
    """A shape: a row a network."""
    shape, name = chosen
    data = ReconstructionSet.open(root)
    view = int(name.removeprefix(f"{shape.shape_id}-"))
    picture = Panel("picture", _on_white(data.pictures(shape, [view]).images[0]))
    truth = _sides("true shape", data.mesh_file(shape))
    rows = []
    for title, names in figure.runs.items():
        known = [runs[run] for run in names if run in runs]
        panels = [panel for run in known for panel in run.sides(name)]
        if known:
            rows.append((title, [picture, *truth, *panels]))
    return Strip(f"{shape.class_name}, {shape.shape_id}", rows)


def _sides(title: str, mesh: Path) -> list[Panel]:
    """A mesh from both sides."""
    read = load_mesh(mesh)
    captions = [title, *[""] * (len(SIDES) - 1)]
    pictures = [mesh_picture(read, azimuth, PANEL) for azimuth in SIDES]
    return [Panel(caption, _gray(pixels)) for caption, pixels in zip(captions, pictures, strict=True)]


def _gray(pixels: FloatArray) -> UInt8Array:
    """(S, S, 3) of gray values in [0, 1]."""
    return np.repeat((pixels * 255).round().astype(np.uint8)[..., None], 3, -1)


def _on_white(planes: UInt8Array) -> UInt8Array:
    """(S, S, 3) of a picture (4, S, S) before white."""
    colours, mask = planes[:3].transpose(1, 2, 0).astype(float), planes[3][..., None] / 255
    return (colours * mask + 255 * (1 - mask)).round().astype(np.uint8)

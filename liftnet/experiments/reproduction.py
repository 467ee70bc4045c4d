"""What the documentation shows of a run: the verdicts of docs/reproduction.md, docs/result.jpg.

The verdicts read scores/, models/*/metrics.csv and tables/ below the results; a criterion whose files are missing says
so. What lies between the markers of the page is replaced: of LiftNet if there are scores, of DR-KFS if there are its
tables, of reconstruction networks if there are scores of them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from liftnet.core.errors import LiftnetError
from liftnet.core.files import atomic_path, finished, write_text
from liftnet.core.opening import read_text
from liftnet.core.tables import markdown_table
from liftnet.data.drawing import depth_colours, enlarged, new_view, with_scale
from liftnet.data.predictions import listed_predictions, read_prediction
from liftnet.experiments.criteria import DepthResults, criteria_table, find_depth, find_drkfs, read_table_of
from liftnet.experiments.depth.tables import read_scores
from liftnet.experiments.plan import DepthPlan, DrkfsPlan, read_plan
from liftnet.experiments.reconstruction import tables as reconstruction_tables
from liftnet.experiments.reconstruction.criteria import ReconstructionResults, find_reconstruction
from liftnet.experiments.reconstruction.plan import ReconstructionPlan

WRITTEN = "written by `python -m liftnet experiments reproduction`"
PARTS = {  # markers of what is replaced
    name: (f"<!-- {name}: {WRITTEN} -->", f"<!-- end of {name} -->")
    for name in ("claims", "errors", "drkfs", "reconstruction")
}
TITLES = ("photograph (held-out artist)", "LiftNet's depth", "true depth", "surface, −30°", "surface, +30°")
ROWS = 3


def write_reproduction(page_file: Path, plans: Path, folder: Path) -> None:
    """Replace the verdicts and the errors of the page, as far as there is something to write.

    Args:
        page_file: docs/reproduction.md.
        plans: Folder of depth.yaml, drkfs.yaml and reconstruction.yaml.
        folder: Of the results.

    Raises:
        LiftnetError: A plan or a score file cannot be read.
    """
    page = read_text(page_file)
    files = finished(folder, "scores/*/*.parquet")
    if files:
        results = DepthResults(folder, read_plan(plans / "depth.yaml", DepthPlan), read_scores(files))
        page = replaced(page, "claims", depth_verdicts(results))
        page = replaced(page, "errors", errors_table(results))
    if any(folder.glob("tables/drkfs_*.csv")):
        page = replaced(page, "drkfs", drkfs_verdicts(read_plan(plans / "drkfs.yaml", DrkfsPlan), folder))
    files = finished(folder, "reconstruct/scores/*.parquet")
    if files:
        plan = read_plan(plans / "reconstruction.yaml", ReconstructionPlan)
        found = ReconstructionResults(plan, reconstruction_tables.read_scores(files))
        page = replaced(page, "reconstruction", reconstruction_verdicts(found))
    write_text(page_file, page)


def depth_verdicts(results: DepthResults) -> str:
    """The criteria of the LiftNet paper as Markdown."""
    return criteria_table(results.plan.criteria, lambda criterion: find_depth(criterion.test, results), data=True)


def drkfs_verdicts(plan: DrkfsPlan, folder: Path) -> str:
    """The criteria of the DR-KFS paper as Markdown, from the tables below a folder of results."""
    return criteria_table(plan.criteria, lambda criterion: find_drkfs(criterion.test, folder), data=False)


def reconstruction_verdicts(results: ReconstructionResults) -> str:
    """The criteria of the DR-KFS paper on reconstruction networks as Markdown."""
    criteria = results.plan.criteria
    return criteria_table(criteria, lambda criterion: find_reconstruction(criterion.test, results), data=True)


def errors_table(results: DepthResults) -> str:
    """RMSE / RMSE affine, and the spread of both over seeds, of every method on every set, as Markdown."""
    names = ["method", "trained with", "trained on"]
    tables = [read_table_of(results.folder, f"depth_table{number}") for number in ("3", "4", "beyond", "5")]
    found = [table for table in tables if table is not None]
    if not found:
        return "not run"
    rows = pd.concat(found).drop_duplicates(["set", *names])
    rows["errors"] = [
        f"{rmse:.{digits}f} / {affine:.{digits}f}"
        + ("" if pd.isna(spread) else f" ± {spread:.{digits}f} / {spread_affine:.{digits}f}")
        for rmse, affine, spread, spread_affine, digits in zip(
            rows["rmse"],
            rows["rmse_affine"],
            rows["rmse seeds"],
            rows["rmse_affine seeds"],
            rows["unit"].map({"cm": 2}).fillna(3).astype(int),
            strict=True,
        )
    ]
    rows["set"] = rows["set"].where(rows["unit"] != "cm", rows["set"] + " (cm)")
    order = {name: number for number, name in enumerate(rows["set"].unique())}
    wide = rows.pivot_table(index=names, columns="set", values="errors", aggfunc="first", sort=False)
    return markdown_table(wide[sorted(wide.columns, key=order.__getitem__)].fillna("").reset_index())


def replaced(page: str, part: str, text: str) -> str:
    """The page with what lies between the markers of a part replaced."""
    begin, end = PARTS[part]
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}"


def draw_result(results: Path, out: Path) -> None:
    """Draw the first predictions of the list, at most one per work of the held-out artists.

    Each row is an image: photograph, LiftNet's depth, true depth, two new views.

    Args:
        results: Folder of the results.
        out: JPEG to write.

    Raises:
        LiftnetError: There are no predictions, or one cannot be read.
    """
    from matplotlib.figure import Figure

    rows = listed_predictions(results)
    chosen = list({row.get("work_id"): row for row in reversed(rows)}.values())[-ROWS:]
    figure = Figure(figsize=(2.2 * len(TITLES), 2.2 * ROWS + 0.3), layout="constrained")
    axes = figure.subplots(ROWS, len(TITLES))
    for line, row in zip(axes, reversed(chosen), strict=True):
        arrays = read_prediction(results, row["npz"])
        if "truth" not in arrays:
            raise LiftnetError(
                results / "predictions" / str(row["npz"]), "has no true depth", "Evaluate with --museum"
            )
        rgb, depth, mask, truth = arrays["rgb"], arrays["depth"], arrays["mask"].astype(bool), arrays["truth"]
        surface = with_scale(depth, mask)
        coloured = [depth_colours(depth, mask), depth_colours(truth, mask & np.isfinite(truth))]
        views = [new_view(rgb, surface, mask, angle) for angle in (-30, 30)]
        for axis, picture in zip(line, [rgb, *coloured, *views], strict=True):
            axis.imshow(enlarged(picture, 256))
            axis.axis("off")
    for axis, title in zip(axes[0], TITLES, strict=True):
        axis.set_title(title, fontsize=9)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format="jpeg", dpi=110, pil_kwargs={"quality": 85})

"""The verdicts of docs/reproduction.md, from a run's own files.

Reads scores/, models/*/metrics.csv and tables/ below the results; a criterion whose files are missing says so. What
lies between the markers of the page is replaced: of LiftNet if there are scores, of DR-KFS if there are its tables.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from liftnet.core.files import write_text
from liftnet.core.tables import markdown_table
from liftnet.experiments.criteria import criteria_table
from liftnet.experiments.depth import criteria as of_depth
from liftnet.experiments.depth.criteria import DepthResults
from liftnet.experiments.depth.tables import read_scores
from liftnet.experiments.drkfs import criteria as of_drkfs
from liftnet.experiments.drkfs.criteria import DrkfsTables
from liftnet.experiments.plan import DepthPlan, DrkfsPlan, read_plan

WRITTEN = "written by `python -m liftnet experiments reproduction`"
PARTS = {  # markers of what is replaced
    name: (f"<!-- {name}: {WRITTEN} -->", f"<!-- end of {name} -->") for name in ("claims", "errors", "drkfs")
}


def write_reproduction(page_file: Path, plans: Path, folder: Path) -> None:
    """Replace the verdicts and the errors of the page, as far as there is something to write.

    Args:
        page_file: docs/reproduction.md.
        plans: Folder of depth.yaml and drkfs.yaml.
        folder: Of the results.

    Raises:
        LiftnetError: A plan or a score file cannot be read.
    """
    page = page_file.read_text(encoding="utf-8")
    files = sorted(folder.glob("scores/*/*.parquet"))
    if files:
        results = DepthResults(folder, read_plan(plans / "depth.yaml", DepthPlan), read_scores(files))
        page = replaced(page, "claims", depth_verdicts(results))
        page = replaced(page, "errors", errors_table(results))
    if any(folder.glob("tables/drkfs_*.csv")):
        page = replaced(page, "drkfs", drkfs_verdicts(read_plan(plans / "drkfs.yaml", DrkfsPlan), folder))
    write_text(page_file, page)


def depth_verdicts(results: DepthResults) -> str:
    """The criteria of the LiftNet paper as Markdown."""
    return criteria_table(results.plan.criteria, lambda criterion: of_depth.find(criterion.test, results), data=True)


def drkfs_verdicts(plan: DrkfsPlan, folder: Path) -> str:
    """The criteria of the DR-KFS paper as Markdown, from the tables below a folder of results."""
    tables = DrkfsTables(folder)
    return criteria_table(plan.criteria, lambda criterion: of_drkfs.find(criterion.test, tables), data=False)


def errors_table(results: DepthResults) -> str:
    """RMSE / RMSE affine, and the spread of both over seeds, of every method on every set, as Markdown."""
    names = ["method", "trained with", "trained on"]
    found = [
        table for number in ("3", "4", "beyond", "5") if (table := results.table(f"depth_table{number}")) is not None
    ]
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

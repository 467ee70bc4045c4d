"""The tables of a run, as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from liftnet.io.errors import LiftnetError

KNOWN = {
    "statistics": ("The dataset", "shard statistics writes it from the shards"),
    "depth_demo": ("Depth against the truth", "only the built-in museum has a true depth to compare with"),
    "depth_pairs": ("Depth judged by held-out correspondences", "depth evaluate writes it"),
    "segmentation": ("Masks of held-out works", "segment train writes it where the sources give masks"),
    "segmentation_truth": ("Masks against the truth", "only the built-in museum has true masks"),
    "correspondences_truth": ("Correspondences against the truth", "only the built-in museum has true cameras"),
    "pairs_by_reason": ("Pairs by reason", "verify writes it"),
}
OWN = {"funnel"}  # shown in a section of its own


@dataclass(frozen=True)
class TableView:
    """A table ready to show: cells are text, `numeric` says which columns are set flush right."""

    name: str
    title: str
    caption: str
    columns: list[str]
    numeric: list[bool]
    rows: list[list[str]]


def table_views(folder: Path) -> tuple[list[TableView], list[tuple[str, str]]]:
    """All tables of the folder, the known ones first and in order.

    Returns:
        The tables, and (title, why) of each known one that is not there.

    Raises:
        LiftnetError: A table is not a CSV file.
    """
    there = {path.stem: path for path in sorted(folder.glob("*.csv")) if path.stem not in OWN}
    names = [*(name for name in KNOWN if name in there), *(name for name in there if name not in KNOWN)]
    missing = [words for name, words in KNOWN.items() if name not in there]
    return [_view(there[name]) for name in names], missing


def _view(path: Path) -> TableView:
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise LiftnetError(path, f"is not a readable table ({error})", "Delete it and run its stage again") from error
    title = KNOWN.get(path.stem, (path.stem.replace("_", " ").capitalize(),))[0]
    cells = frame.to_numpy().tolist()
    numeric = [all(_is_number(row[k]) or row[k] == "" for row in cells) for k in range(len(frame.columns))]
    rows = [[_shown(cell) for cell in row] for row in cells]
    columns = [str(name).replace("_", " ") for name in frame.columns]
    return TableView(path.stem, title, _caption(path.with_suffix(".md")), columns, numeric, rows)


def _caption(markdown: Path) -> str:
    if not markdown.exists():
        return ""
    first = markdown.read_text(encoding="utf-8").split("\n\n", 1)[0].strip()
    return "" if first.startswith("|") else first


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(cell: str) -> str:
    """Numbers as people read them: thousands apart, three decimals below ten, one above."""
    if not _is_number(cell):
        return cell
    value = float(cell)
    if value != value or value in (float("inf"), float("-inf")):
        return cell
    if cell.lstrip("-").isdigit():
        return f"{int(cell):,}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3f}"

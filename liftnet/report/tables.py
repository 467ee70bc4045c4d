"""The tables of a run, as the page shows them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from liftnet.core.errors import LiftnetError
from liftnet.data.codes import words_of

DATASET = {
    "statistics": ("Size", "shard statistics writes it from the shards"),
    "split_sizes": ("Splits", "shard statistics writes it"),
    "leakage": ("Leakage between splits", "shard leakage writes it"),
    "sources": ("Sources", "shard statistics writes it where the dataset lists what was asked for"),
    "licences": ("Licences", "shard statistics writes it where the dataset lists what was asked for"),
    "resolution": ("Resolution", "shard statistics writes it where the dataset lists what was asked for"),
    "images_per_work": ("Images per artist and work", "shard statistics writes it"),
    "matches_per_pair": ("Matches and correspondences per pair", "no pair was kept"),
    "baseline_angles": ("Angles between the cameras", "no pair has two known focal lengths"),
}  # of the section about the dataset
KNOWN = {
    "depth_demo": ("Depth against the truth", "only the built-in museum has a true depth to compare with"),
    "depth_pairs": ("Depth judged by held-out correspondences", "depth evaluate writes it"),
    "segmentation": ("Masks of held-out works", "segment train writes it where the sources give masks"),
    "segmentation_truth": ("Masks against the truth", "only the built-in museum has true masks"),
    "correspondences_truth": ("Correspondences against the truth", "only the built-in museum has true cameras"),
    "pairs_by_reason": ("Pairs by reason", "verify writes it"),
}
FUNNEL = "funnel_by_source"
OWN = {"funnel", FUNNEL}  # shown in a section of its own
HIDDEN = {"q05", "q95", "iqr"}  # columns that the CSV has and the page does not
SHORT = 6  # rows of a table that is shown at once; longer ones are folded


@dataclass(frozen=True)
class TableView:
    """A table ready to show.

    Attributes:
        name: Of its files.
        title: Its heading.
        caption: What is counted.
        columns: Their names.
        numeric: Which of them are set flush right.
        rows: Cells as text.
        figure: Its picture as a data URI, if there is one.
        folded: Whether the rows are shown only when asked for.
    """

    name: str
    title: str
    caption: str
    columns: list[str]
    numeric: list[bool]
    rows: list[list[str]]
    figure: str | None = None
    folded: bool = False


def table_views(
    folder: Path, known: Mapping[str, tuple[str, str]], others: bool = False
) -> tuple[list[TableView], list[tuple[str, str]]]:
    """The known tables of the folder, in order, and then, if asked for, those that nobody knows.

    Returns:
        The tables, and (title, why) of each known one that is not there.

    Raises:
        LiftnetError: A table is not a CSV file.
    """
    there = {path.stem: path for path in sorted(folder.glob("*.csv")) if path.stem not in OWN}
    names = [name for name in known if name in there]
    if others:
        names += [name for name in there if name not in {*KNOWN, *DATASET}]
    missing = [words for name, words in known.items() if name not in there]
    return [_view(there[name]) for name in names], missing


def funnel_view(folder: Path) -> TableView | None:
    """The funnel of the dataset by source; None where it was not counted."""
    path = folder / f"{FUNNEL}.csv"
    if not path.exists():
        return None
    view = _view(path)
    rows = [
        [words_of(cell) if name == "reason" else cell for name, cell in zip(view.columns, row, strict=True)]
        for row in view.rows
    ]
    return replace(view, rows=rows)


def _view(path: Path) -> TableView:
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise LiftnetError(path, f"is not a readable table ({error})", "Delete it and run its stage again") from error
    frame = frame.drop(columns=[name for name in frame.columns if name in HIDDEN])
    title = (DATASET | KNOWN).get(path.stem, (path.stem.replace("_", " ").capitalize(),))[0]
    cells = frame.to_numpy().tolist()
    numeric = [all(_is_number(row[k]) or row[k] == "" for row in cells) for k in range(len(frame.columns))]
    rows = [[_shown(cell) for cell in row] for row in cells]
    columns = [str(name).replace("_", " ") for name in frame.columns]
    caption, picture = _caption(path.with_suffix(".md")), _picture(path.parent / "figures" / f"{path.stem}.svg")
    folded = picture is not None and len(rows) > SHORT
    return TableView(path.stem, title, caption, columns, numeric, rows, picture, folded)


def _picture(path: Path) -> str | None:
    """An SVG as a data URI: in an <img> it can neither run a script nor load anything."""
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}" if path.exists() else None


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

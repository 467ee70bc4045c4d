"""A table for machines (CSV, full precision), for people (Markdown) and for papers (LaTeX)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from liftnet.core.files import write_text
from liftnet.core.opening import open_file
from liftnet.core.text import for_csv, for_latex, for_markdown


def read_csv_table(path: Path | str, **options: Any) -> pd.DataFrame:
    """A table in CSV as pandas reads it.

    Args:
        path: The file.
        options: Of `pandas.read_csv`.

    Raises:
        OSError: It is no regular file, or cannot be read.
        ValueError: It is no table.
    """
    with open_file(path) as file:
        return pd.read_csv(file, **options)


def write_tables(
    frame: pd.DataFrame, stem: Path | str, caption: str, decimals: int = 3, shown: pd.DataFrame | None = None
) -> None:
    """Write `frame` to `<stem>.csv`, `<stem>.md` and `<stem>.tex` (booktabs).

    Args:
        frame: The table, without a meaningful index.
        stem: Path without suffix.
        caption: One sentence that says what the table shows, in what units.
        decimals: Decimals of floats in Markdown and LaTeX; CSV keeps all.
        shown: What Markdown and LaTeX hold where they are to say less than the CSV; `frame` itself if None.
    """
    stem = Path(stem)
    write_text(stem.with_suffix(".csv"), csv_text(frame))
    read = frame if shown is None else shown
    cells = read.map(lambda value: _cell(value, decimals))
    write_text(stem.with_suffix(".md"), f"{caption}\n\n{markdown_table(cells)}\n")
    escaped = cells.map(for_latex).rename(columns=for_latex)
    columns = "".join("r" if pd.api.types.is_numeric_dtype(kind) else "l" for kind in read.dtypes)
    lines = [
        r"\begin{table}",
        rf"\caption{{{for_latex(caption)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(escaped.columns) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in escaped.itertuples(index=False, name=None)),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    write_text(stem.with_suffix(".tex"), "\n".join(lines) + "\n")


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as CSV in which no spreadsheet finds a formula."""
    return frame.map(for_csv).to_csv(index=False, lineterminator="\n")


def markdown_table(shown: pd.DataFrame, marked_up: Collection[str] = ()) -> str:
    """A frame as a GitHub-flavoured Markdown table, its texts escaped.

    Args:
        shown: The table, without a meaningful index.
        marked_up: Columns whose cells are Markdown of our own, which stays.
    """
    kept = [name in marked_up for name in shown.columns]
    rows = [
        [
            cell.replace("|", r"\|") if keep else for_markdown(cell)
            for keep, cell in zip(kept, map(str, row), strict=True)
        ]
        for row in shown.astype(object).to_numpy().tolist()
    ]
    head = [list(map(for_markdown, shown.columns)), ["---"] * len(shown.columns)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [*head, *rows])


def _cell(value: object, decimals: int) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.{decimals}f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)

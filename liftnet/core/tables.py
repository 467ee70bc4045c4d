"""A table for machines (CSV, full precision), for people (Markdown) and for papers (LaTeX)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from liftnet.core.files import write_text


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
    write_text(stem.with_suffix(".csv"), frame.to_csv(index=False, lineterminator="\n"))
    read = frame if shown is None else shown
    cells = read.map(lambda value: _cell(value, decimals))
    write_text(stem.with_suffix(".md"), f"{caption}\n\n{markdown_table(cells)}\n")
    escaped = cells.map(_tex).rename(columns=lambda name: _tex(str(name)))
    columns = "".join("r" if pd.api.types.is_numeric_dtype(kind) else "l" for kind in read.dtypes)
    lines = [
        r"\begin{table}",
        rf"\caption{{{_tex(caption)}}}",
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


def markdown_table(shown: pd.DataFrame) -> str:
    """A frame of strings as a GitHub-flavoured Markdown table."""
    rows = [list(map(str, shown.columns)), ["---"] * len(shown.columns), *shown.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows)


def _cell(value: object, decimals: int) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.{decimals}f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)

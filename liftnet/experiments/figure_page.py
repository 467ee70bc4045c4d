"""Figures as a page that needs nothing else, and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from liftnet.core.files import atomic_path, write_text
from liftnet.core.types import UInt8Array
from liftnet.data.drawing import data_uri

INCHES = 1.35  # side of a panel in the picture
DPI = 150


@dataclass(frozen=True)
class Panel:
    """A picture with a word below it."""

    caption: str
    pixels: UInt8Array


@dataclass(frozen=True)
class Strip:
    """One image: its title, and rows of panels, each of one method; all rows of a figure are equally long."""

    title: str
    rows: list[tuple[str, list[Panel]]]


def write_page(path: Path, title: str, caption: str, strips: list[Strip]) -> None:
    """Write the figure as an HTML page with its pictures inside."""
    from jinja2 import Environment

    template = files("liftnet.experiments").joinpath("figure_page.html.j2").read_text(encoding="utf-8")
    shown = [
        {"title": s.title, "rows": [(name, [(p.caption, data_uri(p.pixels)) for p in row]) for name, row in s.rows]}
        for s in strips
    ]
    page = Environment(autoescape=True).from_string(template)
    write_text(path, page.render(title=title, caption=caption, strips=shown))


def write_picture(path: Path, strips: list[Strip]) -> None:
    """Write the figure as a PNG: a row of panels for each method of each image."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    rows = [(strip.title, name, panels) for strip in strips for name, panels in strip.rows]
    columns = max(len(panels) for _, _, panels in rows)
    figure = Figure(figsize=(INCHES * columns + 0.5, (INCHES + 0.2) * len(rows)), dpi=DPI, layout="compressed")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    before = ""
    for line, (title, name, panels) in zip(axes, rows, strict=True):
        for axis in line:
            axis.axis("off")
        for axis, panel in zip(line, panels, strict=False):
            axis.imshow(panel.pixels)
            axis.set_title(panel.caption, fontsize=6, pad=2)
        line[0].text(-0.08, 0.5, name, rotation=90, ha="right", va="center", transform=line[0].transAxes, fontsize=7)
        if title != before:
            line[0].set_title(title, fontsize=5, pad=2)  # in place of the caption
        before = title
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")

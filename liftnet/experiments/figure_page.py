"""Figures of both papers: panels in rows, as a page that needs nothing else and as a picture; pictures of meshes."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from liftnet.core.files import atomic_path, write_text
from liftnet.core.text import seen
from liftnet.data.drawing import data_uri
from liftnet.mesh.mesh import TriangleMesh

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.floating]
INCHES = 1.35  # side of a panel in the picture
DPI = 150
BLUE, GREEN, ORANGE, PINK = "#4c78a8", "#59a14f", "#f28e2b", "#d37295"  # as in DR-KFS's Figure 2


@dataclass(frozen=True)
class Panel:
    """A picture with words above it.

    Attributes:
        caption: The words.
        pixels: (H, W, 3) colours, or (H, W): gray in [0, 1], or from the lowest to the highest value of `colours`.
        note: Words below it, in a picture.
        colours: Colour map of matplotlib.
        frame: Colour of a frame, or none.
    """

    caption: str
    pixels: npt.NDArray[Any]
    note: str = ""
    colours: str = "gray"
    frame: str | None = None


@dataclass(frozen=True)
class Strip:
    """One image or shape: its title, and rows of panels, each with a name."""

    title: str
    rows: list[tuple[str, list[Panel]]]


def write_page(path: Path, title: str, caption: str, strips: list[Strip]) -> None:
    """Write a figure of coloured panels as an HTML page with its pictures inside."""
    from jinja2 import Environment

    template = files("liftnet.experiments").joinpath("figure_page.html.j2").read_text(encoding="utf-8")
    shown = [
        {"title": s.title, "rows": [(name, [(p.caption, data_uri(p.pixels)) for p in row]) for name, row in s.rows]}
        for s in strips
    ]
    page = Environment(autoescape=True, finalize=seen).from_string(template)
    write_text(path, page.render(title=title, caption=caption, strips=shown))


def write_picture(path: Path, strips: list[Strip], title: str = "") -> None:
    """Write a figure as a PNG: a row of panels for each row of each strip."""
    rows = [(strip.title, name, panels) for strip in strips for name, panels in strip.rows]
    columns = max(len(panels) for _, _, panels in rows)
    notes = max((panel.note.count("\n") + 1 for _, _, panels in rows for panel in panels if panel.note), default=0)
    height = (INCHES + 0.2) * len(rows) + 0.13 * notes + (0.4 if title else 0)
    figure = new_figure(INCHES * columns + 0.5, height, "compressed")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    before = ""
    for line, (strip_title, name, panels) in zip(axes, rows, strict=True):
        for axis in line:
            axis.axis("off")
        for axis, panel in zip(line, panels, strict=False):
            draw_panel(axis, panel, 6)
        line[0].text(-0.08, 0.5, name, rotation=90, ha="right", va="center", transform=line[0].transAxes, fontsize=7)
        if strip_title != before:
            line[0].set_title(strip_title, fontsize=5, pad=2)  # in place of the caption
        before = strip_title
    if title:
        figure.suptitle(title, fontsize=9)
    save_figure(figure, path)


def draw_panel(axis: Any, panel: Panel, size: float = 8) -> None:
    """Draw a panel into axes of matplotlib, its caption in letters of `size` points."""
    limits = {"vmin": 0.0, "vmax": 1.0} if panel.colours == "gray" and panel.pixels.ndim == 2 else {}
    maps = {"cmap": panel.colours, "interpolation": "nearest"} if panel.pixels.ndim == 2 else {}
    axis.imshow(panel.pixels, **maps, **limits)
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_visible(panel.frame is not None)
        side.set_color(panel.frame or "black")
        side.set_linewidth(2)
    axis.set_title(panel.caption, fontsize=size, pad=2)
    if panel.note:
        axis.text(0.5, -0.04, panel.note, ha="center", va="top", transform=axis.transAxes, fontsize=size)


def new_figure(width: float, height: float, layout: str = "constrained") -> Figure:
    """A figure of so many inches, drawn without a screen."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout=layout)  # type: ignore[arg-type]


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def mesh_picture(mesh: TriangleMesh, azimuth: float = 35.0, size: int = 240, half_width: float = 0.55) -> FloatArray:
    """(S, S) gray picture of a mesh that lies in a sphere of diameter 1, on white, from a little above.

    Args:
        mesh: y up.
        azimuth: Of the eye from the front (+z) towards +x, degrees.
        size: Side of the picture, px.
        half_width: Of what the picture shows.
    """
    import torch

    from liftnet.rasteriser import Light, Softness, look_at, render_soft

    turn, rise = np.radians(azimuth), np.radians(20.0)
    eye = [np.sin(turn) * np.cos(rise), np.sin(rise), np.cos(turn) * np.cos(rise)]
    camera = look_at(torch.tensor([eye], dtype=torch.float32) * 3, half_width=half_width)
    with torch.no_grad():
        corners = torch.as_tensor(np.asarray(mesh.vertices), dtype=torch.float32)
        indices = torch.as_tensor(np.asarray(mesh.faces), dtype=torch.int64)
        light = Light(direction=(0.6, 1.0, 0.8), ambient=0.25, directional=0.65)
        found = render_soft(corners, indices, camera, size, Softness(5e-6), light)
    picture: FloatArray = (found.gray + 1 - found.silhouette)[0].clamp(0, 1).numpy()
    return picture

"""Pictures of the experiments: rows of panels, meshes as a person would look at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from liftnet.core.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.floating]
INCHES = 1.6  # side of a panel
DPI = 150
BLUE, GREEN, ORANGE, PINK = "#4c78a8", "#59a14f", "#f28e2b", "#d37295"  # as in the paper's Figure 2


@dataclass(frozen=True)
class Panel:
    """A picture with a word above or below it.

    Attributes:
        pixels: (H, W), drawn from its lowest to its highest value unless in [0, 1] and gray, or (H, W, 3) in [0, 1].
        text: The word.
        below: Whether it stands below.
        colours: Colour map of matplotlib.
        frame: Colour of a frame, or none.
    """

    pixels: FloatArray
    text: str = ""
    below: bool = False
    colours: str = "gray"
    frame: str | None = None


@dataclass(frozen=True)
class Row:
    """Panels beside each other, with a word to their left."""

    name: str
    panels: Sequence[Panel]


def write_panels(path: Path, rows: Sequence[Row], title: str) -> None:
    """Write rows of panels as a PNG."""
    columns = max(len(row.panels) for row in rows)
    texts = max((panel.text.count("\n") for row in rows for panel in row.panels), default=0)
    figure = new_figure(INCHES * columns + 0.6, (INCHES + 0.2) * len(rows) + 0.13 * texts + 0.4)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        for axis in line[len(row.panels) :]:
            axis.axis("off")
        for axis, panel in zip(line, row.panels, strict=False):
            draw_panel(axis, panel)
        line[0].set_ylabel(row.name, fontsize=8)
    figure.suptitle(title, fontsize=9)
    save(figure, path)


def draw_panel(axis: Any, panel: Panel) -> None:
    """Draw a panel into axes of matplotlib."""
    spread = {"vmin": 0.0, "vmax": 1.0} if panel.colours == "gray" else {}
    axis.imshow(panel.pixels, cmap=panel.colours, interpolation="nearest", **spread)
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_visible(panel.frame is not None)
        side.set_color(panel.frame or "black")
        side.set_linewidth(2)
    if panel.below:
        axis.set_xlabel(panel.text, fontsize=6.5)
    else:
        axis.set_title(panel.text, fontsize=8, pad=3)


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches, drawn without a screen."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def looks(
    vertices: FloatArray,
    faces: npt.NDArray[np.integer],
    azimuth: float = 35.0,
    size: int = 240,
    half_width: float = 0.55,
) -> FloatArray:
    """(S, S) gray picture of a mesh that lies in a sphere of diameter 1, on white, from a little above.

    Args:
        vertices: (V, 3), y up.
        faces: (F, 3).
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
        corners = torch.as_tensor(np.asarray(vertices), dtype=torch.float32)
        indices = torch.as_tensor(np.asarray(faces), dtype=torch.int64)
        light = Light(direction=(0.6, 1.0, 0.8), ambient=0.25, directional=0.65)
        found = render_soft(corners, indices, camera, size, Softness(5e-6), light)
    picture: FloatArray = (found.gray + 1 - found.silhouette)[0].clamp(0, 1).numpy()
    return picture

"""Where two shapes differ: the distances of matched patches, painted on the views."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from liftnet.core.files import atomic_path
from liftnet.core.types import FloatArray
from liftnet.drkfs.patches import PATCH, STRIDE

if TYPE_CHECKING:
    from liftnet.drkfs.metric import Differences

STRONGEST = 0.85  # how much of the strongest colour covers the view beneath
LOW, HIGH = np.array([255, 214, 70]) / 255, np.array([205, 20, 40]) / 255  # from a small difference to the largest


def spread_patches(values: FloatArray, size: int, stride: int = STRIDE) -> FloatArray:
    """Values of overlapping patches as an image: each patch counts most in its middle and nothing beyond its border.

    Args:
        values: (R, C) a value for each patch.
        size: Side of the image, px.
        stride: Distance of neighbouring patches, px.

    Returns:
        (size, size), between the least and the largest value; 0 where no patch reaches.
    """
    rising = 1 - np.abs(np.arange(PATCH) + 0.5 - PATCH / 2) / (PATCH / 2)
    window = np.outer(rising, rising)
    total, covers = np.zeros((size, size)), np.zeros((size, size))
    for row, column in np.ndindex(values.shape):
        place = np.s_[row * stride : row * stride + PATCH, column * stride : column * stride + PATCH]
        total[place] += values[row, column] * window
        covers[place] += window
    return np.divide(total, covers, out=total, where=covers > 0)


def painted(view: FloatArray, heat: FloatArray) -> FloatArray:
    """A gray view with heat in colour over it.

    Args:
        view: (S, S) gray in [0, 1].
        heat: (S, S) in [0, 1]; 0 leaves the view as it is.

    Returns:
        (S, S, 3) colours in [0, 1].
    """
    colour = LOW + heat[..., None] * (HIGH - LOW)
    cover = STRONGEST * heat[..., None]
    return (1 - cover) * np.clip(view, 0, 1)[..., None] + cover * colour


def draw_differences(
    differences: Differences, path: Path, names: tuple[str, str], columns: int = 5, stride: int = STRIDE
) -> None:
    """Draw the views that differ most, each shape in its own row, and how far each is from the other.

    The colour of a pixel is the weighted distance of the patches around it, so that all colour together is the score.
    One scale holds for the whole picture: red is the patch that differs most.

    Args:
        differences: Of `DRKFS.differences`.
        path: PNG to write.
        names: Of the shape and its target, for the labels.
        columns: Views to show.
        stride: Distance of neighbouring patches, px.
    """
    from matplotlib.figure import Figure

    worst = differences.by_view().argsort(descending=True)[:columns].tolist()
    size = differences.views.shape[-1]
    heats = [
        np.stack([spread_patches(part[view].cpu().numpy(), size, stride) for view in worst])
        for part in differences.contributions()
    ]
    strongest = max(float(heat.max()) for heat in heats) or 1.0
    figure = Figure(figsize=(2 * len(worst) + 1.1, 4.9), dpi=130, layout="constrained")
    axes = np.asarray(figure.subplots(2, len(worst), squeeze=False))
    rows = zip(names, (differences.views, differences.target_views), heats, strict=True)
    for row, (name, views, heat) in enumerate(rows):
        for column, view in enumerate(worst):
            axis = axes[row, column]
            axis.imshow(painted(views[view].cpu().numpy(), heat[column] / strongest), interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            if row == 0:
                axis.set_title(f"view {view}: {float(differences.by_view()[view]):.2g}", fontsize=9)
        axes[row, 0].set_ylabel(name if len(name) < 32 else f"{name[:14]} ... {name[-14:]}", fontsize=9)
    figure.suptitle(f"DR-KFS {differences.score:.4g}: the views that differ most, red where they differ", fontsize=11)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")

"""docs/result.jpg from a finished run.

Each row is an image of an artist that was held out: photograph, LiftNet's depth, true depth, two new views.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from liftnet.core.files import atomic_path, read_json
from liftnet.data.drawing import depth_colours, enlarged, new_view, with_scale

TITLES = ("photograph (held-out artist)", "LiftNet's depth", "true depth", "surface, −30°", "surface, +30°")
ROWS = 3


def draw_result(results: Path, out: Path) -> None:
    """Draw the first predictions of the list, at most one per work.

    Args:
        results: Folder of the results.
        out: JPEG to write.
    """
    from matplotlib.figure import Figure

    rows = read_json(results / "predictions" / "index.json")
    chosen = list({row["work_id"]: row for row in reversed(rows)}.values())[-ROWS:]
    figure = Figure(figsize=(2.2 * len(TITLES), 2.2 * ROWS + 0.3), layout="constrained")
    axes = figure.subplots(ROWS, len(TITLES))
    for line, row in zip(axes, reversed(chosen), strict=True):
        with np.load(results / "predictions" / row["npz"], allow_pickle=False) as arrays:
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

"""Draw docs/result.jpg from a finished run: `python docs/make_result_picture.py [results]`.

Each row is an image of an artist that was held out: photograph, LiftNet's depth, true depth, two new views.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from liftnet.core.files import read_json
from liftnet.data.drawing import depth_colours, enlarged, new_view, with_scale

TITLES = ("photograph (held-out artist)", "LiftNet's depth", "true depth", "surface, −30°", "surface, +30°")
ROWS = 3


def main(results: Path) -> None:
    """Draw the first predictions of the list, at most one a work."""
    rows = read_json(results / "predictions" / "index.json")
    chosen = list({row["work_id"]: row for row in reversed(rows)}.values())[-ROWS:]
    figure, axes = plt.subplots(ROWS, len(TITLES), figsize=(2.2 * len(TITLES), 2.2 * ROWS + 0.3), layout="constrained")
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
    figure.savefig(Path(__file__).parent / "result.jpg", dpi=110, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))

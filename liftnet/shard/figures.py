"""Figures of a dataset as SVG, each with the numbers it shows as CSV beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from liftnet.core.files import atomic_path, write_text
from liftnet.core.tables import csv_text
from liftnet.data.codes import SPLITS
from liftnet.shard.tables import ALL, funnel, licences, units
from liftnet.shard.tally import ANGLE, LONG_SIDE, PER_PAIR, SCALES, SCORE, TRACK_LENGTH, TRUE_ANGLE, Tally

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"train": "#3d7f78", "val": "#d99a63", "test": "#8f5223"}
STEPS = ("#94a3b8", "#d99a63", "#3d7f78", "#1e3a5f")
INK, GRID = "#334155", "#e2e8f0"
WIDTH = 9.0  # inches
BINS = 24
MARKS = 120  # of a cumulative curve
MOST_ROWS = 14  # licences and reasons drawn; the tables have all
SETTINGS: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "Liberation Sans", "DejaVu Sans", "sans-serif"],
    "text.parse_math": False,  # names come from the web
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "liftnet",  # the same figure, the same bytes
}
Drawing = Callable[[Tally], "tuple[Figure, pd.DataFrame] | None"]


def write_figures(tally: Tally, folder: Path) -> None:
    """Draw what the tally holds to `folder/<name>.svg` and `.csv`; figures without data are removed."""
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        with mpl.rc_context(SETTINGS):
            drawn = draw(tally)
            if drawn is None:
                for suffix in (".svg", ".csv"):
                    (folder / f"{name}{suffix}").unlink(missing_ok=True)
                continue
            figure, data = drawn
            write_text(folder / f"{name}.csv", csv_text(data))
            with atomic_path(folder / f"{name}.svg") as temporary:
                figure.savefig(temporary, format="svg", metadata={"Date": None})


def _images_per_work(tally: Tally) -> tuple[Figure, pd.DataFrame] | None:
    counted = units(tally)
    if not counted:
        return None
    figure, axes = _panels(len(counted), 2.7)
    data = []
    for axis, (name, unit) in zip(axes, counted.items(), strict=True):
        rows = unit.rename(columns={"count": "value"}).assign(count=1)
        data.append(_histogram(axis, rows, _edges(int(unit["count"].max())), name))
        axis.set_xlabel(name)
    axes[0].set_ylabel("artists or works")
    axes[-1].legend(frameon=False, fontsize=7.5)
    return figure, pd.concat(data)


def _matches_per_pair(tally: Tally) -> tuple[Figure, pd.DataFrame] | None:
    histogram = tally["histogram"].table.to_pandas()
    if not histogram["quantity"].isin(PER_PAIR.values()).any():
        return None
    figure, (left, right) = _panels(2, 3.1)
    data = []
    for quantity, colour in zip(PER_PAIR.values(), STEPS, strict=True):
        counted = histogram[histogram["quantity"] == quantity].groupby("value")["count"].sum()
        if not len(counted):
            continue
        marks = np.unique(np.geomspace(1, counted.index.max(), MARKS).round().astype(np.int64))
        before = np.concatenate([[0], counted.cumsum()])[np.searchsorted(counted.index, marks)]
        share = 1 - before / counted.sum()
        left.plot(marks, share, color=colour, label=quantity)
        data.append(pd.DataFrame({"quantity": quantity, "at_least": marks, "share_of_pairs": share}))
    _logarithmic(left)
    left.set_ylim(0, 1.02)
    left.set_xlabel("at least so many")
    left.set_ylabel("share of kept pairs")
    left.legend(frameon=False, fontsize=7.5)
    scores = histogram[histogram["quantity"] == SCORE]
    data.append(_histogram(right, scores, np.linspace(0, 1, BINS + 1), SCORE))
    right.set_xlabel("score (1 minus the ratio of distances)")
    right.set_ylabel("correspondences")
    right.legend(frameon=False, fontsize=7.5)
    return figure, pd.concat(data)


def _measured(
    quantity: str, edges: Callable[[float, float], npt.NDArray[np.float64]], label: str, unit: str
) -> Drawing:
    """A drawing of the histogram of one quantity, stacked by split."""

    def draw(tally: Tally) -> tuple[Figure, pd.DataFrame] | None:
        histogram = tally["histogram"].table.to_pandas()
        names = [ANGLE, TRUE_ANGLE] if quantity == ANGLE else [quantity]
        counted = {name: histogram[histogram["quantity"] == name] for name in names}
        counted = {name: rows for name, rows in counted.items() if len(rows)}
        if not counted:
            return None
        figure, axes = _panels(len(counted), 2.9)
        data = []
        for axis, (name, rows) in zip(axes, counted.items(), strict=True):
            limits = rows["value"].agg(["min", "max"]) / SCALES.get(name, 1)
            data.append(_histogram(axis, rows, edges(*limits), name))
            axis.set_xlabel(label.format(name=name))
            axis.set_ylabel(unit)
            axis.legend(frameon=False, fontsize=7.5)
        return figure, pd.concat(data)

    return draw


def _licences(tally: Tally) -> tuple[Figure, pd.DataFrame] | None:
    frame = licences(tally).frame
    if not len(frame):
        return None
    rows = frame.head(MOST_ROWS)
    figure, (axis,) = _panels(1, 0.9 + 0.28 * len(rows))
    _stacked(axis, rows["licence"].tolist(), {split: rows[split].to_numpy(float) for split in SPLITS}, COLOURS)
    axis.set_xlabel("images")
    _legend_above(axis)
    return figure, frame


def _funnel(tally: Tally) -> tuple[Figure, pd.DataFrame] | None:
    if not len(tally["tried"].table):
        return None
    frame = funnel(tally).frame
    figure, (left, right) = _panels(2, 3.6, [1, 1.25])
    images = frame[(frame["unit"] == "images") & (frame["outcome"] == "remaining")]
    steps = list(dict.fromkeys(images["step"]))
    own = images[images["source"] != ALL] if images["source"].nunique() > 1 else images
    sources = list(dict.fromkeys(own["source"]))
    counts = {
        source: np.array(
            [own[(own["source"] == source) & (own["step"] == step)]["count"].sum() for step in steps], float
        )
        for source in sources
    }
    palette = dict(zip(sources, _palette(len(sources)), strict=True))
    _stacked(left, steps, counts, palette)
    left.set_xlabel("images")
    if len(sources) > 1:
        _legend_above(left)
    pairs = frame[(frame["unit"] == "image pairs") & (frame["source"] == ALL) & (frame["step"] != "pairs tried")]
    lost = pairs[pairs["outcome"] == "lost"].groupby("reason")["count"].sum().sort_values(ascending=False)
    kept = pairs[(pairs["step"] == "pairs kept") & (pairs["outcome"] == "remaining")]["count"].sum()
    rows = pd.concat([pd.Series({"kept": kept}), lost.head(MOST_ROWS)])
    colours = ["#3d7f78", *["#c9705c"] * (len(rows) - 1)]
    right.barh(range(len(rows)), rows.to_numpy(float), color=colours)
    for place, count in enumerate(rows.tolist()):
        right.text(count, place, f" {count:,.0f}", va="center", fontsize=7.5, color=INK)
    right.set_yticks(range(len(rows)), [str(name).replace("_", " ") for name in rows.index])
    right.invert_yaxis()
    right.margins(x=0.15)
    right.set_xlabel("image pairs that were tried")
    _tidy(right, "x")
    return figure, frame


FIGURES: dict[str, Drawing] = {
    "images_per_work": _images_per_work,
    "matches_per_pair": _matches_per_pair,
    "baseline_angles": _measured(
        ANGLE, lambda _, most: np.arange(0, 5 * (most // 5 + 1) + 1, 5.0), "{name}, degrees", "kept pairs"
    ),
    "tracks": _measured(TRACK_LENGTH, lambda _, most: _edges(int(most)), "{name}", "tracks"),
    "resolution": _measured(
        LONG_SIDE,
        lambda least, most: np.linspace(64 * (least // 64), 64 * (most // 64 + 1), BINS + 1),
        "{name}, px",
        "images",
    ),
    "licences": _licences,
    "funnel_by_source": _funnel,
}


def _panels(count: int, height: float, widths: list[float] | None = None) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    options = {"width_ratios": widths} if widths else None
    axes = figure.subplots(1, count, squeeze=False, gridspec_kw=options)[0]
    for axis in axes:
        _tidy(axis, "y")
    return figure, list(axes)


def _tidy(axis: Axes, grid: str) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(False)
    axis.grid(axis="x" if grid == "x" else "y", color=GRID, linewidth=0.7)
    axis.set_axisbelow(True)


def _legend_above(axis: Axes) -> None:
    """A legend where it hides no bar."""
    axis.legend(frameon=False, fontsize=7.5, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderpad=0)


def _logarithmic(axis: Axes) -> None:
    """A logarithmic scale of plain numbers."""
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.xaxis.set_minor_formatter(lambda *_: "")


def _edges(most: int) -> npt.NDArray[np.float64]:
    """Bins of whole numbers from 1 to `most`: each its own where they are few, else of growing width."""
    if most <= BINS:
        return np.arange(0.5, most + 1)
    return np.unique(np.ceil(np.geomspace(1, most + 1, BINS + 1))) - 0.5


def _histogram(axis: Axes, rows: pd.DataFrame, edges: npt.NDArray[np.float64], quantity: str) -> pd.DataFrame:
    """Draw columns split, value, count as bars stacked by split; returns columns quantity, split, from, to, count."""
    base = np.zeros(len(edges) - 1)
    data = []
    for split in SPLITS:
        part = rows[rows["split"] == split]
        values = part["value"].to_numpy(float) / SCALES.get(quantity, 1)
        counts, _ = np.histogram(values, edges, weights=part["count"].to_numpy(float))
        axis.bar(
            edges[:-1], counts, np.diff(edges), base, align="edge", color=COLOURS[split], label=split, linewidth=0
        )
        base += counts
        bins = {"quantity": quantity, "split": split, "from": edges[:-1], "to": edges[1:]}
        data.append(pd.DataFrame({**bins, "count": counts.astype(np.int64)}))
    axis.set_ylim(0, max(1.0, 1.06 * float(base.max())))
    if len(edges) > 2 and edges[-1] - edges[-2] > 2 * (edges[1] - edges[0]):
        _logarithmic(axis)
    return pd.concat(data)


def _stacked(
    axis: Axes, names: list[str], counts: dict[str, npt.NDArray[np.float64]], colours: dict[str, str]
) -> None:
    base = np.zeros(len(names))
    for label, numbers in counts.items():
        axis.barh(range(len(names)), numbers, left=base, color=colours[label], label=label)
        base += numbers
    for place, count in enumerate(base.tolist()):
        axis.text(count, place, f" {count:,.0f}", va="center", fontsize=7.5, color=INK)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    _tidy(axis, "x")


def _palette(count: int) -> list[str]:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    few = ["#3d7f78", "#d99a63", "#8f5223", "#1e3a5f", "#94a3b8", "#c9705c"]
    return few[:count] if count <= len(few) else [to_hex(colormaps["tab20"](k % 20)) for k in range(count)]

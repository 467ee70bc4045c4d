"""Putting the page together: one HTML file that loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from liftnet import __version__
from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_text
from liftnet.core.log import get_logger
from liftnet.core.opening import read_text
from liftnet.core.text import seen
from liftnet.report.figures import (
    DepthFigure,
    chosen_kept,
    chosen_rejected,
    depth_figures,
    drawn_pairs,
    manual_mask_figures,
    mask_figures,
)
from liftnet.report.results import RunResults
from liftnet.report.settings import ReportSettings
from liftnet.report.tables import DATASET, KNOWN, funnel, funnel_view, remaining, table_views, write_funnel

LOG = get_logger("report")

LARGEST_PAGE_MB = 15


@dataclass(frozen=True)
class Bar:
    """A step of the funnel as a bar: width in percent of the chain's first step."""

    name: str
    left: int
    percent: float
    losses: list[tuple[str, int, float]]


def write_report(root: Path, out: Path, settings: ReportSettings, seed: int = 0, config: Path | None = None) -> None:
    """Write the report of the run in `root` to `out`, and the funnel to `tables/` beside it.

    Parts whose files are not there are explained in a sentence. The same files and seed give the same page.

    Args:
        root: Folder of the results.
        out: The page.
        settings: What it shows.
        seed: Of the choice of samples.
        config: Settings of the run, shown as they stand.

    Raises:
        LiftnetError: There is no manifest, or a file of the run is damaged.
    """
    run = RunResults(root)
    frame = funnel(run)
    write_funnel(frame, out.parent / "tables")
    page = render(run, frame, settings, seed, _config_text(config))
    write_text(out, page)
    size = len(page.encode()) / 1e6
    if size > LARGEST_PAGE_MB:
        LOG.warning("the page is %.1f MB; lower report.picture_px or show fewer samples", size)
    LOG.info("wrote %s (%.1f MB) from %d manifest rows", out, size, len(run.manifest))


def render(run: RunResults, frame: pd.DataFrame, settings: ReportSettings, seed: int, config: str | None) -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("liftnet", "report"),
        autoescape=True,  # names and captions come from the web
        finalize=seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    content = _content(run, frame, settings, seed)
    scripts = _scripts(any(figure.mesh for figure in content["depths"]))
    return environment.get_template("page.html.j2").render(
        **content,
        settings=settings,
        config=config,
        version=__version__,
        style=_resource("page.css"),
        scripts=scripts,
        script_hashes=[_hash(text) for text in scripts.values() if text],
    )


def _content(run: RunResults, frame: pd.DataFrame, settings: ReportSettings, seed: int) -> dict[str, Any]:
    dataset, missing_dataset = table_views(run.root / "tables", DATASET)
    tables, missing_tables = table_views(run.root / "tables", KNOWN, others=True)
    pairs = run.pairs
    kept = drawn_pairs(run, chosen_kept(pairs, settings.pairs.kept, seed), settings, seed) if pairs is not None else []
    rejected = (
        drawn_pairs(run, chosen_rejected(pairs, settings.pairs.rejected_per_reason, seed), settings, seed)
        if pairs is not None
        else []
    )
    masks, manual_masks = mask_figures(run, settings), manual_mask_figures(run, settings, seed)
    depths = depth_figures(run, settings, seed)
    shown = [image for pair in (*kept, *rejected) for image in pair.images]
    shown += [figure.photograph.image_id for figure in (*masks, *manual_masks)]
    shown += [figure.photograph.image_id for figure in depths]
    return {
        "summary": _summary(run),
        "dataset": dataset,
        "missing_dataset": missing_dataset,
        "by_source": funnel_view(run.root / "tables"),
        "tables": tables,
        "missing_tables": missing_tables,
        "funnel": {str(unit): _bars(frame, str(unit)) for unit in frame["unit"].unique()},
        "has_pairs": pairs is not None,
        "kept": kept,
        "rejected": rejected,
        "has_masks": run.masks is not None,
        "masks": masks,
        "manual_masks": manual_masks,
        "depths": depths,
        "meshes": _meshes(depths),
        "credits": _credits(run, shown),
    }


def _summary(run: RunResults) -> list[tuple[int, str]]:
    images, pairs = run.images, run.pairs
    numbers = [
        (len(images), "images"),
        (images["artist_id"].nunique(), "artists"),
        (images["work_id"].nunique(), "works"),
    ]
    if pairs is not None:
        kept = pairs["kept"]
        numbers += [(int(kept.sum()), "pairs kept"), (int(pairs["n_kept"][kept].sum()), "correspondences")]
    return numbers


def _bars(frame: pd.DataFrame, unit: str) -> list[Bar]:
    steps = remaining(frame, unit)
    whole = max(steps[0][1], 1)
    lost = frame[(frame["unit"] == unit) & (frame["outcome"] == "lost")]
    bars = []
    for name, left in steps:
        rows = lost[lost["step"] == name].sort_values(["count", "reason"], ascending=[False, True])
        losses = [
            (str(r), int(c), 100 * max(int(c), 0) / whole) for r, c in zip(rows["reason"], rows["count"], strict=True)
        ]
        bars.append(Bar(name, left, 100 * left / whole, losses))
    return bars


def _meshes(depths: list[DepthFigure]) -> list[dict[str, Any]]:
    return [figure.mesh | {"name": figure.photograph.name} for figure in depths if figure.mesh]


def _credits(run: RunResults, shown: Iterable[str]) -> list[dict[str, str]]:
    """Artist, work, licence and attribution of every image shown; one row for images that share all of these."""
    columns = ["artist", "work", "license", "license_url", "attribution", "page_url"]
    rows = run.images.loc[sorted(set(shown) & set(run.images.index)), columns].fillna("")
    counted = rows.groupby(columns, as_index=False).size().rename(columns={"size": "images"})
    return [{str(key): str(value) for key, value in row.items()} for row in counted.to_dict("records")]


def _scripts(with_surfaces: bool) -> dict[str, str]:
    """Scripts by name; `errors` must stand first on the page."""
    scripts = {"errors": _resource("errors.js"), "library": "", "page": _resource("page.js")}
    if with_surfaces:
        scripts["library"] = _plotly()
    return scripts


@lru_cache(maxsize=1)
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("\r\n", "\n")


def _resource(name: str) -> str:
    return files("liftnet.report").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """The source expression that lets exactly this script run under the page's content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _config_text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise LiftnetError(path, f"cannot be read ({error})", "Give the config file of the run") from error

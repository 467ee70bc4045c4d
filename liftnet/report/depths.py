"""Sample predictions: depth in colour, new views of the surface, meshes for the browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd

from liftnet.io.errors import LiftnetError
from liftnet.report.photographs import Photograph, ordered, photograph_of
from liftnet.report.pictures import data_uri, depth_colours, enlarged
from liftnet.report.run import Run
from liftnet.report.settings import ReportSettings
from liftnet.report.surface import AZIMUTHS, mesh, new_view

DEPTH_PX = 224


@dataclass(frozen=True)
class DepthFigure:
    """One image, its predicted depth and what it is compared with; and, for some, new views and a mesh."""

    photograph: Photograph
    panels: list[tuple[str, str]]  # label, data URI
    metrics: list[tuple[str, str]]
    views: list[tuple[str, str]]
    mesh: dict[str, Any] | None


def depth_figures(run: Run, settings: ReportSettings, seed: int) -> list[DepthFigure]:
    """Predictions, those with a truth and of held-out artists first, one a work before a second of any."""
    if not run.predictions:
        return []
    frame = ordered(pd.DataFrame(run.predictions), seed, "image_id").reset_index(drop=True)
    has_truth = frame["truth"].fillna(False).astype(bool) if "truth" in frame else pd.Series(False, frame.index)
    split = frame["split"].map({"test": 0, "val": 1}) if "split" in frame else pd.Series(2, frame.index)
    turn = frame.groupby(frame.get("work_id", frame["image_id"])).cumcount()
    ranked = frame.assign(_turn=turn, _truth=~has_truth, _split=split.fillna(2))
    ranked = ranked.sort_values(["_truth", "_split", "_turn"], kind="stable")
    chosen = ranked.head(max(settings.depths, settings.surfaces)).to_dict("records")
    return [_depth_figure(run, row, number < settings.surfaces) for number, row in enumerate(chosen)]


def _depth_figure(run: Run, row: Mapping[Any, Any], with_surface: bool) -> DepthFigure:
    arrays = _prediction(run.root / "predictions" / str(row["npz"]))
    rgb, depth, mask = arrays["rgb"], arrays["depth"], arrays["mask"].astype(bool)
    panels = [("photograph", data_uri(enlarged(rgb, DEPTH_PX))), ("predicted", _coloured(depth, mask))]
    if "truth" in arrays:
        panels.append(("truth", _coloured(arrays["truth"], mask & np.isfinite(arrays["truth"]))))
    if "inflated" in arrays:
        panels.append(("inflated mask", _coloured(arrays["inflated"], mask)))
    stated = row.get("metrics")
    metrics = (
        [(str(k), f"{v:.3f}") for k, v in stated.items() if isinstance(v, float)] if isinstance(stated, dict) else []
    )
    views = (
        [(f"{angle:+d}°", data_uri(new_view(rgb, depth, mask, angle))) for angle in AZIMUTHS] if with_surface else []
    )
    return DepthFigure(
        photograph_of(run, str(row["image_id"])),
        panels,
        metrics,
        views,
        mesh(rgb, depth, mask) if with_surface else None,
    )


def _coloured(depth: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_]) -> str:
    return data_uri(enlarged(depth_colours(depth, mask), DEPTH_PX))


def _prediction(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise LiftnetError(path, f"is not a readable prediction ({error})", "Run `depth evaluate` again") from error
    if not {"rgb", "depth", "mask"} <= set(arrays):
        raise LiftnetError(path, "lacks rgb, depth or mask", "Run `depth evaluate` again")
    return arrays

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

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.log import get_logger
from liftnet.data.drawing import data_uri, depth_colours, enlarged, new_view, resampled, shrunk, with_scale
from liftnet.report.photographs import Photograph, ordered, photograph_of, photograph_pixels
from liftnet.report.run import Run
from liftnet.report.settings import ReportSettings
from liftnet.report.surface import AZIMUTHS, mesh

DEPTH_PX = 224
PHOTOGRAPH_PX = 448


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
    errors = _errors(row.get("metrics"))
    rgb = _photograph(run, str(row["image_id"]), arrays.get("box"), rgb)
    panels = [("photograph", data_uri(shrunk(rgb, DEPTH_PX)))]
    panels.append((_labelled("predicted", errors.get("liftnet")), _coloured(depth, mask)))
    if "truth" in arrays:
        panels.append(("truth", _coloured(arrays["truth"], mask & np.isfinite(arrays["truth"]))))
    if "inflated" in arrays:
        panels.append((_labelled("inflated mask", errors.get("inflated")), _coloured(arrays["inflated"], mask)))
    metrics = [(name.replace("_", " "), f"{value:.3f}") for name, value in errors.get("liftnet", {}).items()]
    views, solid = _surface(rgb, depth, mask) if with_surface else ([], None)
    return DepthFigure(photograph_of(run, str(row["image_id"])), panels, metrics, views, solid)


def _surface(
    rgb: npt.NDArray[np.uint8], depth: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_]
) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    depth = with_scale(depth, mask)
    views = [(f"{angle:+d}°".replace("-", "−"), data_uri(new_view(rgb, depth, mask, angle))) for angle in AZIMUTHS]
    return views, mesh(rgb, depth, mask)


def _photograph(
    run: Run, image: str, box: npt.NDArray[np.generic] | None, seen: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """What the network saw, from the stored image at full resolution where `box` (left, top, side) says which part."""
    if box is not None and image in run.images.index:
        try:
            pixels = photograph_pixels(run, image)
        except BadImageError as error:
            get_logger("report").warning("the photograph of %s is shown as the network saw it: %s", image, error)
        else:
            left, top, side = np.rint(np.asarray(box, dtype=float)).astype(int).tolist()
            rows = np.clip(np.arange(top, top + side), 0, pixels.shape[0] - 1)
            columns = np.clip(np.arange(left, left + side), 0, pixels.shape[1] - 1)
            seen = pixels[rows[:, None], columns]
    return enlarged(seen, PHOTOGRAPH_PX)


def _errors(metrics: Any) -> dict[str, dict[str, float]]:
    """Errors by method and name, of the entry `metrics` of a prediction; what is no number is left out."""
    methods = metrics.items() if isinstance(metrics, dict) else []
    return {
        str(method): {str(name): value for name, value in errors.items() if isinstance(value, float)}
        for method, errors in methods
        if isinstance(errors, dict)
    }


def _labelled(label: str, errors: Mapping[str, float] | None) -> str:
    return f"{label}, rmse {errors['rmse']:.3f}" if errors and "rmse" in errors else label


def _coloured(depth: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_]) -> str:
    return data_uri(depth_colours(*resampled(depth, mask, DEPTH_PX)))


def _prediction(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise LiftnetError(path, f"is not a readable prediction ({error})", "Run `depth evaluate` again") from error
    if not {"rgb", "depth", "mask"} <= set(arrays):
        raise LiftnetError(path, "lacks rgb, depth or mask", "Run `depth evaluate` again")
    return arrays

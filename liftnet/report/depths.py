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
from PIL import Image

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.types import BoolArray, UInt8Array
from liftnet.data.drawing import STEEPEST, data_uri, depth_colours, enlarged, new_view, resampled, shrunk, with_scale
from liftnet.report.photographs import Photograph, ordered, photograph_of, photograph_pixels
from liftnet.report.results import RunResults
from liftnet.report.settings import ReportSettings

LOG = get_logger("report")

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


def depth_figures(run: RunResults, settings: ReportSettings, seed: int) -> list[DepthFigure]:
    """Predictions, those with a truth and of held-out artists first, one a work before a second of any."""
    if not run.predictions:
        return []
    frame = ordered(pd.DataFrame(run.predictions), seed, "image_id").reset_index(drop=True)
    has_truth = frame["truth"].fillna(False).astype(bool) if "truth" in frame else pd.Series(False, frame.index)
    split = frame["split"].map({"test": 0, "val": 1}) if "split" in frame else pd.Series(2, frame.index)
    turn = frame.groupby(frame.get("work_id", frame["image_id"])).cumcount()
    ranked = frame.assign(_turn=turn, _truth=~has_truth, _split=split.fillna(2))
    ranked = ranked.sort_values(["_truth", "_split", "_turn"], kind="stable")
    chosen = ranked.head(max(settings.depths.images, settings.depths.surfaces)).to_dict("records")
    return [_depth_figure(run, row, number < settings.depths.surfaces) for number, row in enumerate(chosen)]


def _depth_figure(run: RunResults, row: Mapping[Any, Any], with_surface: bool) -> DepthFigure:
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
    run: RunResults, image: str, box: npt.NDArray[np.generic] | None, seen: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """What the network saw, from the stored image at full resolution where `box` (left, top, side) says which part."""
    if box is not None and image in run.images.index:
        try:
            pixels = photograph_pixels(run, image)
        except BadImageError as error:
            LOG.warning("the photograph of %s is shown as the network saw it: %s", image, error)
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


FloatArray = npt.NDArray[np.floating]
AZIMUTHS = (-50, -25, 25, 50)  # degrees; the camera goes round the object to its right for positive angles
MESH_SIDE = 112


def mesh(rgb: UInt8Array, depth: FloatArray, mask: BoolArray, side: int = MESH_SIDE) -> dict[str, Any]:
    """The surface as a triangle mesh for the browser.

    Args:
        rgb: (R, R, 3) photograph.
        depth: (S, S), growing away from the camera, in units of half the image's width.
        mask: (S, S), True on the object.
        side: Vertices from edge to edge of the image.

    Returns:
        x (right), y (away from the camera), z (up), the vertex indices i, j, k of the triangles, and per vertex the
        colours `photo` and `depth` as #rrggbb; empty lists where there is no object.
    """
    depth, mask = resampled(depth, mask, side)
    photo = np.asarray(Image.fromarray(rgb).resize((side, side), Image.Resampling.BOX))
    number = np.cumsum(mask).reshape(mask.shape) - 1
    corners = number.ravel()[_triangles(depth, mask)]
    rows, columns = np.nonzero(mask)
    middle = np.median(depth[mask]) if mask.any() else 0.0
    return {
        "x": _rounded((2 * columns + 1) / side - 1),
        "y": _rounded(depth[mask] - middle),
        "z": _rounded(1 - (2 * rows + 1) / side),
        "i": corners[:, 0].tolist(),
        "j": corners[:, 1].tolist(),
        "k": corners[:, 2].tolist(),
        "photo": _hexadecimal(photo[mask]),
        "depth": _hexadecimal(depth_colours(depth, mask)[mask]),
    }


def _triangles(depth: FloatArray, mask: BoolArray) -> npt.NDArray[np.int64]:
    """Two triangles per grid cell, as (T, 3) flat pixel indices; those off the object or over a jump are left out."""
    index = np.arange(depth.size).reshape(depth.shape)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    cells = [np.stack([a, c, b], axis=-1).reshape(-1, 3), np.stack([b, c, d], axis=-1).reshape(-1, 3)]
    triangles = np.concatenate(cells)
    flat = np.where(mask, depth, 0).ravel()[triangles]
    whole = mask.ravel()[triangles].all(axis=1)
    return triangles[whole & (np.ptp(flat, axis=1) < STEEPEST * 2 / len(depth))]


def _rounded(values: FloatArray) -> list[float]:
    rounded: list[float] = np.round(values.astype(float), 4).tolist()
    return rounded


def _hexadecimal(colours: UInt8Array) -> list[str]:
    packed = (colours.astype(np.int64) @ np.array([65536, 256, 1])).tolist()
    return [f"#{colour:06x}" for colour in packed]

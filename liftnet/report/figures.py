"""Samples on the page: pairs with their correspondences, masks, predicted depth with new views and meshes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from liftnet.core.errors import BadImageError
from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger
from liftnet.core.types import BoolArray, UInt8Array
from liftnet.data.codes import words_of
from liftnet.data.drawing import STEEPEST, data_uri, depth_colours, enlarged, new_view, resampled, shrunk, with_scale
from liftnet.data.masks import read_mask
from liftnet.data.predictions import read_prediction
from liftnet.data.schemas import PAIRS, read_table
from liftnet.report.results import Photograph, RunResults, ordered, photograph_of, photograph_pixels
from liftnet.report.settings import ReportSettings

LOG = get_logger("report")
PAIR_HEIGHT = 300.0  # of both photographs in a drawn pair, in units of the drawing
GAP = 8.0
DEPTH_PX = 224
PHOTOGRAPH_PX = 448
OUTLINE = (255, 176, 32)
ONLY_PREDICTED = (255, 138, 20)
ONLY_MANUAL = (40, 130, 255)
FloatArray = npt.NDArray[np.floating]
Lines = list[tuple[float, ...]]  # ends x1, y1, x2, y2 in units of the drawing
AZIMUTHS = (-50, -25, 25, 50)  # degrees; the camera goes round the object to its right for positive angles
MESH_SIDE = 112
COUNTS = (
    ("n_putative", "putative"),
    ("n_masked", "on the foreground"),
    ("n_inliers", "agree with F"),
    ("n_h", "with H"),
)


@dataclass(frozen=True)
class DrawnPair:
    """Two photographs side by side and their correspondences."""

    photograph: Photograph
    verdict: str
    counts: str
    width: float
    height: float
    pictures: list[tuple[str, float, float]]  # data URI, x, width
    kept: Lines
    rejected: Lines
    images: tuple[str, str]


def chosen_kept(pairs: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """`count` kept pairs, of as many works as there are."""
    kept = ordered(pairs[pairs["kept"]], seed, "pair_id")
    turn = kept.groupby("work_id").cumcount()
    return kept.assign(_turn=turn).sort_values("_turn", kind="stable").head(count)


def chosen_rejected(pairs: pd.DataFrame, per_reason: int, seed: int) -> pd.DataFrame:
    """Rejected pairs of every reason, those with something to draw first."""
    rejected = ordered(pairs[~pairs["kept"]], seed, "pair_id")
    rejected = rejected.assign(_bare=rejected["n_rejected"].eq(0) & rejected["n_kept"].eq(0))
    rejected = rejected.sort_values(["reason", "_bare"], kind="stable")
    return rejected.groupby("reason", sort=True).head(per_reason)


def drawn_pairs(run: RunResults, chosen: pd.DataFrame, settings: ReportSettings, seed: int) -> list[DrawnPair]:
    """Draw the chosen pairs; one whose image is unreadable is left out, with a line in the log."""
    drawings = []
    for row in chosen.to_dict("records"):
        points = read_table(row["file"], PAIRS).slice(row["row"], 1).to_pylist()[0]
        try:
            drawings.append(_draw(run, points, settings, seed))
        except BadImageError as error:
            LOG.warning("pair %s is not shown: %s", row["pair_id"], error)
    return drawings


def _draw(run: RunResults, row: dict[str, Any], settings: ReportSettings, seed: int) -> DrawnPair:
    pictures, scales, left = [], [], 0.0
    for image in (row["image_a"], row["image_b"]):
        pixels = photograph_pixels(run, image)
        factor = PAIR_HEIGHT / pixels.shape[0]
        pictures.append((data_uri(shrunk(pixels, settings.picture_px)), left, pixels.shape[1] * factor))
        scales.append((factor, left))
        left += pixels.shape[1] * factor + GAP
    rng = np.random.default_rng(stable_seed(seed, "report lines", row["pair_id"]))
    kept = _lines(row, "", scales, settings.pairs.max_matches, rng)
    rejected = _lines(row, "rejected_", scales, settings.pairs.max_matches, rng)
    numbers = [f"{row[name] or 0} {words}" for name, words in COUNTS]
    return DrawnPair(
        photograph_of(run, row["image_a"]),
        "kept" if row["kept"] else words_of(row["reason"]),
        ", ".join(numbers),
        left - GAP,
        PAIR_HEIGHT,
        pictures,
        kept,
        rejected,
        (row["image_a"], row["image_b"]),
    )


def _lines(
    row: dict[str, Any],
    prefix: str,
    scales: list[tuple[float, float]],
    most: int,
    rng: np.random.Generator,
) -> Lines:
    ends = np.array([row[prefix + name] or [] for name in ("x1", "y1", "x2", "y2")], dtype=float).T
    if len(ends) > most:
        ends = ends[np.sort(rng.choice(len(ends), most, replace=False))]
    (factor_a, left_a), (factor_b, left_b) = scales
    # pixel centres are at whole numbers, edges of the drawing at the pixels' edges
    ends = (ends + 0.5) * [factor_a, factor_a, factor_b, factor_b] + [left_a, 0, left_b, 0]
    return [tuple(line) for line in np.round(ends, 1).tolist()]


@dataclass(frozen=True)
class Figure:
    """One picture with a label and a line of text."""

    photograph: Photograph
    label: str
    text: str
    picture: str


def mask_figures(run: RunResults, settings: ReportSettings) -> list[Figure]:
    """Masks of highest, median and lowest confidence, over their photographs."""
    if run.masks is None:
        return []
    good = run.masks[(run.masks["status"] == "ok") & run.masks["image_id"].isin(run.images.index)]
    good = good.sort_values(["confidence", "image_id"], ascending=[False, True]).reset_index(drop=True)
    figures = []
    for label, index in _best_median_worst(len(good), settings.masks.per_confidence):
        row = good.loc[index]
        text = f"confidence {row['confidence']:.3f}, {row['coverage']:.0%} foreground"
        figures += _mask_figure(run, str(row["image_id"]), label, text, settings)
    return figures


def _best_median_worst(count: int, each: int) -> list[tuple[str, int]]:
    each = min(each, count // 3 or count)
    middle = max((count - each) // 2, 0)
    groups = [("most confident", 0), ("median", middle), ("least confident", count - each)]
    seen: dict[int, str] = {}
    for label, start in groups:
        for index in range(start, start + each):
            seen.setdefault(index, label)
    return [(label, index) for index, label in seen.items()]


def _mask_figure(run: RunResults, image: str, label: str, text: str, settings: ReportSettings) -> list[Figure]:
    try:
        pixels = photograph_pixels(run, image)
        mask = read_mask(run.root / "masks" / f"{image}.png", (pixels.shape[1], pixels.shape[0]))
    except BadImageError as error:
        LOG.warning("the mask of %s is not shown: %s", image, error)
        return []
    small = shrunk(pixels, settings.picture_px)
    overlay = mask_overlay(small, shrunk_mask(mask, (small.shape[1], small.shape[0])))
    return [Figure(photograph_of(run, image), label, text, data_uri(overlay))]


def manual_mask_figures(run: RunResults, settings: ReportSettings, seed: int) -> list[Figure]:
    """Predicted masks against manual ones; images of held-out artists first, since training saw the others."""
    names = {path.stem for path in (run.root / "hand_masks").glob("*.png")} & set(run.images.index)
    held_out = run.images.loc[sorted(names)]
    rank = held_out["split"].map({"test": 0, "val": 1}).fillna(2)
    chosen = ordered(held_out, seed, "image_id").assign(_rank=rank).sort_values("_rank", kind="stable")
    figures = []
    for image in chosen["image_id"].head(settings.masks.manual):
        try:
            pixels = photograph_pixels(run, image)
            size = (pixels.shape[1], pixels.shape[0])
            manual = read_mask(run.root / "hand_masks" / f"{image}.png", size)
            predicted = read_mask(run.root / "masks" / f"{image}.png", size)
        except BadImageError as error:
            LOG.warning("the manual mask of %s is not shown: %s", image, error)
            continue
        small = shrunk(pixels, settings.picture_px)
        masks = [shrunk_mask(mask, (small.shape[1], small.shape[0])) for mask in (predicted, manual)]
        text = f"intersection over union {intersection_over_union(predicted, manual):.3f}"
        photograph = photograph_of(run, image)
        figures.append(Figure(photograph, photograph.split, text, data_uri(mask_comparison(small, *masks))))
    return figures


def shrunk_mask(mask: BoolArray, size: tuple[int, int]) -> BoolArray:
    """(H, W) mask at (width, height) `size`."""
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)) >= 128


def mask_overlay(pixels: UInt8Array, mask: BoolArray) -> UInt8Array:
    """The photograph with its background greyed and dimmed and the mask outlined.

    Args:
        pixels: (H, W, 3).
        mask: (H, W), True on the foreground.
    """
    picture = np.where(mask[..., None], pixels, _dimmed(pixels))
    picture[_outline(mask)] = OUTLINE
    return picture.astype(np.uint8)


def mask_comparison(pixels: UInt8Array, predicted: BoolArray, manual: BoolArray) -> UInt8Array:
    """The photograph where both masks say foreground, orange where only the predicted, blue where only the manual one.

    Args:
        pixels: (H, W, 3).
        predicted: (H, W).
        manual: (H, W).
    """
    picture = np.where((predicted & manual)[..., None], pixels, _dimmed(pixels)).astype(np.float32)
    for region, colour in ((predicted & ~manual, ONLY_PREDICTED), (manual & ~predicted, ONLY_MANUAL)):
        picture[region] = 0.25 * picture[region] + 0.75 * np.array(colour)
    return np.rint(picture).astype(np.uint8)


def intersection_over_union(a: BoolArray, b: BoolArray) -> float:
    """|a and b| / |a or b|; 1 for two empty masks."""
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 1.0


def _dimmed(pixels: UInt8Array) -> UInt8Array:
    grey = pixels.astype(np.float32).mean(axis=-1, keepdims=True)
    return np.rint(0.35 * (0.8 * grey + 0.2 * pixels)).astype(np.uint8)


def _outline(mask: BoolArray) -> BoolArray:
    from scipy.ndimage import binary_dilation, binary_erosion

    outline: BoolArray = binary_dilation(mask) & ~binary_erosion(mask)
    return outline


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
    arrays = read_prediction(run.root, row["npz"])
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


def _surface(rgb: UInt8Array, depth: FloatArray, mask: BoolArray) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    depth = with_scale(depth, mask)
    views = [(f"{angle:+d}°".replace("-", "−"), data_uri(new_view(rgb, depth, mask, angle))) for angle in AZIMUTHS]
    return views, mesh(rgb, depth, mask)


def _photograph(run: RunResults, image: str, box: npt.NDArray[np.generic] | None, seen: UInt8Array) -> UInt8Array:
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


def _coloured(depth: FloatArray, mask: BoolArray) -> str:
    return data_uri(depth_colours(*resampled(depth, mask, DEPTH_PX)))


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

"""Sample masks over their photographs, and beside manual ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from liftnet.core.errors import BadImageError
from liftnet.core.log import get_logger
from liftnet.core.types import BoolArray, UInt8Array
from liftnet.data.drawing import data_uri, shrunk
from liftnet.data.masks import read_mask
from liftnet.report.photographs import Photograph, ordered, photograph_of, photograph_pixels
from liftnet.report.results import RunResults
from liftnet.report.settings import ReportSettings

LOG = get_logger("report")


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


OUTLINE = (255, 176, 32)
ONLY_PREDICTED = (255, 138, 20)
ONLY_MANUAL = (40, 130, 255)


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

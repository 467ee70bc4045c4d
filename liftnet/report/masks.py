"""Sample masks over their photographs, and beside hand-made ones."""

from __future__ import annotations

from dataclasses import dataclass

from liftnet.core.errors import BadImageError
from liftnet.core.log import get_logger
from liftnet.data.drawing import data_uri, shrunk
from liftnet.data.masks import read_mask
from liftnet.report.photographs import Photograph, ordered, photograph_of, photograph_pixels
from liftnet.report.pictures import intersection_over_union, mask_comparison, mask_overlay, shrunk_mask
from liftnet.report.run import Run
from liftnet.report.settings import ReportSettings


@dataclass(frozen=True)
class Figure:
    """One picture with a label and a line of text."""

    photograph: Photograph
    label: str
    text: str
    picture: str


def mask_figures(run: Run, settings: ReportSettings) -> list[Figure]:
    """Masks of highest, median and lowest confidence, over their photographs."""
    if run.masks is None:
        return []
    good = run.masks[(run.masks["status"] == "ok") & run.masks["image_id"].isin(run.images.index)]
    good = good.sort_values(["confidence", "image_id"], ascending=[False, True]).reset_index(drop=True)
    figures = []
    for label, index in _best_median_worst(len(good), settings.masks_each):
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


def _mask_figure(run: Run, image: str, label: str, text: str, settings: ReportSettings) -> list[Figure]:
    try:
        pixels = photograph_pixels(run, image)
        mask = read_mask(run.root / "masks" / f"{image}.png", (pixels.shape[1], pixels.shape[0]))
    except BadImageError as error:
        get_logger("report").warning("the mask of %s is not shown: %s", image, error)
        return []
    small = shrunk(pixels, settings.picture_px)
    overlay = mask_overlay(small, shrunk_mask(mask, (small.shape[1], small.shape[0])))
    return [Figure(photograph_of(run, image), label, text, data_uri(overlay))]


def hand_mask_figures(run: Run, settings: ReportSettings, seed: int) -> list[Figure]:
    """Predicted masks against hand-made ones; images of held-out artists first, since training saw the others."""
    names = {path.stem for path in (run.root / "hand_masks").glob("*.png")} & set(run.images.index)
    held_out = run.images.loc[sorted(names)]
    rank = held_out["split"].map({"test": 0, "val": 1}).fillna(2)
    chosen = ordered(held_out, seed, "image_id").assign(_rank=rank).sort_values("_rank", kind="stable")
    figures = []
    for image in chosen["image_id"].head(settings.hand_masks):
        try:
            pixels = photograph_pixels(run, image)
            size = (pixels.shape[1], pixels.shape[0])
            hand = read_mask(run.root / "hand_masks" / f"{image}.png", size)
            predicted = read_mask(run.root / "masks" / f"{image}.png", size)
        except BadImageError as error:
            get_logger("report").warning("the hand mask of %s is not shown: %s", image, error)
            continue
        small = shrunk(pixels, settings.picture_px)
        masks = [shrunk_mask(mask, (small.shape[1], small.shape[0])) for mask in (predicted, hand)]
        text = f"intersection over union {intersection_over_union(predicted, hand):.3f}"
        photograph = photograph_of(run, image)
        figures.append(Figure(photograph, photograph.split, text, data_uri(mask_comparison(small, *masks))))
    return figures

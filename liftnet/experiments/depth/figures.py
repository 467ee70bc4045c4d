"""Figures 4 and 5 of the paper: input, predicted depth and new views, as a self-contained page and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_fraction
from liftnet.core.log import get_logger
from liftnet.core.types import BoolArray, UInt8Array
from liftnet.data.codes import SPLITS
from liftnet.data.drawing import depth_colours, new_view, resampled, with_scale
from liftnet.data.pictures import read_image
from liftnet.data.schemas import MANIFEST, read_table
from liftnet.data.truth import load_truth, truth_files
from liftnet.depth.crops import CropStore
from liftnet.depth.score import true_depth
from liftnet.experiments.figure_page import Panel, Strip, write_page, write_picture
from liftnet.models.depth_input import CropBox, cut
from liftnet.models.liftnet import DepthModel, load_model

LOG = get_logger("experiments")
PANEL = 240  # side of a panel, px
VIEWS = (-50, -25, 25, 50)  # azimuths of the new views, degrees
CAPTIONS = {
    "4": "From photograph to new views: the image, the depth that LiftNet gives at all points, and, with the"
    " background taken away, the surface seen from elsewhere.",
    "5": "What each method predicts of an image, and its surface seen from elsewhere. Above each image stand its work"
    " and its split.",
}
COLOURS = "Depth: blue is further away, yellow nearer; its scale is free, so each surface has the same relief."
Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class FigureInputs:
    """What a figure shows.

    Attributes:
        models: Folder of each model by the name it is called in the figure, best first.
        roots: Runs and rendered sets: manifest.parquet, images/, masks/.
        split: Images of this split; where a root has none, of val, then of train, and the figure says so.
        images: Images of each root, one per work.
    """

    models: dict[str, Path]
    roots: Sequence[Path]
    split: str
    images: int


@dataclass(frozen=True)
class Shown:
    """One image and what the methods see in it.

    Attributes:
        title: Its work and split.
        rgb: (PANEL, PANEL, 3) uint8, the crop as it was photographed.
        mask: (S, S) bool.
        depths: (S, S) by method, growing away from the viewer.
        truth: (S, S) with NaN off the object, or None.
    """

    title: str
    rgb: UInt8Array
    mask: BoolArray
    depths: dict[str, Float32Array]
    truth: FloatArray | None


def write_figure(number: str, inputs: FigureInputs, out: Path, threads: int) -> None:
    """Write `<out>.html` and `<out>.png`.

    Args:
        number: "4" for the first model alone, "5" for the models side by side.
        inputs: What to show.
        out: Path without suffix.
        threads: Threads of torch and for reading images.

    Raises:
        LiftnetError: A model or manifest cannot be read, or no root has a usable image.
    """
    torch.set_num_threads(threads)
    models = {name: load_model(folder) for name, folder in inputs.models.items()}
    if number == "4":
        models = dict(list(models.items())[:1])
    shown = [image for root in inputs.roots for image in shown_images(root, models, inputs, threads)]
    if not shown:
        raise LiftnetError(", ".join(map(str, inputs.roots)), "have no image that can be shown", "Choose other roots")
    strips = [pipeline_strip(image) if number == "4" else comparison_strip(image) for image in shown]
    caption = f"{CAPTIONS[number]} {COLOURS}"
    write_page(out.with_suffix(".html"), f"Figure {number}", caption, strips)
    write_picture(out.with_suffix(".png"), strips)
    LOG.info("figure %s: %d images, %d methods; %s", number, len(shown), len(models), out.with_suffix(".html"))


def shown_images(root: Path, models: dict[str, DepthModel], inputs: FigureInputs, threads: int) -> list[Shown]:
    """The first images of a root that can be read, one per work, with each model's depth."""
    split, chosen = choose_images(root, inputs.split, inputs.images)
    titles = {row["image_id"]: f"{row['work_id']} ({split})" for row in chosen}
    truths = _truths(root, chosen)
    stores = {name: CropStore(root, list(titles), model.input, threads) for name, model in models.items()}
    predicted = {
        name: model.predict(stores[name].images[: len(stores[name])], stores[name].masks[: len(stores[name])])
        for name, model in models.items()
    }
    found = []
    for image_id, title in titles.items():
        if not all(image_id in store for store in stores.values()):
            continue  # the store has said why
        first = next(iter(stores.values()))
        row = first.index[image_id]
        depths = {name: predicted[name][store.index[image_id]] for name, store in stores.items()}
        rgb = cut(read_image(first.files[image_id]), first.boxes[row], PANEL)
        truth = _true(truths.get(image_id), first.boxes[row], first.input.image_size)
        found.append(Shown(title, rgb, np.asarray(first.masks[row]), depths, truth))
    return found


def choose_images(root: Path, split: str, count: int) -> tuple[str, list[dict[str, str]]]:
    """One usable image of each of `count` works of a split, chosen by a hash of their ids.

    Returns:
        The split, which is another one where the split asked for has no image, and manifest rows.
    """
    names = ["image_id", "work_id", "image_url", "split", "status"]
    table = read_table(root / "manifest.parquet", MANIFEST).select(names).to_pylist()
    usable = [row for row in table if row["status"] == "ok"]
    for name in (split, *reversed(SPLITS)):
        works: dict[str, dict[str, str]] = {}
        members = (row for row in usable if row["split"] == name)
        for row in sorted(members, key=lambda row: stable_fraction(row["image_id"], "figure")):
            works.setdefault(row["work_id"], row)
        if works:
            if name != split:
                LOG.warning("%s has no image in the split %s; those of %s are shown", root, split, name)
            order = sorted(works, key=lambda work: stable_fraction(work, "figure"))
            return name, [works[work] for work in order[:count]]
    return split, []


def pipeline_strip(image: Shown) -> Strip:
    """Figure 4: image, depth at all points, depth on the foreground, new views."""
    depth = next(iter(image.depths.values()))
    everywhere = np.ones_like(image.mask)
    panels = [
        Panel("(a) image", image.rgb),
        Panel("(b) depth at all points", _coloured(depth, everywhere)),
        Panel("(c) on the foreground", _coloured(depth, image.mask)),
        *_surface("(d) ", image, depth),
    ]
    return Strip(image.title, [("", panels)])


def comparison_strip(image: Shown) -> Strip:
    """Figure 5: for each method the image, its depth and new views; the true depth last, where it is known."""
    rows = [(name, _method_panels(image, depth, image.mask)) for name, depth in image.depths.items()]
    if image.truth is not None:
        rows.append(("truth", _method_panels(image, image.truth, np.isfinite(image.truth))))
    return Strip(image.title, rows)


def _method_panels(image: Shown, depth: FloatArray, mask: BoolArray) -> list[Panel]:
    return [Panel("image", image.rgb), Panel("depth", _coloured(depth, mask)), *_surface("", image, depth)]


def _surface(prefix: str, image: Shown, depth: FloatArray) -> list[Panel]:
    mask = image.mask & np.isfinite(depth)
    relief = with_scale(np.where(mask, depth, 0), mask)
    return [
        Panel(f"{prefix}{angle:+d}°".replace("-", "−"), new_view(image.rgb, relief, mask, angle, PANEL))
        for angle in VIEWS
    ]


def _coloured(depth: FloatArray, mask: BoolArray) -> UInt8Array:
    return depth_colours(*resampled(depth, mask, PANEL))


def _truths(root: Path, rows: list[dict[str, str]]) -> dict[str, Path]:
    """Truth files by image id: of a rendered set, or of a run's museum; empty for photographs."""
    for folder in (root, root / "museum"):
        if (folder / "truth.parquet").exists():
            files = truth_files(folder)
            return {row["image_id"]: files[row["image_url"]] for row in rows if row["image_url"] in files}
    return {}


def _true(path: Path | None, box: CropBox, size: int) -> FloatArray | None:
    return None if path is None else true_depth(load_truth(path), box, size, "half width")

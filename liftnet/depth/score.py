"""Errors of depth that is right only up to what the images leave free, one row an image (section 5.1 of the paper)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.core.types import BoolArray, Float32Array, FloatArray
from liftnet.data.manifest import StoredImage, stored_images, truths_of
from liftnet.data.schemas import SCORES, write_table
from liftnet.data.truth import TrueView, load_truth
from liftnet.depth.crops import CropStore, true_crop
from liftnet.models.depth_input import CropBox, constant_depth, cut_nearest, ellipsoid_depth, inflated_depth
from liftnet.models.depth_networks import InputSettings
from liftnet.models.liftnet import load_model

LOG = get_logger("depth")
PRIORS = {"constant": constant_depth, "inflated": inflated_depth, "ellipsoid": ellipsoid_depth}
Predict = Callable[[CropStore], Float32Array]
ALIGNMENT = "median and scale of each image"


@dataclass(frozen=True)
class Scored:
    """What is measured and where.

    Attributes:
        root: Folder of a run or a rendered set: manifest.parquet, images/, masks/.
        truth: Folder with truth.parquet and its files; `root` for a rendered set.
        name: Name of the set, as it stands in the rows.
        split: Which images of it: train, val or test.
        unit: "half width" (of the crop, the median at the nominal distance) or "cm" (as the truth stands).
    """

    root: Path
    truth: Path
    name: str
    split: str
    unit: str


@dataclass(frozen=True)
class Method:
    """What predicts depth.

    Attributes:
        run: Name in the rows.
        seed: Seed of its training, 0 for a prior.
        input: What it sees of an image.
        predict: From n crops to (n, S, S) depth that grows away from the viewer, up to scale and shift.
    """

    run: str
    seed: int
    input: InputSettings
    predict: Predict


def trained_method(folder: Path, run: str | None = None) -> Method:
    """The model in `folder`, named after it unless `run` says otherwise.

    Raises:
        LiftnetError: It cannot be read.
    """
    model = load_model(folder)
    seed = int(model.notes.get("seed", 0))
    return Method(
        run or folder.name,
        seed,
        model.input,
        lambda store: model.predict(store.images[: len(store)], store.masks[: len(store)]),
    )


def prior_method(name: str, input: InputSettings, run: str | None = None) -> Method:
    """A prior that looks at the mask alone: one of `PRIORS`, named after itself unless `run` says otherwise.

    Raises:
        LiftnetError: There is no such prior.
    """
    if name not in PRIORS:
        raise LiftnetError(f"--prior {name}", "is not known", f"Choose one of {', '.join(PRIORS)}")
    return Method(run or name, 0, input, from_masks(PRIORS[name]))


def from_masks(prior: Callable[[BoolArray], Float32Array]) -> Predict:
    """A prior that looks at the mask alone, applied to all crops of a store."""

    def predict(store: CropStore) -> Float32Array:
        depths = [prior(mask) for mask in store.masks[: len(store)]]
        return np.stack(depths) if depths else np.empty((0, *store.masks.shape[1:]), np.float32)

    return predict


def write_scores(path: Path, method: Method, scored: Scored, threads: int) -> None:
    """Measure `method` and write a table of SCORES, sorted by image.

    Raises:
        LiftnetError: A table cannot be read, the split has no image with true depth, or the file cannot be written.
    """
    torch.set_num_threads(threads)
    rows = score_rows(method, scored, threads)
    write_table(path, rows, SCORES)
    good = [row["rmse"] for row in rows if row["status"] == "ok"]
    LOG.info(
        "%s on %d of %d images of %s (%s): rmse %.4f %s; %s",
        method.run,
        len(good),
        len(rows),
        scored.name,
        scored.split,
        np.mean(good) if good else np.nan,
        scored.unit,
        path,
    )


def score_rows(method: Method, scored: Scored, threads: int) -> list[dict[str, Any]]:
    """One row of SCORES for each image of the split that has true depth.

    Raises:
        LiftnetError: A table cannot be read, or no image of the split has true depth.
    """
    images, truths = images_with_truth(scored)
    store = CropStore(scored.root, list(truths), method.input, threads)
    depths = method.predict(store)

    def measure(image_id: str) -> dict[str, Any]:
        about = {
            "run": method.run,
            "seed": method.seed,
            "set": scored.name,
            "split": scored.split,
            "class": images[image_id].artist_id,
            "work_id": images[image_id].work_id,
            "image_id": image_id,
            "unit": scored.unit,
            "resolution": method.input.image_size,
        }
        if image_id not in store:
            return {**about, "status": "image", "reason": store.failed[image_id]}
        row = store.index[image_id]
        try:
            return {**about, **_errors(depths[row], truths[image_id], store.boxes[row], scored.unit)}
        except LiftnetError as error:
            return {**about, "status": "truth", "reason": str(error)}

    return list(map_threads(measure, sorted(truths), threads, "depth", "measuring depth"))


def images_with_truth(scored: Scored) -> tuple[dict[str, StoredImage], dict[str, Path]]:
    """The stored images of the split that have true depth, and their truth files, by image id.

    Raises:
        LiftnetError: A table cannot be read, or there is none.
    """
    images = {name: image for name, image in stored_images(scored.root).items() if image.split == scored.split}
    truths = truths_of(images, scored.truth)
    if not truths:
        raise LiftnetError(
            scored.root / "manifest.parquet",
            f"has no image of the split {scored.split!r} with true depth in {scored.truth / 'truth.parquet'}",
            "Choose another --split, or name the folder of the truth with --truth",
        )
    return images, truths


def _errors(predicted: Float32Array, truth: Path, box: CropBox, unit: str) -> dict[str, Any]:
    """Columns of a row: status, reason, errors, n_pixels."""
    true = true_depth(load_truth(truth), box, len(predicted), unit)
    visible = np.isfinite(true)
    if not visible.any():
        return {"status": "empty", "reason": "the object is not in the crop"}
    errors = asdict(depth_errors(predicted, true, visible))
    return {"status": "ok", "reason": "", "n_pixels": int(visible.sum()), **errors}


def true_depth(view: TrueView, box: CropBox, size: int, unit: str) -> FloatArray:
    """True depth over a crop.

    Args:
        view: Depth and camera of the whole image.
        box: The crop in it.
        size: Side of the result, px.
        unit: "half width": in half widths of the crop about the nominal distance, see `true_crop`; "cm": the distance
            from the camera as it is, which the truth must give in centimetres.

    Returns:
        (size, size) float; NaN off the object and beyond the image.

    Raises:
        LiftnetError: Centimetres are asked of a truth that is not in centimetres.
    """
    if unit == "half width":
        return true_crop(view, box, size)
    if view.unit != "cm":
        raise LiftnetError("--unit cm", f"the truth is in {view.unit or 'no unit'}", "Use `--unit 'half width'`")
    return cut_nearest(view.depth, box, size).astype(np.float64)


@dataclass(frozen=True)
class DepthErrors:
    """Errors of one image, or their mean over images. Lengths are in half widths of the crop.

    Attributes:
        l1: Mean absolute error after the paper's alignment.
        rmse: Root mean squared error after the paper's alignment.
        rel_l1: Mean of |error| / true depth.
        rel_sq: Mean of error^2 / true depth.
        rmse_affine: Root mean squared error after the best `a d + b x + c y + e`, which is what the loss leaves free.
    """

    l1: float
    rmse: float
    rel_l1: float
    rel_sq: float
    rmse_affine: float


def depth_errors(predicted: FloatArray, true: FloatArray, mask: BoolArray) -> DepthErrors:
    """Compare depth over a mask.

    Args:
        predicted: (H, W).
        true: (H, W), positive on the mask.
        mask: (H, W) bool, at least one pixel.
    """
    d, gt = predicted[mask].astype(np.float64), true[mask].astype(np.float64)
    error = align_as_paper(d, gt) - gt
    rows, columns = (axis.astype(np.float64) for axis in np.nonzero(mask))
    return DepthErrors(
        l1=float(np.abs(error).mean()),
        rmse=float(np.sqrt(np.square(error).mean())),
        rel_l1=float((np.abs(error) / gt).mean()),
        rel_sq=float((np.square(error) / gt).mean()),
        rmse_affine=float(np.sqrt(np.square(align_affine(d, gt, columns, rows) - gt).mean())),
    )


def align_as_paper(predicted: FloatArray, true: FloatArray) -> FloatArray:
    """`alpha (d - beta_1) + beta_2` with the medians `beta_1` of the prediction and `beta_2` of the truth.

    The paper prints `alpha = sum(d gt) / sum(d^2)` without saying whether `d` and `gt` are those before or after the
    medians are taken off. Before, `alpha` would be set by the arbitrary distance of the object from the camera and
    not by its relief (depth 2.7 away with a relief of .2 would be scaled some tenfold), so it is taken on the values
    without their medians, where it is the least squares scale. It may be negative: the loss does not know the sign.

    Args:
        predicted: (N,).
        true: (N,).

    Returns:
        (N,) aligned prediction; the true median everywhere when the prediction is constant.
    """
    d, gt = predicted - np.median(predicted), true - np.median(true)
    energy = float(d @ d)
    alpha = float(d @ gt) / energy if energy > 0 else 0.0
    return alpha * d + np.median(true)


def align_affine(predicted: FloatArray, true: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """The least squares fit of the truth by `a d + b x + c y + e`; all (N,)."""
    columns = np.column_stack([predicted, x, y, np.ones_like(predicted)])
    columns[:, :3] -= columns[:, :3].mean(0)
    spread = np.linalg.norm(columns, axis=0)
    columns /= np.where(spread > 0, spread, 1)
    return columns @ np.linalg.lstsq(columns, true, rcond=None)[0]


def mean_errors(errors: list[DepthErrors]) -> dict[str, float]:
    """The mean of each error over images; NaN without images."""
    names = DepthErrors.__dataclass_fields__
    return {name: float(np.mean([asdict(e)[name] for e in errors])) if errors else float("nan") for name in names}

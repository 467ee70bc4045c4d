"""Errors of a depth map that is right only up to what the images leave free (section 5.1 of the paper)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from liftnet.data.truth import TrueView
from liftnet.models.depth_input import CropBox, cut_nearest

FloatArray = npt.NDArray[np.floating]
VIEWING_DISTANCE = 2.732  # half widths from the camera to the object's median depth; makes relative errors defined
ALIGNMENT = "median and scale of each image"


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


def depth_errors(predicted: FloatArray, true: FloatArray, mask: npt.NDArray[np.bool_]) -> DepthErrors:
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


def true_crop(view: TrueView, box: CropBox, size: int) -> FloatArray:
    """True depth over a crop, in its half widths, with the median at `VIEWING_DISTANCE`.

    Args:
        view: Depth and camera of the whole image.
        box: The crop in it.
        size: Side of the result, px.

    Returns:
        (size, size) float; NaN off the object and beyond the image.
    """
    depth = cut_nearest(view.depth, box, size).astype(np.float64)
    if not np.isfinite(depth).any():
        return depth
    middle = float(np.nanmedian(depth))
    return VIEWING_DISTANCE + (depth - middle) / half_width(view, box, middle)


def half_width(view: TrueView, box: CropBox, depth: float) -> float:
    """Half the width of a crop in world units, at a depth: what turns lengths in half widths into world units."""
    return box.side / 2 / view.camera.pixels_per_unit(depth)

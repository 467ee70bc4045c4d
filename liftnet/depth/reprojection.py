"""The point correspondence loss of LiftNet: reprojection error through the best affine camera.

Wiles and Zisserman, "3D Surface Reconstruction by Pointillism", ECCV Workshops 2018, section 3. The predicted depth
lifts points of the source image, `X = [x, y, d, 1]`; the affine camera that best maps them to the target image is
found by RANSAC and least squares, and the loss is the robust distance that remains. Depth is known only up to
`d -> a d + b x + c y + e`: the camera absorbs any such change, so the loss does not see it.

With `CameraModel` the loss goes beyond the paper: a camera nearer to scaled orthography leaves less of depth free
(`liftnet.depth.camera_fit`).

The camera is solved by the theorem of Frisch, Waugh and Lovell: of the columns x, y, d, 1 only depth depends on the
network, so target and depth are first made orthogonal to 1, x and y, and one number a target coordinate is left to
fit. It is exact least squares, costs O(N), and has finite gradients where the singular value decomposition of the
paper (`fit_camera_by_svd`, the reference) has none: at equal singular values and flat depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from liftnet.depth.camera_fit import (
    RANSAC_ITERATIONS,
    CameraFit,
    fit_camera,
    fit_camera_by_svd,
    fit_orthographic,
    orthography_defect,
    ransac_inliers,
)


class CorrespondenceLoss(NamedTuple):
    """The loss of each pair and what training logs beside it; every field is (B,).

    Attributes:
        loss: Mean robust reprojection error over the pair's correspondences, px^2; carries the gradient.
        median_error: Median reprojection distance, px.
        inlier_share: Share of correspondences within the RANSAC threshold.
        saturated_share: Share of correspondences on the plateau of the robust cost, without gradient.
        camera_scale: Length of the camera's depth column: target pixels a unit of depth.
        defect: How far the camera is from scaled orthography, 0 to 1 (`orthography_defect`).
    """

    loss: Tensor
    median_error: Tensor
    inlier_share: Tensor
    saturated_share: Tensor
    camera_scale: Tensor
    defect: Tensor


@dataclass(frozen=True)
class CameraModel:
    """What the loss asks of the camera.

    Attributes:
        kind: "affine" as in the paper; "affine by svd" for the paper's route to it (equation 6); "orthographic" to
            add what the scaled orthographic camera of least reprojection error leaves over beyond the affine one:
            half the mean squared residual of RANSAC's inliers, saturating at tau^2 (Geman and McClure 1985). Which
            points are outliers, and what they cost, stays the affine camera's matter: at first depth is sheared, and
            all points lie far from an orthographic camera.
        orthography_weight: Weight of the affine camera's defect (`orthography_defect`) in the loss, px^2; paper: 0.
        unit: Pixels of the source a unit of depth, which makes depth and x, y one space; half the image's side.
    """

    kind: Literal["affine", "affine by svd", "orthographic"] = "affine"
    orthography_weight: float = 0.0
    unit: float = 1.0

    def fit(self, source_xy: Tensor, depth: Tensor, target_xy: Tensor, weight: Tensor) -> CameraFit:
        """The affine camera of least squared reprojection error; shapes as in `fit_camera`."""
        solve = fit_camera_by_svd if self.kind == "affine by svd" else fit_camera
        return solve(source_xy, depth, target_xy, weight)


AFFINE = CameraModel()


@dataclass(frozen=True)
class Criterion:
    """What a camera is judged by.

    Attributes:
        threshold: RANSAC's inlier distance T, px.
        tau: Distance at which the robust cost saturates, px; `inf` for no robust cost.
        ransac_iterations: Four-point samples that RANSAC tries.
        camera: The camera and what is asked of it.
    """

    threshold: float
    tau: float
    ransac_iterations: int = RANSAC_ITERATIONS
    camera: CameraModel = AFFINE


def robust_cost(squared_error: Tensor, tau: float) -> Tensor:
    """R of section 3.2: e^2/2 (1 - e^2/(2 tau^2)) up to e = tau, the constant tau^2/4 beyond.

    Args:
        squared_error: Squared distances, px^2, any shape.
        tau: Distance at which the cost saturates, px; `inf` gives the plain e^2/2.

    Returns:
        The cost, px^2, of the same shape. Its gradient is exactly 0 beyond tau.
    """
    if tau == float("inf"):
        return 0.5 * squared_error
    capped = squared_error.clamp(max=tau * tau)
    return 0.5 * capped * (1 - capped / (2 * tau * tau))


def correspondence_loss(
    source_xy: Tensor,
    depth: Tensor,
    target_xy: Tensor,
    mask: Tensor,
    threshold: float,
    tau: float,
    generator: torch.Generator,
) -> Tensor:
    """Mean robust reprojection error of each pair (equation 1).

    Args:
        source_xy: (B, N, 2), px of the source, x right and y down.
        depth: (B, N) predicted depth at these points; carries the gradient.
        target_xy: (B, N, 2) the same points in the target, px.
        mask: (B, N) bool, False for rows that only fill up the batch.
        threshold: RANSAC's inlier distance T, px.
        tau: Distance at which the robust cost saturates, px; `inf` for no robust cost.
        generator: Source of the RANSAC samples.

    Returns:
        (B,) px^2. A row without correspondences has loss 0 and gradient 0.
    """
    return correspondence_terms(source_xy, depth, target_xy, mask, generator, Criterion(threshold, tau)).loss


def correspondence_terms(
    source_xy: Tensor,
    depth: Tensor,
    target_xy: Tensor,
    mask: Tensor,
    generator: torch.Generator,
    criterion: Criterion,
) -> CorrespondenceLoss:
    """`correspondence_loss`, whose shapes these are, with the figures that training logs.

    `criterion` says which points agree, what the others cost, and what is asked of the camera.
    """
    threshold, tau, camera = criterion.threshold, criterion.tau, criterion.camera
    inliers = ransac_inliers(
        source_xy, depth.detach(), target_xy, mask, threshold, generator, criterion.ransac_iterations
    )
    # rows that only fill up the batch may hold anything, even NaN: keep them out of every sum
    source_xy, target_xy = (points.masked_fill(~mask[..., None], 0) for points in (source_xy, target_xy))
    depth = depth.masked_fill(~mask, 0)
    weight = inliers.to(depth.dtype)
    fit = camera.fit(source_xy, depth, target_xy, weight)
    squared = fit.residual.square().sum(1)
    count = mask.sum(1).clamp_min(1)
    loss = robust_cost(squared, tau).masked_fill(~mask, 0).sum(1) / count
    defect = orthography_defect(fit.camera, camera.unit)
    if camera.orthography_weight:
        loss = loss + camera.orthography_weight * defect
    if camera.kind == "orthographic":
        constrained = fit_orthographic(source_xy, depth, target_xy, weight, fit.camera.detach(), camera.unit)
        excess = 0.5 * (weight * (constrained.residual.square().sum(1) - squared)).sum(1) / count
        # a pair that no such camera explains, or depth that is far off yet, must not outweigh the batch
        loss = loss + excess / (1 + excess / tau**2)
    error = squared.detach().sqrt()
    return CorrespondenceLoss(
        loss=loss,
        median_error=error.masked_fill(~mask, torch.nan).nanmedian(1).values.nan_to_num(0),
        inlier_share=((error < threshold) & mask).sum(1) / count,
        saturated_share=((error >= tau) & mask).sum(1) / count,
        camera_scale=fit.camera[:, :, 2].detach().norm(dim=1),
        defect=defect.detach(),
    )

"""Robust affine two-view geometry of many pairs at once, in torch: what `liftnet.geometry.affine` does, batched.

The pairs of a batch have up to N matches each; a mask says which are there. Everything runs on the device of the
points, CPU or CUDA. Fits are in float64 whatever the dtype of the points, hypotheses are scored in float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from liftnet.geometry.consensus import Search
from liftnet.geometry.torch_flats import Flats, find_flats


@dataclass(frozen=True, eq=False)
class TwoViews:
    """Models of B pairs of images with up to N matches each.

    Attributes:
        inliers: (B, N) bool, residual below the threshold; False where there is no match.
        residuals: (B, N) px, as in `liftnet.geometry.affine`; infinite without a model and where there is no match.
        hypotheses: (B,) int64, minimal samples tried.
        found: (B,) bool, whether there is a model; without one its numbers are NaN and no match is an inlier.
    """

    inliers: Tensor
    residuals: Tensor
    hypotheses: Tensor
    found: Tensor

    @property
    def n_inliers(self) -> Tensor:
        """(B,) int64, number of inliers."""
        return self.inliers.sum(dim=1)

    def __len__(self) -> int:
        return len(self.found)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(self.found.sum())} of {len(self)} pairs have a model)"


@dataclass(frozen=True, eq=False, repr=False)
class AffineFundamentals(TwoViews):
    """Affine fundamental matrices, a x' + b y' + c x + d y + e = 0.

    Attributes:
        f: (B, 5) a, b, c, d, e with |(a, b, c, d)| = 1; NaN without a model.
    """

    f: Tensor


@dataclass(frozen=True, eq=False, repr=False)
class AffineHomographies(TwoViews):
    """Affine maps of image a to image b, (x', y') = A (x, y) + t.

    Attributes:
        matrix: (B, 2, 3), A beside t; NaN without a model.
    """

    matrix: Tensor


def estimate_affine_fundamentals(
    points_a: Tensor,
    points_b: Tensor,
    mask: Tensor | None,
    threshold: Tensor | float,
    generator: torch.Generator | None = None,
    search: Search | None = None,
) -> AffineFundamentals:
    """Estimate the affine fundamental matrix of each pair of a batch by RANSAC.

    Samples, scores, local optimisation and stop are those of `liftnet.geometry.affine.estimate_affine_fundamental`;
    the samples themselves differ, since they come from another generator.

    Args:
        points_a: (B, N, 2) points in image a.
        points_b: (B, N, 2) matched points in image b, of the same dtype and device.
        mask: (B, N) bool, which matches are there; None if all are. What stands in the other places does not matter.
        threshold: Largest residual of an inlier, in px: one number or (B,).
        generator: Source of the samples, on the device of the points; the same state gives the same result for the
            same batch.
        search: Confidence and largest number of samples.

    Returns:
        The models in the dtype and on the device of the points, also for B = 0 and N = 0.

    Raises:
        ValueError: The shapes do not agree, a match that is there is not finite, or a threshold is not positive.
    """
    batch = _Batch.of(points_a, points_b, mask, threshold)
    flats, tried = find_flats(batch.joint, batch.mask, 1, batch.threshold, generator, search or Search())
    inliers, residuals = batch.consent(flats)
    f = torch.cat([flats.normals[:, 0], flats.offsets], dim=1)
    largest = f[:, :4].abs().argmax(dim=1, keepdim=True)
    f = f * f.gather(1, largest).sign()
    f[~flats.found] = torch.nan
    return AffineFundamentals(inliers, residuals, tried, flats.found, f.to(points_a.dtype))


def estimate_affine_homographies(
    points_a: Tensor,
    points_b: Tensor,
    mask: Tensor | None,
    threshold: Tensor | float,
    generator: torch.Generator | None = None,
    search: Search | None = None,
) -> AffineHomographies:
    """Estimate the affine homography of each pair of a batch; arguments as in `estimate_affine_fundamentals`."""
    batch = _Batch.of(points_a, points_b, mask, threshold)
    flats, tried = find_flats(batch.joint, batch.mask, 2, batch.threshold, generator, search or Search())
    inliers, residuals = batch.consent(flats)
    found = flats.found[:, None, None]
    in_b = torch.where(found, flats.normals[:, :, :2], torch.eye(2, dtype=torch.float64, device=found.device))
    rest = torch.cat([flats.normals[:, :, 2:], flats.offsets[:, :, None]], dim=2)
    matrix = torch.where(found, -torch.linalg.solve(in_b, rest), torch.nan)
    return AffineHomographies(inliers, residuals, tried, flats.found, matrix.to(points_a.dtype))


@dataclass(frozen=True, eq=False)
class _Batch:
    joint: Tensor  # (B, N, 4) float64, 0 where there is no match
    mask: Tensor  # (B, N) bool
    threshold: Tensor  # (B,) float64
    dtype: torch.dtype

    @classmethod
    def of(cls, points_a: Tensor, points_b: Tensor, mask: Tensor | None, threshold: Tensor | float) -> _Batch:
        if points_a.ndim != 3 or points_a.shape[2] != 2 or points_a.shape != points_b.shape:
            shapes = f"{tuple(points_a.shape)} and {tuple(points_b.shape)}"
            raise ValueError(f"matched points must be two tensors of one shape (B, N, 2), not {shapes}")
        shape, device = points_a.shape[:2], points_a.device
        if mask is None:
            mask = torch.ones(shape, dtype=torch.bool, device=device)
        if mask.shape != shape or mask.dtype != torch.bool:
            raise ValueError(f"the mask must be bool of shape {tuple(shape)}, not {mask.dtype} {tuple(mask.shape)}")
        limits = torch.as_tensor(threshold, dtype=torch.float64, device=device)
        if limits.ndim > 1 or (limits.ndim == 1 and len(limits) != shape[0]):
            raise ValueError(f"the threshold must be one number or ({shape[0]},), not {tuple(limits.shape)}")
        if not bool((torch.isfinite(limits) & (limits > 0)).all()):
            raise ValueError("every threshold must be positive and finite")
        joint = torch.cat([points_b, points_a], dim=2).to(torch.float64)
        joint = torch.where(mask[:, :, None], joint, 0.0)
        if not bool(torch.isfinite(joint).all()):
            raise ValueError("matched points must be finite")
        return cls(joint, mask, limits.expand(shape[0]), points_a.dtype)

    def consent(self, flats: Flats) -> tuple[Tensor, Tensor]:
        residuals = flats.residuals(self.joint)
        there = self.mask & flats.found[:, None]
        residuals = torch.where(there, residuals, torch.inf)
        return residuals < self.threshold[:, None], residuals.to(self.dtype)

"""Errors of matches against the true depth and cameras of rendered views."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.data.manifest import StoredImage
from liftnet.data.truth import TrueView, load_truth, truth_files

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
SAME_SURFACE = 0.01  # depths that differ by less than this fraction lie on one surface
CORRECT_PX = 2.0  # a match this near the true position is correct; a keypoint this near could have been matched
VIEWS_IN_MEMORY = 64  # about 2 MB each


class TrueViews:
    """The true views of a museum, by image id; the last ones read stay in memory.

    Attributes:
        files: The file of each image that the museum knows.

    Raises:
        LiftnetError: The museum cannot be read, or knows none of the images.
    """

    def __init__(self, museum: Path, images: Iterable[StoredImage]) -> None:
        files = truth_files(museum)
        self.files = {image.image_id: files[image.image_url] for image in images if image.image_url in files}
        self._read = lru_cache(VIEWS_IN_MEMORY)(load_truth)
        if not self.files:
            raise LiftnetError(museum, "knows none of the images in the manifest", "Name the museum they come from")

    def __contains__(self, image_id: str) -> bool:
        return image_id in self.files

    def __getitem__(self, image_id: str) -> TrueView:
        return self._read(self.files[image_id])


def transfer_errors(
    view_a: TrueView, view_b: TrueView, points_a: npt.NDArray[Any], points_b: npt.NDArray[Any]
) -> tuple[FloatArray, BoolArray]:
    """How far matched points in image b lie from where the points in image a truly are.

    Args:
        view_a: Truth of image a.
        view_b: Truth of image b.
        points_a: (N, 2) px.
        points_b: (N, 2) px.

    Returns:
        (N,) distances in px in image b, infinite where the point in image a is off the object; and (N,) bool, whether
        the true point can be seen in image b.
    """
    true_b, visible = true_positions(view_a, view_b, points_a)
    distance = np.hypot(*(true_b - np.asarray(points_b, np.float64)).T)
    return np.where(np.isnan(true_b[:, 0]), np.inf, distance), visible


def true_positions(view_a: TrueView, view_b: TrueView, points_a: npt.NDArray[Any]) -> tuple[FloatArray, BoolArray]:
    """Where the surface seen at points of image a lies in image b.

    Args:
        view_a: Truth of image a.
        view_b: Truth of image b.
        points_a: (N, 2) px.

    Returns:
        (N, 2) px in image b, NaN where the point in image a is off the object; and (N,) bool, whether it can be seen
        there: inside the image, and not behind another surface.
    """
    points_a = np.asarray(points_a, np.float64)
    depth, _ = depth_at(view_a.depth, points_a)
    on_object = np.isfinite(depth)
    positions, visible = np.full(points_a.shape, np.nan), np.zeros(len(points_a), np.bool_)
    world = view_a.camera.unproject(points_a[on_object], depth[on_object])
    positions[on_object], distance = view_b.camera.project(world)
    _, farthest = depth_at(view_b.depth, positions[on_object])
    with np.errstate(invalid="ignore"):  # NaN off the object: not visible
        visible[on_object] = (distance > 0) & (distance <= farthest * (1 + SAME_SURFACE))
    return positions, visible


def depth_at(depth: npt.NDArray[Any], points: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Depth between pixel centres.

    Bilinear in the pixels of the object; where these are of two surfaces, the nearest one's.

    Args:
        depth: (H, W), NaN off the object.
        points: (N, 2) px.

    Returns:
        (N,) depth, and (N,) the largest depth of the four pixels around; both NaN where none is on the object.
    """
    height, width = depth.shape
    points = np.nan_to_num(points, nan=-9, posinf=-9, neginf=-9).clip(-9, max(height, width) + 9)  # -9: off any image
    base = np.floor(points).astype(np.int64)
    share = points - base
    columns = base[:, :1] + np.array([0, 1, 0, 1])
    rows = base[:, 1:] + np.array([0, 0, 1, 1])
    valid = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    corners = np.full(columns.shape, np.nan)
    corners[valid] = depth[rows[valid], columns[valid]]
    x, y = share[:, :1], share[:, 1:]
    weights = np.hstack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y])
    weights = np.where(np.isfinite(corners), np.maximum(weights, 1e-12), 0)
    some = weights.max(axis=1) > 0
    lowest = np.where(np.isfinite(corners), corners, np.inf).min(axis=1)
    highest = np.where(np.isfinite(corners), corners, -np.inf).max(axis=1)
    two_surfaces = some & (highest > lowest * (1 + SAME_SURFACE))
    nearest = weights == weights.max(axis=1, keepdims=True)
    weights = np.where(two_surfaces[:, None] & ~nearest, 0, weights)
    total = np.where(some, weights.sum(axis=1), 1)
    value = (weights * np.nan_to_num(corners)).sum(axis=1) / total
    return np.where(some, value, np.nan), np.where(some, highest, np.nan)

"""Matches against the true depth and cameras of rendered views: their errors, and how much was found.

The truth says for every point of image a where it lies in image b and whether it can be seen there, so it also says
what could have been found: keypoints with a partner, and the surface that both images show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from liftnet.core.errors import LiftnetError
from liftnet.data.features import read_features
from liftnet.data.manifest import StoredImage
from liftnet.data.truth import TrueView, load_truth, truth_files

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]
SAME_SURFACE = 0.01  # depths that differ by less than this fraction lie on one surface
CORRECT_PX = 2.0  # a match this near the true position is correct; a keypoint this near could have been matched
VIEWS_IN_MEMORY = 64  # about 2 MB each
NEARBY_FRACTION = 0.02  # of the long side of image a: a correct match covers the surface this far around it
SAMPLES_ALONG = 120  # samples of the surface along the long side of image a
IMAGES_IN_MEMORY = 64


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


@dataclass(frozen=True)
class Recall:
    """What was found in one pair, out of what could have been; sums of pairs are sums of their parts.

    Attributes:
        matched: Places of keypoints of image a with a correct match.
        matchable: Places of keypoints of image a whose true position in image b can be seen and has a keypoint of b
            within CORRECT_PX; None where the keypoints are not known.
        covered: Samples of the surface seen in both images with a correct match nearby.
        surface: Samples of the surface seen in both images.
    """

    matched: int
    matchable: int | None
    covered: int
    surface: int


class Oracle:
    """What could be found in a pair of views.

    Args:
        view_a: Truth of image a.
        view_b: Truth of image b.
        keypoints_a: (N, 2) px in image a; None where they are not known.
        keypoints_b: A search tree over the keypoints of image b; None where they are not known.
    """

    def __init__(
        self, view_a: TrueView, view_b: TrueView, keypoints_a: FloatArray | None, keypoints_b: KDTree | None
    ) -> None:
        long_side = max(view_a.depth.shape)
        self.radius = NEARBY_FRACTION * long_side
        self.surface = visible_surface(view_a, view_b, long_side / SAMPLES_ALONG)
        self.matchable = None
        if keypoints_a is not None and keypoints_b is not None:
            self.matchable = count_matchable(view_a, view_b, keypoints_a, keypoints_b)

    def recall(self, points_a: FloatArray, correct: npt.NDArray[np.bool_]) -> Recall:
        """The recall of matches at (N, 2) px in image a, of which `correct` (N,) are so."""
        right = np.asarray(points_a)[correct]
        if not len(right):
            return Recall(0, self.matchable, 0, len(self.surface))
        covered = 0
        if len(self.surface):
            distance, _ = KDTree(right).query(self.surface, distance_upper_bound=self.radius)
            covered = int(np.isfinite(distance).sum())
        return Recall(len(np.unique(right, axis=0)), self.matchable, covered, len(self.surface))


def visible_surface(view_a: TrueView, view_b: TrueView, step: float) -> FloatArray:
    """Points of image a on the object that can be seen in image b.

    Args:
        view_a: Truth of image a.
        view_b: Truth of image b.
        step: Distance between points along x and y, in px.

    Returns:
        (S, 2) px.
    """
    height, width = view_a.depth.shape
    x, y = (np.arange(step / 2, size, step) - 0.5 for size in (width, height))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    column, row = np.rint(grid).astype(np.int64).T
    grid = grid[view_a.mask[row.clip(0, height - 1), column.clip(0, width - 1)]]
    _, visible = true_positions(view_a, view_b, grid)
    return grid[visible]


def count_matchable(view_a: TrueView, view_b: TrueView, keypoints_a: FloatArray, keypoints_b: KDTree) -> int:
    """Places of keypoints of image a whose true position in b can be seen and has a keypoint within CORRECT_PX.

    Args:
        view_a: Truth of image a.
        view_b: Truth of image b.
        keypoints_a: (N, 2) px; several at one place count once.
        keypoints_b: A search tree over those of image b.
    """
    if not len(keypoints_a) or not keypoints_b.n:
        return 0
    positions, visible = true_positions(view_a, view_b, np.unique(keypoints_a, axis=0))
    distance, _ = keypoints_b.query(positions[visible], distance_upper_bound=np.nextafter(CORRECT_PX, np.inf))
    return int(np.isfinite(distance).sum())


class KeypointFolder:
    """The keypoints of a run's images, in the folder of the recipe that its matches were made with.

    Several recipes may lie side by side. The right one holds the keypoints that were matched.

    Attributes:
        folder: Folder of the recipe; None where no recipe holds the matched keypoints.
    """

    def __init__(self, features: Path, matched: Mapping[str, FloatArray]) -> None:
        """Find the recipe below `features` by matched points (N, 2) of some images."""
        recipes = sorted(path for path in features.glob("*") if path.is_dir())
        self.folder = next((recipe for recipe in recipes if _holds(recipe, matched)), None)
        self._read = lru_cache(IMAGES_IN_MEMORY)(self._read_uncached)

    def keypoints(self, image_id: str) -> tuple[FloatArray, KDTree] | tuple[None, None]:
        """(N, 2) px and a search tree over them; (None, None) where they are not known."""
        return self._read(image_id)

    def _read_uncached(self, image_id: str) -> tuple[FloatArray, KDTree] | tuple[None, None]:
        path = self.folder and self.folder / f"{image_id}.safetensors"
        if path is None or not path.is_file():
            return None, None
        keypoints = read_features(path).keypoints
        return keypoints, KDTree(keypoints)


def _holds(recipe: Path, matched: Mapping[str, FloatArray]) -> bool:
    """Whether the recipe has a file for each image, with each matched point among its keypoints."""
    files = {image_id: recipe / f"{image_id}.safetensors" for image_id in matched}
    if not matched or not all(file.is_file() for file in files.values()):
        return False
    return all(_contains(read_features(file).keypoints, matched[image_id]) for image_id, file in files.items())


def _contains(keypoints: FloatArray, points: FloatArray) -> bool:
    """Whether every point (N, 2) is one of the keypoints (M, 2), to the last bit of single precision."""
    return not len(points) or bool(len(keypoints) and KDTree(keypoints).query(points)[0].max() == 0)

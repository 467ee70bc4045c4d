"""Points seen in several photographs: verified correspondences joined into tracks, with scale and direction.

They stand for the structure-from-motion points that LIFT (Yi et al., ECCV 2016) and PhotoTour (Winder and Brown, CVPR
2007), on which HardNet was trained, are made of. Here the points come from the correspondences of the dataset, which
an affine epipolar geometry has verified.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn import functional

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger, progress
from liftnet.core.types import BoolArray, Float32Array, Int64Array, UInt8Array
from liftnet.data.dataset import Pair, count_pairs, read_pairs
from liftnet.data.empty_splits import warn_of_empty_splits
from liftnet.data.feature_kinds import SIFT
from liftnet.data.features import Features, read_features
from liftnet.data.pictures import read_image
from liftnet.drkfs.patches import sample_patches
from liftnet.learn.hold_out import hold_out

GRID = 32  # coordinates of the dataset are whole multiples of 1/32 px
FIXED_SCALE = 1.6  # px, where no cache of features says better: the blur that SIFT takes a camera's image to have
HELD_OUT_FRACTION = 0.15  # of the works
MOVED_PX = 2.2  # how far alignment moves a correspondence from its keypoint at most, in `verify`
MOST_AT_A_PLACE = 4  # features of one keypoint, one for each dominant direction


@dataclass(frozen=True, eq=False)
class PointSet:
    """Observations of points: each is one place in one image.

    Attributes:
        images: Ids of the images.
        works: The work that each image shows.
        sizes: (width, height) of each image, px.
        image: (N,) index into `images`.
        xy: (N, 2) px, (0, 0) the centre of the top-left pixel.
        scale: (N,) px, standard deviation of the blur at which SIFT found the point.
        angle: (N,) radians, SIFT's dominant direction, from x towards y (y down).
        track: (N,) which point it is, seen in that direction; at least two observations each.
        place: (N,) which point it is, whatever the direction.
    """

    images: tuple[str, ...]
    works: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    image: Int64Array
    xy: Float32Array
    scale: Float32Array
    angle: Float32Array
    track: Int64Array
    place: Int64Array

    def __len__(self) -> int:
        return len(self.image)

    def __repr__(self) -> str:
        return f"PointSet({len(self)} observations of {self.tracks} points in {len(self.images)} images)"

    def of_images(self, chosen: BoolArray) -> PointSet:
        """The observations in some images, (number of images,) bool; points are numbered anew."""
        rows = chosen[self.image]
        numbers = np.cumsum(chosen) - 1
        _, track = np.unique(self.track[rows], return_inverse=True)
        _, place = np.unique(self.place[rows], return_inverse=True)
        images, works = (tuple(np.array(names)[chosen].tolist()) for names in (self.images, self.works))
        columns = (self.xy[rows], self.scale[rows], self.angle[rows])
        sizes = tuple(size for size, kept in zip(self.sizes, chosen.tolist(), strict=True) if kept)
        return PointSet(images, works, sizes, numbers[self.image[rows]], *columns, track, place)

    @property
    def tracks(self) -> int:
        """Number of points."""
        return int(self.track.max()) + 1 if len(self) else 0


class Tracks:
    """Nodes of several images; those that links join, directly or through others, are one track.

    >>> tracks = Tracks([2, 3])  # two nodes in the first image, three in the second
    >>> tracks.join(0, np.array([1]), 1, np.array([2]))
    >>> image, node = tracks.joined()
    >>> image.tolist(), node.tolist(), tracks.track_of(image, node).tolist()
    ([0, 1], [1, 2], [0, 0])
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        """Take the number of nodes of each image."""
        self._starts: Int64Array = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._links: list[Int64Array] = []

    def join(self, first: int, nodes: Int64Array, second: int, others: Int64Array) -> None:
        """Link (N,) nodes of the image of number `first` with as many of the image `second`, one by one."""
        self._links.append(np.stack([self._starts[first] + nodes, self._starts[second] + others]))

    def joined(self) -> tuple[Int64Array, Int64Array]:
        """(N,) image and (N,) node of all nodes that a link joins, in order."""
        nodes = np.unique(self._all_links())
        image = np.searchsorted(self._starts, nodes, side="right") - 1
        return image, nodes - self._starts[image]

    def track_of(self, image: Int64Array, node: Int64Array) -> Int64Array:
        """(N,) the track of each of N nodes; tracks are numbered through among those asked for."""
        links, count = self._all_links(), int(self._starts[-1])
        graph = coo_matrix((np.ones(links.shape[1], np.int8), tuple(links)), shape=(count, count))
        _, track = connected_components(graph, directed=False)
        numbers: Int64Array = np.unique(track[self._starts[image] + node], return_inverse=True)[1].astype(np.int64)
        return numbers

    def _all_links(self) -> Int64Array:
        """(2, N) nodes numbered through."""
        return np.concatenate([np.empty((2, 0), np.int64), *self._links], axis=1)


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """The features of an image, and the places where they lie: one feature for each dominant direction of a keypoint.

    Attributes:
        xy: (F, 2) px.
        scale: (F,) px.
        angle: (F,) radians.
        descriptors: (F, 128), None where nothing is known of the features.
        place: (F,) where each feature lies, an index into `keys`.
        keys: (P,) the coordinates of each place as one number, ascending.
    """

    xy: Float32Array
    scale: Float32Array
    angle: Float32Array
    descriptors: UInt8Array | None
    place: Int64Array
    keys: Int64Array

    @classmethod
    def of(cls, features: Features) -> ImageFeatures:
        """Features from the cache of the stage `match`, with scales and orientations."""
        keys, place = np.unique(_key(features.keypoints), return_inverse=True)
        columns = (features.keypoints, *features.frames, features.bytes)
        return cls(*columns, place.astype(np.int64), keys)

    @classmethod
    def at(cls, points: Float32Array) -> ImageFeatures:
        """Upright features of one scale, one at each of the places (N, 2) px."""
        keys = np.unique(_key(points))
        xy = _points_of(keys)
        count = len(keys)
        scale, angle = np.full(count, FIXED_SCALE, np.float32), np.zeros(count, np.float32)
        return cls(xy, scale, angle, None, np.arange(count), keys)

    @cached_property
    def at_place(self) -> Int64Array:
        """(P, 4) features at each place, -1 where there are fewer."""
        order = np.argsort(self.place, kind="stable")
        first = np.searchsorted(self.place[order], np.arange(len(self.keys)))
        rank = np.arange(len(order)) - first[self.place[order]]
        features = np.full((len(self.keys), MOST_AT_A_PLACE), -1, np.int64)
        kept = rank < MOST_AT_A_PLACE
        features[self.place[order][kept], rank[kept]] = order[kept]
        return features

    def places_of(self, points: Float32Array) -> Int64Array:
        """(N,) the place nearest to each of the points (N, 2) px, -1 for a point without one within MOVED_PX."""
        if not len(self.keys) or not len(points):
            return np.full(len(points), -1, np.int64)
        distance, place = KDTree(_points_of(self.keys)).query(points, distance_upper_bound=MOVED_PX)
        return np.where(np.isfinite(distance), place, -1).astype(np.int64)


def load_points(root: Path, dataset: Path, split: str) -> PointSet:
    """Join the correspondences of a split into points.

    Args:
        root: A run's results; where it holds `features/`, scale and direction of each point come from there, else all
            points are upright and of scale 1.6 px.
        dataset: Folder of the dataset.
        split: "train", "val" or "test".

    Raises:
        LiftnetError: The split has no pairs, or a file of it cannot be read.
    """
    pairs = list(read_pairs(dataset, split))
    if not pairs:
        raise LiftnetError(dataset, f"has no pairs in the split {split}", "Collect more works, or more artists")
    known = {pair.image_a: (pair.work_id, pair.size_a) for pair in pairs}
    known |= {pair.image_b: (pair.work_id, pair.size_b) for pair in pairs}
    images = sorted(known)
    cache = find_features(root, images)
    if cache is None:
        get_logger("drkfs").info("%s holds no SIFT features of these images: points are upright, of one scale", root)
    features = {image: _features_of(image, pairs, cache) for image in images}
    return _points(pairs, features, known)


def load_division(root: Path, dataset: Path) -> tuple[PointSet, PointSet]:
    """Points to learn from, and points of works held out from them.

    The split "val" is held out; where it is empty, some works of "train" are.

    Raises:
        LiftnetError: There are too few works, or a file cannot be read.
    """
    counts = count_pairs(dataset)
    warn_of_empty_splits(get_logger("drkfs"), dataset, counts, "pairs")
    train = load_points(root, dataset, "train")
    if counts.get("val"):
        return train, load_points(root, dataset, "val")
    works = sorted(set(train.works))
    if len(works) < 2:
        raise LiftnetError(dataset, "has pairs of one work only, so nothing can be held out", "Collect more works")
    _, chosen = hold_out(works, str, HELD_OUT_FRACTION, "held out")
    held_out = np.isin(train.works, chosen)
    return train.of_images(~held_out), train.of_images(held_out)


def find_features(root: Path, images: Iterable[str]) -> Path | None:
    """The newest folder below `root`/features that holds SIFT features of all `images`; None if there is none."""
    folders = [folder for folder in (root / "features").glob("*") if folder.is_dir()]
    needed = [f"{image}.safetensors" for image in images]
    for folder in sorted(folders, key=lambda path: (path.stat().st_mtime, path.name), reverse=True):
        there = all((folder / name).exists() for name in needed)
        if there and all(read_features(folder / name).kind == SIFT for name in needed[:1]):
            return folder
    return None


def _key(points: Float32Array) -> Int64Array:
    x, y = np.rint(points.astype(np.float64) * GRID).astype(np.int64).T
    return (x << 32) + y


def _points_of(keys: Int64Array) -> Float32Array:
    """(N, 2) px, what `_key` was made of."""
    return (np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1) / GRID).astype(np.float32)


def _features_of(image: str, pairs: list[Pair], cache: Path | None) -> ImageFeatures:
    """The features of one image; without a cache one at each of its correspondences."""
    if cache is not None:
        return ImageFeatures.of(read_features(cache / f"{image}.safetensors"))
    here = [pair.points_a for pair in pairs if pair.image_a == image]
    return ImageFeatures.at(np.concatenate(here + [pair.points_b for pair in pairs if pair.image_b == image]))


def _points(
    pairs: list[Pair], features: dict[str, ImageFeatures], known: dict[str, tuple[str, tuple[int, int]]]
) -> PointSet:
    """Join matched features, and the places where they lie; what is joined is a point."""
    number = {image: index for index, image in enumerate(features)}
    sides = list(features.values())
    directed, places = Tracks([len(side.xy) for side in sides]), Tracks([len(side.keys) for side in sides])
    for pair in pairs:
        a, b = features[pair.image_a], features[pair.image_b]
        first, second = _matched(pair, a, b)
        ends = number[pair.image_a], number[pair.image_b]
        directed.join(ends[0], first, ends[1], second)
        places.join(ends[0], a.place[first], ends[1], b.place[second])
    image, feature = directed.joined()
    rows = [feature[image == index] for index in range(len(sides))]  # of each image, in the order of `image`
    columns = list(zip(sides, rows, strict=True))
    works, sizes = zip(*(known[image] for image in features), strict=True)
    return PointSet(
        tuple(features),
        works,
        sizes,
        image,
        np.concatenate([side.xy[chosen] for side, chosen in columns]),
        np.concatenate([side.scale[chosen] for side, chosen in columns]),
        np.concatenate([side.angle[chosen] for side, chosen in columns]),
        directed.track_of(image, feature),
        places.track_of(image, np.concatenate([side.place[chosen] for side, chosen in columns])),
    )


def _matched(pair: Pair, a: ImageFeatures, b: ImageFeatures) -> tuple[Int64Array, Int64Array]:
    """The features that a pair's correspondences join, (N,) of each image.

    Several features may lie at one place; those whose descriptors are closest have been matched.
    """
    at_a, at_b = a.places_of(pair.points_a), b.places_of(pair.points_b)
    found = (at_a >= 0) & (at_b >= 0)
    options_a, options_b = a.at_place[at_a[found]], b.at_place[at_b[found]]
    if a.descriptors is None or b.descriptors is None:
        return options_a[:, 0], options_b[:, 0]
    left, right = a.descriptors[options_a].astype(np.float32), b.descriptors[options_b].astype(np.float32)
    alike = np.einsum("nik,njk->nij", left, right)  # RootSIFT has one length, so the largest product is the closest
    alike[(options_a < 0)[:, :, None] | (options_b < 0)[:, None, :]] = -1
    best = alike.reshape(len(alike), -1).argmax(axis=1) if len(alike) else np.empty(0, np.int64)
    rows = np.arange(len(best))
    return options_a[rows, best // MOST_AT_A_PLACE], options_b[rows, best % MOST_AT_A_PLACE]


LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


def read_gray(path: Path) -> Tensor:
    """(H, W) float32 in [0, 1], the luminance of an image file (ITU-R BT.601).

    Raises:
        BadImageError: The file is missing or no image.
    """
    return torch.from_numpy(read_image(path).astype(np.float32) @ np.array(LUMINANCE, np.float32) / 255)


def photo_tour_patches(points: PointSet, images: Path, patch_scale: float) -> UInt8Array:
    """(N, 32, 32) patches of all observations, turned and scaled as SIFT says.

    They are cut at 64 x 64 and halved, as the patches of PhotoTour for HardNet.

    Args:
        points: The observations.
        images: Folder of `<image_id>.jpg`.
        patch_scale: Side of a patch, in standard deviations of the point's blur.

    Raises:
        BadImageError: An image cannot be read.
    """
    patches = np.empty((len(points), 32, 32), np.uint8)
    for number, name in progress(list(enumerate(points.images)), "drkfs", "cutting patches, images"):
        rows = np.flatnonzero(points.image == number)
        xy, scale, angle = (torch.from_numpy(values[rows]) for values in (points.xy, points.scale, points.angle))
        cut = sample_patches(read_gray(images / f"{name}.jpg"), xy, scale * patch_scale, angle, 64)
        patches[rows] = (functional.avg_pool2d(cut[:, None], 2)[:, 0] * 255).round().byte().numpy()
    return patches

"""Points seen in several photographs: verified correspondences joined into tracks, with scale and direction.

They stand for the structure-from-motion points that LIFT (Yi et al., ECCV 2016) and PhotoTour (Winder and Brown, CVPR
2007), on which HardNet was trained, are made of. Here the points come from the correspondences of the dataset, which
an affine epipolar geometry has verified.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_fraction
from liftnet.core.log import get_logger
from liftnet.data.dataset import Pair, read_pairs
from liftnet.data.features import Features, read_features

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
GRID = 32  # coordinates of the dataset are whole multiples of 1/32 px
FIXED_SCALE = 1.6  # px, where no cache of features says better: the blur that SIFT takes a camera's image to have
HELD_OUT = 0.15  # share of the works
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
    image: Indices
    xy: Floats
    scale: Floats
    angle: Floats
    track: Indices
    place: Indices

    def __len__(self) -> int:
        return len(self.image)

    def __repr__(self) -> str:
        return f"PointSet({len(self)} observations of {self.tracks} points in {len(self.images)} images)"

    def of_images(self, chosen: npt.NDArray[np.bool_]) -> PointSet:
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


@dataclass(frozen=True, eq=False)
class _Places:
    """The places of an image's features: a sorted key for each place, and the features that lie there."""

    keys: Indices
    features: Indices
    """(P, 4) indices into the image's features, -1 where there are fewer."""
    cached: Features | None


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
    index = {image: number for number, image in enumerate(images)}
    cache = find_features(root, images)
    if cache is None:
        get_logger("drkfs").info("%s holds no features of these images: points are upright, of one scale", root)
    places = {image: _places_of(image, pairs, cache) for image in images}
    return _joined(pairs, index, places, {image: known[image] for image in images})


def load_division(root: Path, dataset: Path) -> tuple[PointSet, PointSet]:
    """Points to learn from, and points of works held out from them.

    The split "val" is held out; where it is empty, some works of "train" are.

    Raises:
        LiftnetError: There are too few works, or a file cannot be read.
    """
    train = load_points(root, dataset, "train")
    if next(read_pairs(dataset, "val"), None) is not None:
        return train, load_points(root, dataset, "val")
    held_out = np.array([stable_fraction(work, "held out") < HELD_OUT for work in train.works])
    if held_out.all() or not held_out.any():
        first = min(train.works, default="")
        held_out = np.array([work == first for work in train.works])
    if held_out.all():
        raise LiftnetError(dataset, "has pairs of one work only, so nothing can be held out", "Collect more works")
    return train.of_images(~held_out), train.of_images(held_out)


def find_features(root: Path, images: Iterable[str]) -> Path | None:
    """The newest folder below `root`/features that holds the features of all `images`; None if there is none."""
    folders = [folder for folder in (root / "features").glob("*") if folder.is_dir()]
    wanted = [f"{image}.safetensors" for image in images]
    for folder in sorted(folders, key=lambda path: (path.stat().st_mtime, path.name), reverse=True):
        if all((folder / name).exists() for name in wanted):
            return folder
    return None


def _key(points: Floats) -> Indices:
    x, y = np.rint(points.astype(np.float64) * GRID).astype(np.int64).T
    return (x << 32) + y


def _places_of(image: str, pairs: list[Pair], cache: Path | None) -> _Places:
    """The places of one image: of its features, or without them of its correspondences."""
    if cache is None:
        here = [pair.points_a for pair in pairs if pair.image_a == image]
        here += [pair.points_b for pair in pairs if pair.image_b == image]
        keys = np.unique(np.concatenate([_key(points) for points in here]))
        features = np.full((len(keys), MOST_AT_A_PLACE), -1, np.int64)
        features[:, 0] = np.arange(len(keys))
        return _Places(keys, features, None)
    found = read_features(cache / f"{image}.safetensors")
    keys, place = np.unique(_key(found.keypoints), return_inverse=True)
    order = np.argsort(place, kind="stable")
    first = np.searchsorted(place[order], np.arange(len(keys)))
    rank = np.arange(len(order)) - first[place[order]]
    features = np.full((len(keys), MOST_AT_A_PLACE), -1, np.int64)
    kept = rank < MOST_AT_A_PLACE
    features[place[order][kept], rank[kept]] = order[kept]
    return _Places(keys, features, found)


def _joined(
    pairs: list[Pair],
    index: dict[str, int],
    places: dict[str, _Places],
    known: dict[str, tuple[str, tuple[int, int]]],
) -> PointSet:
    """Number the features of all images through, join matched ones and take what is joined as a point."""
    images = list(known)
    counts = [len(p.cached) if p.cached is not None else len(p.keys) for p in (places[image] for image in images)]
    starts = np.concatenate([[0], np.cumsum(counts)])
    links, place_links = [], []
    place_starts = np.concatenate([[0], np.cumsum([len(places[image].keys) for image in images])])
    for pair in pairs:
        first, second = _matched(pair, places[pair.image_a], places[pair.image_b])
        a, b = index[pair.image_a], index[pair.image_b]
        links.append(np.stack([starts[a] + first[1], starts[b] + second[1]]))
        place_links.append(np.stack([place_starts[a] + first[0], place_starts[b] + second[0]]))
    link, place_link = np.concatenate(links, axis=1), np.concatenate(place_links, axis=1)
    nodes, observation = np.unique(link, return_index=True)
    tracks = _components(link, int(starts[-1]))[nodes]
    joined_places = _components(place_link, int(place_starts[-1]))[place_link.reshape(-1)[observation]]
    image = np.searchsorted(starts, nodes, side="right") - 1
    xy, scale, angle = _geometry(nodes - starts[image], image, [places[name] for name in images])
    _, track = np.unique(tracks, return_inverse=True)
    _, place = np.unique(joined_places, return_inverse=True)
    works, sizes = zip(*known.values(), strict=True)
    return PointSet(tuple(images), works, sizes, image, xy, scale, angle, track, place)


def _matched(pair: Pair, a: _Places, b: _Places) -> tuple[tuple[Indices, Indices], tuple[Indices, Indices]]:
    """The places and features of a pair's correspondences.

    Several features may lie at one place, one for each dominant direction; those whose descriptors are closest have
    been matched.
    """
    at_a, at_b = (_positions(pair, side, image) for side, image in ((a, pair.image_a), (b, pair.image_b)))
    found = (at_a >= 0) & (at_b >= 0)
    at_a, at_b = at_a[found], at_b[found]
    if a.cached is None or b.cached is None:
        return (at_a, a.features[at_a, 0]), (at_b, b.features[at_b, 0])
    options_a, options_b = a.features[at_a], b.features[at_b]
    left = a.cached.descriptors[options_a].astype(np.float32)
    right = b.cached.descriptors[options_b].astype(np.float32)
    alike = np.einsum("nik,njk->nij", left, right)  # RootSIFT has one length, so the largest product is the closest
    alike[(options_a < 0)[:, :, None] | (options_b < 0)[:, None, :]] = -1
    best = alike.reshape(len(alike), -1).argmax(axis=1) if len(alike) else np.empty(0, np.int64)
    rows = np.arange(len(best))
    return (
        (at_a, options_a[rows, best // MOST_AT_A_PLACE]),
        (at_b, options_b[rows, best % MOST_AT_A_PLACE]),
    )


def _positions(pair: Pair, side: _Places, image: str) -> Indices:
    """The place of each of a pair's points in one image, -1 for a point without a feature."""
    keys = _key(pair.points_a if image == pair.image_a else pair.points_b)
    if not len(side.keys):
        return np.full(len(keys), -1, np.int64)
    at = np.minimum(np.searchsorted(side.keys, keys), len(side.keys) - 1)
    return np.where(side.keys[at] == keys, at, -1)


def _components(links: Indices, nodes: int) -> Indices:
    graph = coo_matrix((np.ones(links.shape[1], np.int8), tuple(links)), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _geometry(feature: Indices, image: Indices, places: list[_Places]) -> tuple[Floats, Floats, Floats]:
    """Coordinates, scale and direction of observations, image by image."""
    xy = np.empty((len(feature), 2), np.float32)
    scale = np.full(len(feature), FIXED_SCALE, np.float32)
    angle = np.zeros(len(feature), np.float32)
    for number, side in enumerate(places):
        rows = np.flatnonzero(image == number)
        chosen = feature[rows]
        if side.cached is None:
            keys = side.keys[chosen]
            xy[rows] = np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1) / GRID
        else:
            xy[rows] = side.cached.keypoints[chosen]
            scale[rows], angle[rows] = side.cached.scales[chosen], side.cached.orientations[chosen]
    return xy, scale, angle

"""What `verify` reads: putative matches, masks, and for the second search features and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.data.features import Features, read_features
from liftnet.data.manifest import StoredImage
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_grey, times
from liftnet.data.schemas import MATCHES, ROWS_PER_GROUP, open_table, read_batches
from liftnet.geometry.alignment import Pyramid

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]
OUTERMOST = 0.01  # share of a mask that may lie outside the object's box, on each side
FEATURES_IN_MEMORY = 256  # about 1 MB each, as masks
PICTURES_IN_MEMORY = 128  # 2.6 MB each at 1600 x 1200 px, the largest that `collect` stores
MASKS_IN_MEMORY = 256  # about 1 MB each; pairs come sorted by their first image


@dataclass(frozen=True, eq=False)
class Matches:
    """Putative matches of one pair of images.

    Attributes:
        image_a: Id of image a.
        image_b: Id of image b.
        status: "ok", or why the pair was not matched.
        points_a: (N, 2) px.
        points_b: (N, 2) px.
        score: (N,).
        recipe: Of the features that were matched; None where the table does not say.
    """

    image_a: str
    image_b: str
    status: str
    points_a: FloatArray
    points_b: FloatArray
    score: FloatArray
    recipe: str | None = None

    @property
    def pair_id(self) -> str:
        """The pair's name."""
        return f"{self.image_a}-{self.image_b}"

    @property
    def is_consistent(self) -> bool:
        """Whether there is one score and one finite point in each image for every match."""
        n = len(self.score)
        return len(self.points_a) == len(self.points_b) == n and bool(
            np.isfinite(self.points_a).all() and np.isfinite(self.points_b).all()
        )


class MatchTable:
    """A table of matches on disk, read some pairs at a time, so that its length does not matter.

    Iterating gives each pair in the order of the table; coordinates are views of the memory of their row group.

    Raises:
        LiftnetError: The file is missing, is not Parquet, is another table or of another version; also on the way.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_table(path, MATCHES) as file:
            self._length = int(file.metadata.num_rows)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Matches]:
        names = ("x1", "y1", "x2", "y2", "score")
        plain = ("image_a", "image_b", "status", "features")
        for batch in read_batches(self.path, MATCHES, (*plain, *names), ROWS_PER_GROUP):
            ids = (batch.column(name).to_pylist() for name in plain)
            lists = (list_values(pa.chunked_array([batch.column(name)])) for name in names)
            for image_a, image_b, status, recipe, x1, y1, x2, y2, score in zip(*ids, *lists, strict=True):
                yield Matches(image_a, image_b, status, _points(x1, y1), _points(x2, y2), score, recipe)

    def image_ids(self) -> set[str]:
        """The ids of all images of the pairs."""
        found: set[str] = set()
        for batch in read_batches(self.path, MATCHES, ("image_a", "image_b")):
            for column in batch.columns:
                found.update(column.unique().to_pylist())
        return found - {None}


def read_matches(path: Path) -> list[Matches]:
    """All rows of a table of matches at once."""
    return list(MatchTable(path))


def list_values(column: pa.ChunkedArray) -> Iterator[FloatArray]:
    """One numpy array for each row of a list column; empty where the row is null."""
    for chunk in column.chunks:
        values = chunk.values.to_numpy(zero_copy_only=False)
        offsets = chunk.offsets.to_numpy()
        valid = chunk.is_valid().to_numpy(zero_copy_only=False)
        for row in range(len(chunk)):
            yield values[offsets[row] : offsets[row + 1]] if valid[row] else values[:0]


class MaskFolder:
    """The foreground masks of a run, read when needed; the last ones stay in memory."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise LiftnetError(
                folder, "is not a folder", "Run `segment predict`, or verify with `--no-foreground` to use no masks"
            )
        self.folder = folder
        self.problems: dict[str, str] = {}  # image_id -> why its mask cannot be used
        self._sides: dict[str, float | None] = {}
        self._read = lru_cache(MASKS_IN_MEMORY)(self._read_uncached)

    def on_foreground(self, image: StoredImage, points: FloatArray) -> BoolArray | None:
        """Whether each point, rounded to its pixel, lies on the image's mask; off the image counts as background.

        Args:
            image: The image.
            points: (N, 2) px.

        Returns:
            (N,) bool; None where the mask is missing, unreadable or of another size than the image.
        """
        mask = self._read(image.image_id, image.width, image.height)
        return None if mask is None else points_on_mask(mask, points)

    def both_on_foreground(self, pair: Matches, a: StoredImage, b: StoredImage) -> BoolArray | None:
        """Whether each match of a pair lies on the masks of both its images, (N,); None where one has no mask."""
        on_a, on_b = self.on_foreground(a, pair.points_a), self.on_foreground(b, pair.points_b)
        return None if on_a is None or on_b is None else on_a & on_b

    def object_side(self, image: StoredImage) -> float | None:
        """The long side of the box around the object, px; None where the mask is not usable or empty.

        The box holds all but the outermost hundredth of the mask on each side, so that a stray spot changes little.
        """
        if image.image_id not in self._sides:
            mask = self._read(image.image_id, image.width, image.height)
            self._sides[image.image_id] = None if mask is None else mask_long_side(mask)
        return self._sides[image.image_id]

    def mask(self, image_id: str, width: int, height: int) -> BoolArray | None:
        """The (H, W) mask of an image; None where it is missing, unreadable or of another size."""
        return self._read(image_id, width, height)

    def _read_uncached(self, image_id: str, width: int, height: int) -> BoolArray | None:
        try:
            return read_mask(self.folder / f"{image_id}.png", (width, height))
        except BadImageError as error:
            self.problems[image_id] = str(error)
            return None


class FeatureFolder:
    """The features of a run's images that may be matched, read when needed; the last ones stay in memory.

    Attributes:
        problems: By image id, why its features cannot be had.
    """

    def __init__(self, folder: Path, masks: MaskFolder | None) -> None:
        """Features below `folder`, with masks those on the foreground."""
        self.folder, self.masks = folder, masks
        self.problems: dict[str, str] = {}
        self._read = lru_cache(FEATURES_IN_MEMORY)(self._read_uncached)

    def of_pair(self, pair: Matches, a: StoredImage, b: StoredImage) -> tuple[Features, Features] | None:
        """The features of both images of a pair that was matched with them; None where they are not to be had."""
        found = [self._read(pair.recipe, image.image_id, image.width, image.height) for image in (a, b)]
        return None if found[0] is None or found[1] is None else (found[0], found[1])

    def _read_uncached(self, recipe: str | None, image_id: str, width: int, height: int) -> Features | None:
        if recipe is None or Path(recipe).name != recipe:
            self.problems[image_id] = "the table of matches does not name its features"
            return None
        try:
            features = read_features(self.folder / recipe / f"{image_id}.safetensors")
        except LiftnetError as error:
            self.problems[image_id] = str(error)
            return None
        if self.masks is None:
            return features
        mask = self.masks.mask(image_id, width, height)
        return None if mask is None else features[points_on_mask(mask, features.keypoints)]


class PictureFolder:
    """The pictures of a run in grey, read when needed; the last ones stay in memory.

    Attributes:
        problems: By image id, why its picture cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: dict[str, str] = {}
        self._read = lru_cache(PICTURES_IN_MEMORY)(self._read_uncached)

    def of_pair(self, a: StoredImage, b: StoredImage) -> tuple[Pyramid, Pyramid] | None:
        """The pictures of both images of a pair; None where one is missing, unreadable or of another size."""
        found = [self._read(image) for image in (a, b)]
        return None if found[0] is None or found[1] is None else (found[0], found[1])

    def _read_uncached(self, image: StoredImage) -> Pyramid | None:
        path = self.folder / (image.file or f"{image.image_id}.jpg")
        try:
            grey = read_grey(path)
        except BadImageError as error:
            self.problems[image.image_id] = str(error)
            return None
        if grey.shape != (image.height, image.width):
            said = f"{times(grey.shape[::-1])} px, not {image.width}x{image.height} as the manifest says"
            self.problems[image.image_id] = f"{path} has {said}"
            return None
        return Pyramid.of(grey)


def mask_long_side(mask: BoolArray) -> float | None:
    """The long side, px, of the box that holds all but 1 % of a (H, W) mask on each of its sides; None if empty."""
    sides = []
    for counts in (mask.sum(axis=0), mask.sum(axis=1)):
        total = np.cumsum(counts)
        if total[-1] == 0:
            return None
        first, last = np.searchsorted(total, total[-1] * np.array([OUTERMOST, 1 - OUTERMOST]))
        sides.append(last - first + 1)
    return float(max(sides))


def points_on_mask(mask: BoolArray, points: FloatArray) -> BoolArray:
    """Whether each (x, y), rounded to its pixel, is True on a (H, W) mask; False outside it."""
    height, width = mask.shape
    column, row = np.rint(points.T).astype(np.int64)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    result = np.zeros(len(points), np.bool_)
    result[inside] = mask[row[inside], column[inside]]
    return result


def _points(x: FloatArray, y: FloatArray) -> FloatArray:
    if len(x) != len(y):
        return np.full((max(len(x), len(y)), 2), np.nan)  # seen by is_consistent, so the pair is rejected by name
    return np.column_stack([x, y])

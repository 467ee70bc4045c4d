"""What extractors and matchers share: the images of a work, their features in the cache, and the matches of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.opening import read_bytes
from liftnet.core.types import UInt8Array
from liftnet.data.features import Features, Floats, read_features
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image
from liftnet.data.schemas import MANIFEST, read_rows

LOG = get_logger("match")

MIN_KEYPOINTS = 2  # a ratio test compares two neighbours
IMAGES_IN_MEMORY = 1024  # features of an image take at most 1.2 MB with 8000 keypoints of SIFT, 4096 of a network


@dataclass(frozen=True)
class WorkImage:
    """A stored image of the work. `mask` is the path of its predicted mask, or None where masks are not used."""

    image_id: str
    path: Path
    mask: Path | None = None


@dataclass(frozen=True)
class Problem:
    """Why an image could not be used: a code for the column `status` and a sentence for `reason`."""

    code: str
    reason: str


@dataclass(frozen=True)
class PairMatches:
    """Putative matches of one image pair, or why there are none.

    Attributes:
        image_a: The smaller image id.
        image_b: The larger image id.
        count_a: Number of keypoints in a; None where they are not known.
        count_b: Likewise in b.
        points_a: (K, 2) float32 pixels.
        points_b: (K, 2) float32 pixels.
        scores: (K,) float32 in [0, 1].
        problem: None for a pair that was matched, however few its matches.
    """

    image_a: str
    image_b: str
    count_a: int | None
    count_b: int | None
    points_a: Floats
    points_b: Floats
    scores: Floats
    problem: Problem | None = None


class WorkFeatures:
    """The features of a work's images, or why an image has none that can be used.

    Features stay in their files; the last ones read are kept in memory, so the work may be large.

    Attributes:
        images: By image id, every image of the work.
        files: The file of features, by image id.
        sizes: (width, height) by image id, of the images that can be decoded.
        counts: Keypoints used, by image id; also of images with too few.
        problems: By image id; an image is usable if it is not in here.
    """

    def __init__(self, images: Sequence[WorkImage]) -> None:
        self.images = {image.image_id: image for image in images}
        self.files: dict[str, Path] = {}
        self.sizes: dict[str, tuple[int, int]] = {}
        self.counts: dict[str, int] = {}
        self.problems: dict[str, Problem] = {}
        self._recent = lru_cache(IMAGES_IN_MEMORY)(self._read)

    def load(self, image_id: str) -> Features:
        """The features of an image that are used: all, or with `mask_first` those on the foreground.

        Raises:
            LiftnetError: The file of features or the mask is missing or damaged.
        """
        return self._recent(image_id)

    def _read(self, image_id: str) -> Features:
        features, mask = read_features(self.files[image_id]), self.images[image_id].mask
        return features if mask is None else features.on_mask(read_mask(mask, self.sizes[image_id]))

    def usable(self) -> list[str]:
        """The ids of the usable images, ascending."""
        return sorted(self.images.keys() - self.problems.keys())

    def unmatched(self, image_a: str, image_b: str) -> PairMatches | None:
        """The row of a pair with an unusable image, which says so; None if both are usable."""
        problems = [self.problems[image_id] for image_id in (image_a, image_b) if image_id in self.problems]
        if not problems:
            return None
        problem = Problem(problems[0].code, "; ".join(problem.reason for problem in problems))
        points, scores = np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
        counts = self.counts.get(image_a), self.counts.get(image_b)
        return PairMatches(image_a, image_b, *counts, points, points, scores, problem)

    def matched(
        self, image_a: str, image_b: str, matches: npt.NDArray[np.integer], scores: Floats, one_to_one: bool
    ) -> PairMatches:
        """The row of a matched pair.

        Args:
            image_a: Its first image.
            image_b: Its second image.
            matches: (K, 2) indices of keypoints in a and b.
            scores: (K,).
            one_to_one: See `distinct_matches`.
        """
        a, b = self.load(image_a).keypoints, self.load(image_b).keypoints
        points_a, points_b = a[matches[:, 0]], b[matches[:, 1]]
        kept = distinct_matches(points_a, points_b, scores, one_to_one)
        return PairMatches(image_a, image_b, len(a), len(b), points_a[kept], points_b[kept], scores[kept])


def distinct_matches(points_a: Floats, points_b: Floats, scores: Floats, one_to_one: bool) -> npt.NDArray[np.intp]:
    """Which matches to keep so that no correspondence is counted twice.

    A keypoint with several orientations stands several times at one place, so different descriptors can give one
    correspondence twice, or one place several partners. Exact repetitions are dropped; with `one_to_one` also all but
    the best match of each place, in a first and then in b. Equal scores are settled by order.

    Args:
        points_a: (K, 2).
        points_b: (K, 2).
        scores: (K,), higher is better.
        one_to_one: Whether a place may have one partner only.

    Returns:
        Ascending indices of the kept matches.
    """
    order = np.argsort(-scores, kind="stable")
    keys = (points_a, points_b) if one_to_one else (np.hstack([points_a, points_b]),)
    for key in keys:
        _, first = np.unique(key[order], axis=0, return_index=True)
        order = order[np.sort(first)]
    return np.sort(order)


def work_images(root: Path, work: str, masked: bool) -> list[WorkImage]:
    """The usable images of a work according to `manifest.parquet`, by ascending image id.

    Args:
        root: Folder of the manifest, `images/` and `masks/`.
        work: The work_id.
        masked: Whether the predicted masks will be used.

    Raises:
        LiftnetError: The manifest cannot be read or knows no such work.
    """
    path = root / "manifest.parquet"
    rows = read_rows(path, MANIFEST, ["image_id", "status", "file"], "work_id", [work]).to_pylist()
    if not rows:
        raise LiftnetError(work, f"is not the work_id of any row of {path}", "See its column work_id, or works.tsv")
    files = {row["image_id"]: row["file"] for row in rows if row["status"] == "ok" and row["image_id"]}
    return [
        WorkImage(
            image_id,
            root / "images" / (files[image_id] or f"{image_id}.jpg"),
            root / "masks" / f"{image_id}.png" if masked else None,
        )
        for image_id in sorted(files)
    ]


def load_pixels(image: WorkImage) -> UInt8Array | Problem:
    """The pixels (H, W, 3), or why they cannot be had."""
    try:
        return read_image(image.path)
    except BadImageError as error:
        return Problem(f"image_{error.status}", f"the image {image.image_id}: {error.reason}")


def image_size(image: WorkImage) -> tuple[int, int] | Problem:
    """(width, height) of an image that can be decoded, with a mask of its size where masks are used; else why not.

    Every image is decoded here, so that programs that accept damaged files never see one.
    """
    pixels = load_pixels(image)
    if isinstance(pixels, Problem):
        return pixels
    size = pixels.shape[1], pixels.shape[0]
    if image.mask is None:
        return size
    try:
        read_mask(image.mask, size)
    except BadImageError as error:
        status = error.status if error.status.startswith("mask_") else f"mask_{error.status}"
        return Problem(status, f"the mask of {image.image_id}: {error.reason}")
    return size


def link_image(image: WorkImage, folder: Path) -> Path:
    """Put the stored file into `folder` under the image's id, as a link where the file system has links.

    Every name is unique and plain, so programs that key their files by the stem of a name cannot mix images up.
    """
    target = folder / f"{image.image_id}{image.path.suffix.lower() or '.jpg'}"
    source = image.path.resolve()
    try:
        target.symlink_to(source)
    except OSError:
        target.write_bytes(read_bytes(source))
    return target

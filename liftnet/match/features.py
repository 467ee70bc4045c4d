"""What all matchers share: usable images, features and the matches of a pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from liftnet.io.images import BoolArray, UInt8Array

MIN_KEYPOINTS = 2  # a ratio test compares two neighbours
Floats = npt.NDArray[np.float32]


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
class Features:
    """Features of one image.

    Attributes:
        keypoints: (N, 2) float32, x and y in pixels of the stored image, (0, 0) the centre of the top-left pixel.
        descriptors: (N, 128) uint8.
    """

    keypoints: Floats
    descriptors: UInt8Array

    @classmethod
    def empty(cls) -> Features:
        """No features."""
        return cls(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))

    def on_mask(self, mask: BoolArray) -> Features:
        """The features whose nearest pixel lies on the (H, W) mask."""
        height, width = mask.shape
        x, y = np.rint(self.keypoints.astype(np.float64)).astype(np.intp).T
        inside = mask[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
        return Features(self.keypoints[inside], self.descriptors[inside])

    def __len__(self) -> int:
        return len(self.keypoints)

    def __repr__(self) -> str:
        return f"Features({len(self)})"


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


@dataclass(frozen=True)
class WorkFeatures:
    """The features of a work's images, or why an image has none that can be used.

    Attributes:
        features: By image id; also of images with too few keypoints, whose number is wanted in the table.
        problems: By image id; an image is usable if it is not in here.
    """

    features: dict[str, Features] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)

    def add(self, image_id: str, found: Features | Problem, masked: bool = False) -> None:
        """Record what was found in an image; `masked` says whether only its foreground was looked at."""
        if isinstance(found, Problem):
            self.problems[image_id] = found
            return
        self.features[image_id] = found
        if len(found) < MIN_KEYPOINTS:
            where = " on the foreground" if masked else ""
            reason = f"the image {image_id} has {len(found)} keypoint(s){where}, fewer than {MIN_KEYPOINTS}"
            self.problems[image_id] = Problem("too_few_keypoints", reason)

    def pairs(self) -> list[tuple[str, str]]:
        """All pairs (a, b) of the images, usable or not, with a < b, in ascending order."""
        return list(combinations(sorted(self.features.keys() | self.problems.keys()), 2))

    def usable(self) -> list[str]:
        """The ids of the usable images, ascending."""
        return sorted(self.features.keys() - self.problems.keys())

    def count(self, image_id: str) -> int | None:
        """The number of keypoints, or None if the image could not be looked at."""
        return len(self.features[image_id]) if image_id in self.features else None

    def unmatched(self, image_a: str, image_b: str) -> PairMatches | None:
        """The row of a pair with an unusable image, which says so; None if both are usable."""
        problems = [self.problems[image_id] for image_id in (image_a, image_b) if image_id in self.problems]
        if not problems:
            return None
        problem = Problem(problems[0].code, "; ".join(problem.reason for problem in problems))
        points, scores = np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
        counts = self.count(image_a), self.count(image_b)
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
        a, b = self.features[image_a].keypoints, self.features[image_b].keypoints
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

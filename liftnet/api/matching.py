"""Two photographs in, verified correspondences out: the stages `match` and `verify` in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from liftnet.api.pictures import as_mask, as_picture
from liftnet.core.ids import stable_seed
from liftnet.core.types import Float32Array, UInt8Array
from liftnet.geometry.alignment import Pyramid
from liftnet.match.descriptors import match_with_ratios
from liftnet.match.methods.opencv import OpencvSettings, extract_sift, one_opencv_thread
from liftnet.match.settings import SearchSettings
from liftnet.match.work_features import distinct_matches
from liftnet.verify.fits import View
from liftnet.verify.inputs import mask_long_side, points_on_mask
from liftnet.verify.settings import VerifySettings
from liftnet.verify.verify import PairDecision, PutativePair, verify_pair

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from liftnet.api.pictures import Mask, Picture

SHOWN = 200  # correspondences that a picture shows at most


@dataclass(frozen=True, eq=False)
class ImageMatches:
    """The correspondences of two photographs.

    Attributes:
        points_a: (N, 2) float32, px in photograph a, x right and y down, (0, 0) the centre of the top-left pixel.
        points_b: (N, 2) float32, the same points in photograph b.
        scores: (N,) float32 in [0, 1], higher is better.
        decision: What `verify` decided, with the models and every number it rests on.
        image_a: (H, W, 3) uint8 RGB.
        image_b: (H, W, 3) uint8 RGB.
    """

    points_a: Float32Array
    points_b: Float32Array
    scores: Float32Array
    decision: PairDecision
    image_a: UInt8Array
    image_b: UInt8Array

    @property
    def kept(self) -> bool:
        """Whether the pair would stand in a dataset."""
        return self.decision.kept

    @property
    def reason(self) -> str:
        """Why not, a code of `liftnet.data.codes.PairReason`; "kept" for a pair that would."""
        return self.decision.reason

    def __len__(self) -> int:
        return len(self.points_a)

    def __repr__(self) -> str:
        return f"ImageMatches({len(self)} correspondences, {self.reason})"

    def plot(self) -> Figure:
        """Both photographs side by side, and lines between some of the correspondences.

        Returns:
            A figure, which a notebook shows by itself and `savefig` writes.
        """
        from matplotlib.figure import Figure

        height = max(len(self.image_a), len(self.image_b))
        shift = self.image_a.shape[1] + height // 50
        sheet = np.full((height, shift + self.image_b.shape[1], 3), 255, np.uint8)
        sheet[: len(self.image_a), : self.image_a.shape[1]] = self.image_a
        sheet[: len(self.image_b), shift:] = self.image_b
        figure = Figure(figsize=(12, 12 * height / sheet.shape[1] + 0.4), layout="constrained")
        axes = figure.subplots()
        axes.imshow(sheet)
        axes.set_axis_off()
        axes.set_title(f"{len(self)} correspondences ({self.reason})")
        chosen = np.unique(np.linspace(0, len(self) - 1, SHOWN).astype(int)) if len(self) else np.zeros(0, int)
        ends = self.points_a[chosen], self.points_b[chosen] + np.array([shift, 0], np.float32)
        for (x_a, y_a), (x_b, y_b) in zip(*ends, strict=True):
            axes.plot([x_a, x_b], [y_a, y_b], linewidth=0.7, alpha=0.7, marker=".", markersize=3)
        return figure


def match_images(
    a: Picture,
    b: Picture,
    masks: tuple[Mask, Mask] | None = None,
    features: OpencvSettings | None = None,
    search: SearchSettings | None = None,
    verify: VerifySettings | None = None,
    seed: int = 0,
) -> ImageMatches:
    """Find correspondences of two photographs of one thing, and verify them as those of the dataset.

    SIFT features, exact nearest neighbours, then the affine epipolar geometry, the second search along it, and the
    pictures around each match aligned.

    Args:
        a: A photograph, see `liftnet.api.pictures.as_picture`.
        b: Another.
        masks: Of both, where the sculpture is; without them all of the photographs counts, and a textured background
            gives correspondences too.
        features: How features are sought.
        search: Ratio and whether matches have to be mutual.
        verify: How matches are verified.
        seed: Of RANSAC.

    Returns:
        The correspondences, also of a pair that is not kept; `kept` and `reason` say whether to believe them.

    Raises:
        BadImageError: A file is no picture or no mask.
        TypeError: Something is neither.
        ValueError: An array is of another shape or range.
    """
    pictures = as_picture(a), as_picture(b)
    search, verify = search or SearchSettings(), verify or VerifySettings()
    with one_opencv_thread():
        found = [extract_sift(picture, features or OpencvSettings()) for picture in pictures]
    chosen, ratios = match_with_ratios(found[0].descriptors, found[1].descriptors, search.ratio, search.mutual)
    points = found[0].keypoints[chosen[:, 0]], found[1].keypoints[chosen[:, 1]]
    kept = distinct_matches(*points, 1 - ratios, search.mutual)
    points, scores = (points[0][kept], points[1][kept]), (1 - ratios)[kept]
    views, on_foreground = [View(p.shape[1], p.shape[0]) for p in pictures], np.ones(len(scores), np.bool_)
    if masks is not None:
        known = [as_mask(mask, (p.shape[1], p.shape[0])) for mask, p in zip(masks, pictures, strict=True)]
        views = [View(m.shape[1], m.shape[0], mask_long_side(m)) for m in known]
        on_foreground = points_on_mask(known[0], points[0]) & points_on_mask(known[1], points[1])
        found = [one[points_on_mask(mask, one.keypoints)] for one, mask in zip(found, known, strict=True)]
    putative = PutativePair(
        *points,
        scores,
        on_foreground,
        (views[0], views[1]),
        lambda: (found[0], found[1]),
        lambda: (_pyramid(pictures[0]), _pyramid(pictures[1])),
    )
    decision = verify_pair(putative, np.random.default_rng(stable_seed(seed, "match_images")), verify)
    final = decision.correspondences
    points_a, points_b, certain = (np.asarray(v, np.float32) for v in (final.points_a, final.points_b, final.score))
    return ImageMatches(points_a, points_b, certain, decision, *pictures)


def _pyramid(picture: UInt8Array) -> Pyramid:
    return Pyramid.of(np.asarray(Image.fromarray(picture).convert("L")))

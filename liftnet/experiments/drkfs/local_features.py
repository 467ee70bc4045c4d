"""Images compared by local features at detected points: the matching that cannot be differentiated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 32  # px
APART = 5  # px between two maxima of a map
MOST = 200  # points of an image

Describe = Callable[[Tensor], Tensor]  # (P, 32, 32) patches to (P, 128)


def sift_distance(image: Tensor, reference: Tensor) -> float:
    """How much the SIFT features of two images differ, each described where its own points are.

    Args:
        image: (S, S) gray values in [0, 1].
        reference: (S, S).

    Returns:
        As `matched_distance`; features have unit length. NaN if an image has no point.
    """
    return matched_distance(*(torch.as_tensor(_sift(picture)) for picture in (image, reference)))


def maxima_distance(
    images: tuple[Tensor, Tensor], maps: tuple[Tensor, Tensor], describe: Describe, most: int = MOST
) -> float:
    """The same with a descriptor of patches at the maxima of PoI maps.

    Args:
        images: Image and reference, (S, S) each; patches are cut from them.
        maps: Their PoI maps, (S, S) each.
        describe: Descriptor of patches.
        most: The highest so many maxima of each map.
    """
    found = [describe(patches_at(i, maxima_of(m, most))) for i, m in zip(images, maps, strict=True)]
    return matched_distance(*found)


def matched_distance(features: Tensor, references: Tensor) -> float:
    """Mean squared difference of each feature to the one nearest to it in the other image, both directions added.

    Args:
        features: (K, L).
        references: (M, L).

    Returns:
        The sum of both means; NaN if one of the images has no feature.
    """
    if not (len(features) and len(references)):
        return float("nan")
    squared = torch.cdist(features.double(), references.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
    return float(squared.amin(1).mean() + squared.amin(0).mean()) / features.shape[1]


def maxima_of(values: Tensor, most: int) -> Tensor:
    """(K, 2) row and column of the highest local maxima of a map (S, S), highest first; even regions have none."""
    around = F.max_pool2d(values[None, None], 2 * APART + 1, 1, APART)[0, 0]
    lowest = -F.max_pool2d(-values[None, None], 2 * APART + 1, 1, APART)[0, 0]
    places = ((values == around) & (around > lowest)).nonzero()
    order = values[places[:, 0], places[:, 1]].argsort(descending=True, stable=True)
    return places[order[:most]]


def patches_at(image: Tensor, places: Tensor) -> Tensor:
    """(K, 32, 32) patches of an image (S, S) around (K, 2) places; beyond its border it goes on as at its border."""
    half = PATCH // 2
    padded = F.pad(image[None, None], [half, half - 1, half, half - 1], mode="replicate")[0, 0]
    windows = padded.unfold(0, PATCH, 1).unfold(1, PATCH, 1)
    return windows[places[:, 0], places[:, 1]]


def _sift(image: Tensor) -> npt.NDArray[np.float32]:
    import cv2

    pixels = np.rint(image.clamp(0, 1).numpy() * 255).astype(np.uint8)
    _, found = cv2.SIFT.create(nfeatures=MOST).detectAndCompute(pixels, None)
    if found is None:
        return np.zeros((0, 128), np.float32)
    unit: npt.NDArray[np.float32] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit

"""What extractors that are networks have in common: settings, the picture as a network takes it, its features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from liftnet.core.parallel import map_threads
from liftnet.core.settings import Settings, UserPath
from liftnet.data.feature_kinds import FeatureKind

if TYPE_CHECKING:
    from torch import Tensor

    from liftnet.core.types import UInt8Array
    from liftnet.data.features import Features
    from liftnet.match.work_features import Problem, WorkImage

Found = tuple["Tensor", "Tensor", "Tensor"]  # (N, 2) px of the picture it was given, (N,) scores, (N, D) descriptors
LEAST_SIDE = 32  # px; of a narrower picture the networks' coarsest maps have no pixel left


class NetworkSettings(Settings):
    """What decides the features of a network."""

    max_keypoints: int = Field(2048, ge=2, le=16384, description="max. keypoints per image, the strongest first")
    max_side: int = Field(1024, ge=64, le=4096, description="max. longest side in px at which features are sought")
    min_side: int = Field(
        0, ge=0, le=4096, description="images whose longest side is shorter in px are enlarged to it; 0: none"
    )
    weights: UserPath = Field(
        "", description="file of weights (.pth, .pt, .safetensors); empty: those of the package (docs/matching.md)"
    )


def extract_by_network(
    network: Callable[[Tensor], Found],
    images: Sequence[WorkImage],
    settings: NetworkSettings,
    kind: FeatureKind,
    threads: int,
    multiple: int = 1,
) -> Iterator[tuple[WorkImage, Features | Problem]]:
    """Find the features of each image, in order.

    Args:
        network: Gives the features of a picture (1, 3, H, W) in [0, 1], RGB; any order, more than are kept, or none.
        images: The images.
        settings: Their size and number.
        kind: What the features are.
        threads: Workers; torch has one thread in each, so that the result does not depend on their number.
        multiple: Of which the sides of a picture must be multiples.
    """
    from liftnet.core.devices import one_torch_thread
    from liftnet.match.methods.opencv import one_opencv_thread
    from liftnet.match.work_features import Problem, load_pixels

    def features(image: WorkImage) -> Features | Problem:
        pixels = load_pixels(image)
        return pixels if isinstance(pixels, Problem) else features_of(network, pixels, settings, kind, multiple)

    with one_opencv_thread(), one_torch_thread():
        found = map_threads(features, images, threads, "match", "extracting features")
        yield from zip(images, found, strict=True)


def features_of(
    network: Callable[[Tensor], Found],
    pixels: UInt8Array,
    settings: NetworkSettings,
    kind: FeatureKind,
    multiple: int = 1,
) -> Features:
    """The features of one picture, the strongest first; of equally strong ones the upper, then the left one.

    Args:
        network: See `extract_by_network`.
        pixels: (H, W, 3) uint8 RGB.
        settings: Size and number.
        kind: What the features are.
        multiple: See `extract_by_network`.

    Returns:
        The features in pixels of the picture as given, descriptors as unit vectors of half precision.
    """
    import numpy as np
    import torch

    from liftnet.data.features import Features
    from liftnet.match.sizes import factor_of, resized

    size = settings.min_side, settings.max_side
    if min(pixels.shape[:2]) * factor_of(pixels, *size) < LEAST_SIDE:
        return Features.empty(kind)
    small, scale = resized(pixels, *size, multiple)
    with torch.inference_mode():
        picture = torch.from_numpy(np.ascontiguousarray(small.transpose(2, 0, 1)))[None].float() / 255
        points, scores, descriptors = (part.numpy() for part in network(picture))
    order = np.lexsort((points[:, 0], points[:, 1], -scores))[: settings.max_keypoints]
    keypoints = (points[order].astype(np.float64) + 0.5) * scale - 0.5
    return Features(keypoints.astype(np.float32), None, None, descriptors[order].astype(np.float16), kind)

"""The extractor `opencv`: OpenCV's SIFT keypoints with RootSIFT descriptors, image by image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import Field

from liftnet.core.parallel import map_threads
from liftnet.core.settings import Settings
from liftnet.match.registry import Extractor

if TYPE_CHECKING:
    import cv2

    from liftnet.core.types import UInt8Array
    from liftnet.data.features import Features
    from liftnet.match.settings import MatchSettings
    from liftnet.match.work_features import Problem, WorkImage

_BLUR_PER_DIAMETER = 0.5  # OpenCV's keypoint size is a diameter, twice the blur at which it was found


class OpencvSettings(Settings):
    """What decides OpenCV's features."""

    contrast_threshold: float = Field(
        0.005, ge=0, le=0.5, description="SIFT contrast threshold; smooth marble needs a low one"
    )
    max_keypoints: int = Field(8000, ge=2, le=65535, description="max. keypoints per image, the strongest first")
    max_side: int = Field(1600, ge=64, le=16384, description="max. longest side in px at which features are sought")
    min_side: int = Field(
        0, ge=0, le=16384, description="images whose longest side is shorter in px are enlarged to it; 0: none"
    )
    octave_layers: int = Field(5, ge=1, le=10, description="scales sought in each octave; 3 finds less, in less time")
    upright: bool = Field(
        False, description="do not turn descriptors with the image; more matches where all cameras stand upright"
    )


def extract_opencv(
    images: Sequence[WorkImage], settings: MatchSettings, threads: int
) -> Iterator[tuple[WorkImage, Features | Problem]]:
    """Find the SIFT features of each image, in order."""
    from liftnet.match.work_features import Problem, load_pixels

    def features(image: WorkImage) -> Features | Problem:
        pixels = load_pixels(image)
        return pixels if isinstance(pixels, Problem) else extract_sift(pixels, settings.features.opencv)

    with one_opencv_thread():
        found = map_threads(features, images, threads, "match", "extracting features")
        yield from zip(images, found, strict=True)


def extract_sift(image: UInt8Array, settings: OpencvSettings) -> Features:
    """SIFT features (Lowe 2004) of an image, `min_side` to `max_side` long while they are sought.

    OpenCV's precise upscaling is on: without it all keypoints lie .25 px too far right and down.

    Args:
        image: (H, W, 3) uint8 RGB or (H, W) uint8.
        settings: How they are sought.

    Returns:
        The features in pixels of the image as given, (0, 0) the centre of the top-left pixel. A place with several
        orientations has one feature for each.
    """
    import cv2

    from liftnet.data.features import Features
    from liftnet.match.sizes import resized

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False) if image.ndim == 3 else image
    small, scale = resized(grey, settings.min_side, settings.max_side)
    sift = cv2.SIFT.create(
        nfeatures=settings.max_keypoints,
        nOctaveLayers=settings.octave_layers,
        contrastThreshold=settings.contrast_threshold,
        enable_precise_upscale=True,
    )
    if settings.upright:
        found, descriptors = sift.compute(small, _upright(sift.detect(small, None)))
    else:
        found, descriptors = sift.detectAndCompute(small, None)
    if descriptors is None or not len(found):
        return Features.empty()
    keypoints = (np.asarray(cv2.KeyPoint.convert(found), np.float64) + 0.5) * scale - 0.5
    sizes, angles = np.array([(point.size, point.angle) for point in found]).T
    return Features(
        keypoints.astype(np.float32),
        (sizes * _BLUR_PER_DIAMETER * scale.mean()).astype(np.float32),
        np.deg2rad(angles).astype(np.float32),
        root_sift(descriptors),
    )


def root_sift(descriptors: npt.NDArray[np.number]) -> UInt8Array:
    """RootSIFT (Arandjelovic and Zisserman 2012): square root of the L1-normalised descriptor, in 8 bits.

    The unit vector is stored as 512 times its value, cut at 255, as OpenMVG and COLMAP store it too: whole numbers
    make the matching exact.

    Args:
        descriptors: (N, 128), not negative.

    Returns:
        (N, 128) uint8.
    """
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.minimum(np.rint(512 * np.sqrt(descriptors / total)), 255).astype(np.uint8)


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV to one thread: the images are spread over the workers instead."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _upright(found: Sequence[cv2.KeyPoint]) -> list[cv2.KeyPoint]:
    """One keypoint of angle 0 for each place and scale."""
    one_each = {(point.pt, point.size): point for point in found}
    for point in one_each.values():
        point.angle = 0.0
    return list(one_each.values())


EXTRACTOR = Extractor("opencv", extract_opencv, OpencvSettings)

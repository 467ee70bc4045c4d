"""The extractor `opencv`: OpenCV's SIFT, image by image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from liftnet.core.parallel import map_threads
from liftnet.data.features import Features
from liftnet.match.features import Problem, WorkImage
from liftnet.match.images import load_pixels
from liftnet.match.settings import MatchSettings
from liftnet.match.sift import extract_sift, one_opencv_thread


def extract_opencv(
    images: Sequence[WorkImage], settings: MatchSettings, threads: int
) -> Iterator[tuple[WorkImage, Features | Problem]]:
    """Find the SIFT features of each image, in order."""

    def features(image: WorkImage) -> Features | Problem:
        pixels = load_pixels(image)
        return pixels if isinstance(pixels, Problem) else extract_sift(pixels, settings)

    with one_opencv_thread():
        found = map_threads(features, images, threads, "match", "extracting features")
        yield from zip(images, found, strict=True)

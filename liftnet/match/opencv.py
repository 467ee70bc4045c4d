"""The built-in matcher: OpenCV's SIFT and exact nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from liftnet.io.log import duration, get_logger
from liftnet.io.parallel import map_threads
from liftnet.match.features import Features, PairMatches, Problem, WorkFeatures, WorkImage
from liftnet.match.images import load_image
from liftnet.match.matcher import match_with_ratios
from liftnet.match.settings import MatchSettings
from liftnet.match.sift import extract_sift, one_opencv_thread

_OPERATIONS_PER_SECOND = 3e10  # of a thread, in the GEMM with the pass over it; for the estimate of time only
_WORTH_TELLING = 60.0  # seconds


def match_opencv(
    images: Sequence[WorkImage], settings: MatchSettings, threads: int, seed: int
) -> Iterator[PairMatches]:
    """Match all pairs of `images`, in ascending order; nothing here is random, so `seed` changes nothing."""
    work = WorkFeatures()
    with one_opencv_thread():
        found = map_threads(
            lambda image: _image_features(image, settings), images, threads, "match", "extracting features"
        )
        for image, features in zip(images, found, strict=True):
            work.add(image.image_id, features, settings.mask_first)
    pairs = work.pairs()
    _tell_duration(work, threads)
    yield from map_threads(lambda pair: _match_pair(*pair, work, settings), pairs, threads, "match", "matching pairs")


def _image_features(image: WorkImage, settings: MatchSettings) -> Features | Problem:
    loaded = load_image(image)
    if isinstance(loaded, Problem):
        return loaded
    pixels, mask = loaded
    features = extract_sift(pixels, settings)
    return features if mask is None else features.on_mask(mask)


def _match_pair(image_a: str, image_b: str, work: WorkFeatures, settings: MatchSettings) -> PairMatches:
    unmatched = work.unmatched(image_a, image_b)
    if unmatched is not None:
        return unmatched
    a, b = work.features[image_a].descriptors, work.features[image_b].descriptors
    matches, ratios = match_with_ratios(a, b, settings.ratio, settings.mutual)
    return work.matched(image_a, image_b, matches, 1 - ratios, one_to_one=settings.mutual)


def _tell_duration(work: WorkFeatures, threads: int) -> None:
    """Log an estimate before work of more than a minute: it grows with the square of the number of images."""
    pairs = list(combinations(work.usable(), 2))
    operations = sum(2 * 130 * len(work.features[a]) * len(work.features[b]) for a, b in pairs)
    seconds = operations / _OPERATIONS_PER_SECOND / max(threads, 1)
    if seconds > _WORTH_TELLING:
        get_logger("match").info("matching %d pairs, about %s", len(pairs), duration(seconds))

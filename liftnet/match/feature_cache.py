"""Features of a work: from the cache, or found once and put there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.core.settings import fingerprint
from liftnet.data.features import read_features, write_features
from liftnet.match.settings import MatchSettings
from liftnet.match.work_features import MIN_KEYPOINTS, Problem, WorkFeatures, WorkImage, image_size

LOG = get_logger("match")


def recipe(settings: MatchSettings) -> str:
    """The folder name of features found with these settings: the extractor and a fingerprint of its settings."""
    version = "" if settings.extractor.version == 1 else f"{settings.extractor.version}"
    return f"{settings.features.extractor}{version}-{fingerprint(settings.of_extractor)}"


def work_features(images: Sequence[WorkImage], cache: Path, settings: MatchSettings, threads: int = 1) -> WorkFeatures:
    """The features of the images of a work, each found once and kept in a file of its own.

    The key of a file is the image's id, which is a hash of its content, and the recipe. A killed run goes on where it
    was; a damaged file is found again and replaced.

    Args:
        images: The images of the work.
        cache: Folder of features of this recipe.
        settings: The extractor and its settings.
        threads: Workers.
    """
    work = WorkFeatures(images)
    for image, size in zip(images, map_threads(image_size, images, threads, "match", "checking images"), strict=True):
        if isinstance(size, Problem):
            work.problems[image.image_id] = size
        else:
            work.sizes[image.image_id] = size
            work.files[image.image_id] = cache / f"{image.image_id}.safetensors"
    good = [image for image in images if image.image_id in work.files]
    missing = [image for image in good if not _is_cached(work.files[image.image_id])]
    if missing:
        about = {"features": settings.features.extractor, **settings.of_extractor.model_dump()}
        for image, found in settings.extractor.find(missing, settings, threads):
            if isinstance(found, Problem):
                work.problems[image.image_id] = found
            else:
                write_features(work.files[image.image_id], found, about)
    LOG.debug("features: %d images from %s, %d found now", len(good), cache, len(missing))
    _count(work, threads)
    return work


def _is_cached(path: Path) -> bool:
    """Whether the file holds features; one that is damaged does not."""
    if not path.exists():
        return False
    try:
        read_features(path)
    except LiftnetError as error:
        LOG.warning("%s; its image is looked at again", error)
        return False
    return True


def _count(work: WorkFeatures, threads: int) -> None:
    """Count the keypoints of each image and name those with too few to be matched."""
    ids = [image_id for image_id in sorted(work.files) if image_id not in work.problems]
    lengths = map_threads(lambda image_id: len(work.load(image_id)), ids, threads, "match", "reading features")
    for image_id, count in zip(ids, lengths, strict=True):
        work.counts[image_id] = count
        if count < MIN_KEYPOINTS:
            where = " on the foreground" if work.images[image_id].mask else ""
            reason = f"the image {image_id} has {count} keypoint(s){where}, fewer than {MIN_KEYPOINTS}"
            work.problems[image_id] = Problem("too_few_keypoints", reason)

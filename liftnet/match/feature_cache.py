"""The features of a work, found once and kept in files: what is there already is not sought again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.opening import sha256_of
from liftnet.core.parallel import map_threads
from liftnet.core.settings import changed, fingerprint
from liftnet.data.feature_kinds import FeatureKind
from liftnet.data.features import read_features, write_features
from liftnet.data.schemas import MANIFEST, read_table
from liftnet.match.settings import MatchSettings
from liftnet.match.work_features import MIN_KEYPOINTS, Problem, WorkFeatures, WorkImage, image_size

LOG = get_logger("match")


def recipe(settings: MatchSettings) -> str:
    """The folder name of features found with these settings: the extractor and a fingerprint of its settings.

    Of a file that they name the content counts, not the name.

    Raises:
        LiftnetError: There is no such file.
    """
    extractor, own = settings.extractor, settings.of_extractor
    version = "" if extractor.version == 1 else f"{extractor.version}"
    contents = {name: _content_of(Path(path)) for name in extractor.files if (path := getattr(own, name))}
    return f"{extractor.name}{version}-{fingerprint(changed(own, **contents) if contents else own)}"


def _content_of(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise LiftnetError(path, f"cannot be read ({error.strerror})", "Correct the setting that names it") from error


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
    kind = settings.extractor.kind
    missing = [image for image in good if not _is_cached(work.files[image.image_id], kind)]
    if missing:
        about = {"features": settings.features.extractor, **settings.of_extractor.model_dump()}
        for image, found in settings.extractor.find(missing, settings, threads):
            if isinstance(found, Problem):
                work.problems[image.image_id] = found
            else:
                write_features(work.files[image.image_id], found, about)
    LOG.debug("features: %d images from %s, %d found now", len(good), cache, len(missing))
    count_keypoints(work, threads)
    return work


def _is_cached(path: Path, kind: FeatureKind) -> bool:
    """Whether the file holds features of a kind; one that is damaged does not."""
    if not path.exists():
        return False
    try:
        return read_features(path).kind == kind
    except LiftnetError as error:
        LOG.warning("%s; its image is looked at again", error)
        return False


def count_keypoints(work: WorkFeatures, threads: int) -> None:
    """Count the keypoints of each usable image; one with too few of them, or none to be read, becomes unusable."""

    def count(image_id: str) -> int | Problem:
        try:
            return len(work.load(image_id))
        except LiftnetError as error:
            return Problem("unusable", str(error))

    ids = work.usable()
    counts = map_threads(count, ids, threads, "match", "reading features")
    for image_id, found in zip(ids, counts, strict=True):
        if isinstance(found, Problem):
            work.problems[image_id] = found
            continue
        work.counts[image_id] = found
        if found < MIN_KEYPOINTS:
            where = " on the foreground" if work.images[image_id].mask else ""
            reason = f"the image {image_id} has {found} keypoint(s){where}, fewer than {MIN_KEYPOINTS}"
            work.problems[image_id] = Problem("too_few_keypoints", reason)


@dataclass(frozen=True)
class SplitImages:
    """The stored images of all works.

    Attributes:
        images: With their masks, by ascending id.
        sizes: (width, height) by id.
        splits: By id.
    """

    images: list[WorkImage]
    sizes: dict[str, tuple[int, int]]
    splits: dict[str, str]


def split_images(root: Path) -> SplitImages:
    """The stored images of a manifest and their splits.

    Raises:
        LiftnetError: The manifest cannot be read.
    """
    columns = ["image_id", "status", "file", "split", "width", "height"]
    rows = read_table(root / "manifest.parquet", MANIFEST).select(columns).to_pylist()
    stored = sorted((row for row in rows if row["status"] == "ok" and row["split"]), key=lambda row: row["image_id"])
    images = [
        WorkImage(row["image_id"], root / "images" / row["file"], root / "masks" / f"{row['image_id']}.png")
        for row in stored
    ]
    sizes = {row["image_id"]: (row["width"], row["height"]) for row in stored}
    return SplitImages(images, sizes, {row["image_id"]: row["split"] for row in stored})


def masked_features(known: SplitImages, cache: Path, settings: MatchSettings, threads: int = 1) -> WorkFeatures:
    """The features on the foreground of all images, from the cache; found now where `match` has not.

    Sizes are those of the manifest, so that the images themselves need not be decoded again.
    """
    work = WorkFeatures(known.images)
    missing = []
    for image in known.images:
        file = cache / f"{image.image_id}.safetensors"
        if image.mask is None or not image.mask.is_file():
            work.problems[image.image_id] = Problem("no_mask", f"the image {image.image_id} has no mask")
        elif file.is_file():
            work.files[image.image_id], work.sizes[image.image_id] = file, known.sizes[image.image_id]
        else:
            missing.append(image)
    if missing:
        found = work_features(missing, cache, settings, threads)
        work.problems |= found.problems
        for image_id in found.usable():
            work.files[image_id], work.sizes[image_id] = found.files[image_id], found.sizes[image_id]
    return work

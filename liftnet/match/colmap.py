"""The matcher `colmap`: pycolmap through its database, whose matching has an index (its in-memory one has none)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from liftnet.io.errors import LiftnetError
from liftnet.io.images import encode_image, read_mask
from liftnet.io.parallel import map_threads
from liftnet.match.features import Features, PairMatches, Problem, WorkFeatures, WorkImage
from liftnet.match.images import image_sizes, link_image
from liftnet.match.matcher import score_matches
from liftnet.match.settings import MatchSettings

_NEEDED = ("Database", "FeatureExtractionOptions", "FeatureMatchingOptions", "extract_features", "match_exhaustive")
_HALF_PIXEL = np.float32(0.5)  # COLMAP calls the centre of the top-left pixel (0.5, 0.5)


def match_colmap(
    images: Sequence[WorkImage], settings: MatchSettings, threads: int, seed: int
) -> Iterator[PairMatches]:
    """Match all pairs of `images` with COLMAP on the CPU, in ascending order, without its geometric verification.

    Raises:
        LiftnetError: pycolmap is not installed, too old, or fails.
    """
    pycolmap = load_pycolmap()
    sizes, problems = image_sizes(images, threads)
    work = WorkFeatures(problems=problems)
    matches: dict[tuple[str, str], npt.NDArray[np.int64]] = {}
    usable = [image for image in images if image.image_id in sizes]
    if len(usable) > 1:
        pycolmap.set_random_seed(seed % 2**31)
        with tempfile.TemporaryDirectory(prefix="liftnet-colmap-") as folder:
            _run_colmap(pycolmap, Path(folder), usable, settings, threads)
            _read_database(pycolmap, Path(folder) / "database.db", usable, settings, work, matches)
    yield from map_threads(
        lambda pair: _pair_matches(*pair, work, matches, settings), work.pairs(), threads, "match", "scoring pairs"
    )


def load_pycolmap() -> ModuleType:
    """Import pycolmap and check that it has what is used here.

    Raises:
        LiftnetError: It is missing or too old; says how to install it.
    """
    remedy = "Install it with `pip install 'liftnet[colmap]'`, or set matcher to opencv"
    try:
        import pycolmap
    except ImportError as error:
        raise LiftnetError("pycolmap", f"cannot be imported ({error})", remedy) from error
    missing = [name for name in _NEEDED if not hasattr(pycolmap, name)]
    if missing or not hasattr(pycolmap.FeatureMatchingOptions(), "skip_geometric_verification"):
        raise LiftnetError("pycolmap", f"version {pycolmap.__version__} is too old", remedy)
    module: Any = pycolmap
    module.logging.minloglevel = int(module.logging.ERROR)
    return pycolmap


def _run_colmap(
    pycolmap: Any, folder: Path, images: Sequence[WorkImage], settings: MatchSettings, threads: int
) -> None:
    """Extract and match into `database.db` of an empty folder."""
    database, image_folder, mask_folder = folder / "database.db", folder / "images", folder / "masks"
    image_folder.mkdir()
    mask_folder.mkdir()
    names = [link_image(image, image_folder).name for image in images]
    reader = pycolmap.ImageReaderOptions()
    if settings.mask_first:
        reader.mask_path = mask_folder
        for image, name in zip(images, names, strict=True):
            assert image.mask is not None
            mask = encode_image(read_mask(image.mask).astype(np.uint8) * 255)
            (mask_folder / f"{name}.png").write_bytes(mask)
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.max_image_size, extraction.num_threads, extraction.use_gpu = settings.max_side, threads, False
    extraction.sift.max_num_features = settings.max_keypoints
    matching = pycolmap.FeatureMatchingOptions()
    matching.num_threads, matching.use_gpu, matching.skip_geometric_verification = threads, False, True
    matching.sift.max_ratio, matching.sift.cross_check = settings.ratio, settings.mutual
    matching.sift.cpu_brute_force_matcher = False
    cpu = pycolmap.Device.cpu
    try:
        pycolmap.extract_features(
            database,
            image_folder,
            image_names=names,
            camera_mode=pycolmap.CameraMode.PER_IMAGE,
            reader_options=reader,
            extraction_options=extraction,
            device=cpu,
        )
        pycolmap.match_exhaustive(database, matching_options=matching, device=cpu)
    except (RuntimeError, ValueError) as error:
        raise LiftnetError("COLMAP", f"failed ({error})", "Set matcher to opencv") from error


def _read_database(
    pycolmap: Any,
    path: Path,
    images: Sequence[WorkImage],
    settings: MatchSettings,
    work: WorkFeatures,
    matches: dict[tuple[str, str], npt.NDArray[np.int64]],
) -> None:
    """Read keypoints, descriptors and matches of COLMAP's database into `work` and `matches`."""
    with pycolmap.Database.open(path) as database:
        numbers = {Path(image.name).stem: image.image_id for image in database.read_all_images()}
        for image in images:
            work.add(image.image_id, _read_features(database, image.image_id, numbers), settings.mask_first)
        for a, b in work.pairs():
            if a in numbers and b in numbers and database.exists_matches(numbers[a], numbers[b]):
                found = np.asarray(database.read_matches(numbers[a], numbers[b]), np.int64).reshape(-1, 2)
                if len(found) and (found.max(axis=0) >= (len(work.features[a]), len(work.features[b]))).any():
                    raise LiftnetError("COLMAP", f"matched keypoints that {a} or {b} does not have", "Update pycolmap")
                matches[a, b] = found


def _read_features(database: Any, image_id: str, numbers: dict[str, int]) -> Features | Problem:
    if image_id not in numbers or not database.exists_keypoints(numbers[image_id]):
        return Problem("colmap_no_features", f"COLMAP found no features in the image {image_id}")
    keypoints = np.asarray(database.read_keypoints(numbers[image_id]), np.float32)[:, :2] - _HALF_PIXEL
    stored = database.read_descriptors(numbers[image_id])
    return Features(keypoints, np.asarray(getattr(stored, "data", stored), np.uint8))


def _pair_matches(
    image_a: str,
    image_b: str,
    work: WorkFeatures,
    matches: dict[tuple[str, str], npt.NDArray[np.int64]],
    settings: MatchSettings,
) -> PairMatches:
    unmatched = work.unmatched(image_a, image_b)
    if unmatched is not None:
        return unmatched
    found = matches.get((image_a, image_b), np.zeros((0, 2), np.int64))
    scores = score_matches(work.features[image_a].descriptors, work.features[image_b].descriptors, found)
    return work.matched(image_a, image_b, found, scores, one_to_one=settings.mutual)

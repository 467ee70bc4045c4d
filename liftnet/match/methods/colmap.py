"""COLMAP's features and matching, by pycolmap through its database (its in-memory matching has no index)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from liftnet.core.errors import LiftnetError
from liftnet.core.log import progress
from liftnet.core.parallel import map_threads
from liftnet.core.settings import Settings
from liftnet.data.feature_kinds import SIFT
from liftnet.data.schemas import in_groups
from liftnet.match.registry import Extractor, Matcher

if TYPE_CHECKING:
    from liftnet.data.features import Features
    from liftnet.match.settings import MatchSettings
    from liftnet.match.work_features import PairMatches, Problem, WorkFeatures, WorkImage

_NEEDED = ("Database", "FeatureExtractionOptions", "FeatureMatchingOptions", "extract_features", "match_image_pairs")
OTHERS = "match.features.extractor opencv and match.search.matcher exact"
_HALF_PIXEL = np.float32(0.5)  # COLMAP calls the centre of the top-left pixel (0.5, 0.5)
_IMAGES_AT_ONCE = 64  # in a database of features: what a killed run has to look at again
_PAIRS_AT_ONCE = 4096

PairIds = tuple[str, str]


class ColmapSettings(Settings):
    """What decides COLMAP's features."""

    max_keypoints: int = Field(8000, ge=2, le=65535, description="max. keypoints per image, the largest first")
    max_side: int = Field(1600, ge=64, le=16384, description="max. longest side in px at which features are sought")
    upright: bool = Field(
        False, description="do not turn descriptors with the image; more matches where all cameras stand upright"
    )
    affine_shape: bool = Field(
        False, description="fit descriptors to the local tilt of the surface; more matches at wide angles"
    )


def extract_colmap(
    images: Sequence[WorkImage], settings: MatchSettings, threads: int
) -> Iterator[tuple[WorkImage, Features | Problem]]:
    """Find COLMAP's SIFT features on the CPU.

    Raises:
        LiftnetError: pycolmap is not installed, too old, or fails.
    """
    pycolmap = load_pycolmap()

    def extract() -> Iterator[tuple[WorkImage, Features | Problem]]:
        for group in in_groups(images, _IMAGES_AT_ONCE):
            with tempfile.TemporaryDirectory(prefix="liftnet-colmap-") as folder:
                yield from _extract_group(pycolmap, Path(folder), group, settings, threads)

    yield from progress(extract(), "match", "extracting features", len(images))


def match_colmap(
    work: WorkFeatures, pairs: Sequence[PairIds], settings: MatchSettings, threads: int, seed: int
) -> Iterator[PairMatches]:
    """Match the pairs in order with COLMAP on the CPU, without its geometric verification.

    Raises:
        LiftnetError: pycolmap is not installed, too old, or fails.
    """
    pycolmap = load_pycolmap()
    pycolmap.set_random_seed(seed % 2**31)
    with tempfile.TemporaryDirectory(prefix="liftnet-colmap-") as folder:
        database = Path(folder) / "database.db"
        numbers = _write_database(pycolmap, database, work, sorted({image_id for pair in pairs for image_id in pair}))
        for group in in_groups(pairs, _PAIRS_AT_ONCE):
            found = _match_group(pycolmap, database, group, numbers, work, settings, threads)
            yield from map_threads(
                lambda item: _pair_matches(*item, work, settings), found, threads, "match", "scoring pairs"
            )


def load_pycolmap() -> ModuleType:
    """Import pycolmap and check that it has what is used here.

    Raises:
        LiftnetError: It is missing or too old; says how to install it.
    """
    remedy = f"Install it with `pip install 'liftnet[colmap]'`, or choose {OTHERS}"
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


def _extract_group(
    pycolmap: Any, folder: Path, images: Sequence[WorkImage], settings: MatchSettings, threads: int
) -> Iterator[tuple[WorkImage, Features | Problem]]:
    """The features of some images, found in an empty folder."""
    from liftnet.match.work_features import link_image

    own = settings.features.colmap
    path, image_folder = folder / "database.db", folder / "images"
    image_folder.mkdir()
    names = [link_image(image, image_folder).name for image in images]
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.max_image_size, extraction.num_threads, extraction.use_gpu = own.max_side, threads, False
    extraction.sift.max_num_features = own.max_keypoints
    extraction.sift.upright, extraction.sift.estimate_affine_shape = own.upright, own.affine_shape
    with _colmap_errors():
        pycolmap.extract_features(
            path,
            image_folder,
            image_names=names,
            camera_mode=pycolmap.CameraMode.PER_IMAGE,
            extraction_options=extraction,
            device=pycolmap.Device.cpu,
        )
        with pycolmap.Database.open(path) as database:
            numbers = {Path(image.name).stem: image.image_id for image in database.read_all_images()}
            for image in images:
                yield image, _read_features(database, image.image_id, numbers)


def _read_features(database: Any, image_id: str, numbers: dict[str, int]) -> Features | Problem:
    from liftnet.data.features import Features
    from liftnet.match.work_features import Problem

    if image_id not in numbers or not database.exists_keypoints(numbers[image_id]):
        return Problem("colmap_no_features", f"COLMAP found no features in the image {image_id}")
    # x, y and the affine shape of the keypoint: columns of the 2x2 matrix from the unit circle to the image
    stored = np.asarray(database.read_keypoints(numbers[image_id]), np.float32)
    shapes = stored[:, 2:].reshape(-1, 2, 2) if stored.shape[1] == 6 else None
    if shapes is None:
        scales, orientations = stored[:, 2], stored[:, 3]
    else:
        scales = np.sqrt(np.abs(np.linalg.det(shapes)))
        orientations = np.arctan2(shapes[:, 1, 0], shapes[:, 0, 0])
    descriptors = database.read_descriptors(numbers[image_id])
    return Features(
        np.ascontiguousarray(stored[:, :2] - _HALF_PIXEL),
        scales.astype(np.float32),
        orientations.astype(np.float32),
        np.asarray(getattr(descriptors, "data", descriptors), np.uint8),
    )


def _write_database(pycolmap: Any, path: Path, work: WorkFeatures, image_ids: Sequence[str]) -> dict[str, int]:
    """Put the features into a new database; COLMAP's number of each image."""
    numbers: dict[str, int] = {}
    with _colmap_errors(), pycolmap.Database.open(path) as database:
        for image_id in image_ids:
            features, (width, height) = work.load(image_id), work.sizes[image_id]
            # matching alone does not look at the camera, but every image must have one
            camera = pycolmap.Camera(
                model="SIMPLE_PINHOLE", width=width, height=height, params=[max(width, height), width / 2, height / 2]
            )
            number = database.write_image(pycolmap.Image(name=image_id, camera_id=database.write_camera(camera)))
            database.write_keypoints(number, features.keypoints + _HALF_PIXEL)
            kind = pycolmap.FeatureExtractorType.SIFT
            database.write_descriptors(number, pycolmap.FeatureDescriptors(type=kind, data=features.descriptors))
            numbers[image_id] = number
    return numbers


def _match_group(
    pycolmap: Any,
    path: Path,
    pairs: Sequence[PairIds],
    numbers: dict[str, int],
    work: WorkFeatures,
    settings: MatchSettings,
    threads: int,
) -> list[tuple[PairIds, npt.NDArray[np.int64]]]:
    """The (K, 2) matches of each pair."""
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = path.with_name("pairs.txt")
    pairing.match_list_path.write_text("".join(f"{a} {b}\n" for a, b in pairs))
    matching = pycolmap.FeatureMatchingOptions()
    matching.num_threads, matching.use_gpu, matching.skip_geometric_verification = threads, False, True
    matching.sift.max_ratio, matching.sift.cross_check = settings.search.ratio, settings.search.mutual
    matching.sift.cpu_brute_force_matcher = False
    results = []
    with _colmap_errors():
        pycolmap.match_image_pairs(
            path, matching_options=matching, pairing_options=pairing, device=pycolmap.Device.cpu
        )
        with pycolmap.Database.open(path) as database:
            for a, b in pairs:
                found = np.zeros((0, 2), np.int64)
                if database.exists_matches(numbers[a], numbers[b]):
                    found = np.asarray(database.read_matches(numbers[a], numbers[b]), np.int64).reshape(-1, 2)
                if len(found) and (found.max(axis=0) >= (work.counts[a], work.counts[b])).any():
                    raise LiftnetError("COLMAP", f"matched keypoints that {a} or {b} does not have", "Update pycolmap")
                results.append(((a, b), found))
    return results


@contextmanager
def _colmap_errors() -> Iterator[None]:
    """What pycolmap raises, in plain words."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise LiftnetError("COLMAP", f"failed ({error})", f"Choose {OTHERS}") from error


def _pair_matches(
    pair: PairIds, found: npt.NDArray[np.int64], work: WorkFeatures, settings: MatchSettings
) -> PairMatches:
    from liftnet.match.descriptors import score_matches

    a, b = (work.load(image_id).descriptors for image_id in pair)
    return work.matched(*pair, found, score_matches(a, b, found), one_to_one=settings.search.mutual)


EXTRACTOR = Extractor("colmap", extract_colmap, ColmapSettings, environment="colmap")
MATCHER = Matcher("colmap", match_colmap, environment="colmap", draws=True, kinds=(SIFT.name,))

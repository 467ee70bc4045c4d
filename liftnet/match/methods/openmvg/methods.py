"""The extractor and the matcher `openmvg`.

OpenMVG's SIFT is found in each image in a folder of its own. One folder an image costs about 15 ms and lets nothing
go wrong unseen: no two images share a name, nothing old is loaded, and where a program crashes it is known on which
image. OpenMVG is given the decoded pixels: from files as they are it drops WebP and BMP, reads CMYK as RGBA, ends on
grey TIFF and finds nothing in grey PNG with transparency.

OpenMVG compares the features of any extractor. The pairs go to it in groups, each in an empty folder with the
features of its images alone. So memory and disk do not grow with the work, old matches are never loaded, and several
groups run at a time without OpenMVG's own threads, whose order changes its results.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.core.parallel import map_threads
from liftnet.core.types import UInt8Array
from liftnet.data.features import Features
from liftnet.data.schemas import in_groups
from liftnet.match.descriptors import score_matches
from liftnet.match.methods.openmvg.files import (
    Describer,
    Matches,
    Pair,
    View,
    check_matches,
    read_describer,
    read_descriptors,
    read_features,
    read_matches,
    read_pairs,
    read_sfm_data,
    write_describer,
    write_features,
    write_file,
    write_pairs,
    write_sfm_data,
)
from liftnet.match.methods.openmvg.programs import (
    FEATURES,
    FILTER,
    LISTING,
    MATCHES,
    PAIRS,
    ProgramError,
    Programs,
)
from liftnet.match.settings import MatchSettings
from liftnet.match.work_features import PairMatches, Problem, WorkFeatures, WorkImage, load_pixels

PairIds = tuple[str, str]

PRESETS = {"NORMAL": (0, 0.04), "HIGH": (0, 0.01), "ULTRA": (-1, 0.01)}
"""First octave and peak threshold of OpenMVG's presets (SIFT_describer.hpp)."""

_TEST_ID = "a-simple-picture"
_PAIRS_AT_ONCE = 256
_PAIRS_AT_ONCE_HASHED = 1024  # it centres its hashes on the mean of all descriptors it is given
_HASHED = ("AUTO", "FASTCASCADEHASHINGL2")
_REMEDY = "Use the programs of OpenMVG 2.x"
Read = TypeVar("Read")


def extract_openmvg(
    images: Sequence[WorkImage], settings: MatchSettings, threads: int
) -> Iterator[tuple[WorkImage, Features | Problem]]:
    """Find OpenMVG's SIFT features of each image at its stored size, in order.

    Raises:
        LiftnetError: A program is missing, cannot be run, or fails even on a simple picture; or the disk is full.
    """
    extractor = _Extractor(settings)
    found = map_threads(extractor.features, images, threads, "match", "extracting features")
    yield from zip(images, found, strict=True)


class _Extractor:
    def __init__(self, settings: MatchSettings) -> None:
        self.settings = settings.features.openmvg
        self.programs = Programs((LISTING, FEATURES), settings.openmvg.bin, settings.openmvg.timeout_minutes)
        self._lock = threading.Lock()
        self._proven = False

    def features(self, image: WorkImage) -> Features | Problem:
        """The features of one image, or what is wrong with it."""
        pixels = load_pixels(image)
        if isinstance(pixels, Problem):
            return pixels
        found = self._look_at(image.image_id, pixels)
        if isinstance(found, Problem):
            self._prove_that_it_works()
        return found

    def _prove_that_it_works(self) -> None:
        """Where one image fails, make sure that it is the image: not every image of every work must fail in turn."""
        with self._lock:
            if self._proven:
                return
            found = self._look_at(_TEST_ID, simple_picture())
            if isinstance(found, Problem) or len(found) == 0:
                reason = found.reason if isinstance(found, Problem) else "it finds nothing in it"
                raise LiftnetError("OpenMVG", f"fails even on a simple picture: {reason}", _REMEDY)
            self._proven = True

    def _look_at(self, image_id: str, pixels: UInt8Array) -> Features | Problem:
        with tempfile.TemporaryDirectory(prefix="liftnet-openmvg-") as name:
            folder = Path(name)
            (folder / "images").mkdir()
            height, width = pixels.shape[:2]
            write_file(folder / f"images/{image_id}.ppm", b"P6\n%d %d\n255\n" % (width, height) + pixels.tobytes())
            try:
                return self._run(folder, image_id, (width, height))
            except ProgramError as error:
                return Problem(
                    "openmvg_failed", f"{error.what} {error.reason} on the image {image_id}. {error.remedy}"
                )
            except _BadOutput as error:
                return error.problem

    def _run(self, folder: Path, image_id: str, size: tuple[int, int]) -> Features:
        scene = self.programs.call(LISTING, folder, "-i", "images", "-o", "out", writes="out/sfm_data.json")
        _check_views(_read(read_sfm_data, scene, image_id), image_id, size)
        options = ("-m", "SIFT", "-p", self.settings.preset, "-u", str(int(self.settings.upright)))
        arguments = ("-i", "out/sfm_data.json", "-o", "out", *options, "-f", "1")
        self._check_describer(
            self.programs.call(FEATURES, folder, *arguments, writes="out/image_describer.json"), image_id
        )
        return _features_of(folder / "out", image_id, size)

    def _check_describer(self, path: Path, image_id: str) -> None:
        """OpenMVG goes by the settings in this file, if there is one, and not by its options."""
        used = _read(read_describer, path, image_id)
        octave, peak = PRESETS[self.settings.preset]
        wanted = Describer(octave, peak, self.settings.upright, root_sift=True)
        if replace(used, peak_threshold=peak) != wanted or abs(used.peak_threshold - peak) > 1e-6:
            raise _BadOutput("openmvg_bad_features", f"OpenMVG described {image_id} with {used} instead of {wanted}")


class _BadOutput(Exception):
    """What a program wrote about one image cannot be used."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.problem = Problem(code, reason)


def simple_picture() -> UInt8Array:
    """(240, 320, 3) uint8 round blotches, in which any SIFT finds features."""
    y, x = np.mgrid[:240, :320] / 12.0
    grey = 128 + 60 * np.sin(x) * np.sin(y) + 60 * np.sin(0.37 * x + 1) * np.sin(0.31 * y)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def _read(reader: Callable[[Path], Read], path: Path, image_id: str) -> Read:
    """What a reader of OpenMVG's files makes of a file about one image."""
    try:
        return reader(path)
    except LiftnetError as error:
        reason = f"OpenMVG's {path.name} of the image {image_id} {error.reason}"
        raise _BadOutput("openmvg_bad_features", reason) from error


def _check_views(views: Sequence[View], image_id: str, size: tuple[int, int]) -> None:
    if not views:
        raise _BadOutput("openmvg_not_listed", f"OpenMVG left out the image {image_id}: it cannot read it")
    view = views[0]
    if len(views) > 1 or view.stem != image_id:
        names = ", ".join(view.filename for view in views)
        raise _BadOutput("openmvg_not_listed", f"OpenMVG lists {names} where it was given the image {image_id}")
    if (view.width, view.height) != size:
        reason = f"OpenMVG reads {image_id} as {view.width}x{view.height} pixels instead of {size[0]}x{size[1]}"
        raise _BadOutput("openmvg_wrong_size", reason)


def _features_of(folder: Path, image_id: str, size: tuple[int, int]) -> Features:
    """Read and check the features that OpenMVG wrote of an image of (width, height)."""
    features, descriptors = folder / f"{image_id}.feat", folder / f"{image_id}.desc"
    if not features.exists() or not descriptors.exists():
        raise _BadOutput("openmvg_no_features", f"OpenMVG wrote no features of the image {image_id}")
    rows, values = _read(read_features, features, image_id), _read(read_descriptors, descriptors, image_id)
    if len(rows) != len(values):
        reason = f"OpenMVG wrote {len(rows)} keypoints but {len(values)} descriptors of the image {image_id}"
        raise _BadOutput("openmvg_bad_features", reason)
    keypoints = np.ascontiguousarray(rows[:, :2])
    if ((keypoints < -0.5) | (keypoints > np.array(size) - 0.5)).any():
        raise _BadOutput("openmvg_bad_features", f"OpenMVG's features of {image_id} lie outside the image")
    return Features(keypoints, rows[:, 2].copy(), rows[:, 3].copy(), values)


def match_openmvg(
    work: WorkFeatures, pairs: Sequence[PairIds], settings: MatchSettings, threads: int, seed: int
) -> Iterator[PairMatches]:
    """Match the pairs in order with OpenMVG; `seed` changes nothing: OpenMVG has no seed to set.

    Raises:
        LiftnetError: A program is missing, fails, runs out of time or writes something that cannot be trusted.
    """
    filtered = settings.search.openmvg.filter != "none"
    programs = Programs(
        (PAIRS, MATCHES, *([FILTER] if filtered else [])), settings.openmvg.bin, settings.openmvg.timeout_minutes
    )
    images = sorted({image_id for pair in pairs for image_id in pair})
    with tempfile.TemporaryDirectory(prefix="liftnet-openmvg-") as name:
        matcher = _Matcher(Path(name), programs, work, settings)
        if len(pairs) == len(images) * (len(images) - 1) // 2:
            matcher.check_exhaustive(images)
        size = _PAIRS_AT_ONCE_HASHED if settings.search.openmvg.method in _HASHED else _PAIRS_AT_ONCE
        groups = list(in_groups(pairs, size))
        for group in map_threads(matcher.match, groups, threads, "match", "matching groups of pairs"):
            yield from group


class _Matcher:
    def __init__(self, folder: Path, programs: Programs, work: WorkFeatures, settings: MatchSettings) -> None:
        self.folder, self.programs, self.work, self.settings = folder, programs, work, settings.search

    def check_exhaustive(self, images: Sequence[str]) -> None:
        """Have OpenMVG list the pairs of the images, and see that these are all of them."""
        with self._folder_of(images) as folder:
            path = self.programs.call(
                PAIRS, folder, "-i", "out/sfm_data.json", "-o", "out/pairs.txt", writes="out/pairs.txt"
            )
            listed, wanted = read_pairs(path), list(combinations(range(len(images)), 2))
            if sorted(listed) != wanted:
                raise LiftnetError(PAIRS, f"lists {len(listed)} pairs, not the {len(wanted)} of all images", _REMEDY)

    def match(self, pairs: Sequence[PairIds]) -> list[PairMatches]:
        """Match one group of pairs."""
        images = sorted({image_id for pair in pairs for image_id in pair})
        numbers = {image_id: number for number, image_id in enumerate(images)}
        keys = [(numbers[a], numbers[b]) for a, b in pairs]
        with self._folder_of(images) as folder:
            for image_id in images:
                write_features(folder / "out", image_id, self.work.load(image_id))
            write_describer(folder / "out/image_describer.json")
            write_pairs(folder / "out/pairs.txt", keys)
            found = self._compute_matches(folder, images, keys)
            if self.settings.openmvg.filter != "none":
                found = self._filter(folder, images, found)
        none = np.zeros((0, 2), np.uint32)
        return [self._pair_matches(pair, found.get(key, none)) for pair, key in zip(pairs, keys, strict=True)]

    @contextmanager
    def _folder_of(self, images: Sequence[str]) -> Iterator[Path]:
        """A new folder with `out/sfm_data.json`, where the `id_view` of an image is its place in the list."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            folder = Path(name)
            (folder / "out").mkdir()
            write_sfm_data(folder / "out/sfm_data.json", images, [self.work.sizes[image_id] for image_id in images])
            yield folder

    def _compute_matches(self, folder: Path, images: Sequence[str], keys: Sequence[Pair]) -> Matches:
        files = ("-i", "out/sfm_data.json", "-p", "out/pairs.txt", "-o", "out/matches.bin")
        options = ("-r", str(self.settings.ratio), "-n", self.settings.openmvg.method, "-f", "1")
        path = self.programs.call(MATCHES, folder, *files, *options, writes="out/matches.bin")
        found = self._read(path, images)
        if unasked := found.keys() - set(keys):
            i, j = min(unasked)
            raise LiftnetError(MATCHES, f"matched {images[i]} and {images[j]}, which it was not asked to", _REMEDY)
        return found

    def _filter(self, folder: Path, images: Sequence[str], putative: Matches) -> Matches:
        """The matches that obey one geometry, by OpenMVG's a contrario RANSAC (Moulon et al. 2012)."""
        files = ("-i", "out/sfm_data.json", "-m", "out/matches.bin", "-o", "out/filtered.bin")
        path = self.programs.call(
            FILTER, folder, *files, "-g", self.settings.openmvg.filter, writes="out/filtered.bin"
        )
        found = self._read(path, images)
        for (i, j), rows in found.items():
            given = putative.get((i, j), rows[:0])
            if not np.isin(_as_numbers(rows), _as_numbers(given)).all():
                reason = f"kept matches of {images[i]} and {images[j]} that it was not given"
                raise LiftnetError(FILTER, reason, _REMEDY)
        return found

    def _read(self, path: Path, images: Sequence[str]) -> Matches:
        """Matches of existing features of existing images."""
        found = read_matches(path)
        names = dict(enumerate(images))
        check_matches(path, found, {i: self.work.counts[name] for i, name in names.items()}, names)
        return found

    def _pair_matches(self, pair: PairIds, found: npt.NDArray[np.uint32]) -> PairMatches:
        a, b = (self.work.load(image_id).descriptors for image_id in pair)
        matches = found.astype(np.int64)
        # OpenMVG looks up each feature of the second image among those of the first
        scores = score_matches(b, a, matches[:, ::-1])
        return self.work.matched(*pair, matches, scores, one_to_one=self.settings.mutual)


def _as_numbers(matches: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """Each of (K, 2) pairs of indices as one number."""
    return matches[:, 0].astype(np.uint64) << np.uint64(32) | matches[:, 1]

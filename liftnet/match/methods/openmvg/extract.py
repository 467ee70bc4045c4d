"""The extractor `openmvg`: OpenMVG's SIFT, each image in a folder of its own.

One folder an image costs about 15 ms and lets nothing go wrong unseen: no two images share a name, nothing old is
loaded, and where a program crashes it is known on which image. OpenMVG is given the decoded pixels: from files as
they are it drops WebP and BMP, reads CMYK as RGBA, ends on grey TIFF and finds nothing in grey PNG with transparency.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.parallel import map_threads
from liftnet.core.types import UInt8Array
from liftnet.data.features import Features
from liftnet.match.methods.openmvg.programs import FEATURES, LISTING, ProgramError, Programs
from liftnet.match.methods.openmvg.readers import (
    Describer,
    View,
    read_describer,
    read_descriptors,
    read_features,
    read_sfm_data,
)
from liftnet.match.methods.openmvg.writers import write_file
from liftnet.match.settings import MatchSettings
from liftnet.match.work_features import Problem, WorkImage, load_pixels

PRESETS = {"NORMAL": (0, 0.04), "HIGH": (0, 0.01), "ULTRA": (-1, 0.01)}
"""First octave and peak threshold of OpenMVG's presets (SIFT_describer.hpp)."""

_TEST_ID = "a-simple-picture"
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
                raise LiftnetError(
                    "OpenMVG", f"fails even on a simple picture: {reason}", "Use the programs of OpenMVG 2.x"
                )
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
        super().__init__(reason)
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

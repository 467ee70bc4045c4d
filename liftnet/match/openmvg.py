"""The matcher `openmvg`: OpenMVG's own programs, called one after the other, their outputs checked.

OpenMVG's exit status says little: it is 0 for an image it could not read, for a cut descriptor file and for old
matches it loaded instead of computing new ones. So each work gets an empty folder, every image a name of its own, and
every file is read back and checked before the next program runs. Geometric filtering is left to the stage `verify`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from liftnet.io.errors import LiftnetError
from liftnet.io.images import encode_image, read_mask
from liftnet.io.log import get_logger
from liftnet.io.parallel import map_threads
from liftnet.match.features import Features, PairMatches, Problem, WorkFeatures, WorkImage
from liftnet.match.images import image_sizes, link_image
from liftnet.match.matcher import score_matches
from liftnet.match.openmvg_files import (
    Matches,
    View,
    check_matches,
    read_describer,
    read_descriptors,
    read_features,
    read_matches,
    read_pairs,
    read_sfm_data,
)
from liftnet.match.settings import MatchSettings

LISTING, FEATURES, PAIRS, MATCHES = (
    f"openMVG_main_{name}" for name in ("SfMInit_ImageListing", "ComputeFeatures", "PairGenerator", "ComputeMatches")
)
_HOW_TO_GET_IT = (
    "OpenMVG is on neither PyPI, Debian nor conda-forge: build it from source with CMake or its Dockerfile, or "
    "install it with vcpkg (openmvg[software]) or from nixpkgs; then name its folder in openmvg_bin or put it on "
    "PATH. Or set matcher to opencv"
)
_LAST_LINES = 4


def match_openmvg(
    images: Sequence[WorkImage], settings: MatchSettings, threads: int, seed: int
) -> Iterator[PairMatches]:
    """Match all pairs of `images` with OpenMVG, in ascending order.

    The programs run on one thread: their results depend on the order of threads. They see the images at their stored
    size. `seed` changes nothing: OpenMVG has no seed to set.

    Raises:
        LiftnetError: A program is missing, fails, runs out of time or writes something that cannot be trusted.
    """
    programs = {name: find_program(name, settings.openmvg_bin) for name in (LISTING, FEATURES, PAIRS, MATCHES)}
    sizes, problems = image_sizes(images, threads)
    work = WorkFeatures(problems=problems)
    matches: Matches = {}
    ids: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="liftnet-openmvg-") as folder:
        run = OpenMVGRun(Path(folder), programs, settings)
        run.stage(image for image in images if image.image_id in sizes)
        if len(sizes) > 1:
            run.find_features(sizes, work)
        if len(work.usable()) > 1:
            matches, ids = run.find_matches(sizes, work)
    yield from map_threads(
        lambda pair: _pair_matches(*pair, work, matches, ids, settings),
        work.pairs(),
        threads,
        "match",
        "scoring pairs",
    )


def find_program(name: str, folder: str = "") -> str:
    """The path of a program of OpenMVG, in `folder` or, where that is empty, on PATH.

    Raises:
        LiftnetError: It is not there or may not be executed; says how to get it.
    """
    path = shutil.which(name, path=folder or None)
    if path is None:
        raise LiftnetError(name, f"was not found {f'in {folder}' if folder else 'on PATH'}", _HOW_TO_GET_IT)
    return str(Path(path).resolve())


@dataclass
class OpenMVGRun:
    """One run of OpenMVG on one work, in an empty folder of its own."""

    folder: Path
    programs: dict[str, str]
    settings: MatchSettings
    staged: dict[str, Path] = field(default_factory=dict)  # image id -> file in images/

    @property
    def scene(self) -> Path:
        """The list of images that OpenMVG makes."""
        return self.folder / "out" / "sfm_data.json"

    def stage(self, images: Iterator[WorkImage]) -> None:
        """Put images, and masks where they are used, into `images/`, each under its image id."""
        for folder in ("images", "out", "log"):
            (self.folder / folder).mkdir()
        for image in images:
            self.staged[image.image_id] = link_image(image, self.folder / "images")
            if image.mask is not None:  # OpenMVG takes a mask from <stem>_mask.png, if it can read it
                mask = encode_image(read_mask(image.mask).astype(np.uint8) * 255)
                (self.folder / "images" / f"{image.image_id}_mask.png").write_bytes(mask)

    def find_features(self, sizes: dict[str, tuple[int, int]], work: WorkFeatures) -> None:
        """List the images, compute their features and read them into `work`, with the problem of each bad image."""
        views = {view.stem: view for view in self._list_images()}
        self._call(
            FEATURES, "-i", self.scene, "-o", self.scene.parent, "-m", "SIFT", "-p", self.settings.openmvg_preset
        )
        self._check_describer()
        for image_id in self.staged:
            work.add(
                image_id, self._read_image(image_id, views.get(image_id), sizes[image_id]), self.settings.mask_first
            )
        bad = {key: value for key, value in work.problems.items() if key in self.staged}
        if not work.features:
            reasons = "; ".join(problem.reason for problem in list(bad.values())[:3])
            raise LiftnetError(
                FEATURES, f"gave no usable features for any image: {reasons}", self._last_words(FEATURES)
            )
        for image_id in bad:  # one view without features would stop the matching of all
            self.staged.pop(image_id).unlink()

    def find_matches(self, sizes: dict[str, tuple[int, int]], work: WorkFeatures) -> tuple[Matches, dict[str, int]]:
        """Match the usable images; the matches by pair of view ids, and the view id of each image."""
        self.scene.unlink()  # the views of images without features must go
        views = self._list_images()
        ids = {view.stem: view.id_view for view in views}
        if set(ids) != set(self.staged) or sorted(ids.values()) != list(range(len(ids))):
            raise LiftnetError(self.scene, "does not list the images it was given", self._last_words(LISTING))
        pairs_file, matches_file = self.scene.with_name("pairs.txt"), self.scene.with_name("matches.bin")
        self._call(PAIRS, "-i", self.scene, "-o", pairs_file)
        self._expect(PAIRS, pairs_file)
        wanted = {(i, j) for i in range(len(ids)) for j in range(i + 1, len(ids))}
        if set(read_pairs(pairs_file)) != wanted:
            raise LiftnetError(pairs_file, f"does not list the {len(wanted)} pairs of images", self._last_words(PAIRS))
        ratio, method = str(self.settings.ratio), self.settings.openmvg_method
        self._call(
            MATCHES, "-i", self.scene, "-p", pairs_file, "-o", matches_file, "-r", ratio, "-n", method, "-f", "1"
        )
        self._expect(MATCHES, matches_file)
        matches = read_matches(matches_file)
        check_matches(matches_file, matches, {ids[key]: len(work.features[key]) for key in ids})
        return matches, ids

    def _list_images(self) -> list[View]:
        self._call(LISTING, "-i", self.folder / "images", "-o", self.scene.parent)
        self._expect(LISTING, self.scene)
        views = read_sfm_data(self.scene)
        for view in views:
            if view.stem not in self.staged:
                raise LiftnetError(
                    self.scene, f"lists {view.filename}, which it was not given", self._last_words(LISTING)
                )
        return views

    def _check_describer(self) -> None:
        path = self.scene.with_name("image_describer.json")
        self._expect(FEATURES, path)
        kinds = read_describer(path)
        if kinds != ("SIFT_Image_describer", "SIFT_Regions"):
            raise LiftnetError(path, f"names {kinds[0]} and {kinds[1]}, not SIFT", "Use OpenMVG 2.x")

    def _read_image(self, image_id: str, view: View | None, size: tuple[int, int]) -> Features | Problem:
        """The features of one image, or what is wrong with them."""
        if view is None:
            return Problem("openmvg_not_listed", f"OpenMVG left out the image {image_id}: it cannot read it")
        if (view.width, view.height) != size:
            reason = f"OpenMVG reads {image_id} as {view.width}x{view.height} pixels instead of {size[0]}x{size[1]}"
            return Problem("openmvg_wrong_size", reason)
        features, descriptors = (self.scene.with_name(f"{image_id}.{suffix}") for suffix in ("feat", "desc"))
        if not features.exists() or not descriptors.exists():
            return Problem("openmvg_no_features", f"OpenMVG wrote no features of the image {image_id}")
        try:
            keypoints, values = read_features(features)[:, :2], read_descriptors(descriptors)
        except LiftnetError as error:
            return Problem(
                "openmvg_bad_features", f"OpenMVG's features of {image_id}: {Path(error.what).name} {error.reason}"
            )
        if len(keypoints) != len(values):
            reason = f"OpenMVG wrote {len(keypoints)} keypoints but {len(values)} descriptors of the image {image_id}"
            return Problem("openmvg_bad_features", reason)
        if ((keypoints < -0.5) | (keypoints > np.array(size) - 0.5)).any():
            return Problem("openmvg_bad_features", f"OpenMVG's features of {image_id} lie outside the image")
        return Features(keypoints, values)

    def _call(self, name: str, *arguments: object) -> None:
        """Run a program to its end, its words going to a file."""
        get_logger("match").debug("running %s", name)
        command = [self.programs[name], *map(str, arguments)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        minutes = self.settings.openmvg_timeout
        try:
            with open(self._log(name), "wb") as log:
                status = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    env=environment,
                    timeout=60 * minutes,
                    check=False,
                ).returncode
        except subprocess.TimeoutExpired as error:
            raise LiftnetError(name, f"was stopped after {minutes:g} minutes", "Raise openmvg_timeout") from error
        except OSError as error:
            raise LiftnetError(self.programs[name], f"cannot be run ({error.strerror})", _HOW_TO_GET_IT) from error
        if status < 0:
            raise LiftnetError(name, f"was ended by signal {-status}", self._last_words(name))
        if status:
            raise LiftnetError(name, f"ended with exit status {status}", self._last_words(name))

    def _expect(self, name: str, path: Path) -> None:
        """Make sure that a program which says it succeeded has written its file."""
        if not path.is_file():
            raise LiftnetError(name, f"ended with exit status 0 but wrote no {path.name}", self._last_words(name))

    def _log(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.txt"

    def _last_words(self, name: str) -> str:
        """The end of what a program said, for an error message."""
        lines = self._log(name).read_text(errors="replace").split("\n")
        said = " | ".join([line.strip() for line in lines if line.strip()][-_LAST_LINES:])
        return f"Its last words: {said}" if said else "It said nothing"


def _pair_matches(
    image_a: str, image_b: str, work: WorkFeatures, matches: Matches, ids: dict[str, int], settings: MatchSettings
) -> PairMatches:
    unmatched = work.unmatched(image_a, image_b)
    if unmatched is not None:
        return unmatched
    first, second = sorted((image_a, image_b), key=lambda image_id: ids[image_id])
    none = np.zeros((0, 2), np.uint32)
    found = matches.get((ids[first], ids[second]), none).astype(np.int64)
    # OpenMVG looks up each feature of the second view among those of the first
    descriptors = work.features[second].descriptors, work.features[first].descriptors
    scores = score_matches(*descriptors, found[:, ::-1])
    in_order = found if first == image_a else found[:, ::-1]
    return work.matched(image_a, image_b, in_order, scores, one_to_one=settings.mutual)

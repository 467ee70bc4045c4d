"""The matcher `openmvg`: OpenMVG compares the features of any extractor.

The pairs go to OpenMVG in groups, each in an empty folder with the features of its images alone. So memory and disk
do not grow with the work, old matches are never loaded, and several groups run at a time without OpenMVG's own
threads, whose order changes its results.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.core.parallel import map_threads
from liftnet.data.schemas import in_groups
from liftnet.match.descriptors import score_matches
from liftnet.match.methods.openmvg.programs import FILTER, MATCHES, PAIRS, Programs
from liftnet.match.methods.openmvg.readers import Matches, Pair, check_matches, read_matches, read_pairs
from liftnet.match.methods.openmvg.writers import write_describer, write_features, write_pairs, write_sfm_data
from liftnet.match.settings import MatchSettings
from liftnet.match.work_features import PairMatches, WorkFeatures

PairIds = tuple[str, str]

_PAIRS_AT_ONCE = 256
_PAIRS_AT_ONCE_HASHED = 1024  # it centres its hashes on the mean of all descriptors it is given
_HASHED = ("AUTO", "FASTCASCADEHASHINGL2")
_REMEDY = "Use the programs of OpenMVG 2.x"


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

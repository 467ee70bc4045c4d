"""Copies among the rows of a manifest: which one stays, what is only noted, and which pictures are placeholders.

A hash of 64 bits finds pictures that may be copies. It cannot tell a copy from the next view of a sculpture that was
turned a little before a plain wall, so what is dropped must agree in its fine detail as well (docs/splits.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from liftnet.collect.fetch.journal import Fetched
from liftnet.collect.manifest_row import ManifestRow
from liftnet.collect.settings import DuplicateSettings
from liftnet.core.ids import Components
from liftnet.core.limits import ALIKE_KEPT
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.data.perceptual_hashes import SYMMETRIES, Indices, NearPairs, as_bits, near_pairs
from liftnet.data.pictures import read_small_grey

DETAIL_SIDE = 128  # px to which images are brought before their detail is compared
BLUR_PX = 2.0  # what remains after a blur of this is not detail
DETAILS_IN_MEMORY = 4096  # 64 kB each
ALIKE_ARTISTS = 16  # a picture that looks like those of more artists than this is a placeholder too, or made to be one
PLACEHOLDER_ARTISTS = 3  # a picture under more artists than this shows none of their works: "no image available"
LOG = get_logger("collect")

Floats = npt.NDArray[np.float32]
Tie = tuple[int, int]  # numbers of two rows


def deduplicate(
    rows: Sequence[ManifestRow], images: Sequence[Fetched], out: Path, settings: DuplicateSettings, threads: int = 1
) -> tuple[list[ManifestRow], list[Tie]]:
    """Drop copies, note what looks alike, and find which rows' pictures tie their works together.

    Of copies the one with a manual mask stays, then the larger, then the earlier in the list.

    Args:
        rows: The manifest, exact duplicates marked, with ids.
        images: The outcome for each row's image.
        out: Folder of the outputs, for the stored files.
        settings: Distances.
        threads: Workers; the result does not depend on them.

    Returns:
        The rows, and pairs of row numbers: the same file, or hashes at most `near_duplicate_max_bits` bits apart.
    """
    stored = np.array([number for number, row in enumerate(rows) if row.status == "ok"], np.int64)
    near = _near_rows(stored, images, settings, threads)
    alike = near.within(settings.near_duplicate_max_bits)
    crowd = _crowd(rows, alike)
    alike = alike.without(crowd)
    paths = {number: out / str(images[number].file) for number in stored.tolist()}
    copies = alike.pairs[same_detail(paths, alike, settings.near_duplicate_min_correlation, threads)]
    exact = _exact(rows)
    placeholders = _placeholders(rows, [*exact, *_ties(copies)])
    placeholders |= crowd | {number for kept, number in exact if kept in crowd}
    shown = np.array([not placeholders.intersection(pair) for pair in copies.tolist()], np.bool_)
    preference = sorted(paths, key=lambda number: _worth(rows[number], number))
    dropped = choose_kept(preference, copies[shown])
    found = _without_placeholders(rows, placeholders)
    found = _with_nearest(found, near.within(settings.near_image_max_bits), dropped)
    bits = dict(zip(map(frozenset, _ties(alike.pairs)), alike.distances.tolist(), strict=True))
    for number, kept in dropped.items():
        found[number] = _dropped(found[number], found[kept], bits[frozenset((number, kept))])
    ties = [tie for tie in (*exact, *_ties(alike.pairs)) if not placeholders.intersection(tie)]
    return found, [(a, b) for a, b in ties if rows[a].work_id != rows[b].work_id]


def _near_rows(stored: Indices, images: Sequence[Fetched], settings: DuplicateSettings, threads: int) -> NearPairs:
    """The pairs of rows whose pictures look alike, by row number."""
    farthest = max(settings.near_duplicate_max_bits, settings.near_image_max_bits)
    hashes = as_bits([_hashes(images[number]) for number in stored])
    near = near_pairs(hashes, farthest, threads, kept=ALIKE_KEPT)
    return NearPairs(stored[near.pairs], near.distances, near.variants)


def _hashes(image: Fetched) -> Sequence[str]:
    """All eight hashes; a journal of an earlier version has the upright one alone."""
    return image.phashes or [str(image.phash)] * len(SYMMETRIES)


def _ties(pairs: Indices) -> list[Tie]:
    return [(a, b) for a, b in pairs.tolist()]


def _exact(rows: Sequence[ManifestRow]) -> list[Tie]:
    """Each exact duplicate with the row that holds its file."""
    first = {row.sha256: number for number, row in enumerate(rows) if row.status == "ok"}
    return [(first[row.sha256], number) for number, row in enumerate(rows) if row.status == "dup_exact"]


def _placeholders(rows: Sequence[ManifestRow], same: Sequence[Tie]) -> set[int]:
    """The rows whose picture stands under too many artists to be of their works."""
    tied = Components()
    for a, b in same:
        tied.tie(f"{a:09d}", f"{b:09d}")
    found: set[int] = set()
    for members in tied.members().values():
        numbers = [int(name) for name in members]
        if len({rows[number].artist_id for number in numbers}) > PLACEHOLDER_ARTISTS:
            found.update(numbers)
    return found


def _crowd(rows: Sequence[ManifestRow], alike: NearPairs) -> set[int]:
    """The rows whose picture looks like those of very many artists: their pairs are not compared one by one."""
    artists: dict[int, set[str | None]] = {}
    for a, b in alike.pairs.tolist():
        for one, other in ((a, b), (b, a)):
            artists.setdefault(one, {rows[one].artist_id}).add(rows[other].artist_id)
    return {number for number, found in artists.items() if len(found) > ALIKE_ARTISTS}


def _without_placeholders(rows: Sequence[ManifestRow], numbers: set[int]) -> list[ManifestRow]:
    reason = (
        f"the same picture stands under more than {PLACEHOLDER_ARTISTS} artists, or one that looks like it under more "
        f"than {ALIKE_ARTISTS}, so it shows none of their works"
    )
    if numbers:
        LOG.warning("%d rows hold a picture that stands under many artists; they are not used", len(numbers))
    return [
        replace(row, status="placeholder", reason=reason, image_id=None, file=None) if number in numbers else row
        for number, row in enumerate(rows)
    ]


def _worth(row: ManifestRow, number: int) -> tuple[bool, int, int]:
    """Sorts the row to keep first."""
    return row.mask_status != "ok", -(row.width or 0) * (row.height or 0), number


def _with_nearest(rows: Sequence[ManifestRow], near: NearPairs, dropped: Mapping[int, int]) -> list[ManifestRow]:
    """The rows with the nearest other image that stays noted in them."""
    nearest: dict[int, tuple[int, str]] = {}
    for (a, b), distance in zip(near.pairs.tolist(), near.distances.tolist(), strict=True):
        for one, other in ((a, b), (b, a)):
            image_id = rows[other].image_id
            if other not in dropped and image_id is not None:
                nearest[one] = min(nearest.get(one, (distance, image_id)), (distance, image_id))
    noted = list(rows)
    for number, (distance, image_id) in nearest.items():
        noted[number] = replace(noted[number], near_image=image_id, near_distance=distance)
    return noted


def _dropped(row: ManifestRow, kept: ManifestRow, distance: int) -> ManifestRow:
    """A copy of another row's image."""
    bits = "bit" if distance == 1 else "bits"
    reason = f"a copy of {kept.image_id} ({kept.image_url}); their hashes differ in {distance} {bits}"
    return replace(row, status="dup_near", reason=reason, image_id=None, file=None)


def same_detail(
    paths: Mapping[int, Path] | Sequence[Path], near: NearPairs, least: float, threads: int = 1
) -> npt.NDArray[np.bool_]:
    """Whether the two images of each pair agree in their fine detail: one picture, not two like views.

    Args:
        paths: Files of all images, by the numbers in `near`.
        near: The pairs to look at.
        least: Least correlation of the detail.
        threads: Workers.

    Returns:
        (P,) bool.
    """
    load = lru_cache(DETAILS_IN_MEMORY)(lambda index, symmetry: detail(paths[index], symmetry))

    def agrees(number: int) -> bool:
        (first, second), symmetry = near.pairs[number].tolist(), int(near.variants[number])
        return float(np.mean(load(first, symmetry) * load(second, 0))) >= least

    checked = map_threads(agrees, range(len(near)), threads, "collect", "comparing images that look alike")
    return np.fromiter(checked, np.bool_, len(near))


def detail(path: Path, symmetry: int = 0) -> Floats:
    """The fine detail of a stored image: grey, shrunk to a square, without what a blur leaves, normalised.

    The mean product of two of them is their correlation.

    Args:
        path: Its file.
        symmetry: Index of the symmetry it is brought to first; 0 leaves it.

    Returns:
        (DETAIL_SIDE, DETAIL_SIDE) of mean 0 and standard deviation 1; zeros for an image without any detail.
    """
    small = read_small_grey(path, DETAIL_SIDE)
    turn = SYMMETRIES[symmetry]
    grey = np.asarray(small if turn is None else small.transpose(turn), np.float64)
    blur = _blur()
    rest = grey - blur @ grey @ blur.T
    rest -= rest.mean()
    return np.asarray(rest / max(float(rest.std()), 1e-6), np.float32)


def choose_kept(preference: Sequence[int], copies: Indices) -> dict[int, int]:
    """Which of images that are copies of each other to drop.

    Args:
        preference: The indices of all images, the one to keep rather first.
        copies: (P, 2) pairs of copies.

    Returns:
        For each dropped image the kept one of which it is a copy; of several the most preferred.
    """
    partners: dict[int, list[int]] = {}
    for a, b in copies.tolist():
        partners.setdefault(a, []).append(b)
        partners.setdefault(b, []).append(a)
    rank = {index: place for place, index in enumerate(preference)}
    dropped: dict[int, int] = {}
    for index in sorted(partners, key=rank.__getitem__):
        better = [other for other in partners[index] if rank[other] < rank[index] and other not in dropped]
        if better:
            dropped[index] = min(better, key=rank.__getitem__)
    return dropped


@lru_cache(maxsize=1)
def _blur() -> npt.NDArray[np.float64]:
    """The matrix that blurs the columns of an image with a Gaussian."""
    places = np.arange(DETAIL_SIDE)
    weights = np.exp(-0.5 * ((places[:, None] - places) / BLUR_PX) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))

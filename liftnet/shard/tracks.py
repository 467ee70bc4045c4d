"""`shard tracks`: the correspondences of each work joined over its images, and the pairs that only tracks link.

A work's tables are whole or not there, and say what they were made of: a stopped run goes on where it was, and
`shard write` refuses those that are of other pairs than it writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from liftnet.core.errors import LiftnetError
from liftnet.core.files import finished, write_text
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.core.tables import csv_text
from liftnet.data.codes import PairReason
from liftnet.data.dataset import LINKED_PREFIX, SCALE_KEY, TRACKS_PREFIX
from liftnet.data.schemas import (
    COORDINATE_SCALE,
    LINKED,
    MANIFEST,
    PAIRS,
    TRACKS,
    read_batches,
    read_table,
    table_writer,
)
from liftnet.data.shards import (
    PAIR_COLUMNS,
    Lookup,
    as_lists,
    compact_table,
    kept_pairs,
)
from liftnet.geometry.tracks import Joining, MatchedPairs, Tracks, join_matches, shared_observations
from liftnet.shard.images import left_out_images
from liftnet.shard.settings import ShardSettings, TrackSettings
from liftnet.shard.track_shards import (
    COUNTS,
    FOLDER,
    MADE_OF,
    TABLES,
    WORKS_FILE,
    JoinedWork,
    Usable,
    known_work,
    made_of,
    unusable_images,
    usable_images,
)

LOG = get_logger("shard")
_MODELS = ("model", "f", "f_perspective", "threshold_px", "noise_px")  # of PAIRS: the geometry of a pair
_SIDES = ("width_a", "height_a", "width_b", "height_b")


def join_tracks(root: Path, settings: ShardSettings, threads: int = 1) -> list[JoinedWork]:
    """Write `tracks/<work_id>.parquet` and `linked/<work_id>.parquet` of every work, and `tracks/works.csv`.

    Pairs of images that the dataset leaves out are no part of tracks. Works whose tables are made of the same pairs
    with the same settings are passed over. The result does not depend on the number of threads.

    Args:
        root: Folder with manifest.parquet, images/ and pairs/.
        settings: Which images the dataset holds, and how matches are joined.
        threads: Works at a time.

    Returns:
        A row for each work, in the order of their ids.

    Raises:
        LiftnetError: There are no tables of pairs, one is unreadable or cannot be stored, a work is of two splits, or
            nothing can be written.
    """
    files = finished(root / "pairs", "*.parquet")
    if not files:
        raise LiftnetError(root / "pairs", "holds no tables of pairs", "Run `verify run` for each work first")
    manifest = read_table(root / "manifest.parquet", MANIFEST)
    usable = usable_images(manifest, left_out_images(manifest, root, settings))
    done = list(
        map_threads(lambda path: _work(root, path, usable, settings.tracks), files, threads, "shard", "joining tracks")
    )
    for folder, _ in TABLES.values():
        for stale in finished(root / folder, "*.parquet"):
            if stale.stem not in {work.work_id for work in done}:
                stale.unlink()
    write_text(root / FOLDER / WORKS_FILE, csv_text(pd.DataFrame([vars(work) for work in done])))
    _tell(done, root)
    return done


def _work(root: Path, pairs: Path, usable: Usable, settings: TrackSettings) -> JoinedWork:
    made = made_of(pairs, usable, settings)
    known = known_work(root, pairs.stem, made)
    if known is not None:
        return known
    table, split = kept_rows(pairs, usable)
    images = sorted({*table.column("image_a").to_pylist(), *table.column("image_b").to_pylist()})
    compact = compact_table(table)
    matched = matched_pairs(table, compact, images)
    found = join_matches(matched, Joining(settings.merge_px, settings.tolerance))
    about = (pairs.stem, table.column("artist_id")[0].as_py() if len(table) else "")
    tracks = _track_rows(found, images, about)
    linked = _linked_rows(found, matched, images, about, _sizes(table, images), _reasons(pairs), settings.min_linked)
    work = JoinedWork(
        *(pairs.stem, split, len(table), len(matched.pair), found.components, found.contradictions),
        *(len(found), len(found.track), int(found.links.sum())),
        *(len(linked), int(pc.sum(linked.column("n")).as_py() or 0)),
    )
    notes = {MADE_OF: made, COUNTS: json.dumps(vars(work)), b"liftnet.split": split, SCALE_KEY: str(COORDINATE_SCALE)}
    for prefix, rows in ((LINKED_PREFIX, linked), (TRACKS_PREFIX, tracks)):
        folder, schema = TABLES[prefix]
        noted = schema.with_metadata({**schema.metadata, **notes})
        with table_writer(root / folder / f"{pairs.stem}.parquet", noted) as write:
            write(rows)
    return work


def kept_rows(pairs: Path, usable: Usable) -> tuple[pa.Table, str]:
    """The kept pairs of a work whose images the dataset holds, sorted by their ids, and their split."""
    left_out = Lookup.of(dict.fromkeys(unusable_images(pairs, usable), "left out"))
    columns = [*PAIR_COLUMNS, *_MODELS]
    parts = list(kept_pairs(pairs, columns, left_out))
    splits = {split for split, _ in parts}
    if len(splits) > 1:
        raise LiftnetError(pairs, f"has pairs of the splits {' and '.join(sorted(splits))}", "Run `collect` again")
    empty = pa.schema([PAIRS.field(name) for name in columns]).empty_table()
    return pa.concat_tables([empty, *(part for _, part in parts)]).sort_by("pair_id"), next(iter(splits), "")


def matched_pairs(table: pa.Table, compact: pa.Table, images: Sequence[str]) -> MatchedPairs:
    """The matches of a work, at the places that the dataset stores."""
    numbers = pa.array(images, pa.string())
    ends = [
        np.asarray(pc.index_in(table.column(name).cast(pa.string()), value_set=numbers), np.int64)
        for name in ("image_a", "image_b")
    ]
    points = [_pixels(compact, *names) for names in (("x1", "y1"), ("x2", "y2"))]
    pair = np.repeat(np.arange(len(table)), compact.column("n").to_numpy())
    models, thresholds = _geometry(table)
    return MatchedPairs(np.column_stack(ends), models, thresholds, pair, *points)


def _pixels(rows: pa.Table, x: str, y: str) -> npt.NDArray[np.float64]:
    return np.column_stack([pc.list_flatten(rows.column(name)).to_numpy() / COORDINATE_SCALE for name in (x, y)])


def _geometry(table: pa.Table) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(P, 3, 3) the perspective fundamental matrix of each pair, or else the affine one, and (P,) px its threshold."""
    models, thresholds = np.full((len(table), 9), np.nan), np.ones(len(table))
    places = {"f": [2, 5, 6, 7, 8], "f_perspective": range(9)}  # of their numbers in the rows of the matrix
    limits = {"f": "threshold_px", "f_perspective": "noise_px"}
    for name, place in places.items():
        limit = table.column(limits[name]).to_numpy()
        given = pc.equal(pc.list_value_length(table.column(name)), len(place))
        known = pc.fill_null(given, False).to_numpy() & np.isfinite(limit)
        values = pc.list_flatten(table.column(name).filter(pa.array(known))).to_numpy().reshape(-1, len(place))
        models[known] = 0
        models[np.ix_(known, place)] = values
        thresholds[known] = limit[known]
    return models.reshape(-1, 3, 3), thresholds


def _sizes(table: pa.Table, images: Sequence[str]) -> npt.NDArray[np.int64]:
    """(I, 2) width and height of each image."""
    sizes = {
        image: (width, height)
        for side in "ab"
        for image, width, height in zip(
            *(table.column(f"{name}_{side}").to_pylist() for name in ("image", "width", "height")), strict=True
        )
    }
    return np.array([sizes[image] for image in images], np.int64).reshape(-1, 2)


def _reasons(pairs: Path) -> dict[str, str]:
    """Why each pair of a work that was tried is not kept."""
    found: dict[str, str] = {}
    for batch in read_batches(pairs, PAIRS, ["pair_id", "reason"], 65_536):
        found |= {row["pair_id"]: row["reason"] or PairReason.NOT_STATED for row in batch.to_pylist()}
    return found


def _units(points: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    return np.rint(points * COORDINATE_SCALE).astype(np.uint16)


def _track_rows(found: Tracks, images: Sequence[str], about: tuple[str, str]) -> pa.Table:
    counts = np.bincount(found.track, minlength=len(found))
    names = pa.array(images, pa.string()).take(pa.array(found.image))
    units = _units(found.points)
    columns = {
        "track_id": [f"{about[0]}-{number:08d}" for number in range(len(found))],
        "work_id": pa.repeat(about[0], len(found)),
        "artist_id": pa.repeat(about[1], len(found)),
        "n": pa.array(counts, pa.int32()),
        "links": pa.array(found.links, pa.int32()),
        "contradicted": found.contradicted,
        "images": as_lists(names, counts),
        "x": as_lists(units[:, 0], counts),
        "y": as_lists(units[:, 1], counts),
    }
    return pa.table(columns, schema=TRACKS)


def _linked_rows(
    found: Tracks,
    matched: MatchedPairs,
    images: Sequence[str],
    about: tuple[str, str],
    sizes: npt.NDArray[np.int64],
    reasons: Mapping[str, str],
    least: int,
) -> pa.Table:
    """Rows of LINKED: pairs of images that are not kept and share at least so many tracks, sorted by their ids."""
    first, second = shared_observations(found, matched.images)
    keys = found.image[first] * len(images) + found.image[second]
    order = np.lexsort((found.track[first], keys))
    own, counts = np.unique(keys, return_counts=True)
    enough = counts >= least
    order = order[np.repeat(enough, counts)]
    own, counts = own[enough], counts[enough]
    ends = np.column_stack(np.divmod(own, len(images) or 1))
    ids = [f"{images[a]}-{images[b]}" for a, b in ends.tolist()]
    units = np.hstack([_units(found.points[first[order]]), _units(found.points[second[order]])])
    both = np.hstack([sizes[ends[:, 0]], sizes[ends[:, 1]]])
    columns = {
        "pair_id": pa.array(ids, pa.string()),
        "work_id": pa.repeat(about[0], len(ids)),
        "artist_id": pa.repeat(about[1], len(ids)),
        **{f"image_{side}": pa.array(images, pa.string()).take(pa.array(ends[:, k])) for k, side in enumerate("ab")},
        **{name: pa.array(both[:, place], pa.int32()) for place, name in enumerate(_SIDES)},
        "reason": pa.array([reasons.get(pair, PairReason.NOT_TRIED) for pair in ids], pa.string()),
        "n": pa.array(counts, pa.int32()),
        **{name: as_lists(units[:, place], counts) for place, name in enumerate(("x1", "y1", "x2", "y2"))},
    }
    return pa.table(columns, schema=LINKED)


def _tell(done: Sequence[JoinedWork], root: Path) -> None:
    sums = pd.DataFrame([vars(work) for work in done]).sum(numeric_only=True)
    LOG.info(
        "%d correspondences of %d pairs: %d tracks of %d observations, %d contradictions cut, %d pairs linked: %s",
        *(sums[name] for name in ("correspondences", "pairs", "tracks", "observations", "contradictions")),
        *(sums["linked_pairs"], root / FOLDER),
    )

"""A work as other programs see it: images with keypoints, and pairs of images with matches between these.

The keypoints are the places of the tracks, so each stands there once however many pairs share it, and a match is a
track that both images show. A pair has those of its correspondences that lie within a track, so that no keypoint is
matched twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import KDTree

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import SAFE_ID
from liftnet.core.types import Float64Array, Int64Array
from liftnet.data.camera_angles import Focals
from liftnet.data.dataset import LINKED_PREFIX, TRACKS_PREFIX, coordinate_scale, open_shard, shard_paths
from liftnet.data.schemas import DATASET, LINKED, MANIFEST, TRACKS, read_table
from liftnet.data.shards import list_lengths
from liftnet.shard.images import in_works
from liftnet.shard.statistics import COLLECTED_FILE
from liftnet.shard.track_shards import merge_px

WORKS_AT_ONCE = 64  # read together: a work's pairs stand all over the shards of its split
_COORDINATES = ("x", "y", "x1", "y1", "x2", "y2")
_LISTS = (*_COORDINATES, "images", "score")
GUESSED_FOCAL = 1.2  # of the longer side: what COLMAP takes where EXIF says nothing (ImageReaderOptions)


@dataclass(frozen=True, eq=False)
class ExportedImage:
    """An image and its keypoints.

    Attributes:
        image_id: Its id.
        width: px.
        height: px.
        focal: px; None where it is not known.
        keypoints: (K, 2) px, (0, 0) the centre of the top-left pixel.
    """

    image_id: str
    width: int
    height: int
    focal: float | None
    keypoints: Float64Array

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.image_id}.jpg"

    @property
    def simple_radial(self) -> tuple[float, float, float, float]:
        """Focal length, principal point and distortion in COLMAP's pixels, whose top-left corner is (0, 0).

        What is not known is what COLMAP itself would begin with: 1.2 times the longer side, the middle, none.
        """
        guessed = GUESSED_FOCAL * max(self.width, self.height)
        return self.focal or guessed, self.width / 2, self.height / 2, 0.0


@dataclass(frozen=True, eq=False)
class ExportedPair:
    """Two images and the matches between their keypoints.

    Attributes:
        images: The numbers of the images in the work, the lower first.
        matches: (M, 2) the keypoints of each match, ascending; no keypoint of either image twice.
        scores: (M,) in [0, 1]; 0 for a pair that only tracks link.
        verified: Whether the pair was verified; else only tracks link it.
    """

    images: tuple[int, int]
    matches: Int64Array
    scores: Float64Array
    verified: bool


@dataclass(frozen=True, eq=False)
class ExportedWork:
    """A work.

    Attributes:
        work_id: Its id.
        images: Those that are part of a track, in ascending order of their ids.
        pairs: In ascending order of their images.
    """

    work_id: str
    images: list[ExportedImage]
    pairs: list[ExportedPair]


Writer = Callable[[ExportedWork, Path], None]  # writes a work into a folder


def exported_works(dataset: Path, splits: Sequence[str], works: Sequence[str], linked: bool) -> Iterator[ExportedWork]:
    """The works of some splits, one after the other.

    Args:
        dataset: A dataset with tracks.
        splits: The splits.
        works: Only these; all if there are none.
        linked: Also the pairs that only tracks link.

    Raises:
        LiftnetError: The dataset has no tracks, a shard is damaged, or there is no such work.
    """
    focals = _focals(dataset)
    missing = set(works)
    for split in splits:
        shards = shard_paths(dataset, split, TRACKS_PREFIX)
        found = {work for path in shards for work in _works_of(path)}
        there = sorted(found & set(works) if works else found)
        missing -= set(there)
        for start in range(0, len(there), WORKS_AT_ONCE):
            wanted = there[start : start + WORKS_AT_ONCE]
            tables = [(TRACKS_PREFIX, TRACKS), ("", DATASET), *([(LINKED_PREFIX, LINKED)] if linked else [])]
            rows = {prefix: _rows(dataset, split, prefix, schema, set(wanted)) for prefix, schema in tables}
            near = merge_px(shards[0])
            for work in wanted:
                _check_name(dataset, work)
                own = {prefix: in_works(table, {work}) for prefix, table in rows.items()}
                yield _work(dataset, work, own, focals, near)
    if missing:
        raise LiftnetError(dataset, f"has no work {min(missing)!r} with a track", "`tracks-*.parquet` name the works")


def _check_name(dataset: Path, name: str) -> None:
    """Refuse ids of a stranger's dataset that are no names of files."""
    if not SAFE_ID.fullmatch(name):
        raise LiftnetError(dataset, f"has the id {name[:80]!r}, which is none", "`shard verify` says what is wrong")


def _works_of(path: Path) -> list[str]:
    names: list[str] = pc.unique(open_shard(path, TRACKS).read(columns=["work_id"]).column("work_id")).to_pylist()
    return names


def _rows(dataset: Path, split: str, prefix: str, schema: pa.Schema, works: set[str]) -> pa.Table:
    """The rows of some works, coordinates in px."""
    found = []
    for path in shard_paths(dataset, split, prefix):
        file = open_shard(path, schema)
        scale = coordinate_scale(path, file)
        for group in range(file.num_row_groups):
            rows = in_works(file.read_row_group(group), works).replace_schema_metadata(None)
            _check_lists(path, rows)
            found.append(_in_pixels(rows, scale))
    return pa.concat_tables(found) if found else _in_pixels(schema.empty_table().replace_schema_metadata(None), 1)


def _check_lists(path: Path, rows: pa.Table) -> None:
    counts = pc.fill_null(rows.column("n"), -1).to_numpy()
    lists = [name for name in _LISTS if name in rows.column_names]
    if any((list_lengths(rows.column(name)) != counts).any() for name in lists):
        raise LiftnetError(path, "has lists of another length than n says", "`shard verify` says where")


def _in_pixels(rows: pa.Table, scale: float) -> pa.Table:
    for name in _COORDINATES:
        if name in rows.column_names:
            column = rows.column(name).combine_chunks()
            column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
            values = pa.array(column.flatten().to_numpy() / scale)
            offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(column).to_numpy(zero_copy_only=False))])
            lists = pa.ListArray.from_arrays(offsets.astype(np.int32), values)
            rows = rows.set_column(rows.schema.get_field_index(name), name, lists)
    return rows


def _focals(dataset: Path) -> Mapping[str, float]:
    """The focal lengths that EXIF gives, px, by image_id; a rendered set lists no images, and knows none."""
    if not (dataset / COLLECTED_FILE).is_file():
        return {}
    known = Focals.of_manifest(read_table(dataset / COLLECTED_FILE, MANIFEST))
    return dict(zip(known.ids.to_pylist(), known.values.tolist(), strict=True))


def _work(
    dataset: Path, work: str, tables: Mapping[str, pa.Table], focals: Mapping[str, float], near: float
) -> ExportedWork:
    places = _Places.of(tables[TRACKS_PREFIX], near)
    for image in places.images:
        _check_name(dataset, image)
    sizes = _sizes([table for prefix, table in tables.items() if prefix != TRACKS_PREFIX])
    if lost := set(places.images) - sizes.keys():
        raise LiftnetError(dataset, f"has tracks of the image {min(lost)}, but no pair", "`shard verify` says more")
    images = [
        ExportedImage(image, *sizes[image], focals.get(image), places.points[places.image == number])
        for number, image in enumerate(places.images)
    ]
    pairs = [pair for prefix, table in tables.items() if prefix != TRACKS_PREFIX for pair in _pairs(table, places)]
    return ExportedWork(work, images, sorted(pairs, key=lambda pair: pair.images))


def _sizes(tables: Sequence[pa.Table]) -> dict[str, tuple[int, int]]:
    return {
        image: (width, height)
        for table in tables
        for side in "ab"
        for image, width, height in zip(
            *(table.column(f"{name}_{side}").to_pylist() for name in ("image", "width", "height")), strict=True
        )
    }


@dataclass(frozen=True, eq=False)
class _Places:
    """The observations of a work's tracks, sorted by image and track: the keypoints of its images.

    Attributes:
        images: Ids, ascending.
        image: (N,) the number of the image of each.
        track: (N,) its track.
        points: (N, 2) px.
        first: (I,) where each image's begin.
        tree: Of the points, the images far apart.
        radius: px, how near a correspondence is to the keypoint that it was counted for.
    """

    images: list[str]
    image: Int64Array
    track: Int64Array
    points: Float64Array
    first: Int64Array
    tree: KDTree
    radius: float

    @classmethod
    def of(cls, tracks: pa.Table, near: float) -> _Places:
        names = pc.list_flatten(tracks.column("images")).cast(pa.string())
        images = sorted(pc.unique(names).to_pylist())
        image = np.asarray(pc.index_in(names, value_set=pa.array(images, pa.string())), np.int64)
        track = np.repeat(np.arange(len(tracks)), tracks.column("n").to_numpy())
        points = np.column_stack([pc.list_flatten(tracks.column(name)).to_numpy() for name in ("x", "y")])
        order = np.lexsort((track, image))
        image, track, points = image[order], track[order], points[order]
        first = np.searchsorted(image, np.arange(len(images)))
        radius = near + 1e-6
        return cls(images, image, track, points, first, KDTree(_apart(points, image, radius)), radius)

    def keypoints(self, images: pa.ChunkedArray, points: Float64Array) -> Int64Array:
        """(M,) the keypoint that each point of an image is counted for; the number of them all where there is none."""
        image = np.asarray(
            pc.fill_null(pc.index_in(images.cast(pa.string()), value_set=pa.array(self.images, pa.string())), -1),
            np.int64,
        )
        return np.asarray(self.tree.query(_apart(points, image, self.radius), distance_upper_bound=self.radius)[1])


def _apart(points: Float64Array, image: Int64Array, radius: float) -> Float64Array:
    return np.column_stack([points, image * 4 * radius])


def _pairs(table: pa.Table, places: _Places) -> Iterator[ExportedPair]:
    """The pairs of a table with those of their correspondences that lie within a track."""
    counts = table.column("n").to_numpy().astype(np.int64)
    row = np.repeat(np.arange(len(table)), counts)
    first, second = (
        places.keypoints(
            table.column(f"image_{side}").take(pa.array(row)),
            np.column_stack([pc.list_flatten(table.column(f"{axis}{number}")).to_numpy() for axis in "xy"]),
        )
        for number, side in ((1, "a"), (2, "b"))
    )
    verified = "score" in table.column_names
    scores = pc.list_flatten(table.column("score")).to_numpy() / 255 if verified else np.zeros(len(row))
    track = np.append(places.track, -1)
    within = (track[first] == track[second]) & (track[first] >= 0)
    row, first, second, scores = row[within], first[within], second[within], scores[within]
    order = np.lexsort((-scores, first, row))  # of correspondences that became one, the best score
    row, first, second, scores = row[order], first[order], second[order], scores[order]
    new = np.r_[True, (row[1:] != row[:-1]) | (first[1:] != first[:-1])][: len(row)]
    ends = np.searchsorted(row[new], np.arange(len(table) + 1))
    local = np.column_stack([side[new] - places.first[places.image[side[new]]] for side in (first, second)])
    for start, stop in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        if stop > start:
            kept = first[new][start], second[new][start]
            images = int(places.image[kept[0]]), int(places.image[kept[1]])
            yield ExportedPair(images, local[start:stop], scores[new][start:stop], verified)

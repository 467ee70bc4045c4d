"""Counting the files of a dataset: sums of whole numbers that add up over files, in any order.

A `Sums` is a table of keys and whole numbers; adding two of them adds the numbers of equal keys. That is a commutative
monoid (associative, with an empty element), so files may be counted in any order, one in memory at a time, or in
parallel, and the result is the same to the last digit. A `Tally` is several of them side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from liftnet.data.codes import NOT_STATED
from liftnet.data.dataset import coordinate_scale, open_shard
from liftnet.data.schemas import LINKED, MANIFEST, TRACKS, TRIED, read_batches
from liftnet.geometry.cameras import AnyCamera
from liftnet.geometry.triangulation import triangulate

IntArray = npt.NDArray[np.int64]
NUMBERS = {  # of each part of a tally: keys, numbers
    "histogram": (("quantity", "split", "value"), ("count",)),
    "clusters": (("quantity", "split", "work_id"), ("total", "count")),
    "works": (("split", "artist_id", "work_id"), ("pairs", "correspondences")),
    "views": (("split", "work_id", "image_id"), ("pairs",)),
    "images": (("split", "artist_id", "work_id", "group_id"), ("images",)),
    "licences": (("split", "licence"), ("images",)),
    "asked": (("source", "status"), ("count",)),
    "stored": (("image_id", "source", "work_id", "status"), ("count",)),
    "tried": (("source", "reason", "kept"), ("pairs", "n_putative", "n_masked", "n_inliers", "n_guided", "n")),
    "tried_images": (("image_id", "source"), ("tried", "kept")),
}
GATHERED = 64  # tallies that are added at once
_TYPES = {"value": pa.int64(), "kept": pa.bool_()}  # of keys that are no names
COLLECTED_FILE = "collected.parquet"  # in the dataset: every row asked for
PER_PAIR = {
    "n_putative": "putative matches",
    "n_masked": "matches on the foreground of both images",
    "n_inliers": "inliers of the fundamental matrix",
    "n": "correspondences",
}  # counts of a pair, in the order of the steps
SCORE = "score of a correspondence"
ANGLE = "angle between the cameras"
TRUE_ANGLE = "true angle between the cameras"
TRACK_LENGTH = "images of a track"
TRACK_LINKS = "correspondences of a track"
CUT = "share of tracks cut out of a contradiction"
RESIDUAL = "residual of a track, px"
LONG_RESIDUAL = "residual of a track of three images or more, px"
LINKED_POINTS = "tracks of a pair that only tracks link"
LONG_SIDE, SHORT_SIDE, PIXELS = "long side", "short side", "megapixels"
SCALES = {
    SCORE: 255,
    ANGLE: 1000,
    TRUE_ANGLE: 1000,
    PIXELS: 1_000_000,
    RESIDUAL: 1000,
    LONG_RESIDUAL: 1000,
}  # whole numbers of a tally in one unit
NO_PLAIN_TEXT = r"[^\pL\pN.,+/():_-]+"  # in a name from the web
ROWS = 65_536  # of a table, read at a time
GROUPS = 16  # row groups of a shard, read at a time
_PAIR_COLUMNS = ["artist_id", "work_id", "image_a", "image_b", "rotation_deg", *PER_PAIR, "score"]
_IMAGE_COLUMNS = [
    *("image_id", "artist_id", "work_id", "group_id", "split", "source", "status"),
    *("width", "height", "license", "license_spdx"),
]
_TRIED_COUNTS = ("n_putative", "n_masked", "n_inliers", "n_guided", "n")
_TRIED_COLUMNS = ["pair_id", "source_a", "source_b", "kept", "reason", *_TRIED_COUNTS]
Cameras = Mapping[str, AnyCamera]  # by image_id


@dataclass(frozen=True, eq=False)
class Sums:
    """Whole numbers by keys.

    Attributes:
        keys: Names of the key columns.
        table: The keys, each combination once and in ascending order, and the numbers (int64).
    """

    keys: tuple[str, ...]
    table: pa.Table

    @classmethod
    def of(cls, part: str, columns: Mapping[str, object]) -> Sums:
        """Sum columns (all of one length; a text stands for a column of it) as the named part of a tally."""
        keys, numbers = NUMBERS[part]
        length = next(len(column) for column in columns.values() if not isinstance(column, str))  # type: ignore[arg-type]
        arrays = [
            pa.array([columns[name]] * length if isinstance(columns[name], str) else columns[name], kind)
            if not isinstance(columns[name], (pa.Array, pa.ChunkedArray))
            else columns[name].cast(kind)  # type: ignore[attr-defined]
            for name, kind in _kinds(keys, numbers)
        ]
        return cls(keys, _summed(pa.table(arrays, [*keys, *numbers]), keys))

    @classmethod
    def empty(cls, part: str) -> Sums:
        """Nothing counted."""
        keys, numbers = NUMBERS[part]
        return cls(keys, pa.schema(_kinds(keys, numbers)).empty_table())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sums) and self.keys == other.keys and self.table.equals(other.table)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Tally:
    """Sums by the names of `NUMBERS`; what is missing counts as empty."""

    parts: Mapping[str, Sums]

    def __add__(self, other: Tally) -> Tally:
        return _added([self, other])

    def __getitem__(self, part: str) -> Sums:
        return self.parts.get(part) or Sums.empty(part)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and all(self[part] == other[part] for part in NUMBERS)

    __hash__ = None  # type: ignore[assignment]


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies; a few are gathered and then added at once, which is quicker than one by one."""
    waiting: list[Tally] = []
    for tally in tallies:
        waiting.append(tally)
        if len(waiting) == GATHERED:
            waiting = [_added(waiting)]
    return _added(waiting)


def _added(tallies: list[Tally]) -> Tally:
    names = {name: None for tally in tallies for name in tally.parts}
    return Tally({name: _sum_of([tally.parts[name] for tally in tallies if name in tally.parts]) for name in names})


def _sum_of(sums: list[Sums]) -> Sums:
    filled = [part for part in sums if len(part.table)]
    if len(filled) < 2:
        return filled[0] if filled else sums[0]
    return Sums(filled[0].keys, _summed(pa.concat_tables([part.table for part in filled]), filled[0].keys))


def measured(quantity: str, split: object, work_id: object, values: IntArray) -> Tally:
    """Values (N,) of a quantity: how often each occurs, and their sums by work.

    Args:
        quantity: Its name.
        split: One text for all, or (N,).
        work_id: (N,).
        values: Whole numbers.
    """
    ones = np.ones(len(values), np.int64)
    if not len(values):
        return Tally({})
    histogram = {"quantity": quantity, "split": split, "value": values, "count": ones}
    clusters = {"quantity": quantity, "split": split, "work_id": work_id, "total": values, "count": ones}
    return Tally({"histogram": Sums.of("histogram", histogram), "clusters": Sums.of("clusters", clusters)})


def _kinds(keys: Sequence[str], numbers: Sequence[str]) -> list[tuple[str, pa.DataType]]:
    return [*((key, _TYPES.get(key, pa.string())) for key in keys), *((number, pa.int64()) for number in numbers)]


def _summed(table: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    numbers = [name for name in table.column_names if name not in keys]
    grouped = table.group_by(list(keys), use_threads=False).aggregate([(name, "sum") for name in numbers])
    grouped = grouped.select([*keys, *(f"{name}_sum" for name in numbers)]).rename_columns(table.column_names)
    return grouped.sort_by([(key, "ascending") for key in keys]).combine_chunks()


def tally_pairs(path: Path, split: str, cameras: Cameras | None = None) -> Tally:
    """Count a shard of pairs; of its points only the scores are read.

    Args:
        path: The shard.
        split: Its split.
        cameras: True cameras by image_id, where they are known.
    """
    file = open_shard(path)
    parts = [range(file.num_row_groups)[k : k + GROUPS] for k in range(0, file.num_row_groups, GROUPS)]
    tables = (file.read_row_groups(list(part), columns=_PAIR_COLUMNS, use_threads=False) for part in parts)
    return total(_pairs(table, split, cameras or {}) for table in tables)


def tally_works(path: Path, split: str) -> Tally:
    """Count the pairs and correspondences of each work of a shard, and nothing else."""
    return _works(open_shard(path).read(columns=["artist_id", "work_id", "n"]), split)


def _works(table: pa.Table, split: str) -> Tally:
    ids = {name: table.column(name) for name in ("artist_id", "work_id")}
    counts = {"pairs": np.ones(len(table), np.int64), "correspondences": table.column("n")}
    return Tally({"works": Sums.of("works", {"split": split, **ids, **counts})})


def _pairs(table: pa.Table, split: str, cameras: Cameras) -> Tally:
    works, ones = table.column("work_id"), np.ones(len(table), np.int64)
    tallies = [_works(table, split)]
    for image in ("image_a", "image_b"):
        views = {"split": split, "work_id": works, "image_id": table.column(image), "pairs": ones}
        tallies.append(Tally({"views": Sums.of("views", views)}))
    for column, quantity in PER_PAIR.items():
        tallies.append(_known(quantity, split, works, table.column(column)))
    angles = pc.round(pc.multiply(table.column("rotation_deg").cast(pa.float64()), SCALES[ANGLE]))
    tallies.append(_known(ANGLE, split, works, angles))
    if cameras:
        tallies.append(_known(TRUE_ANGLE, split, works, _true_angles(table, cameras)))
    return total([*tallies, _scores(table, split)])


def _known(quantity: str, split: str, works: pa.ChunkedArray, values: pa.ChunkedArray) -> Tally:
    known = pc.is_valid(values)
    return measured(quantity, split, works.filter(known), values.filter(known).to_numpy().astype(np.int64))


def _scores(table: pa.Table, split: str) -> Tally:
    """The scores of all points: counted by value, summed by work."""
    flat = pc.list_flatten(table.column("score")).to_numpy()
    if not len(flat):
        return Tally({})
    times = np.bincount(flat, minlength=256)
    seen = np.flatnonzero(times)
    histogram = {"quantity": SCORE, "split": split, "value": seen, "count": times[seen]}
    counts = pc.fill_null(pc.list_value_length(table.column("score")), 0).to_numpy().astype(np.int64)
    ends = np.concatenate([[0], np.cumsum(flat, dtype=np.int64)])
    sums = ends[np.cumsum(counts)] - ends[np.cumsum(counts) - counts]
    clusters = {"quantity": SCORE, "split": split, "work_id": table.column("work_id"), "total": sums, "count": counts}
    return Tally({"histogram": Sums.of("histogram", histogram), "clusters": Sums.of("clusters", clusters)})


def _true_angles(table: pa.Table, cameras: Cameras) -> pa.ChunkedArray:
    unknown = np.full((3, 3), np.nan)
    rotations = {image: camera.rotation for image, camera in cameras.items()}
    first, second = (
        np.array([rotations.get(image, unknown) for image in table.column(name).to_pylist()]).reshape(-1, 3, 3)
        for name in ("image_a", "image_b")
    )
    cosines = (np.einsum("pij,pij->p", first, second) - 1) / 2  # the trace of R_b R_a^T
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1))) * SCALES[TRUE_ANGLE]
    return pa.chunked_array([pa.array(np.rint(angles), from_pandas=True)])


def tally_tracks(path: Path, split: str, cameras: Cameras | None = None) -> Tally:
    """Count a shard of tracks: their lengths, and where the cameras are known how well their views meet.

    Args:
        path: The shard.
        split: Its split.
        cameras: True cameras by image_id, where they are known.
    """
    file = open_shard(path, TRACKS)
    scale = coordinate_scale(path, file)
    groups = (file.read_row_group(group, use_threads=False) for group in range(file.num_row_groups))
    return total(_tracks(table, split, scale, cameras or {}) for table in groups)


def _tracks(table: pa.Table, split: str, scale: float, cameras: Cameras) -> Tally:
    works, lengths = table.column("work_id"), table.column("n").to_numpy().astype(np.int64)
    tallies = [
        measured(TRACK_LENGTH, split, works, lengths),
        measured(TRACK_LINKS, split, works, table.column("links").to_numpy().astype(np.int64)),
        measured(CUT, split, works, table.column("contradicted").to_numpy(zero_copy_only=False).astype(np.int64)),
    ]
    if cameras and len(table):
        residuals = _residuals(table, scale, cameras)
        for quantity, chosen in ((RESIDUAL, lengths >= 2), (LONG_RESIDUAL, lengths >= 3)):
            known = np.isfinite(residuals) & chosen
            thousandths = np.rint(residuals[known] * SCALES[quantity]).astype(np.int64)
            tallies.append(measured(quantity, split, works.filter(pa.array(known)), thousandths))
    return total(tallies)


def _residuals(table: pa.Table, scale: float, cameras: Cameras) -> npt.NDArray[np.float64]:
    """(T,) px, the residual of each track; NaN where a camera of it is not known."""
    lengths = table.column("n").to_numpy().astype(np.int64)
    names = pa.array(cameras.keys(), pa.string())
    images = pc.list_flatten(table.column("images")).cast(pa.string())
    camera = np.asarray(pc.fill_null(pc.index_in(images, value_set=names), -1), np.int64)
    points = np.column_stack([pc.list_flatten(table.column(name)).to_numpy() / scale for name in ("x", "y")])
    track = np.repeat(np.arange(len(table)), lengths)
    known = np.bincount(track[camera < 0], minlength=len(table)) == 0
    rows = known[track]
    numbered = (np.cumsum(known) - 1)[track[rows]]
    result = np.full(len(table), np.nan)
    result[known] = triangulate(list(cameras.values()), numbered, camera[rows], points[rows])[1]
    return result


def tally_linked(path: Path, split: str) -> Tally:
    """Count a shard of pairs that only tracks link."""
    table = open_shard(path, LINKED).read(columns=["work_id", "n"])
    return measured(LINKED_POINTS, split, table.column("work_id"), table.column("n").to_numpy().astype(np.int64))


def tally_collected(path: Path) -> Tally:
    """Count the list of all images that were asked for."""
    return total(_images(pa.table(batch)) for batch in read_batches(path, MANIFEST, _IMAGE_COLUMNS, ROWS))


def _images(table: pa.Table) -> Tally:
    source = pc.fill_null(table.column("source"), NOT_STATED)
    status = pc.fill_null(table.column("status"), NOT_STATED)
    asked = {"source": source, "status": status, "count": np.ones(len(table), np.int64)}
    table = table.set_column(table.schema.get_field_index("source"), "source", source)
    has_file = table.filter(pc.is_valid(table.column("image_id")))
    stored = {name: has_file.column(name) for name in ("image_id", "source", "work_id", "status")}
    tally = Tally(
        {
            "asked": Sums.of("asked", asked),
            "stored": Sums.of("stored", stored | {"count": np.ones(len(has_file), np.int64)}),
        }
    )
    held = table.filter(pc.equal(table.column("status"), "ok"))
    ones = np.ones(len(held), np.int64)
    split, works = pc.fill_null(held.column("split"), NOT_STATED), held.column("work_id")
    about = {"split": split, "artist_id": held.column("artist_id"), "work_id": works}
    images = about | {"group_id": held.column("group_id"), "images": ones}
    said = pc.coalesce(held.column("license_spdx"), _not_understood(held.column("license")))
    licences = Sums.of("licences", {"split": split, "licence": said, "images": ones})
    return total([tally, Tally({"images": Sums.of("images", images), "licences": licences}), *_sizes(held, split)])


def _not_understood(said: pa.ChunkedArray) -> pa.ChunkedArray:
    """What the source says where that is no licence we know."""
    plain = pc.replace_substring_regex(pc.fill_null(said, ""), NO_PLAIN_TEXT, " ")
    text = pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(plain), 0, 60)
    return pc.if_else(pc.equal(text, ""), NOT_STATED, pc.binary_join_element_wise(text, "(not understood)", " "))


def _sizes(held: pa.Table, split: pa.ChunkedArray) -> list[Tally]:
    known = pc.and_(pc.is_valid(held.column("width")), pc.is_valid(held.column("height")))
    width, height = (held.column(name).filter(known).to_numpy().astype(np.int64) for name in ("width", "height"))
    works, split = held.column("work_id").filter(known), split.filter(known)
    values = {LONG_SIDE: np.maximum(width, height), SHORT_SIDE: np.minimum(width, height), PIXELS: width * height}
    return [measured(quantity, split, works, numbers) for quantity, numbers in values.items()]


def tally_tried(path: Path) -> Tally:
    """Count the pairs that were tried: by source and reason, and the images in them."""
    return total(_tried(pa.table(batch)) for batch in read_batches(path, TRIED, _TRIED_COLUMNS, ROWS))


def _tried(table: pa.Table) -> Tally:
    sources = [pc.fill_null(table.column(name), NOT_STATED) for name in ("source_a", "source_b")]
    low, high = pc.min_element_wise(*sources), pc.max_element_wise(*sources)
    both = pc.if_else(pc.equal(low, high), low, pc.binary_join_element_wise(low, high, " and "))
    kept = pc.fill_null(table.column("kept"), False)
    ones = np.ones(len(table), np.int64)
    counts = {name: pc.fill_null(table.column(name), 0) for name in _TRIED_COUNTS}
    reason = pc.fill_null(table.column("reason"), NOT_STATED)
    tallies = [
        Tally({"tried": Sums.of("tried", {"source": both, "reason": reason, "kept": kept, "pairs": ones} | counts)})
    ]
    images = pc.split_pattern(table.column("pair_id"), "-", max_splits=1)
    for place, source in enumerate(sources):
        columns = {
            "image_id": pc.list_element(images, place),
            "source": source,
            "tried": ones,
            "kept": kept.cast(pa.int64()),
        }
        tallies.append(Tally({"tried_images": Sums.of("tried_images", columns)}))
    return total(tallies)

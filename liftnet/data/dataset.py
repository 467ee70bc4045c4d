"""Reading the dataset: Parquet shards in; correspondences in float32 pixels and images out.

Nobody sees the fixed-point scale of the coordinates. A folder of a dataset is replaced as a whole: readers see the old
files or the new ones, never a mixture.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from liftnet.core.errors import LiftnetError
from liftnet.core.files import remove, writing_error
from liftnet.core.opening import open_file
from liftnet.core.types import Float32Array
from liftnet.data.codes import SPLITS, split_named
from liftnet.data.parquet_limits import check_parquet
from liftnet.data.schemas import DATASET, IMAGES, LINKED, TRACKS, check_metadata, groups_that_may_hold, open_table

SCALE_KEY = b"liftnet.coordinate_scale"
TRACKS_PREFIX, LINKED_PREFIX = "tracks-", "linked-"
PREFIXES = {"pairs": "", "images": "images-", "tracks": TRACKS_PREFIX, "linked": LINKED_PREFIX}  # of shards, by table
OF_A_DATASET = frozenset(  # its files and folders beside *.parquet
    {"README.md", "croissant.json", "ATTRIBUTION.csv", "ATTRIBUTION.html", "checksums.sha256", "splits", "mini"}
)


@dataclass(frozen=True, eq=False)
class Pair:
    """The correspondences of two images of one work.

    Attributes:
        pair_id: image_a and image_b, joined by a hyphen.
        work_id: The work that both images show.
        artist_id: Its artist.
        image_a: Id of the first image; `images/<image_id>.jpg` is its file.
        image_b: Id of the second image.
        size_a: (width, height) of the first image, px.
        size_b: (width, height) of the second image, px.
        points_a: (N, 2) float32, x right and y down in pixels of image_a; (0, 0) is the centre of its top-left pixel.
        points_b: (N, 2) float32, the same points in image_b.
        scores: (N,) float32 in [0, 1], 1 minus the ratio of descriptor distances; higher is better.
    """

    pair_id: str
    work_id: str
    artist_id: str
    image_a: str
    image_b: str
    size_a: tuple[int, int]
    size_b: tuple[int, int]
    points_a: Float32Array
    points_b: Float32Array
    scores: Float32Array

    def __len__(self) -> int:
        return len(self.points_a)

    def __repr__(self) -> str:
        a, b = "x".join(map(str, self.size_a)), "x".join(map(str, self.size_b))
        return (
            f"Pair({self.work_id}: {len(self)} correspondences between {self.image_a} ({a}) and {self.image_b} ({b}))"
        )


@dataclass(frozen=True, eq=False)
class Track:
    """One point of a work and where some of its images show it.

    Attributes:
        track_id: The work's id and a number of eight digits.
        work_id: The work.
        artist_id: Its artist.
        images: The images that show the point, ascending, each once; at least two.
        points: (N, 2) float32, px, its place in each of them: x right and y down, (0, 0) the centre of the top-left
            pixel.
        links: Correspondences of kept pairs that tie the track together; N - 1 at least.
        contradicted: Whether it was cut out of correspondences that tied several points together.
    """

    track_id: str
    work_id: str
    artist_id: str
    images: tuple[str, ...]
    points: Float32Array
    links: int
    contradicted: bool

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        return f"Track({self.track_id}: seen in {len(self)} images, {self.links} correspondences)"


@dataclass(frozen=True, eq=False)
class LinkedPair:
    """Two images of one work that only tracks link: no correspondence between them was verified.

    Attributes:
        pair_id: image_a and image_b, joined by a hyphen.
        work_id: The work that both images show.
        artist_id: Its artist.
        image_a: Id of the first image.
        image_b: Id of the second image.
        size_a: (width, height) of the first image, px.
        size_b: (width, height) of the second image, px.
        reason: Why the pair itself was not kept: a code of `PairReason`.
        points_a: (N, 2) float32, px in image_a, of the tracks that both images show.
        points_b: (N, 2) float32, the same points in image_b.
    """

    pair_id: str
    work_id: str
    artist_id: str
    image_a: str
    image_b: str
    size_a: tuple[int, int]
    size_b: tuple[int, int]
    reason: str
    points_a: Float32Array
    points_b: Float32Array

    def __len__(self) -> int:
        return len(self.points_a)

    def __repr__(self) -> str:
        words = f"{len(self)} tracks link {self.image_a} and {self.image_b}"
        return f"LinkedPair({self.work_id}: {words}; {self.reason})"


def shard_paths(dataset: Path | str, split: str, prefix: str = "") -> list[Path]:
    """The shards of a split in order, checked to be all there.

    Args:
        dataset: The folder that `shard write` made.
        split: "train", "val" (or "validation") or "test".
        prefix: "" for pairs, "images-" for images, "tracks-" and "linked-" for what tracks say.

    Raises:
        LiftnetError: There is no such split, the folder is missing, or a shard of it is.
    """
    dataset, split = Path(dataset), split_named(split)
    pattern = re.compile(rf"{re.escape(prefix)}{split}-(\d{{5}})-of-(\d{{5}})\.parquet")
    names = sorted(path.name for path in dataset.glob(f"{prefix}{split}-*.parquet"))
    found = [match for name in names if (match := pattern.fullmatch(name))]
    wanted = [f"{number:05d}" for number in range(int(found[0][2]))] if found else []
    if not found or [match[1] for match in found] != wanted or len({match[2] for match in found}) != 1:
        there = f"has {len(found)} of {len(wanted)}" if found else "holds no"
        first = "`shard tracks` and then " if prefix in (TRACKS_PREFIX, LINKED_PREFIX) else ""
        raise LiftnetError(dataset, f"{there} {prefix}{split} shards", f"Run {first}`shard write` again")
    return [dataset / match[0] for match in found]


def read_pairs(dataset: Path | str, split: str) -> Iterator[Pair]:
    """Yield the pairs of a split in the order of their ids, one row group at a time in memory.

    Raises:
        LiftnetError: A shard is missing, unreadable, another table or of another version.
    """
    for path in shard_paths(dataset, split):
        file = open_shard(path)
        scale = coordinate_scale(path, file)
        for group in range(file.num_row_groups):
            yield from pairs_of(file.read_row_group(group), scale)


def read_tracks(dataset: Path | str, split: str) -> Iterator[Track]:
    """Yield the tracks of a split by work, one row group at a time in memory.

    Raises:
        LiftnetError: The dataset was written without tracks, or a shard is missing, unreadable, another table or of
            another version.
    """
    for path in shard_paths(dataset, split, TRACKS_PREFIX):
        file = open_shard(path, TRACKS)
        scale = coordinate_scale(path, file)
        for group in range(file.num_row_groups):
            yield from tracks_of(file.read_row_group(group), scale)


def read_linked_pairs(dataset: Path | str, split: str) -> Iterator[LinkedPair]:
    """Yield the pairs of a split that only tracks link, by work, one row group at a time in memory.

    They are not among those of `read_pairs`: their correspondences follow from those of other pairs, and none was
    verified between the two images.

    Raises:
        LiftnetError: The dataset was written without tracks, or a shard is missing, unreadable, another table or of
            another version.
    """
    for path in shard_paths(dataset, split, LINKED_PREFIX):
        file = open_shard(path, LINKED)
        scale = coordinate_scale(path, file)
        for group in range(file.num_row_groups):
            for row, points_a, points_b, _ in _rows_with_points(file.read_row_group(group), scale, ("reason",)):
                yield LinkedPair(**row, points_a=points_a, points_b=points_b)


def count_pairs(dataset: Path | str) -> dict[str, int]:
    """The number of pairs in each split that has shards.

    Raises:
        LiftnetError: A shard is missing or unreadable.
    """
    dataset = Path(dataset)
    return {
        split: sum(open_shard(path).metadata.num_rows for path in shard_paths(dataset, split))
        for split in SPLITS
        if any(dataset.glob(f"{split}-*.parquet"))
    }


def load_image(dataset: Path | str, image_id: str, split: str | None = None) -> npt.NDArray[np.uint8]:
    """Load one image by its id; reads one row group, found by the shards' statistics.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        LiftnetError: There is no such image in `split` (in any split when None), it cannot be decoded, or the dataset
            was written without images.
    """
    from liftnet.data.pictures import read_image

    for name in [split] if split else SPLITS:
        for path in shard_paths(dataset, name, "images-"):
            check_parquet(path)
            with open_table(path, IMAGES) as file:
                for group in groups_that_may_hold(file, "image_id", image_id, image_id):
                    ids = file.read_row_group(group, columns=["image_id"]).column("image_id").to_pylist()
                    if image_id in ids:
                        row = file.read_row_group(group, columns=["image"]).column("image")[ids.index(image_id)]
                        return read_image(row["bytes"].as_py())
    raise LiftnetError(dataset, f"has no image {image_id!r}", "collected.parquet lists the images")


def image_bytes(dataset: Path | str, image_ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the files of some images, one row group at a time in memory; those that are not there are passed over.

    Raises:
        LiftnetError: A shard is missing, unreadable, another table or of another version.
    """
    wanted = pa.array(sorted(image_ids), pa.string())
    for split in SPLITS:
        for path in shard_paths(dataset, split, "images-"):
            with open_table(path, IMAGES) as file:
                for group in range(file.num_row_groups):
                    ids = file.read_row_group(group, columns=["image_id"]).column("image_id").cast(pa.string())
                    chosen = pc.is_in(ids, value_set=wanted)
                    if pc.any(chosen).as_py():
                        images = file.read_row_group(group, columns=["image"]).column("image").filter(chosen)
                        rows = zip(ids.filter(chosen).to_pylist(), images.to_pylist(), strict=True)
                        yield from ((image, row["bytes"]) for image, row in rows)


def load_pair(dataset: Path | str, pair_id: str, split: str | None = None) -> Pair:
    """Load one pair by its id; reads one row group, found by the shards' statistics.

    Raises:
        LiftnetError: There is no such pair in `split` (in any split when None).
    """
    for name in [split] if split else SPLITS:
        for path in shard_paths(dataset, name):
            file = open_shard(path)
            for group in groups_that_may_hold(file, "pair_id", pair_id, pair_id):
                table = file.read_row_group(group)
                hits = np.flatnonzero(table.column("pair_id").to_numpy() == pair_id)
                if len(hits):
                    return next(pairs_of(table.slice(int(hits[0]), 1), coordinate_scale(path, file)))
    raise LiftnetError(dataset, f"has no pair {pair_id!r}", "`read_pairs` lists the pairs")


def open_shard(path: Path, schema: pa.Schema = DATASET) -> pq.ParquetFile:
    """Open a shard, of pairs unless another table is named, and check that it is one, in this version.

    Raises:
        LiftnetError: It is not.
    """
    try:
        check_parquet(path)
        file = pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise LiftnetError(path, f"is not a readable Parquet file ({error})", "Run `shard write` again") from error
    check_metadata(path, file.schema_arrow, schema)
    return file


def coordinate_scale(path: Path, file: pq.ParquetFile) -> float:
    """Coordinate units per pixel, as written in the shard's metadata.

    Raises:
        LiftnetError: The metadata does not say.
    """
    stated = (file.schema_arrow.metadata or {}).get(SCALE_KEY)
    if stated is None:
        raise LiftnetError(path, "does not state its coordinate scale", "Run `shard write` again")
    return float(stated)


def pairs_of(table: pa.Table, scale: float) -> Iterator[Pair]:
    """Decode rows of the dataset into pairs, coordinates divided by `scale`."""
    scores = _flat(table, "score").astype(np.float32) / np.float32(255)
    for row, points_a, points_b, part in _rows_with_points(table, scale):
        yield Pair(**row, points_a=points_a, points_b=points_b, scores=scores[part])


def tracks_of(table: pa.Table, scale: float) -> Iterator[Track]:
    """Decode rows of TRACKS into tracks, coordinates divided by `scale`."""
    points = np.stack([_flat(table, "x"), _flat(table, "y")], axis=1).astype(np.float32) / np.float32(scale)
    names = ("track_id", "work_id", "artist_id", "links", "contradicted", "images")
    ends = np.cumsum(table.column("n").to_numpy())
    for row, start, end in zip(table.select(names).to_pylist(), [0, *ends.tolist()], ends.tolist(), strict=False):
        yield Track(**{**row, "images": tuple(row["images"])}, points=points[start:end])


def _rows_with_points(
    table: pa.Table, scale: float, more: tuple[str, ...] = ()
) -> Iterator[tuple[dict[str, Any], Float32Array, Float32Array, slice]]:
    """What rows of pairs say, the points of each in both images, and where its part of all points lies."""
    x1, y1, x2, y2 = (_flat(table, name) for name in ("x1", "y1", "x2", "y2"))
    points_a = np.stack([x1, y1], axis=1).astype(np.float32) / np.float32(scale)
    points_b = np.stack([x2, y2], axis=1).astype(np.float32) / np.float32(scale)
    counts = table.column("n").to_numpy()
    ends = np.cumsum(counts)
    names = ("pair_id", "work_id", "artist_id", "image_a", "image_b", "width_a", "height_a", "width_b", "height_b")
    rows = table.select([*names, *more]).to_pylist()
    for row, start, end in zip(rows, (ends - counts).tolist(), ends.tolist(), strict=True):
        row |= {f"size_{side}": (row.pop(f"width_{side}"), row.pop(f"height_{side}")) for side in "ab"}
        yield row, points_a[start:end], points_b[start:end], slice(start, end)


def _flat(table: pa.Table, name: str) -> npt.NDArray[np.generic]:
    empty = pa.array([], table.schema.field(name).type.value_type)
    return pa.concat_arrays([empty, *(chunk.flatten() for chunk in table.column(name).chunks)]).to_numpy()


# Replacing the folder of a dataset


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder` that takes its name when the block ends without an error.

    A failed or killed writer leaves the old folder: between the two renames it is set aside under a hidden name, from
    which the next call brings it back. Leftovers of killed runs are removed.

    Raises:
        LiftnetError: `folder` holds files that no dataset has, or nothing can be written there.
    """
    folder = Path(folder).absolute()
    _check_only_dataset_files(folder)
    staging = folder.with_name(f".{folder.name}.part-{uuid.uuid4().hex[:8]}")
    aside = folder.with_name(f".{folder.name}.old-{uuid.uuid4().hex[:8]}")
    try:
        _tidy_up(folder)
        staging.mkdir(parents=True)
        yield staging
        _sync(staging)
        if folder.exists():
            os.rename(folder, aside)
        try:
            os.rename(staging, folder)
        except OSError:
            if aside.exists():
                os.rename(aside, folder)
            raise
        remove(aside)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise writing_error(folder, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_only_dataset_files(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise LiftnetError(folder, "is a file, not a folder", "Name another folder for the dataset")
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    foreign = sorted(n for n in names if not (n.endswith(".parquet") or n in OF_A_DATASET or n.startswith(".")))
    if foreign:
        raise LiftnetError(
            folder,
            f"holds {foreign[0]!r}, which is no file of a dataset, and would be replaced as a whole",
            "Name a folder that holds nothing but a dataset",
        )


def _tidy_up(folder: Path) -> None:
    for aside in sorted(folder.parent.glob(f".{folder.name}.old-*")):
        if folder.exists():
            remove(aside)
        else:
            os.rename(aside, folder)
    for part in folder.parent.glob(f".{folder.name}.part-*"):
        remove(part)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with open_file(path) as written:
                os.fsync(written.fileno())

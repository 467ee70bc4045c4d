"""Reading the dataset: Parquet shards in; correspondences in float32 pixels and images out.

Nobody sees the fixed-point scale of the coordinates. A folder of a dataset is replaced as a whole: readers see the old
files or the new ones, never a mixture.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from liftnet.core.errors import LiftnetError
from liftnet.core.files import remove, writing_error
from liftnet.core.opening import open_file
from liftnet.core.types import Float32Array
from liftnet.data.codes import SPLITS, split_named
from liftnet.data.parquet_limits import check_parquet
from liftnet.data.schemas import DATASET, IMAGES, check_metadata, groups_that_may_hold, open_table

SCALE_KEY = b"liftnet.coordinate_scale"
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


def shard_paths(dataset: Path | str, split: str, prefix: str = "") -> list[Path]:
    """The shards of a split in order, checked to be all there.

    Args:
        dataset: The folder that `shard write` made.
        split: "train", "val" (or "validation") or "test".
        prefix: "" for pairs, "images-" for images.

    Raises:
        LiftnetError: There is no such split, the folder is missing, or a shard of it is.
    """
    dataset, split = Path(dataset), split_named(split)
    pattern = re.compile(rf"{re.escape(prefix)}{split}-(\d{{5}})-of-(\d{{5}})\.parquet")
    names = sorted(path.name for path in dataset.glob(f"{prefix}{split}-*.parquet"))
    found = [match for name in names if (match := pattern.fullmatch(name))]
    wanted = [f"{number:05d}" for number in range(int(found[0][2]))] if found else []
    if not found or [match[1] for match in found] != wanted or len({match[2] for match in found}) != 1:
        reason = f"has {len(found)} of {len(wanted)} {prefix}{split} shards" if found else f"holds no {split} shards"
        raise LiftnetError(dataset, reason, "Run `shard write` again")
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


def open_shard(path: Path) -> pq.ParquetFile:
    """Open a shard of pairs and check that it is one, in this version.

    Raises:
        LiftnetError: It is not.
    """
    try:
        check_parquet(path)
        file = pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise LiftnetError(path, f"is not a readable Parquet file ({error})", "Run `shard write` again") from error
    check_metadata(path, file.schema_arrow, DATASET)
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
    table = table.combine_chunks()
    x1, y1, x2, y2 = (_flat(table, name) for name in ("x1", "y1", "x2", "y2"))
    points_a = np.stack([x1, y1], axis=1).astype(np.float32) / np.float32(scale)
    points_b = np.stack([x2, y2], axis=1).astype(np.float32) / np.float32(scale)
    scores = _flat(table, "score").astype(np.float32) / np.float32(255)
    counts = table.column("n").to_numpy()
    ends = np.cumsum(counts)
    names = ("pair_id", "work_id", "artist_id", "image_a", "image_b", "width_a", "height_a", "width_b", "height_b")
    for row, start, end in zip(table.select(names).to_pylist(), (ends - counts).tolist(), ends.tolist(), strict=True):
        size_a = (row.pop("width_a"), row.pop("height_a"))
        size_b = (row.pop("width_b"), row.pop("height_b"))
        yield Pair(
            **row,
            size_a=size_a,
            size_b=size_b,
            points_a=points_a[start:end],
            points_b=points_b[start:end],
            scores=scores[start:end],
        )


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

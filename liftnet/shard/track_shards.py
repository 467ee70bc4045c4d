"""Tracks on their way into the dataset: the tables of each work, what these note of themselves, and their shards.

Needs nothing that joining needs (`liftnet.shard.tracks`), so that datasets are written and checked without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from liftnet.core.errors import LiftnetError
from liftnet.core.files import finished
from liftnet.core.opening import sha256_of
from liftnet.core.settings import fingerprint
from liftnet.data.codes import SPLITS
from liftnet.data.dataset import LINKED_PREFIX, TRACKS_PREFIX, open_shard, shard_paths
from liftnet.data.schemas import LINKED, PAIRS, TRACKS, open_table, read_batches, read_table
from liftnet.data.shards import ROW_BYTES, cut, shard_files, write_shard
from liftnet.shard.images import Refusal, in_works
from liftnet.shard.settings import FileSettings, ShardSettings, TrackSettings

FOLDER, WORKS_FILE = "tracks", "works.csv"
TABLES = {TRACKS_PREFIX: (FOLDER, TRACKS), LINKED_PREFIX: ("linked", LINKED)}  # folder of a run, and schema
MERGE_KEY = b"liftnet.merge_px"
MADE_OF, COUNTS = b"liftnet.made_of", b"liftnet.counts"
_GROUPS = {TRACKS_PREFIX: 16, LINKED_PREFIX: 1}  # rows of a group for one of the pairs, which are longer
ROW_AND_POINT = {  # bytes before compression: ids and counts of a row; of each point of it
    TRACKS_PREFIX: (100, 16 + 4 + 2 * 2),  # an image's id with its length, and two coordinates
    LINKED_PREFIX: (ROW_BYTES, 4 * 2),
}
Usable = frozenset[str]  # ids of the images that the dataset holds


@dataclass(frozen=True)
class JoinedWork:
    """What was made of a work: a row of works.csv.

    Attributes:
        work_id: The work.
        split: Its split; "" without a kept pair.
        pairs: Kept pairs.
        correspondences: Of these.
        components: Connected components of their keypoints.
        contradictions: Of these, those that had to be cut.
        tracks: Tracks.
        observations: Of all tracks.
        links: Correspondences within a track.
        linked_pairs: Pairs that only tracks link.
        linked_correspondences: Of these.
    """

    work_id: str
    split: str = ""
    pairs: int = 0
    correspondences: int = 0
    components: int = 0
    contradictions: int = 0
    tracks: int = 0
    observations: int = 0
    links: int = 0
    linked_pairs: int = 0
    linked_correspondences: int = 0


def usable_images(manifest: pa.Table, refused: Mapping[str, Refusal]) -> Usable:
    """The images that the dataset holds: those of a manifest that are stored and not left out."""
    stored = manifest.filter(pc.equal(manifest.column("status"), "ok")).column("image_id").to_pylist()
    return Usable(stored) - refused.keys()


def made_of(pairs: Path, usable: Usable, settings: TrackSettings) -> str:
    """What the tracks of a work depend on: its table of pairs, the images left out of it, and the settings."""
    return hashlib.sha256(
        json.dumps([sha256_of(pairs), unusable_images(pairs, usable), fingerprint(settings)]).encode()
    ).hexdigest()


def unusable_images(pairs: Path, usable: Usable) -> list[str]:
    """The images that a table of pairs names and the dataset does not hold, ascending."""
    found: set[str] = set()
    for batch in read_batches(pairs, PAIRS, ["image_a", "image_b"], 65_536):
        for column in batch.columns:
            found.update(column.cast(pa.string()).unique().to_pylist())
    return sorted(found - usable)


def known_work(root: Path, work_id: str, made: str) -> JoinedWork | None:
    """What was made of a work before, as its tables note; None where they are not there or of other pairs."""
    notes: list[Mapping[bytes, bytes]] = []
    for folder, schema in TABLES.values():
        try:
            with open_table(root / folder / f"{work_id}.parquet", schema) as file:
                notes.append(file.schema_arrow.metadata)
        except LiftnetError:
            return None
    if any(held.get(MADE_OF) != made.encode() for held in notes):
        return None
    return JoinedWork(**json.loads(notes[0][COUNTS]))


def has_tracks(root: Path) -> bool:
    """Whether tracks were joined in a run."""
    return (root / FOLDER / WORKS_FILE).is_file()


def write_track_shards(folder: Path, root: Path, usable: Usable, settings: ShardSettings) -> None:
    """Write `tracks-<split>-*.parquet` and `linked-<split>-*.parquet`: the tables of all works, by their ids.

    Args:
        folder: The dataset.
        root: Folder of the run.
        usable: The images that the dataset holds.
        settings: How tracks are joined, and how shards are cut.

    Raises:
        LiftnetError: A work's tables are missing, or of other pairs than the dataset holds.
    """
    works = [_up_to_date(root, path, usable, settings.tracks) for path in finished(root / "pairs", "*.parquet")]
    for prefix, (tables, schema) in TABLES.items():
        for split in SPLITS:
            own = [work for work in works if work.split == split]
            parts = cut(np.array([_bytes(work, prefix) for work in own], np.int64), settings.files.shard_mb)
            for path, part in shard_files(folder, f"{prefix}{split}", parts):
                files = [root / tables / f"{work.work_id}.parquet" for work in own[part.start : part.stop]]
                rows = [read_table(file, schema).replace_schema_metadata(None) for file in files]
                _write(path, prefix, split, rows, settings.files, str(settings.tracks.merge_px))


def copy_tracks(dataset: Path, folder: Path, works: set[str], settings: FileSettings) -> None:
    """Write the tracks of some works, and the pairs that they link, as shards of a dataset in `folder`."""
    for prefix, (_, schema) in TABLES.items():
        for split in SPLITS:
            shards = [open_shard(path, schema).read() for path in shard_paths(dataset, split, prefix)]
            rows = [in_works(shard, works).replace_schema_metadata(None) for shard in shards]
            near = shards[0].schema.metadata[MERGE_KEY].decode()
            _write(folder / f"{prefix}{split}-00000-of-00001.parquet", prefix, split, rows, settings, near)


def merge_px(shard: Path) -> float:
    """How near keypoints of one image were that were joined to one, px: what a shard of tracks notes; 0 without."""
    try:
        return float((open_shard(shard, TRACKS).schema_arrow.metadata or {}).get(MERGE_KEY, b"0"))
    except ValueError as error:
        raise LiftnetError(
            shard, "notes no number of pixels for keypoints that are one", "Download it again"
        ) from error


def _write(path: Path, prefix: str, split: str, rows: Sequence[pa.Table], settings: FileSettings, near: str) -> None:
    schema = TABLES[prefix][1]
    table = pa.concat_tables([schema.empty_table().replace_schema_metadata(None), *rows])
    write_shard(path, split, table, settings.rows_per_group * _GROUPS[prefix], schema, {MERGE_KEY: near})


def _up_to_date(root: Path, pairs: Path, usable: Usable, settings: TrackSettings) -> JoinedWork:
    known = known_work(root, pairs.stem, made_of(pairs, usable, settings))
    if known is None:
        reason = "is missing, or was made of other pairs than the dataset holds"
        raise LiftnetError(root / FOLDER / f"{pairs.stem}.parquet", reason, f"Run `shard tracks --root {root}` again")
    return known


def _bytes(work: JoinedWork, prefix: str) -> int:
    """About how much a work takes in the shards of a table, before compression."""
    row, point = ROW_AND_POINT[prefix]
    if prefix == TRACKS_PREFIX:
        return work.tracks * row + work.observations * point
    return work.linked_pairs * row + work.linked_correspondences * point

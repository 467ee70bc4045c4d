"""Writing the dataset: kept pairs, images and all that describes them, replaced as a whole.

Below it, in mini/, stands a small dataset of the same layout: some whole works of every split, for a first look and
for tests.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from liftnet.core.errors import LiftnetError
from liftnet.core.files import finished, write_text
from liftnet.core.ids import stable_fraction
from liftnet.core.log import get_logger
from liftnet.data.codes import SPLITS, PairReason
from liftnet.data.dataset import open_shard, replaced_folder, shard_paths
from liftnet.data.empty_splits import warn_of_empty_splits
from liftnet.data.schemas import DATASET, MANIFEST, TRIED, read_table, table_writer, write_table
from liftnet.data.shards import POINT_BYTES, ROW_BYTES, TRIED_FILE, Cutting, write_pairs, write_shard
from liftnet.shard.card import write_attribution, write_card
from liftnet.shard.checksums import write_checksums
from liftnet.shard.croissant import unstated_terms, write_croissant
from liftnet.shard.images import (
    collected_rows,
    images_gone,
    in_works,
    left_out_images,
    stored_rows,
    write_image_shards,
)
from liftnet.shard.leakage import write_links, write_withheld
from liftnet.shard.settings import ShardSettings
from liftnet.shard.statistics import COLLECTED_FILE, DatasetSummary, summarise_dataset
from liftnet.shard.track_shards import (
    ROW_AND_POINT,
    TABLES,
    copy_tracks,
    has_tracks,
    usable_images,
    write_track_shards,
)

LOG = get_logger("shard")

MINI = "mini"
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}  # of the room, as far as the works allow
LARGEST_SHARE = 0.25  # of a split's works, so that the small dataset of a small one is small too
SALT = "mini"
OTHER_BYTES = 1500  # rows of an image in the tables beside its shard
REST_BYTES = 2_000_000  # cards, lists and the ends of files


def write_dataset(root: Path, out: Path, settings: ShardSettings) -> None:
    """Write all kept pairs below `root/pairs` as the dataset `out`.

    The same input gives the same bytes.

    Args:
        root: Folder with manifest.parquet, images/ and pairs/; splits/, tracks/, linked/ and across/pairs.parquet
            where they are there.
        out: Folder of the dataset; an older dataset there is replaced once the new one is whole.
        settings: What it holds and how it is cut.

    Raises:
        LiftnetError: There are no tables of pairs, one is unreadable, a pair cannot be stored (too large an image,
            a coordinate outside it), tracks are of other pairs, or `out` cannot be written.
    """
    manifest = read_table(root / "manifest.parquet", MANIFEST)
    files = finished(root / "pairs", "*.parquet")
    if not files:
        raise LiftnetError(root / "pairs", "holds no tables of pairs", "Run `verify run` for each work first")
    refused = left_out_images(manifest, root, settings)
    collected = collected_rows(manifest, refused)
    cutting = Cutting(settings.files.shard_mb, settings.files.rows_per_group)
    with replaced_folder(out) as folder:
        gone = images_gone(files, manifest)
        reasons: dict[str, str] = dict.fromkeys(gone, PairReason.NOT_COLLECTED)
        reasons |= {image: refusal.status for image, refusal in refused.items()}
        write_pairs(folder, files, cutting, "shard", reasons, manifest)
        if has_tracks(root):
            write_track_shards(folder, root, usable_images(manifest, refused), settings)
        _write_tables(folder, root, collected, settings)
        if settings.mini_mb:
            stored = stored_rows(collected)
            works = draw_works(folder, stored, root / "images" if settings.images else None, settings.mini_mb)
            (folder / MINI).mkdir()
            copy_pairs(folder, folder / MINI, works, cutting)
            if has_tracks(root):
                copy_tracks(folder, folder / MINI, works, settings.files)
            _write_tables(folder / MINI, root, in_works(collected, works), settings)
            _describe(folder / MINI, settings, small=True)
        summary = _describe(folder, settings, small=False)
    if not has_tracks(root):
        LOG.info("without tracks: `shard tracks` joins them")
    if still := len([image for image in gone if image not in refused]):
        LOG.warning("pairs of %d images that are no longer collected are left out", still)
    _log(summary, out, unstated_terms(settings.publication))


def _write_tables(folder: Path, root: Path, collected: pa.Table, settings: ShardSettings) -> None:
    """Write what lies beside the pairs: the images, the list of all that were asked for, the splits."""
    stored = stored_rows(collected)
    if settings.images:
        write_image_shards(folder, root / "images", stored, settings.files)
    write_table(folder / COLLECTED_FILE, collected, MANIFEST)
    if (root / "splits").is_dir():
        shutil.copytree(root / "splits", folder / "splits", ignore=lambda _, names: [n for n in names if n[0] == "."])
    else:
        _write_splits(folder / "splits", stored)
    write_withheld(folder / "splits" / "withheld.csv", collected)
    across = root / "across" / "pairs.parquet"
    if across.is_file():
        write_links(folder / "splits" / "links.csv", across)


def _write_splits(lists: Path, stored: pa.Table) -> None:
    """Write which artists and works are in which split, in the form of `collect.splits`, where `collect` has not."""
    for split in SPLITS:
        rows = stored.filter(pc.equal(stored.column("split"), split))
        artists, works = (
            [" ".join((name or "").split()) for name in rows.column(key).to_pylist()] for key in ("artist", "work")
        )
        lines = {"artists": artists, "works": ["\t".join(pair) for pair in zip(artists, works, strict=True)]}
        for kind, names in lines.items():
            write_text(lists / f"{split}_{kind}.txt", "".join(f"{name}\n" for name in sorted(set(names))))


def _describe(folder: Path, settings: ShardSettings, small: bool) -> DatasetSummary:
    """Write what is said of a dataset whose tables are written, in the order in which one names the other."""
    summary = summarise_dataset(folder)
    write_attribution(folder, summary, settings.publication.name)
    write_card(folder, summary, settings, small)
    write_croissant(folder, summary, settings)
    write_checksums(folder)
    return summary


def _log(summary: DatasetSummary, out: Path, unstated: list[str]) -> None:
    total = summary.splits["all"]
    for status, count in summary.left_out.items():
        LOG.warning("%d images are not in the dataset: %s", count, status.words)
    if summary.unknown_licences:
        LOG.warning("%d images have an unknown licence; see the card", summary.unknown_licences)
    if summary.with_position:
        LOG.warning("%d stored files say where they were taken (EXIF)", summary.with_position)
    if unstated:
        LOG.info("for a publication, state %s: see docs/dataset.md", ", ".join(unstated))
    if not total.pairs:
        LOG.warning("no pair was kept; the report's funnel says where they were lost")
    pairs = {split: summary.splits[split].pairs for split in SPLITS}
    warn_of_empty_splits(LOG, out, pairs, "pairs")
    counts = ", ".join(f"{count} {split}" for split, count in pairs.items())
    LOG.info("wrote %d pairs (%s) with %d correspondences to %s", total.pairs, counts, total.correspondences, out)


def draw_works(dataset: Path, stored: pa.Table, images: Path | None, room_mb: int) -> set[str]:
    """Draw whole works that together take at most `room_mb` MB.

    The order is by a hash of the work's id, so that a work drawn today is drawn tomorrow as far as there is room. A
    split whose every work is too large has none.

    Args:
        dataset: The dataset as far as it is written: the shards of pairs.
        stored: Its rows of MANIFEST.
        images: The folder of the stored files; None if the images themselves are not to be written.
        room_mb: Largest size, MB.

    Returns:
        The work_ids: of each split at least one, if it has a work with a pair that fits its share of the room.
    """
    works = _sizes(dataset, stored, images)
    room = room_mb * 1_000_000 - REST_BYTES
    drawn: set[str] = set()
    for split in SPLITS:
        left = room * SHARES[split]
        candidates = works[works["split"] == split]
        most = max(1, int(len(candidates) * LARGEST_SHARE))
        ordered = sorted(candidates.index, key=lambda work: stable_fraction(str(work), SALT))
        taken: list[str] = []
        for work in ordered:
            if len(taken) < most and candidates.loc[work, "bytes"] <= left:
                taken.append(str(work))
                left -= candidates.loc[work, "bytes"]
        if len(candidates) and not taken:
            LOG.warning("no work of %s fits into mini/; raise shard.mini_mb", split)
        drawn.update(taken)
    return drawn


def _sizes(dataset: Path, stored: pa.Table, images: Path | None) -> pd.DataFrame:
    """Bytes and split of every work that has a pair; index work_id."""
    works = _bytes_of_rows(dataset, "", DATASET, (ROW_BYTES, POINT_BYTES))
    for prefix, (_, schema) in TABLES.items():
        if any(dataset.glob(f"{prefix}*.parquet")):
            more = _bytes_of_rows(dataset, prefix, schema, ROW_AND_POINT[prefix])["bytes"]
            works["bytes"] += more.reindex(works.index).fillna(0)
    views = stored.select(["work_id", "file"]).to_pandas()
    views["bytes"] = [OTHER_BYTES + ((images / name).stat().st_size if images else 0) for name in views["file"]]
    return works.assign(bytes=works["bytes"] + views.groupby("work_id")["bytes"].sum().reindex(works.index).fillna(0))


def _bytes_of_rows(dataset: Path, prefix: str, schema: pa.Schema, taken: tuple[int, int]) -> pd.DataFrame:
    """Columns split and bytes of every work in the shards of a table; a row and each of its points take so much."""
    parts = [
        open_shard(path, schema).read(columns=["work_id", "n"]).to_pandas().assign(split=split)
        for split in SPLITS
        for path in shard_paths(dataset, split, prefix)
    ]
    rows = pd.concat(parts).astype({"work_id": object})
    rows["bytes"] = taken[0] + rows["n"] * taken[1]
    return rows.groupby("work_id").agg({"split": "first", "bytes": "sum"})


def copy_pairs(dataset: Path, folder: Path, works: set[str], cutting: Cutting) -> None:
    """Write the pairs of some works, and the rows of tried.parquet about them, as a dataset in `folder`."""
    for split in SPLITS:
        parts = [in_works(open_shard(path).read(), works) for path in shard_paths(dataset, split)]
        rows = pa.concat_tables(parts).replace_schema_metadata(None)
        write_shard(folder / f"{split}-00000-of-00001.parquet", split, rows.cast(DATASET), cutting.rows_per_group)
    with table_writer(folder / TRIED_FILE, TRIED) as write:
        write(in_works(read_table(dataset / TRIED_FILE, TRIED), works))

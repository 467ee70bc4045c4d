"""Writing the dataset: kept pairs, images and all that describes them, replaced as a whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_text
from liftnet.core.log import get_logger
from liftnet.data.codes import SPLITS, PairReason
from liftnet.data.schemas import MANIFEST, read_table, write_table
from liftnet.data.shards.folder import replaced_folder
from liftnet.data.shards.write import Cutting, write_pairs
from liftnet.shard.attribution import write_attribution
from liftnet.shard.card import write_card
from liftnet.shard.checksums import write_checksums
from liftnet.shard.croissant import unstated_terms, write_croissant
from liftnet.shard.images import write_image_shards
from liftnet.shard.leakage import write_links, write_withheld
from liftnet.shard.mini import copy_pairs, draw_works
from liftnet.shard.selection import (
    collected_rows,
    images_gone,
    in_works,
    left_out_images,
    split_mask,
    stored_rows,
)
from liftnet.shard.settings import ShardSettings
from liftnet.shard.summary import COLLECTED_FILE, DatasetSummary, summarise_dataset

LOG = get_logger("shard")

MINI = "mini"
NAMES = ("artist", "work")


def write_dataset(root: Path, out: Path, settings: ShardSettings) -> None:
    """Write all kept pairs below `root/pairs` as the dataset `out`.

    The same input gives the same bytes.

    Args:
        root: Folder with manifest.parquet, images/ and pairs/; splits/ and across/pairs.parquet where they are there.
        out: Folder of the dataset; an older dataset there is replaced once the new one is whole.
        settings: What it holds and how it is cut.

    Raises:
        LiftnetError: There are no tables of pairs, one is unreadable, a pair cannot be stored (too large an image,
            a coordinate outside it), or `out` cannot be written.
    """
    manifest = read_table(root / "manifest.parquet", MANIFEST)
    files = sorted((root / "pairs").glob("*.parquet"))
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
        _write_tables(folder, root, collected, settings)
        if settings.mini_mb:
            stored = stored_rows(collected)
            works = draw_works(folder, stored, root / "images" if settings.images else None, settings.mini_mb)
            (folder / MINI).mkdir()
            copy_pairs(folder, folder / MINI, works, cutting)
            _write_tables(folder / MINI, root, in_works(collected, works), settings)
            _describe(folder / MINI, settings, small=True)
        summary = _describe(folder, settings, small=False)
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
        rows = stored.filter(pa.array(split_mask(stored, split), pa.bool_()))
        artists, works = ([" ".join((name or "").split()) for name in rows.column(key).to_pylist()] for key in NAMES)
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
    counts = ", ".join(f"{summary.splits[split].pairs} {split}" for split in SPLITS)
    LOG.info("wrote %d pairs (%s) with %d correspondences to %s", total.pairs, counts, total.correspondences, out)

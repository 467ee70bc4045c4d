"""Writing the dataset: kept pairs of all works, sorted, cut into shards, replaced as a whole."""

from __future__ import annotations

from pathlib import Path

from liftnet.io.dataset import SPLITS
from liftnet.io.errors import LiftnetError
from liftnet.io.log import get_logger
from liftnet.io.schemas import MANIFEST, read_table
from liftnet.io.sharding.folder import replaced_folder
from liftnet.io.sharding.write import Cutting, write_pairs
from liftnet.shard.card import write_card
from liftnet.shard.images import write_image_shards
from liftnet.shard.settings import ShardSettings
from liftnet.shard.statistics import tally_dataset


def write_dataset(root: Path, out: Path, settings: ShardSettings) -> None:
    """Write all kept pairs below `root/pairs` as the dataset `out`.

    The same input gives the same bytes.

    Args:
        root: Folder with manifest.parquet, images/ and pairs/.
        out: Folder of the dataset; an older dataset there is replaced once the new one is whole.
        settings: How it is cut.

    Raises:
        LiftnetError: There are no tables of pairs, one is unreadable, a pair cannot be stored (too large an image,
            a coordinate outside it), or `out` cannot be written.
    """
    logger = get_logger("shard")
    manifest = read_table(root / "manifest.parquet", MANIFEST)
    files = sorted((root / "pairs").glob("*.parquet"))
    if not files:
        raise LiftnetError(root / "pairs", "holds no tables of pairs", "Run `verify run` for each work first")
    with replaced_folder(out) as folder:
        write_pairs(folder, files, Cutting(settings.shard_mb, settings.rows_per_group), "shard", manifest=manifest)
        missing = write_image_shards(folder, root, manifest, settings) if settings.images else []
        tallies = tally_dataset(folder)
        write_card(folder, tallies, manifest, settings.images, missing)
    counts = ", ".join(f"{tallies[split].pairs} {split}" for split in SPLITS)
    if missing:
        logger.warning("%d images of the manifest have no file and are not in the image shards", len(missing))
    if not tallies["all"].pairs:
        logger.warning("no pair was kept; the report's funnel says where they were lost")
    logger.info(
        "wrote %d pairs (%s) with %d correspondences to %s",
        tallies["all"].pairs,
        counts,
        tallies["all"].correspondences,
        out,
    )

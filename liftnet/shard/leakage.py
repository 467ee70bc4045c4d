"""Leakage: what would show one work, or one artist, on two sides of a split, and the images kept out because of it."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from liftnet.core.files import atomic_path
from liftnet.core.ids import components
from liftnet.core.log import get_logger
from liftnet.core.opening import only_files
from liftnet.core.tables import write_tables
from liftnet.core.text import for_csv
from liftnet.data.codes import SPLITS, ImageStatus, PairReason
from liftnet.data.dataset import open_shard, shard_paths
from liftnet.data.perceptual_hashes import as_bits, near_pairs
from liftnet.data.schemas import MANIFEST, PAIRS, read_table
from liftnet.shard.tally import COLLECTED_FILE

LOG = get_logger("shard")

LINKING = (
    PairReason.KEPT,
    PairReason.DUPLICATE,
    PairReason.AFFINE_HOMOGRAPHY,
    PairReason.PROJECTIVE_HOMOGRAPHY,
)
"""The decisions of `verify` after which two images count as views of one object: two views of a solid, and also one
view twice, since a picture taken from the same side, or a copy of it, shows the same object as well. A watermark does
not."""
NEAR_BITS = 6  # hashes that differ in no more are of one picture, or of two that are as like
SIDES = tuple(combinations(SPLITS, 2))
WITHHELD_COLUMNS = ("image_id", "image_url", "artist", "work", "split", "reason")
KEYS = {
    "groups": "group_id",
    "artists": "artist_id",
    "artists by Wikidata id": "artist_wikidata",
    "works": "work_id",
    "works by Wikidata id": "work_wikidata",
    "images": "image_id",
    "files as downloaded": "sha256_raw",
    "perceptual hashes": "phash",
}
LINK_INLIERS = 20  # least inliers of a link, whatever `verify.thresholds.min_inliers` is: see docs/splits.md


def withheld_images(manifest: pa.Table, across: Path | None = None) -> dict[str, str]:
    """The images that must not stand in the dataset, and why.

    These are the images that `collect` has withheld (status `withheld`), and, where verified matches show that works
    of different splits are one object, all images of the work on the lower side (train before val before test).

    Args:
        manifest: Table MANIFEST.
        across: Table PAIRS of image pairs across splits; None where none were looked for.

    Returns:
        A reason by image_id, in ascending order.

    Raises:
        LiftnetError: `across` is unreadable, or another table.
    """
    rows = manifest.select(["sha256", "status", "reason"])
    withheld = {
        row["sha256"][:16]: row["reason"]
        for row in rows.filter(pc.equal(rows["status"], ImageStatus.WITHHELD)).to_pylist()
    }
    if across is not None:
        withheld |= _of_linked_works(manifest, links_between(across))
    return dict(sorted(withheld.items()))


def links_between(across: Path) -> list[tuple[str, str]]:
    """The pairs of images in a table of pairs that show one object.

    Raises:
        LiftnetError: The table is unreadable, or another one.
    """
    pairs = read_table(across, PAIRS).select(["image_a", "image_b", "reason", "n_inliers"])
    linking = pc.and_(
        pc.is_in(pairs["reason"], value_set=pa.array(LINKING)), pc.greater_equal(pairs["n_inliers"], LINK_INLIERS)
    )
    found = pairs.filter(linking)
    return list(zip(found["image_a"].to_pylist(), found["image_b"].to_pylist(), strict=True))


def _of_linked_works(manifest: pa.Table, links: list[tuple[str, str]]) -> dict[str, str]:
    """The images of linked works that are not in the highest split among these works."""
    columns = ["image_id", "work_id", "work", "artist", "split"]
    images = {
        row["image_id"]: row for row in manifest.filter(pc.equal(manifest["status"], "ok")).select(columns).to_pylist()
    }
    works = {row["work_id"]: row for row in images.values()}
    tied = components((images[a]["work_id"], images[b]["work_id"]) for a, b in links if a in images and b in images)
    reasons: dict[str, str] = {}
    for members in tied.values():
        highest = max(members, key=lambda work: SPLITS.index(works[work]["split"]))
        row = works[highest]
        reason = f"its matches show the same object as {row['work']} by {row['artist']}, which is in {row['split']}"
        reasons |= {work: reason for work in members if works[work]["split"] != row["split"]}
    return {image_id: reasons[row["work_id"]] for image_id, row in images.items() if row["work_id"] in reasons}


def write_leakage(
    dataset: Path, root: Path, tables: Path, near_bits: int = NEAR_BITS, threads: int = 1
) -> pd.DataFrame:
    """Count what stands on two sides of a split in a dataset, and write the counts as `tables`/leakage.*.

    Args:
        dataset: Folder of the dataset.
        root: Folder of the run; its across/pairs.parquet has the pairs verified across splits.
        tables: Folder of the tables.
        near_bits: Largest distance of perceptual hashes that counts.
        threads: Workers.

    Returns:
        A row for each thing that must not be divided, with how many stand in both splits of each pair of splits. Where
        no links were looked for, their row is missing.

    Raises:
        LiftnetError: A table is unreadable, or another one.
    """
    collected = read_table(dataset / COLLECTED_FILE, MANIFEST)
    rows = collected.filter(pc.equal(collected["status"], "ok"))
    split_of = dict(zip(rows["image_id"].to_pylist(), rows["split"].to_pylist(), strict=True))
    counts = {f"{name} in both": _shared(rows, key) for name, key in KEYS.items()}
    counts["images of pairs in both"] = _shared_by_pairs(dataset)
    counts[f"pairs of images with hashes at most {near_bits} bits apart"] = _crossing(
        _near(rows, near_bits, threads), split_of
    )
    across = root / "across" / "pairs.parquet"
    if across.is_file():
        counts["pairs of images that verified matches link"] = _crossing(links_between(across), split_of)
    frame = pd.DataFrame.from_dict(counts, orient="index", columns=[f"{a} and {b}" for a, b in SIDES])
    frame = frame.rename_axis("what").reset_index()
    withheld = pc.sum(pc.equal(collected["status"], ImageStatus.WITHHELD)).as_py() or 0
    sought = "" if across.is_file() else " Links between images of different splits were not looked for."
    caption = (
        f"What stands in two splits of the dataset; every number must be 0. Images: {len(rows):,}; withheld, so that "
        f"it is so: {withheld:,}.{sought}"
    )
    write_tables(frame, tables / "leakage", caption)
    if not across.is_file():
        LOG.warning("%s is not there: verified links across splits are not counted", across)
    return frame


def log_leaks(counts: pd.DataFrame) -> int:
    """Log what stands in two splits, an error each.

    Args:
        counts: As `write_leakage` returns them.

    Returns:
        How many things do.
    """
    by_name = counts.set_index("what")
    leaks = by_name[by_name.sum(axis=1) > 0]
    for what, row in leaks.iterrows():
        LOG.error("leakage: %s: %s", what, ", ".join(f"{count} of {sides}" for sides, count in row.items()))
    if leaks.empty:
        LOG.info("nothing stands in two splits: %d counts, all 0", by_name.size)
    return len(leaks)


def write_withheld(path: Path, collected: pa.Table) -> None:
    """Write the images that are withheld from a dataset, and why, as CSV.

    Args:
        path: The file.
        collected: Table MANIFEST as published: images that are left out carry that as their status.
    """
    rows = collected.filter(pc.equal(collected["status"], ImageStatus.WITHHELD))
    listed = rows.select([*WITHHELD_COLUMNS, "sha256"]).to_pylist()
    lines = [{**row, "image_id": row.pop("sha256")[:16]} for row in listed]
    _write_csv(path, WITHHELD_COLUMNS, ([line[name] for name in WITHHELD_COLUMNS] for line in lines))


def write_links(path: Path, across: Path) -> None:
    """Add the images that verified matches link to a CSV file that `collect.splits` understands.

    Raises:
        LiftnetError: `across` is unreadable, or another table.
    """
    links = {tuple(link) for link in links_between(across)}
    if path.is_file():
        with open(path, encoding="utf-8-sig", newline="", opener=only_files) as file:
            links |= {(row[0], row[1]) for row in list(csv.reader(file))[1:] if len(row) > 1}
    if links:
        _write_csv(path, ("a", "b"), sorted(links))


def _write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(map(for_csv, row) for row in rows)


def _shared(rows: pa.Table, key: str) -> list[int]:
    """How many values of a column stand in both splits, for each of SIDES."""
    values = {split: set(rows.filter(pc.equal(rows["split"], split))[key].drop_null().to_pylist()) for split in SPLITS}
    return [len(values[a] & values[b]) for a, b in SIDES]


def _shared_by_pairs(dataset: Path) -> list[int]:
    """How many images stand in pairs of both splits."""
    values: dict[str, set[str]] = {split: set() for split in SPLITS}
    for split in SPLITS:
        for path in shard_paths(dataset, split):
            for batch in open_shard(path).iter_batches(65536, columns=["image_a", "image_b"]):
                for column in batch.columns:
                    values[split].update(column.unique().to_pylist())
    return [len(values[a] & values[b]) for a, b in SIDES]


def _near(rows: pa.Table, near_bits: int, threads: int) -> list[tuple[str, str]]:
    """Pairs of images whose hashes are close: upright, or turned or mirrored as `collect` noted of the nearest."""
    rows = rows.select(["image_id", "phash", "near_image", "near_distance"])
    hashed = rows.filter(pc.is_valid(rows["phash"]))
    ids = hashed["image_id"].to_pylist()
    found = near_pairs(as_bits([[text] for text in hashed["phash"].to_pylist()]), near_bits, threads, "shard")
    noted = rows.filter(pc.less_equal(rows["near_distance"], near_bits))
    pairs = {(ids[a], ids[b]) for a, b in found.pairs.tolist()}
    pairs.update(zip(noted["image_id"].to_pylist(), noted["near_image"].to_pylist(), strict=True))
    return sorted({(min(pair), max(pair)) for pair in pairs})


def _crossing(pairs: Iterable[tuple[str, str]], split_of: dict[str, str]) -> list[int]:
    """How many pairs of images of the dataset join the splits of each of SIDES."""
    found = [frozenset((split_of[a], split_of[b])) for a, b in pairs if a in split_of and b in split_of]
    return [found.count(frozenset(side)) for side in SIDES]

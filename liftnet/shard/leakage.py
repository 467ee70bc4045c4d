"""Leakage: what would show one work, or one artist, on two sides of a split, and the images kept out because of it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from liftnet.io.components import components
from liftnet.io.dataset import SPLITS
from liftnet.io.schemas import PAIRS, read_table

LINKING = ("kept", "duplicate", "affine_homography", "projective_homography")
"""The decisions of `verify` after which two images count as views of one object: two views of a solid, and also one
view twice, since a picture taken from the same side, or a copy of it, shows the same object as well. A watermark does
not."""
LINK_INLIERS = 20  # least inliers of a link, whatever `verify.min_inliers` is: see docs/splits.md


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
        row["sha256"][:16]: row["reason"] for row in rows.filter(pc.equal(rows["status"], "withheld")).to_pylist()
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

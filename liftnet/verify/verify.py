"""`verify run`: decide on every pair of a work and write the table of pairs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.data.codes import PairReason
from liftnet.data.manifest import StoredImage, stored_images
from liftnet.data.schemas import PAIRS, ROWS_PER_GROUP, in_groups, table_writer
from liftnet.verify.decide import PairDecision, PutativePair, verify_pair
from liftnet.verify.fits import PairNumbers, View
from liftnet.verify.inputs import MaskFolder, Matches, MatchTable
from liftnet.verify.settings import VerifySettings

Row = dict[str, Any]
LOG = get_logger("verify")
LISTS = ("x1", "y1", "x2", "y2", "score", "residual")


def verify_matches(
    root: Path, matches: Path, out: Path, settings: VerifySettings, seed: int = 0, threads: int = 1
) -> Counter[str]:
    """Decide on every pair in a table of matches and write them all, kept or not, to a table of pairs.

    Args:
        root: Folder with manifest.parquet and masks/.
        matches: Table MATCHES of one work.
        out: Table PAIRS to write.
        settings: Thresholds.
        seed: Seed of the run; a pair's own seed comes from it and the pair's id.
        threads: Worker threads; the result does not depend on them.

    Returns:
        How many pairs for each reason.

    Raises:
        LiftnetError: The manifest or the matches cannot be read, there is no mask folder, or `out` cannot be written.
    """
    pairs = MatchTable(matches)
    images = stored_images(root, pairs.image_ids())
    masks = MaskFolder(root / "masks") if settings.foreground else None

    def decide(pair: Matches) -> Row:
        return _row(pair, images, masks, settings, seed)

    counts: Counter[str] = Counter()
    correspondences = 0
    with table_writer(out, PAIRS) as write:
        for rows in in_groups(map_threads(decide, pairs, threads, "verify", "deciding on pairs"), ROWS_PER_GROUP):
            write(rows)
            counts.update(row["reason"] for row in rows)
            correspondences += sum(row["n_inliers"] for row in rows if row["kept"])
    _tell(out, counts, correspondences, masks)
    return counts


def _row(
    pair: Matches, images: dict[str, StoredImage], masks: MaskFolder | None, settings: VerifySettings, seed: int
) -> Row:
    a, b = images.get(pair.image_a), images.get(pair.image_b)
    decision = _decide(pair, a, b, masks, settings, seed)
    known = a or b
    return {
        "pair_id": pair.pair_id,
        "work_id": known and known.work_id,
        "artist_id": known and known.artist_id,
        "split": known and known.split,
        "image_a": pair.image_a,
        "image_b": pair.image_b,
        "width_a": a and a.width,
        "height_a": a and a.height,
        "width_b": b and b.width,
        "height_b": b and b.height,
        **_numbers(decision),
        **_correspondences(pair, decision, settings, seed),
    }


def _decide(
    pair: Matches,
    a: StoredImage | None,
    b: StoredImage | None,
    masks: MaskFolder | None,
    settings: VerifySettings,
    seed: int,
) -> PairDecision:
    n = len(pair.score)
    if pair.status != "ok":
        return PairDecision(pair.status, PairNumbers(n))
    if a is None or b is None:
        return PairDecision(PairReason.NO_IMAGE, PairNumbers(n))
    if not pair.is_consistent:
        return PairDecision(PairReason.BAD_MATCHES, PairNumbers(n))
    on_foreground = masks.both_on_foreground(pair, a, b) if masks else np.ones(n, np.bool_)
    views = _view(a, masks), _view(b, masks)
    rng = np.random.default_rng(stable_seed(seed, "verify", pair.pair_id))
    putative = PutativePair(pair.points_a, pair.points_b, pair.score, on_foreground, views)
    return verify_pair(putative, rng, settings)


def _view(image: StoredImage, masks: MaskFolder | None) -> View:
    return View(image.width, image.height, masks.object_side(image) if masks else None)


def _numbers(decision: PairDecision) -> Row:
    row = {"kept": decision.kept, "reason": decision.reason, **vars(decision.numbers), "f": None}
    if decision.fits is not None and decision.fits.affine.found:
        row["f"] = decision.fits.affine.f.astype(np.float32)
    if decision.fits is not None and decision.fits.perspective.found:
        row["f_perspective"] = decision.fits.perspective.F.ravel().astype(np.float32)
    return row


def _correspondences(pair: Matches, decision: PairDecision, settings: VerifySettings, seed: int) -> Row:
    """The inliers of every pair that has a model, and a sample of the other matches for pictures."""
    if not pair.is_consistent:
        return {name: [] for name in (*LISTS, *(f"rejected_{name}" for name in LISTS[:4]))}
    rest = np.setdiff1d(np.arange(len(pair.score)), decision.inliers)
    if len(rest) > settings.rejected_sample:
        rng = np.random.default_rng(stable_seed(seed, "verify rejected", pair.pair_id))
        rest = np.sort(rng.choice(rest, settings.rejected_sample, replace=False))
    row = {"score": pair.score[decision.inliers], "residual": decision.residuals.astype(np.float32)}
    for prefix, chosen in (("", decision.inliers), ("rejected_", rest)):
        row |= {f"{prefix}x1": pair.points_a[chosen, 0], f"{prefix}y1": pair.points_a[chosen, 1]}
        row |= {f"{prefix}x2": pair.points_b[chosen, 0], f"{prefix}y2": pair.points_b[chosen, 1]}
    return row


def _tell(out: Path, counts: Counter[str], correspondences: int, masks: MaskFolder | None) -> None:
    if masks and masks.problems:
        first = next(iter(sorted(masks.problems.items())))[1]
        LOG.warning("%d images have no usable mask, the first: %s", len(masks.problems), first)
    rejected = ", ".join(f"{n} {reason}" for reason, n in counts.most_common() if reason != PairReason.KEPT)
    LOG.info(
        "%d pairs: %d kept with %d correspondences%s; written to %s",
        counts.total(),
        counts[PairReason.KEPT],
        correspondences,
        f"; rejected: {rejected}" if rejected else "",
        out,
    )

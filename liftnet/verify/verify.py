"""`verify run`: keep or reject every pair of a work and write the table of pairs.

The rule itself is pure: `verify_pair` takes arrays, `reasons` stored numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.core.settings import changed
from liftnet.data.codes import PairReason
from liftnet.data.features import Features
from liftnet.data.manifest import StoredImage, stored_images
from liftnet.data.schemas import PAIRS, ROWS_PER_GROUP, in_groups, table_writer
from liftnet.geometry.affine import distinct_locations
from liftnet.geometry.alignment import Pyramid
from liftnet.geometry.subspaces import joint_points
from liftnet.verify.aligned import Fitting, fitting_matches
from liftnet.verify.fits import MIN_USED, Fits, PairNumbers, View, count_explained, fit_pair
from liftnet.verify.guided import can_search, lines_of, places_among, search_again
from liftnet.verify.inputs import FeatureFolder, MaskFolder, Matches, MatchTable, PictureFolder
from liftnet.verify.settings import ThresholdSettings, VerifySettings

Row = dict[str, Any]
LOG = get_logger("verify")
OTHER_FEATURES = "other_features"  # second_search of a pair whose features have no scales and orientations
LISTS = ("x1", "y1", "x2", "y2", "score", "residual", "residual_p", "guided", "shift_x", "shift_y", "misfit")
# the columns of PAIRS from which a decision can be taken again
DECIDING = (
    "n_putative",
    "n_used",
    "model",
    "n_inliers",
    "n_correspondences",
    "chance_floor",
    "chance_floor_p",
    "n_duplicate",
    "n_watermark",
    "n_stationary",
    "n_h",
    "n_ph",
)
FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]


def verify_matches(
    root: Path, matches: Path, out: Path, settings: VerifySettings, seed: int = 0, threads: int = 1
) -> Counter[str]:
    """Decide on every pair in a table of matches and write them all, kept or not, to a table of pairs.

    Args:
        root: Folder with manifest.parquet, masks/, features/ and images/.
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
    folders = _Folders(masks, FeatureFolder(root / "features", masks), PictureFolder(root / "images"))

    def decide(pair: Matches) -> Row:
        return _row(pair, images, folders, settings, seed)

    counts: Counter[str] = Counter()
    correspondences = unsearched = 0
    with table_writer(out, PAIRS) as write:
        for rows in in_groups(map_threads(decide, pairs, threads, "verify", "deciding on pairs"), ROWS_PER_GROUP):
            write(rows)
            counts.update(row["reason"] for row in rows)
            unsearched += sum(row["second_search"] == OTHER_FEATURES for row in rows)
            correspondences += sum(row["n_correspondences"] for row in rows if row["kept"])
    if unsearched:
        reason = "the second search needs scales and orientations, which these features do not have"
        LOG.info("%s: %d accepted pairs keep the matches of the first", reason, unsearched)
    _tell(out, counts, correspondences, folders)
    return counts


@dataclass(frozen=True, eq=False)
class _Folders:
    """What is read of the images of a run."""

    masks: MaskFolder | None
    features: FeatureFolder
    pictures: PictureFolder


def _row(
    pair: Matches,
    images: dict[str, StoredImage],
    folders: _Folders,
    settings: VerifySettings,
    seed: int,
) -> Row:
    a, b = images.get(pair.image_a), images.get(pair.image_b)
    decision = _decide(pair, a, b, folders, settings, seed)
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
    folders: _Folders,
    settings: VerifySettings,
    seed: int,
) -> PairDecision:
    n, masks = len(pair.score), folders.masks
    if pair.status != "ok":
        return PairDecision(pair.status, PairNumbers(n))
    if a is None or b is None:
        return PairDecision(PairReason.NO_IMAGE, PairNumbers(n))
    if not pair.is_consistent:
        return PairDecision(PairReason.BAD_MATCHES, PairNumbers(n))
    on_foreground = masks.both_on_foreground(pair, a, b) if masks else np.ones(n, np.bool_)
    views = _view(a, masks), _view(b, masks)
    rng = np.random.default_rng(stable_seed(seed, "verify", pair.pair_id))
    putative = PutativePair(
        pair.points_a,
        pair.points_b,
        pair.score,
        on_foreground,
        views,
        lambda: folders.features.of_pair(pair, a, b),
        lambda: folders.pictures.of_pair(a, b),
    )
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
    """The correspondences of every pair that has a model, and a sample of the other matches for pictures."""
    if not pair.is_consistent:
        return {name: [] for name in (*LISTS, *(f"rejected_{name}" for name in LISTS[:4]))}
    rest = np.setdiff1d(np.arange(len(pair.score)), decision.inliers)
    if len(rest) > settings.rejected_sample:
        rng = np.random.default_rng(stable_seed(seed, "verify rejected", pair.pair_id))
        rest = np.sort(rng.choice(rest, settings.rejected_sample, replace=False))
    kept = decision.correspondences
    row: Row = {name: getattr(kept, name).astype(np.float32) for name in ("score", "residual", "residual_p", "misfit")}
    row |= {"guided": kept.guided, "shift_x": kept.shift[:, 0], "shift_y": kept.shift[:, 1]}
    rejected = pair.points_a[rest], pair.points_b[rest]
    for prefix, (points_a, points_b) in (("", (kept.points_a, kept.points_b)), ("rejected_", rejected)):
        row |= {f"{prefix}x1": points_a[:, 0], f"{prefix}y1": points_a[:, 1]}
        row |= {f"{prefix}x2": points_b[:, 0], f"{prefix}y2": points_b[:, 1]}
    return row


def _tell(out: Path, counts: Counter[str], correspondences: int, folders: _Folders) -> None:
    masks, features, pictures = folders.masks, folders.features, folders.pictures
    for words, problems in (
        ("pairs of %d images were not searched again, their features are not to be had", features.problems),
        ("matches of %d images were not aligned, their pictures are not to be had", pictures.problems),
        ("%d images have no usable mask", masks.problems if masks else {}),
    ):
        if problems:
            LOG.warning(f"{words}, the first: %s", len(problems), min(problems.items())[1])
    rejected = ", ".join(f"{n} {reason}" for reason, n in counts.most_common() if reason != PairReason.KEPT)
    LOG.info(
        "%d pairs: %d kept with %d correspondences%s; written to %s",
        counts.total(),
        counts[PairReason.KEPT],
        correspondences,
        f"; rejected: {rejected}" if rejected else "",
        out,
    )


@dataclass(frozen=True, eq=False)
class Correspondences:
    """The correspondences of a pair.

    Attributes:
        points_a: (M, 2) px in image a.
        points_b: (M, 2) px in image b.
        score: (M,) in [0, 1], higher is better.
        residual: (M,) px, to the chosen fundamental matrix.
        residual_p: (M,) px, to the perspective one, infinite without one.
        guided: (M,) whether the second search alone found it.
        shift: (M, 2) px, how far alignment moved it in image b; 0 where it was not aligned.
        misfit: (M,) what was left once it was aligned; infinite where it was not.
    """

    points_a: FloatArray = field(default_factory=lambda: np.empty((0, 2)))
    points_b: FloatArray = field(default_factory=lambda: np.empty((0, 2)))
    score: FloatArray = field(default_factory=lambda: np.empty(0))
    residual: FloatArray = field(default_factory=lambda: np.empty(0))
    residual_p: FloatArray = field(default_factory=lambda: np.empty(0))
    guided: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    shift: FloatArray = field(default_factory=lambda: np.empty((0, 2)))
    misfit: FloatArray = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True, eq=False)
class PairDecision:
    """What was decided on a pair and every number it rests on.

    Attributes:
        reason: One of `PairReason`, or the matcher's status.
        numbers: Counts, thresholds and shares, as stored.
        fits: The models; None where there were too few matches for any.
        inliers: (M,) indices of the putative matches that agree with the chosen model, rising.
        correspondences: Of a second search, else the inliers.
    """

    reason: str
    numbers: PairNumbers
    fits: Fits | None = None
    inliers: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    correspondences: Correspondences = field(default_factory=Correspondences)

    @property
    def kept(self) -> bool:
        """Whether the pair goes into the dataset."""
        return self.reason == PairReason.KEPT

    def __repr__(self) -> str:
        n = self.numbers
        rho = "" if n.rho is None else f", rho={n.rho:.2f}"
        return f"PairDecision({self.reason}: {n.n_putative} putative, {n.n_used} used, {n.n_inliers} inliers{rho})"


@dataclass(frozen=True, eq=False)
class PutativePair:
    """What is known of a pair of images before any model is fitted.

    Attributes:
        points_a: (N, 2) px in image a.
        points_b: (N, 2) px in image b.
        score: (N,) higher is better; decides between matches that share a location.
        on_foreground: (N,) whether a match lies on the foreground of both images; None without a mask.
        views: The images: their sizes and the object's.
        features: Gives the features of both images that may be matched, for a second search; None where they are not
            to be had.
        pictures: Gives both images in grey, to align the matches of a second search; None likewise.
    """

    points_a: FloatArray
    points_b: FloatArray
    score: FloatArray
    on_foreground: npt.NDArray[np.bool_] | None
    views: tuple[View, View]
    features: Callable[[], tuple[Features, Features] | None] = lambda: None
    pictures: Callable[[], tuple[Pyramid, Pyramid] | None] = lambda: None


def verify_pair(pair: PutativePair, rng: np.random.Generator, settings: VerifySettings) -> PairDecision:
    """Keep or reject the putative matches of one pair of images.

    Args:
        pair: The matches and the images.
        rng: Source of the samples.
        settings: How models are fitted, and which pairs are kept.

    Returns:
        The decision. Its models are estimated as soon as there are enough matches, also where the pair is rejected
        for another reason, so that a threshold can be moved without computing again.
    """
    points_a, points_b, n = pair.points_a, pair.points_b, len(pair.points_a)
    if not (np.isfinite(points_a).all() and np.isfinite(points_b).all()):
        return PairDecision(PairReason.BAD_MATCHES, PairNumbers(n))
    if pair.on_foreground is None:
        few = n < settings.thresholds.min_inliers
        return PairDecision(PairReason.FEW_PUTATIVE if few else PairReason.NO_MASK, PairNumbers(n))
    masked = np.flatnonzero(pair.on_foreground)
    used = masked[distinct_locations(points_a[masked], points_b[masked], pair.score[masked])]
    known = PairNumbers(n, len(masked), len(used))
    if len(used) < MIN_USED:
        return PairDecision(_reason(known, settings.thresholds), known)
    fits = fit_pair(points_a[used], points_b[used], pair.views, known, rng, settings)
    inliers = used[fits.inliers]
    first = Correspondences(
        points_a[inliers],
        points_b[inliers],
        pair.score[inliers],
        fits.residuals[fits.inliers],
        fits.perspective.residuals[fits.inliers],
        np.zeros(len(inliers), np.bool_),
        np.zeros((len(inliers), 2)),
        np.full(len(inliers), np.inf),
    )
    reason = _reason(fits.numbers, settings.thresholds)
    if reason != PairReason.KEPT or not settings.guided.search:
        return PairDecision(reason, fits.numbers, fits, inliers, first)
    numbers, final = _search_again(pair, fits, first, rng, settings)
    return PairDecision(_reason(numbers, settings.thresholds), numbers, fits, inliers, final)


def _search_again(
    pair: PutativePair, fits: Fits, first: Correspondences, rng: np.random.Generator, settings: VerifySettings
) -> tuple[PairNumbers, Correspondences]:
    """The numbers and correspondences of a pair after its second search; the first ones where it confirms too few."""
    features, guided = pair.features(), settings.guided
    if features is None:
        return replace(fits.numbers, second_search="no_features"), first
    if not can_search(features):
        return replace(fits.numbers, second_search=OTHER_FEATURES), first
    pictures = pair.pictures() if guided.align.pictures else None
    if pictures is not None:
        guided = changed(guided, max_cost=guided.align.candidate_cost)
    lines = lines_of(fits, settings)
    found = search_again(features, first.points_a, first.points_b, lines, guided)
    if found is None:
        return replace(fits.numbers, second_search="nothing_found"), first
    keypoints_a, keypoints_b = features[0].keypoints[found.a], features[1].keypoints[found.b]
    if pictures is None:
        fitting = Fitting(np.arange(len(found.a)), np.zeros((len(found.a), 2)), np.full(len(found.a), np.inf))
    else:
        places = keypoints_a.astype(np.float64), keypoints_b.astype(np.float64)
        fitting = fitting_matches(pictures, *places, features[0].frames[0][found.a], lines, guided)
    chosen = fitting.chosen
    if len(chosen) < settings.thresholds.min_inliers:
        return replace(fits.numbers, second_search="too_few"), first
    keypoints_a, keypoints_b = keypoints_a[chosen], keypoints_b[chosen]
    known = places_among(keypoints_a, keypoints_b, first.points_a, first.points_b)
    points_b = (keypoints_b + fitting.shift).astype(np.float32)
    joint = joint_points(keypoints_a, points_b)
    residuals = {"affine": fits.affine.residuals_of(joint), "perspective": fits.perspective.residuals_of(joint)}
    final = Correspondences(
        keypoints_a,
        points_b,
        np.where(known >= 0, first.score[known], found.score[chosen]),
        residuals[settings.fit.model],
        residuals["perspective"],
        known < 0,
        fitting.shift,
        fitting.misfit,
    )
    numbers = _numbers_of(final, fits, pair, rng, settings)
    return replace(
        numbers, second_search="not_aligned" if guided.align.pictures and pictures is None else "done"
    ), final


def _numbers_of(
    final: Correspondences, fits: Fits, pair: PutativePair, rng: np.random.Generator, settings: VerifySettings
) -> PairNumbers:
    """The numbers of a pair, those that depend on its correspondences counted anew."""
    _, explained = count_explained(final.points_a, final.points_b, final.residual, pair.views, rng.spawn(3), settings)
    return replace(fits.numbers, n_guided=int(final.guided.sum()), **explained)


def reasons(numbers: Mapping[str, npt.ArrayLike], thresholds: ThresholdSettings) -> npt.NDArray[np.str_]:
    """Why pairs are kept or not, from their stored numbers alone.

    Args:
        numbers: The columns of PAIRS named in DECIDING, one value for each pair; NaN where not known.
        thresholds: What they must reach.

    Returns:
        (N,) codes of `PairReason`. Of a pair without usable matches the first of the questions that it fails, although
        what happened to it before (no image, no mask) may have another name.
    """
    column = {name: np.asarray(numbers[name], np.float64) for name in DECIDING if name != "model"}
    perspective = np.asarray(numbers["model"]) == "perspective"
    floor = np.where(perspective, column["chance_floor_p"], column["chance_floor"])
    inliers, final = column["n_inliers"], column["n_correspondences"]
    still = np.maximum(column["n_watermark"], column["n_stationary"])
    with np.errstate(invalid="ignore", divide="ignore"):
        rho, rho_projective, marked = (part / final for part in (column["n_h"], column["n_ph"], still))
        questions = {
            PairReason.FEW_PUTATIVE: column["n_putative"] < thresholds.min_inliers,
            PairReason.FEW_MASKED: column["n_used"] < thresholds.min_inliers,
            PairReason.FEW_INLIERS: np.minimum(inliers, final) < thresholds.min_inliers,
            PairReason.CHANCE: inliers < thresholds.min_inlier_ratio_over_chance * floor,
            PairReason.DUPLICATE: column["n_duplicate"] / column["n_used"] > thresholds.max_duplicate_fraction,
            PairReason.WATERMARK: marked > thresholds.max_watermark_fraction,
            PairReason.AFFINE_HOMOGRAPHY: rho > thresholds.max_planar_fraction,
            PairReason.PROJECTIVE_HOMOGRAPHY: thresholds.projective_check
            & (rho_projective > thresholds.max_planar_fraction),
        }
    return np.select(list(questions.values()), list(questions), PairReason.KEPT)


def _reason(numbers: PairNumbers, thresholds: ThresholdSettings) -> str:
    values: dict[str, Any] = {name: [value] for name, value in vars(numbers).items()}
    return str(reasons(values, thresholds)[0])

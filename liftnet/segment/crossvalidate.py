"""Leave one work out: every work with manual masks is masked by a segmenter that has seen no image of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_fraction
from liftnet.core.log import get_logger
from liftnet.core.tables import write_tables
from liftnet.core.types import BoolArray, UInt8Array
from liftnet.models.segmenter import Segmenter, expected_iou, mask_image
from liftnet.segment.evaluate import confidence_table, score_images, summarise
from liftnet.segment.predict import Masker, ReferenceSegmenter
from liftnet.segment.samples import MaskedImage, all_masked_images, choose_validation
from liftnet.segment.settings import SegmentSettings
from liftnet.segment.train import train_segmenter

OURS = "liftnet"


def crossvalidate(
    root: Path, out: Path, tables: Path, settings: SegmentSettings, seed: int, threads: int
) -> pd.DataFrame:
    """Train a segmenter for every fold and write three tables of how it masks the works it has not seen.

    Works are dealt into folds, each in one fold alone; the masked images of the other folds train, with those of
    `data.extra_roots`. With `folds.iterations` all folds go on from one training on what none of them holds out,
    which saves most of the time. A work all of whose masks are corrected ones trains in every fold and is not scored.
    An image that two works share, by its content, never trains where it is scored.

    Writes `segmentation_folds` (by method and work, with intervals), `segmentation_confidence` (how well the
    confidence ranks) and `segmentation_images.csv` (a row an image) below `tables`. A killed run goes on.

    Args:
        root: Folder with manifest.parquet, images/ and hand_masks/.
        out: Folder of the folds' segmenters.
        tables: Folder of the tables.
        settings: All settings of the stage; `folds.count` says how many folds, `reference_segmenter_onnx` whom to
            compare with on the same images.
        seed: Seed of the training; it also deals the works.
        threads: Threads that read images.

    Returns:
        The table `segmentation_folds`.

    Raises:
        LiftnetError: Fewer than two works have masks, or a file cannot be read.
    """
    images, others = all_masked_images(root, settings)
    folds = deal_works(images, settings.folds.count, seed)
    onnx = settings.reference_segmenter_onnx
    remover = ReferenceSegmenter(onnx, threads) if onnx else None
    settings = _common_start(images, others, folds, out / "common", settings, seed, threads)
    rows = []
    for number, works in enumerate(folds):
        heldout = [image for image in images if image.work_id in works]
        held = {image.image_id for image in heldout}
        train = [image for image in [*images, *others] if image.work_id not in works and image.image_id not in held]
        note = f"fold {number + 1} of {len(folds)}: {len(works)} works held out"
        get_logger("segment").info("%s, %d images train", note, len(train))
        division = choose_validation(train, heldout, settings.data, seed, note)
        name = sorted(works)[0] if len(works) == 1 else f"fold-{number}"
        segmenter = train_segmenter(division, out / name, settings, seed, threads)
        rows += score_images(heldout, _maskers(segmenter, remover, settings))
    if not rows:
        raise LiftnetError(root, "has not a single masked image that can be read", "Collect them again")
    return _write(pd.DataFrame(rows), tables, seed)


def _common_start(
    images: Sequence[MaskedImage],
    others: Sequence[MaskedImage],
    folds: Sequence[set[str]],
    model: Path,
    settings: SegmentSettings,
    seed: int,
    threads: int,
) -> SegmentSettings:
    """Train once on what no fold holds out, and return the settings of folds that go on from there."""
    if not settings.folds.iterations:
        return settings
    scored = set().union(*folds)
    held = {image.image_id for image in images if image.work_id in scored}
    common = [image for image in [*images, *others] if image.work_id not in scored and image.image_id not in held]
    if not common:
        raise LiftnetError(
            "folds.iterations",
            "needs masks that train in every fold",
            "Set `data.extra_roots` or `data.corrections`, or set it to 0",
        )
    get_logger("segment").info("common start: %d images train", len(common))
    division = choose_validation(common, [], settings.data, seed, "common start")
    train_segmenter(division, model, settings, seed, threads)
    optimiser = settings.train.optimiser.model_copy(update={"learning_rate": settings.folds.learning_rate})
    changed = {"iterations": settings.folds.iterations, "optimiser": optimiser, "init_from": str(model)}
    return settings.model_copy(update={"train": settings.train.model_copy(update=changed)})


def deal_works(images: Sequence[MaskedImage], folds: int, seed: int) -> list[set[str]]:
    """The works with a manual mask in `folds` sets of about equally many; with 0 a set a work.

    Raises:
        LiftnetError: Fewer than two works have manual masks.
    """
    works = sorted({image.work_id for image in images if not image.corrected}, key=str)
    if len(works) < 2:
        raise LiftnetError(
            "segment crossvalidate", f"finds {len(works)} works with manual masks", "It needs two or more"
        )
    if folds == 0 or folds >= len(works):
        return [{work} for work in works]
    dealt = sorted(works, key=lambda work: stable_fraction(work, f"folds {seed}"))
    return [set(dealt[number::folds]) for number in range(folds)]


def _maskers(segmenter: Segmenter, remover: ReferenceSegmenter | None, settings: SegmentSettings) -> dict[str, Masker]:
    """Ours, and the general remover with its own threshold of one half and nothing cleaned."""
    maskers: dict[str, Masker] = {OURS: lambda image: mask_image(segmenter, image, settings.predict)}
    if remover is not None:

        def masked(image: UInt8Array) -> tuple[BoolArray, float]:
            probability = remover.predict(image)
            return probability >= 0.5, expected_iou(probability, probability >= 0.5)

        maskers[remover.name] = masked
    return maskers


def _write(scores: pd.DataFrame, tables: Path, seed: int) -> pd.DataFrame:
    table = summarise(scores, seed)
    caption = (
        "Masks of works that the segmenter has not seen, against manual masks at the stored image's resolution: "
        "IoU with its 95 % bootstrap interval, pixel accuracy, F measure of the outline"
    )
    write_tables(table, tables / "segmentation_folds", caption)
    write_tables(
        confidence_table(scores),
        tables / "segmentation_confidence",
        "How well the confidence ranks masks of works not seen: Spearman's rank correlation with the IoU, and the "
        "area under the ROC curve for finding an IoU below .8",
    )
    write_tables(scores, tables / "segmentation_images", "Masks of works not seen, image by image")
    return table

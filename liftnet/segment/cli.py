"""Commands of the stage `segment`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from liftnet.core.command import Subparsers, add_command, add_stage
from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.settings import settings_from
from liftnet.segment.settings import SegmentSettings

FOLD_SETTINGS = ("crossvalidation_folds", "fold_iterations", "fold_learning_rate", "peer_onnx")
TRAIN_SETTINGS = tuple(name for name in SegmentSettings.model_fields if name not in FOLD_SETTINGS)
CLEANING = ("component_share", "hole_share", "min_coverage")
PREDICTION_SETTINGS = ("test_time_flip", "test_time_scales", "threshold", *CLEANING, "device")


def add_commands(stages: Subparsers) -> None:
    """Add the commands that train, predict and evaluate, and those by which a person corrects masks."""
    commands = add_stage(stages, "segment", "foreground masks: train a RefineNet, predict, evaluate, correct")
    _add_training(commands)
    _add_prediction(commands)
    _add_correction(commands)


def _add_training(commands: Subparsers) -> None:
    train = add_command(
        commands, "train", run_train, "train the segmenter from hand masks", SegmentSettings, TRAIN_SETTINGS
    )
    train.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/, hand_masks/")
    train.add_argument("--model", type=Path, required=True, help="folder for the trained segmenter")
    train.add_argument("--tables", type=Path, required=True, help="folder for segmentation.{csv,md,tex}")
    folds = add_command(
        commands, "crossvalidate", run_crossvalidate, "mask each work by a segmenter that has not seen it",
        SegmentSettings,
    )  # fmt: skip
    folds.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/, hand_masks/")
    folds.add_argument("--out", type=Path, required=True, help="folder of the folds' segmenters")
    folds.add_argument("--tables", type=Path, required=True, help="folder for segmentation_folds.* and others")
    evaluate = add_command(commands, "evaluate", run_evaluate, "compare masks with the museum's truth")
    evaluate.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet and masks/")
    evaluate.add_argument("--museum", type=Path, required=True, help="folder that `render museum` wrote")
    evaluate.add_argument("--tables", type=Path, required=True, help="folder for segmentation_truth.{csv,md,tex}")


def _add_prediction(commands: Subparsers) -> None:
    predict = add_command(
        commands, "predict", run_predict, "mask the images of an artist", SegmentSettings, PREDICTION_SETTINGS
    )
    predict.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet and images/")
    predict.add_argument("--model", type=Path, required=True, help="folder of the trained segmenter")
    predict.add_argument("--artist", required=True, help="artist_id as in the manifest")
    predict.add_argument("--out", type=Path, required=True, help="the table; the masks are written beside it")
    images = add_command(
        commands, "images", run_images, "mask images and folders of images", SegmentSettings, PREDICTION_SETTINGS
    )
    images.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="image, or folder of images")
    images.add_argument("--model", type=Path, required=True, help="folder of the trained segmenter")
    images.add_argument("--out", type=Path, required=True, help="folder of the masks; folders are mirrored in it")
    images.add_argument("--ending", default="png", help="the masks are <name>.ENDING, e.g. mask.png (default: png)")
    images.add_argument("--force", action="store_true", help="mask again what is there already")


def _add_correction(commands: Subparsers) -> None:
    propose = add_command(
        commands, "propose", run_propose, "mask the images without a hand mask by a general background remover",
        SegmentSettings, ("peer_onnx", *CLEANING),
    )  # fmt: skip
    propose.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet and images/")
    propose.add_argument("--out", type=Path, required=True, help="folder of the proposed masks and their table")
    sheet = add_command(commands, "sheet", run_sheet, "draw the masks of lowest confidence for a person to look at")
    sheet.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet and images/")
    sheet.add_argument("--masks", type=Path, help="folder of the masks and their tables (default: masks/ in --root)")
    sheet.add_argument("--out", type=Path, required=True, help="folder of the sheet, the overlays and the masks")
    sheet.add_argument("--count", type=int, default=60, help="most images (default: 60)")
    sheet.add_argument("--work", help="only the images of this work_id")
    correct = add_command(
        commands, "correct", run_correct, "check a folder of corrected masks", SegmentSettings, ("min_coverage",)
    )
    correct.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet")
    correct.add_argument("--masks", type=Path, required=True, help="folder of the corrected masks")
    correct.add_argument("--tables", type=Path, required=True, help="folder for corrections.{csv,md,tex}")


def run_train(arguments: argparse.Namespace) -> None:
    """Train (or take given weights) and write the table of held-out works."""
    import torch

    from liftnet.segment.evaluate import evaluate_heldout
    from liftnet.segment.samples import all_masked_images, divide
    from liftnet.segment.train import train_segmenter, use_given_weights

    settings = settings_from(arguments, SegmentSettings)
    torch.set_num_threads(arguments.threads)
    images, others = all_masked_images(arguments.root, settings)
    logger = get_logger("segment")
    if not images and not others and settings.weights is None:
        raise LiftnetError(
            arguments.root / "manifest.parquet",
            "names not a single image with a hand mask, so the segmenter cannot be trained",
            "Give masks for some images (column `mask` of the source list), or set `weights` to the folder of a "
            "trained segmenter",
        )
    division = divide(images, settings, arguments.seed, others)
    logger.info("%d masked images, and %d that only train; %s", len(images), len(others), division.note)
    if settings.weights is not None:
        segmenter = use_given_weights(Path(settings.weights), arguments.model, settings)
        # nothing was trained here, so all masked images can be compared where no split holds any out
        elsewhere = [image for image in images if image.split != "train"]
        division = replace(division, heldout=elsewhere or images, note="the weights were given")
    else:
        segmenter = train_segmenter(division, arguments.model, settings, arguments.seed, arguments.threads)
    segmenter.apply(settings)
    table = evaluate_heldout(segmenter, division.heldout, settings, arguments.tables / "segmentation", division.note)
    last = table.iloc[-1]
    measured = f"IoU {last.iou:.3f}, accuracy {last.accuracy:.3f}" if last.n else "nothing held out to measure it on"
    logger.info(
        "segmenter in %s; %d held-out images: %s; table in %s.*",
        arguments.model,
        last.n,
        measured,
        arguments.tables / "segmentation",
    )


def run_crossvalidate(arguments: argparse.Namespace) -> None:
    """Train and score a segmenter a fold."""
    import torch

    from liftnet.segment.crossvalidate import OURS, crossvalidate

    settings = settings_from(arguments, SegmentSettings)
    torch.set_num_threads(arguments.threads)
    table = crossvalidate(
        arguments.root, arguments.out, arguments.tables, settings, arguments.seed, arguments.threads
    )  # fmt: skip
    mean = table[(table.method == OURS) & (table.work == "mean over works")].iloc[0]
    get_logger("segment").info(
        "%d works not seen: mean IoU %.3f (%.3f to %.3f), accuracy %.3f; tables in %s",
        mean.n, mean.iou, mean.iou_low, mean.iou_high, mean.accuracy, arguments.tables,
    )  # fmt: skip


def run_propose(arguments: argparse.Namespace) -> None:
    """Propose masks for the images that have none."""
    from liftnet.segment.peer import GeneralRemover
    from liftnet.segment.predict import propose_masks

    settings = settings_from(arguments, SegmentSettings)
    if settings.peer_onnx is None:
        raise LiftnetError(
            "--peer-onnx", "is not given", "Name the background remover's .onnx file, such as u2netp.onnx"
        )
    remover = GeneralRemover(settings.peer_onnx, arguments.threads)
    masked, total = propose_masks(arguments.root, remover, arguments.out, settings)
    get_logger("segment").info(
        "masks proposed for %d of %d images without a hand mask, in %s; look through them before they train",
        masked,
        total,
        arguments.out,
    )


def run_sheet(arguments: argparse.Namespace) -> None:
    """Draw the masks of lowest confidence."""
    from liftnet.segment.sheet import write_sheet

    masks = arguments.masks or arguments.root / "masks"
    if arguments.count < 1:
        raise LiftnetError(f"--count {arguments.count}", "is not a number of images", "Give 1 or more")
    table = write_sheet(arguments.root, masks, arguments.out, arguments.count, arguments.work)
    get_logger("segment").info("%d masks to look at in %s", len(table), arguments.out / "sheet.html")


def run_correct(arguments: argparse.Namespace) -> None:
    """Check corrected masks and say how to train with them."""
    from liftnet.segment.corrections import report_corrections

    settings = settings_from(arguments, SegmentSettings)
    table = report_corrections(
        arguments.root, arguments.masks, settings.min_coverage, arguments.tables / "corrections"
    )
    good = int((table.status == "ok").sum())
    logger = get_logger("segment")
    for row in table[table.status != "ok"].itertuples():
        logger.warning("%s cannot be used: %s: %s", row.file, row.status, row.reason)
    logger.info(
        "%d of %d corrected masks can be used; train with segment.corrections (--corrections) set to %s",
        good,
        len(table),
        arguments.masks,
    )


def run_predict(arguments: argparse.Namespace) -> None:
    """Mask all stored images of one artist."""
    import torch

    from liftnet.models.segmenter import Segmenter
    from liftnet.segment.predict import predict_artist

    settings = settings_from(arguments, SegmentSettings)
    torch.set_num_threads(arguments.threads)
    segmenter = Segmenter.load(arguments.model, settings.device).apply(settings)
    masked, total = predict_artist(arguments.root, segmenter, arguments.artist, arguments.out, settings)
    get_logger("segment").info("%s: %d of %d images masked, in %s", arguments.artist, masked, total, arguments.out)


def run_images(arguments: argparse.Namespace) -> None:
    """Mask images that are named on the command line."""
    import torch

    from liftnet.segment.images import mask_images

    if not arguments.ending.endswith("png"):
        raise LiftnetError(f"--ending {arguments.ending}", "is not the ending of a PNG", "Use `png` or `mask.png`")
    settings = settings_from(arguments, SegmentSettings)
    torch.set_num_threads(arguments.threads)
    counts = mask_images(arguments.inputs, arguments.model, arguments.out, settings, arguments.ending, arguments.force)
    get_logger("segment").info(
        "masked %(masked)d images, %(there)d had a mask already, %(unreadable)d cannot be read, %(no_foreground)d "
        "show no foreground",
        counts,
    )


def run_evaluate(arguments: argparse.Namespace) -> None:
    """Compare the predicted masks with the museum's truth."""
    from liftnet.segment.evaluate import evaluate_truth

    table = evaluate_truth(arguments.root, arguments.museum, arguments.tables / "segmentation_truth")
    last = table.iloc[-1]
    get_logger("segment").info(
        "%d views (%d without a mask): IoU %.4f, accuracy %.4f; table in %s.*",
        last.n,
        last.n_without_mask,
        last.iou,
        last.accuracy,
        arguments.tables / "segmentation_truth",
    )

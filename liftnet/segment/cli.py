"""Commands of the stage `segment`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command, add_run_folder, add_stage
from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.settings import settings_from
from liftnet.models.segmentation_networks import SHIPPED_SEGMENTER, PredictionSettings
from liftnet.segment.settings import ProposalSettings, SegmenterSettings, SegmentSettings

LOG = get_logger("segment")


def add_commands(stages: Subparsers) -> None:
    """Add the commands that train, predict and evaluate, and those by which a person corrects masks."""
    commands = add_stage(stages, "segment", "foreground masks: train a segmenter, predict, evaluate, correct")
    _add_training(commands)
    _add_prediction(commands)
    _add_correction(commands)


def _add_training(commands: Subparsers) -> None:
    train = add_command(
        commands,
        "train",
        run_train,
        "train the segmenter from manual masks",
        SegmenterSettings,
        example="liftnet segment train --root results --train.iterations 400",
    )
    train.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/, hand_masks/")
    add_run_folder(train, "--model", "models/segmenter", "folder for the trained segmenter")
    add_run_folder(train, "--tables", "tables", "folder for segmentation.{csv,md,tex}")
    folds = add_command(
        commands, "crossvalidate", run_crossvalidate, "mask each work by a segmenter that has not seen it",
        SegmentSettings, example="liftnet segment crossvalidate --root results --folds.count 5"
    )  # fmt: skip
    folds.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/, hand_masks/")
    add_run_folder(folds, "--out", "models/segmenter_folds", "folder of the folds' segmenters")
    add_run_folder(folds, "--tables", "tables", "folder for segmentation_folds.* and others")
    release = add_command(
        commands,
        "release",
        run_release,
        "write a trained segmenter as it ships with the package",
        example="liftnet segment release --root results --model results/models/segmenter --out shipped/segmenter",
    )
    release.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet that it learnt from")
    release.add_argument("--model", type=Path, required=True, help="folder of the trained segmenter")
    release.add_argument("--out", type=Path, required=True, help="folder of what ships, its card and its table")
    evaluate = add_command(
        commands,
        "evaluate",
        run_evaluate,
        "compare masks with the museum's truth",
        example="liftnet segment evaluate --root results --museum museum",
    )
    evaluate.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet and masks/")
    evaluate.add_argument("--museum", type=Path, required=True, help="folder that `render museum` wrote")
    add_run_folder(evaluate, "--tables", "tables", "folder for segmentation_truth.{csv,md,tex}")


def _add_prediction(commands: Subparsers) -> None:
    predict = add_command(
        commands,
        "predict",
        run_predict,
        "mask the images of an artist",
        PredictionSettings,
        example="liftnet segment predict --root results --model results/models/segmenter --artist rodin "
        "--out results/masks/rodin.parquet",
    )
    predict.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet and images/")
    add_run_folder(predict, "--model", "models/segmenter", "folder of the trained segmenter")
    predict.add_argument("--artist", required=True, help="artist_id as in the manifest")
    predict.add_argument("--out", type=Path, required=True, help="the table; the masks are written beside it")
    images = add_command(
        commands,
        "images",
        run_images,
        "mask images and folders of images",
        PredictionSettings,
        example="liftnet segment images photos --model results/models/segmenter --out masks",
    )
    images.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="image, or folder of images")
    images.add_argument(
        "--model", default=SHIPPED_SEGMENTER, help="folder of a trained segmenter (default: that of the package)"
    )
    images.add_argument("--out", type=Path, required=True, help="folder of the masks; folders are mirrored in it")
    images.add_argument("--ending", default="png", help="the masks are <name>.ENDING, e.g. mask.png (default: png)")
    images.add_argument("--force", action="store_true", help="mask again what is there already")


def _add_correction(commands: Subparsers) -> None:
    propose = add_command(
        commands, "propose", run_propose, "mask the images without a manual mask by a general background remover",
        ProposalSettings,
        example="liftnet segment propose --root results --reference-segmenter-onnx u2netp.onnx --out proposed",
    )  # fmt: skip
    propose.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet and images/")
    propose.add_argument("--out", type=Path, required=True, help="folder of the proposed masks and their table")
    sheet = add_command(
        commands,
        "sheet",
        run_sheet,
        "draw the masks of lowest confidence for a person to look at",
        example="liftnet segment sheet --root results --out sheet",
    )
    sheet.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet and images/")
    sheet.add_argument("--masks", type=Path, help="folder of the masks and their tables (default: masks/ in --root)")
    sheet.add_argument("--out", type=Path, required=True, help="folder of the sheet, the overlays and the masks")
    sheet.add_argument("--count", type=int, default=60, help="most images (default: 60)")
    sheet.add_argument("--work", help="only the images of this work_id")
    imports = add_command(
        commands,
        "import",
        run_import,
        "masks out of an export of COCO, Label Studio or CVAT",
        example="liftnet segment import annotations.json --images photos --out masks",
    )
    imports.add_argument("export", type=Path, metavar="EXPORT", help="COCO or Label Studio (.json), CVAT (.xml)")
    imports.add_argument("--images", type=Path, required=True, help="folder of the annotated pictures")
    imports.add_argument("--out", type=Path, required=True, help="folder of the masks; folders are mirrored in it")
    imports.add_argument("--boxes", action="store_true", help="fill upright boxes, which are no outlines of objects")
    correct = add_command(
        commands,
        "correct",
        run_correct,
        "check a folder of corrected masks",
        PredictionSettings,
        example="liftnet segment correct --root results --masks corrected",
    )
    correct.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet")
    correct.add_argument("--masks", type=Path, required=True, help="folder of the corrected masks")
    add_run_folder(correct, "--tables", "tables", "folder for corrections.{csv,md,tex}")


def run_train(arguments: argparse.Namespace) -> None:
    """Train (or take given weights) and write the table of held-out works."""
    from liftnet.segment.train import SegmentFolders, make_segmenter

    folders = SegmentFolders(arguments.root, arguments.model, arguments.tables)
    make_segmenter(folders, settings_from(arguments, SegmenterSettings), arguments.seed, arguments.threads)


def run_crossvalidate(arguments: argparse.Namespace) -> None:
    """Train and score a segmenter for each fold."""
    import torch

    from liftnet.segment.crossvalidate import OURS, crossvalidate

    settings = settings_from(arguments, SegmentSettings)
    torch.set_num_threads(arguments.threads)
    table = crossvalidate(
        arguments.root, arguments.out, arguments.tables, settings, arguments.seed, arguments.threads
    )  # fmt: skip
    mean = table[(table.method == OURS) & (table.work == "mean over works")].iloc[0]
    LOG.info(
        "%d works not seen: mean IoU %.3f (%.3f to %.3f), accuracy %.3f; tables in %s",
        mean.n, mean.iou, mean.iou_low, mean.iou_high, mean.accuracy, arguments.tables,
    )  # fmt: skip


def run_release(arguments: argparse.Namespace) -> None:
    """Write the weights in half of the bits, and a card with what they were measured on."""
    from liftnet.segment.release import release_segmenter

    release_segmenter(arguments.root, arguments.model, arguments.out, arguments.seed)


def run_propose(arguments: argparse.Namespace) -> None:
    """Propose masks for the images that have none."""
    from liftnet.segment.predict import ReferenceSegmenter, propose_masks

    settings = settings_from(arguments, ProposalSettings)
    if settings.reference_segmenter_onnx is None:
        raise LiftnetError(
            "--reference-segmenter-onnx",
            "is not given",
            "Name the background remover's .onnx file, such as u2netp.onnx",
        )
    remover = ReferenceSegmenter(settings.reference_segmenter_onnx, arguments.threads)
    masked, total = propose_masks(arguments.root, remover, arguments.out, settings.predict)
    LOG.info(
        "masks proposed for %d of %d images without a manual mask, in %s; look through them before they train",
        masked,
        total,
        arguments.out,
    )


def run_sheet(arguments: argparse.Namespace) -> None:
    """Draw the masks of lowest confidence."""
    from liftnet.segment.corrections import write_sheet

    masks = arguments.masks or arguments.root / "masks"
    if arguments.count < 1:
        raise LiftnetError(f"--count {arguments.count}", "is not a number of images", "Give 1 or more")
    table = write_sheet(arguments.root, masks, arguments.out, arguments.count, arguments.work)
    LOG.info("%d masks to look at in %s", len(table), arguments.out / "sheet.html")


def run_import(arguments: argparse.Namespace) -> int:
    """Write the masks of an export; exit status 1 if a picture has none, or an object was left out."""
    from liftnet.segment.annotations import TABLE, import_masks, summarise

    rows = import_masks(arguments.export, arguments.images, arguments.out, arguments.boxes)
    counts = summarise(rows)
    LOG.info(
        "masks of %(whole)d annotated pictures, of part of the objects of %(part)d, none of %(none)d; %(objects)d "
        "objects left out",
        counts,
    )
    LOG.info("each is in %s", arguments.out / TABLE)
    return 0 if counts["whole"] == sum(row.object == "" for row in rows) else 1


def run_correct(arguments: argparse.Namespace) -> None:
    """Check corrected masks and say how to train with them."""
    from liftnet.segment.corrections import report_corrections

    settings = settings_from(arguments, PredictionSettings)
    table = report_corrections(
        arguments.root, arguments.masks, settings.min_coverage, arguments.tables / "corrections"
    )
    good = int((table.status == "ok").sum())
    for row in table[table.status != "ok"].itertuples():
        LOG.warning("%s cannot be used: %s: %s", row.file, row.status, row.reason)
    LOG.info(
        "%d of %d corrected masks can be used; train with segment.data.corrections (--data.corrections) set to %s",
        good,
        len(table),
        arguments.masks,
    )


def run_predict(arguments: argparse.Namespace) -> None:
    """Mask all stored images of one artist."""
    import torch

    from liftnet.models.segmenter import Segmenter
    from liftnet.segment.predict import predict_artist

    settings = settings_from(arguments, PredictionSettings)
    torch.set_num_threads(arguments.threads)
    segmenter = Segmenter.load(arguments.model, settings.device)
    masked, total = predict_artist(arguments.root, segmenter, arguments.artist, arguments.out, settings)
    LOG.info("%s: %d of %d images masked, in %s", arguments.artist, masked, total, arguments.out)


def run_images(arguments: argparse.Namespace) -> int:
    """Mask images that are named on the command line; exit status 1 if some cannot be read."""
    import torch

    from liftnet.segment.predict import mask_images

    if not arguments.ending.endswith("png"):
        raise LiftnetError(f"--ending {arguments.ending}", "is not the ending of a PNG", "Use `png` or `mask.png`")
    settings = settings_from(arguments, PredictionSettings)
    torch.set_num_threads(arguments.threads)
    counts = mask_images(arguments.inputs, arguments.model, arguments.out, settings, arguments.ending, arguments.force)
    LOG.info(
        "masked %(masked)d images, %(there)d had a mask already, %(unreadable)d cannot be read, %(no_foreground)d "
        "show no foreground",
        counts,
    )
    return 1 if counts["unreadable"] else 0


def run_evaluate(arguments: argparse.Namespace) -> None:
    """Compare the predicted masks with the museum's truth."""
    from liftnet.segment.evaluate import evaluate_truth

    table = evaluate_truth(arguments.root, arguments.museum, arguments.tables / "segmentation_truth")
    last = table.iloc[-1]
    LOG.info(
        "%d views (%d without a mask): IoU %.4f, accuracy %.4f; table in %s.*",
        last.n,
        last.n_without_mask,
        last.iou,
        last.accuracy,
        arguments.tables / "segmentation_truth",
    )

"""Commands of the stage `segment`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from liftnet.io.command import Subparsers, add_command, add_stage
from liftnet.io.errors import LiftnetError
from liftnet.io.log import get_logger
from liftnet.io.settings import settings_from
from liftnet.segment.settings import SegmentSettings

PREDICTION_SETTINGS = ("test_time_flip", "threshold", "component_share", "hole_share", "min_coverage", "device")


def add_commands(stages: Subparsers) -> None:
    """Add `segment train`, `segment predict`, `segment images` and `segment evaluate`."""
    commands = add_stage(stages, "segment", "foreground masks: train a RefineNet, predict, evaluate")
    train = add_command(commands, "train", run_train, "train the segmenter from hand masks", SegmentSettings)
    train.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/, hand_masks/")
    train.add_argument("--model", type=Path, required=True, help="folder for the trained segmenter")
    train.add_argument("--tables", type=Path, required=True, help="folder for segmentation.{csv,md,tex}")
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
    evaluate = add_command(commands, "evaluate", run_evaluate, "compare masks with the museum's truth")
    evaluate.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet and masks/")
    evaluate.add_argument("--museum", type=Path, required=True, help="folder that `render museum` wrote")
    evaluate.add_argument("--tables", type=Path, required=True, help="folder for segmentation_truth.{csv,md,tex}")


def run_train(arguments: argparse.Namespace) -> None:
    """Train (or take given weights) and write the table of held-out works."""
    import torch

    from liftnet.segment.evaluate import evaluate_heldout
    from liftnet.segment.samples import divide, masked_images
    from liftnet.segment.train import train_segmenter, use_given_weights

    settings = settings_from(arguments, SegmentSettings)
    torch.set_num_threads(arguments.threads)
    images = masked_images(arguments.root)
    logger = get_logger("segment")
    if not images and settings.weights is None:
        raise LiftnetError(
            arguments.root / "manifest.parquet",
            "names not a single image with a hand mask, so the segmenter cannot be trained",
            "Give masks for some images (column `mask` of the source list), or set `weights` to the folder of a "
            "trained segmenter",
        )
    division = divide(images, settings, arguments.seed)
    logger.info("%d hand-masked images; %s", len(images), division.note)
    if settings.weights is not None:
        segmenter = use_given_weights(Path(settings.weights), arguments.model, settings)
        # nothing was trained here, so all masked images can be compared where no split holds any out
        elsewhere = [image for image in images if image.split != "train"]
        division = replace(division, heldout=elsewhere or images, note="the weights were given")
    else:
        segmenter = train_segmenter(division, arguments.model, settings, arguments.seed, arguments.threads)
    segmenter.config["test_time_flip"] = settings.test_time_flip
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


def run_predict(arguments: argparse.Namespace) -> None:
    """Mask all stored images of one artist."""
    import torch

    from liftnet.segment.predict import predict_artist
    from liftnet.segment.segmenter import Segmenter

    settings = settings_from(arguments, SegmentSettings)
    torch.set_num_threads(arguments.threads)
    segmenter = Segmenter.load(arguments.model, settings.device)
    segmenter.config["test_time_flip"] = settings.test_time_flip
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

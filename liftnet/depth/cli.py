"""Commands `depth train`, `depth evaluate` and `depth predict`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.depth.settings import EVALUATION, TRAINING, DepthSettings
from liftnet.io.command import Subparsers, add_command, add_stage
from liftnet.io.settings import settings_from


def add_commands(stages: Subparsers) -> None:
    """Add the stage's commands to the command line."""
    commands = add_stage(
        stages, "depth", "Train LiftNet on correspondences, evaluate it, predict depth of photographs"
    )
    train = add_command(
        commands, "train", _train, "Train LiftNet on the dataset; a stopped run goes on", DepthSettings, TRAINING
    )
    train.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/ and masks/")
    train.add_argument("--dataset", type=Path, required=True, help="folder of the dataset")
    train.add_argument("--model", type=Path, required=True, help="folder of the model to write")

    evaluate = add_command(
        commands, "evaluate", _evaluate, "Measure a model on held-out pairs and true depth", DepthSettings, EVALUATION
    )
    evaluate.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/ and masks/")
    evaluate.add_argument("--dataset", type=Path, required=True, help="folder of the dataset")
    evaluate.add_argument("--model", type=Path, required=True, help="folder of the model")
    evaluate.add_argument("--tables", type=Path, required=True, help="folder for depth_pairs.* and depth_demo.*")
    evaluate.add_argument("--museum", type=Path, help="folder of the museum, for true depth")

    predict = add_command(commands, "predict", _predict, "Predict depth and a mesh of images and folders of images")
    predict.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="image, or folder of images")
    predict.add_argument("--model", type=Path, required=True, help="folder of the model")
    predict.add_argument("--out", type=Path, required=True, help="folder of the results; folders are mirrored in it")
    predict.add_argument("--masks", type=Path, help="folder of masks named as the images, .png; else the whole image")
    predict.add_argument("--force", action="store_true", help="predict again what is there already")
    predict.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1 (default: cpu)")


def _train(arguments: argparse.Namespace) -> None:
    from liftnet.depth.training import train

    settings = settings_from(arguments, DepthSettings)
    train(arguments.root, arguments.dataset, arguments.model, settings, arguments.seed, arguments.threads)


def _evaluate(arguments: argparse.Namespace) -> None:
    from liftnet.depth.evaluate import EvaluationInputs, evaluate

    inputs = EvaluationInputs(
        arguments.root, arguments.dataset, arguments.model, arguments.tables, arguments.museum, arguments.threads
    )
    evaluate(inputs, settings_from(arguments, DepthSettings), arguments.seed)


def _predict(arguments: argparse.Namespace) -> int:
    from liftnet.depth.predict import predict

    return predict(
        arguments.inputs,
        arguments.model,
        arguments.out,
        arguments.masks,
        force=arguments.force,
        device=arguments.device,
        threads=arguments.threads,
    )

"""Commands of the stage `reconstruct`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command, add_photographs, add_run_folder, add_stage
from liftnet.core.settings import settings_from
from liftnet.reconstruct.settings import TrainSettings
from liftnet.reconstruct.study.commands import add_study


def add_commands(stages: Subparsers) -> None:
    """Add the stage's commands to the command line."""
    commands = add_stage(stages, "reconstruct", "Train networks for 3D shape from one image, with DR-KFS or without")
    train = add_command(commands, "train", _train, "Train a network; a stopped run resumes", TrainSettings)
    train.add_argument("--root", type=Path, required=True, help="folder of `render set --set reconstruction`")
    train.add_argument("--model", type=Path, required=True, help="folder of the model to write")
    add_run_folder(train, "--targets", "targets", "folder in which what losses compare with is kept")
    train.add_argument("--device", default="auto", help="where to compute: auto (a GPU if there is one), cpu, cuda")

    predict = add_command(commands, "predict", _predict, "Predict the shapes of images and folders of images")
    add_photographs(predict)
    add_study(commands)


def _train(arguments: argparse.Namespace) -> None:
    from liftnet.reconstruct.train import TrainingInputs, train

    inputs = TrainingInputs(
        arguments.root, arguments.model, arguments.targets, arguments.threads, arguments.seed, arguments.device
    )
    train(inputs, settings_from(arguments, TrainSettings))


def _predict(arguments: argparse.Namespace) -> int:
    from liftnet.reconstruct.predict import PredictOptions, predict

    options = PredictOptions(arguments.mask, arguments.segmenter, arguments.force, arguments.device, arguments.threads)
    return predict(arguments.inputs, arguments.model, arguments.out, options)

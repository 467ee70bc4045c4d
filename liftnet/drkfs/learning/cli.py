"""The commands `drkfs train detector` and `drkfs train descriptor`: what DR-KFS sees images with."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command
from liftnet.core.settings import settings_from
from liftnet.drkfs.settings import DESCRIPTOR_LEARNING, DETECTOR_LEARNING, LearningSettings


def add_learning_commands(trainings: Subparsers) -> None:
    """Add `detector` and `descriptor` to the commands of `drkfs train`."""
    what = "Train the detector of points of interest on the dataset; a stopped run goes on"
    detector = add_command(trainings, "detector", _detector, what, LearningSettings, DETECTOR_LEARNING)
    what = "Train HardNet on patches of the dataset's points; a stopped run goes on"
    descriptor = add_command(trainings, "descriptor", _descriptor, what, LearningSettings, DESCRIPTOR_LEARNING)
    for command in (detector, descriptor):
        command.add_argument("--root", type=Path, required=True, help="folder with images/, features/ and masks/")
        command.add_argument("--dataset", type=Path, required=True, help="folder of the dataset")
        command.add_argument("--model", type=Path, required=True, help="folder of the model to write")
        command.add_argument("--licence", default="other", help="of the weights, for the card (default: other)")
        command.add_argument("--half", action="store_true", help="store the weights in half precision")
    detector.add_argument(
        "--meshes", type=Path, help="folder of meshes, as of `render shapes`: learn from renders too"
    )


def _detector(arguments: argparse.Namespace) -> None:
    import torch

    from liftnet.drkfs.learning.run import LearningInputs, run_detector

    torch.set_num_threads(max(1, arguments.threads))
    inputs = LearningInputs(
        arguments.root, arguments.dataset, arguments.model, arguments.licence, arguments.half, arguments.meshes
    )
    run_detector(inputs, settings_from(arguments, LearningSettings), arguments.seed)


def _descriptor(arguments: argparse.Namespace) -> None:
    import torch

    from liftnet.drkfs.learning.run import LearningInputs, run_descriptor

    torch.set_num_threads(max(1, arguments.threads))
    inputs = LearningInputs(arguments.root, arguments.dataset, arguments.model, arguments.licence, arguments.half)
    run_descriptor(inputs, settings_from(arguments, LearningSettings), arguments.seed)

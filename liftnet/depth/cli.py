"""Commands of the stage `depth`; those of users and of the experiments have modules of their own."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command, add_stage
from liftnet.core.settings import settings_from
from liftnet.depth.predicting.cli import add_user_commands
from liftnet.depth.settings import EVALUATION, SFM, TRAINING, DepthSettings
from liftnet.experiments.depth.cli import add_experiment_commands


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
    train.add_argument("--targets", type=Path, help="folder with truth.parquet, for methods that learn from depth")

    evaluate = add_command(
        commands, "evaluate", _evaluate, "Measure a model on held-out pairs and true depth", DepthSettings, EVALUATION
    )
    evaluate.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/ and masks/")
    evaluate.add_argument("--dataset", type=Path, required=True, help="folder of the dataset")
    evaluate.add_argument("--model", type=Path, required=True, help="folder of the model")
    evaluate.add_argument("--tables", type=Path, required=True, help="folder for depth_pairs.* and depth_demo.*")
    evaluate.add_argument("--museum", type=Path, help="folder of the museum, for true depth")

    sfm = add_command(commands, "sfm", _sfm, "Reconstruct works with COLMAP: depth to regress", DepthSettings, SFM)
    sfm.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/ and masks/")
    sfm.add_argument("--out", type=Path, required=True, help="folder for truth.parquet, truth/ and works.parquet")
    sfm.add_argument("--tables", type=Path, required=True, help="folder for sfm.*")
    sfm.add_argument("--splits", nargs="+", default=["train", "val"], help="splits (default: train val)")
    sfm.add_argument("--truth", type=Path, help="museum or rendered set with true depth, to measure it")

    add_user_commands(commands)
    add_experiment_commands(commands)


def _train(arguments: argparse.Namespace) -> None:
    from liftnet.depth.objectives import Sources
    from liftnet.depth.training import train

    sources = Sources(
        arguments.root, arguments.dataset, arguments.targets, arguments.model, arguments.threads, arguments.seed
    )
    train(sources, arguments.model, settings_from(arguments, DepthSettings))


def _evaluate(arguments: argparse.Namespace) -> None:
    from liftnet.depth.evaluate import EvaluationInputs, evaluate

    inputs = EvaluationInputs(
        arguments.root, arguments.dataset, arguments.model, arguments.tables, arguments.museum, arguments.threads
    )
    evaluate(inputs, settings_from(arguments, DepthSettings), arguments.seed)


def _sfm(arguments: argparse.Namespace) -> None:
    from liftnet.depth.sfm.works import SfmInputs, reconstruct_works

    inputs = SfmInputs(
        arguments.root,
        arguments.out,
        arguments.tables,
        tuple(arguments.splits),
        arguments.truth,
        arguments.threads,
    )
    reconstruct_works(inputs, settings_from(arguments, DepthSettings), arguments.seed)

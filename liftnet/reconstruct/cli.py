"""Commands of the stage `reconstruct`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command, add_photographs, add_run_folder, add_stage
from liftnet.core.settings import settings_from
from liftnet.data.split_option import add_split
from liftnet.reconstruct.settings import EvaluateSettings, TrainSettings
from liftnet.reconstruct.study.commands import add_study


def add_commands(stages: Subparsers) -> None:
    """Add the stage's commands to the command line."""
    commands = add_stage(stages, "reconstruct", "Train networks for 3D shape from one image, with DR-KFS or without")
    train = add_command(
        commands,
        "train",
        _train,
        "Train a network; a stopped run resumes",
        TrainSettings,
        example="liftnet reconstruct train --root renders/reconstruction --model models/reconstruction",
    )
    train.add_argument("--root", type=Path, required=True, help="folder of `render set --set reconstruction`")
    train.add_argument("--model", type=Path, required=True, help="folder of the model to write")
    add_run_folder(train, "--targets", "targets", "folder in which what losses compare with is kept")
    train.add_argument(
        "--as-long-as", type=Path, metavar="MODEL", help="take as much time of a processor as this model took to train"
    )
    train.add_argument("--paced-by", type=Path, metavar="MODEL", help="model whose steps say how long one takes")
    train.add_argument("--device", default="auto", help="where to compute: auto (a GPU if there is one), cpu, cuda")

    predict = add_command(
        commands,
        "predict",
        _predict,
        "Predict the shapes of images and folders of images",
        example="liftnet reconstruct predict photo.jpg --model models/reconstruction --out meshes",
    )
    add_photographs(predict)

    evaluate = add_command(
        commands,
        "evaluate",
        _evaluate,
        "Measure reconstructions of held-out shapes",
        EvaluateSettings,
        example="liftnet reconstruct evaluate --root renders/reconstruction --model models/reconstruction "
        "--out scores.parquet",
    )
    evaluate.add_argument("--root", type=Path, required=True, help="folder of `render set --set reconstruction`")
    what = evaluate.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", type=Path, help="folder of a model")
    what.add_argument(
        "--reference", help="mean, class_mean, retrieval, retrieval_oracle or own_voxels: without a network"
    )
    evaluate.add_argument("--run", dest="run_name", metavar="NAME", help="name in the rows (default: of the above)")
    add_split(evaluate, "shapes")
    evaluate.add_argument("--out", type=Path, required=True, help="Parquet file to write; meshes lie beside it")
    evaluate.add_argument("--device", default="auto", help="where to compute: auto (a GPU if there is one), cpu, cuda")

    describe = add_command(
        commands,
        "describe",
        _describe,
        "Compute what evaluations need of the true shapes, once for all of them",
        EvaluateSettings,
        example="liftnet reconstruct describe --root renders/reconstruction",
    )
    describe.add_argument("--root", type=Path, required=True, help="folder of `render set --set reconstruction`")
    add_split(describe, "shapes")
    add_study(commands)


def _train(arguments: argparse.Namespace) -> None:
    from liftnet.reconstruct.pace import paced
    from liftnet.reconstruct.train import TrainingInputs, train

    inputs = TrainingInputs(
        arguments.root, arguments.model, arguments.targets, arguments.threads, arguments.seed, arguments.device
    )
    settings = settings_from(arguments, TrainSettings)
    if arguments.as_long_as or arguments.paced_by:
        settings = paced(settings, arguments.as_long_as, arguments.paced_by)
    train(inputs, settings)


def _predict(arguments: argparse.Namespace) -> int:
    from liftnet.reconstruct.predict import PredictOptions, predict

    options = PredictOptions(arguments.mask, arguments.segmenter, arguments.force, arguments.device, arguments.threads)
    return predict(arguments.inputs, arguments.model, arguments.out, options)


def _evaluate(arguments: argparse.Namespace) -> None:
    from liftnet.reconstruct.evaluate import EvaluationRequest, evaluate

    request = EvaluationRequest(
        root=arguments.root,
        out=arguments.out,
        model=arguments.model,
        reference=arguments.reference,
        name=arguments.run_name,
        split=arguments.split,
        threads=arguments.threads,
        device=arguments.device,
    )
    evaluate(request, settings_from(arguments, EvaluateSettings), arguments.seed)


def _describe(arguments: argparse.Namespace) -> None:
    from liftnet.reconstruct.evaluate import describe

    settings = settings_from(arguments, EvaluateSettings)
    describe(arguments.root, settings, arguments.split, arguments.threads, arguments.seed)

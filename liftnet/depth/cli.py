"""Commands of the stage `depth`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import (
    Subparsers,
    add_command,
    add_photographs,
    add_run_folder,
    add_stage,
    option_read_by,
)
from liftnet.core.settings import settings_from
from liftnet.data.codes import SPLIT_CHOICES, split_named
from liftnet.data.split_option import add_split
from liftnet.depth.settings import EvaluateSettings, SfmSettings, TrainSettings
from liftnet.models.depth_networks import InputSettings

FORMATS = "png16,npy,colour,ply,glb"


def add_commands(stages: Subparsers) -> None:
    """Add the stage's commands to the command line."""
    commands = add_stage(
        stages, "depth", "Train LiftNet on correspondences, evaluate it, predict depth of photographs"
    )
    for add in (_add_train, _add_evaluate, _add_sfm, _add_score, _add_predict, _add_export, _add_card):
        add(commands)


def _add_train(commands: Subparsers) -> None:
    train = add_command(
        commands,
        "train",
        _train,
        "Train LiftNet on the dataset; a stopped run resumes",
        TrainSettings,
        example="liftnet depth train --root results --iterations 5000",
    )
    train.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/ and masks/")
    add_run_folder(train, "--dataset", "dataset", "folder of the dataset")
    add_run_folder(train, "--model", "models/liftnet", "folder of the model to write")
    train.add_argument("--targets", type=Path, help="folder with truth.parquet, for methods that learn from depth")


def _add_evaluate(commands: Subparsers) -> None:
    evaluate = add_command(
        commands,
        "evaluate",
        _evaluate,
        "Measure a model on held-out pairs and true depth",
        EvaluateSettings,
        example="liftnet depth evaluate --root results",
    )
    evaluate.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/ and masks/")
    add_run_folder(evaluate, "--dataset", "dataset", "folder of the dataset")
    add_run_folder(evaluate, "--model", "models/liftnet", "folder of the model")
    add_run_folder(evaluate, "--tables", "tables", "folder for depth_pairs.* and depth_demo.*")
    evaluate.add_argument("--museum", type=Path, help="folder of the museum, for true depth")


def _add_sfm(commands: Subparsers) -> None:
    sfm = add_command(
        commands,
        "sfm",
        _sfm,
        "Reconstruct works with COLMAP: depth to regress",
        SfmSettings,
        example="liftnet depth sfm --root results",
    )
    sfm.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/ and masks/")
    add_run_folder(sfm, "--out", "sfm", "folder for truth.parquet, truth/ and works.parquet")
    add_run_folder(sfm, "--tables", "tables", "folder for sfm.*")
    sfm.add_argument(
        "--splits",
        nargs="+",
        type=option_read_by(split_named),
        default=["train", "val"],
        metavar=SPLIT_CHOICES,
        help="splits (default: train val)",
    )
    sfm.add_argument("--truth", type=Path, help="museum or rendered set with true depth, to measure it")


def _add_score(commands: Subparsers) -> None:
    score = add_command(
        commands,
        "score",
        _score,
        "Measure a model or a prior where depth is known, one row per image",
        InputSettings,
        example="liftnet depth score --model results/models/liftnet --root renders/sketchfab --out scores.parquet",
    )
    what = score.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", type=Path, help="folder of the model")
    what.add_argument("--prior", help="constant, inflated or ellipsoid: depth from the mask alone")
    score.add_argument(
        "--run", dest="run_name", metavar="NAME", help="name in the rows (default: of the model's folder or the prior)"
    )
    score.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/ and masks/")
    score.add_argument("--truth", type=Path, help="folder with truth.parquet (default: ROOT)")
    score.add_argument("--set", metavar="NAME", help="name of the set in the rows (default: that of ROOT)")
    add_split(score, "images")
    score.add_argument(
        "--unit", choices=("half width", "cm"), default="half width", help="of errors (default: half width)"
    )
    score.add_argument("--out", type=Path, required=True, help="Parquet file to write")


def _add_predict(commands: Subparsers) -> None:
    predict = add_command(
        commands,
        "predict",
        _predict,
        "Predict depth and a mesh of images and folders of images",
        example="liftnet depth predict photo.jpg --model results/models/liftnet --out depth",
    )
    add_photographs(predict)
    predict.add_argument("--format", default=FORMATS, help=f"formats to write, by commas (default: {FORMATS})")
    predict.add_argument("--batch-size", type=int, default=8, help="images in one pass (default: 8)")


def _add_export(commands: Subparsers) -> None:
    export = add_command(
        commands,
        "export",
        _export,
        "Write a model as ONNX or as one safetensors file, and check that it is equal",
        example="liftnet depth export --model results/models/liftnet --out liftnet.onnx",
    )
    export.add_argument("--model", type=Path, required=True, help="folder of the model")
    export.add_argument("--out", type=Path, required=True, help="file to write: .onnx or .safetensors")
    export.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare predictions of the file with the model's (default: yes)",
    )
    export.add_argument(
        "--images", type=Path, nargs="+", default=[], help="images and folders to compare on, beside random ones"
    )


def _add_card(commands: Subparsers) -> None:
    card = add_command(
        commands,
        "card",
        _card,
        "Write a model's card: README.md and training.png in its folder",
        example="liftnet depth card --model results/models/liftnet --tables results/tables",
    )
    card.add_argument("--model", type=Path, required=True, help="folder of the model")
    card.add_argument("--tables", type=Path, help="folder of the tables that `depth evaluate` wrote for it")
    card.add_argument(
        "--license", default="other", help="licence of the weights, as model hubs name it (default: other)"
    )


def _train(arguments: argparse.Namespace) -> None:
    from liftnet.depth.objectives import TrainingInputs
    from liftnet.depth.train import train

    inputs = TrainingInputs(
        arguments.root, arguments.dataset, arguments.targets, arguments.model, arguments.threads, arguments.seed
    )
    train(inputs, arguments.model, settings_from(arguments, TrainSettings))


def _evaluate(arguments: argparse.Namespace) -> None:
    from liftnet.depth.evaluate import EvaluationInputs, evaluate

    inputs = EvaluationInputs(
        arguments.root, arguments.dataset, arguments.model, arguments.tables, arguments.museum, arguments.threads
    )
    evaluate(inputs, settings_from(arguments, EvaluateSettings), arguments.seed)


def _score(arguments: argparse.Namespace) -> None:
    from liftnet.depth.score import Scored, prior_method, trained_method, write_scores

    if arguments.model:
        method = trained_method(arguments.model, arguments.run_name)
    else:
        method = prior_method(arguments.prior, settings_from(arguments, InputSettings), arguments.run_name)
    name = arguments.set or arguments.root.resolve().name
    scored = Scored(arguments.root, arguments.truth or arguments.root, name, arguments.split, arguments.unit)
    write_scores(arguments.out, method, scored, arguments.threads)


def _sfm(arguments: argparse.Namespace) -> None:
    from liftnet.depth.sfm import SfmInputs, reconstruct_works

    inputs = SfmInputs(
        arguments.root,
        arguments.out,
        arguments.tables,
        tuple(arguments.splits),
        arguments.truth,
        arguments.threads,
    )
    reconstruct_works(inputs, settings_from(arguments, SfmSettings), arguments.seed)


def _predict(arguments: argparse.Namespace) -> int:
    from liftnet.depth.predict import PredictOptions, parse_formats, predict

    options = PredictOptions(
        arguments.mask,
        arguments.segmenter,
        parse_formats(arguments.format),
        arguments.batch_size,
        arguments.force,
        arguments.device,
        arguments.threads,
    )
    return predict(arguments.inputs, arguments.model, arguments.out, options)


def _export(arguments: argparse.Namespace) -> None:
    from liftnet.depth.export import export_model

    export_model(arguments.model, arguments.out, arguments.check, arguments.images, arguments.seed, arguments.threads)


def _card(arguments: argparse.Namespace) -> None:
    from liftnet.depth.card import write_card

    write_card(arguments.model, arguments.tables, arguments.license)

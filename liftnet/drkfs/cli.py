"""Commands of the stage `drkfs`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from liftnet.core.command import Subparsers, add_command, add_run_folder, add_stage
from liftnet.core.settings import settings_from
from liftnet.drkfs.settings import DescriptorSettings, DetectorSettings, ScoreCommandSettings
from liftnet.shape.settings import MvcnnSettings, ShapeGoogleSettings

if TYPE_CHECKING:
    from liftnet.drkfs.train import TrainingInputs


def add_commands(stages: Subparsers) -> None:
    """Add the stage's commands to the command line."""
    commands = add_stage(stages, "drkfs", "Compare shapes by what people see of them")
    _add_score(commands)
    trainings = add_stage(commands, "train", "train what measures: detector, descriptors")
    _add_points(trainings)
    _add_shapes(trainings)


def _add_score(commands: Subparsers) -> None:
    what = "Compare a shape with its target, or a folder with a folder"
    score = add_command(
        commands,
        "score",
        _score,
        what,
        ScoreCommandSettings,
        short=["score.metrics"],
        example="liftnet drkfs score chair.obj truth.glb --pictures differences.png",
    )
    score.add_argument("shape", type=Path, metavar="SHAPE", help="mesh, or folder of meshes")
    score.add_argument(
        "target", type=Path, metavar="TARGET", help="what it should look like: a mesh, or a folder of the same names"
    )
    score.add_argument("--out", type=Path, metavar="FILE.csv", help="table to write; a stopped run resumes from it")
    score.add_argument(
        "--pictures", type=Path, metavar="PATH", help="where they differ: a .png for two files, a folder for folders"
    )
    score.add_argument("--up", choices=("y", "z"), default="y", help="axis that points up in the files (default: y)")
    score.add_argument("--lenient", action="store_true", help="exit 0 though some cannot be compared")
    score.add_argument("--device", default="auto", help="where to compute: auto (a GPU if there is one), cpu, cuda")


def _add_points(trainings: Subparsers) -> None:
    """`detector` and `descriptor`: what DR-KFS sees images with."""
    what = "Train the detector of points of interest on the dataset; a stopped run resumes"
    detector = add_command(
        trainings, "detector", _detector, what, DetectorSettings, example="liftnet drkfs train detector --root results"
    )
    what = "Train HardNet on patches of the dataset's points; a stopped run resumes"
    descriptor = add_command(
        trainings,
        "descriptor",
        _descriptor,
        what,
        DescriptorSettings,
        example="liftnet drkfs train descriptor --root results",
    )
    for command, folder in ((detector, "models/points"), (descriptor, "models/hardnet")):
        command.add_argument("--root", type=Path, required=True, help="folder with images/, features/ and masks/")
        add_run_folder(command, "--dataset", "dataset", "folder of the dataset")
        add_run_folder(command, "--model", folder, "folder of the model to write")
        command.add_argument("--licence", default="other", help="of the weights, for the card (default: other)")
        command.add_argument("--half", action="store_true", help="store the weights in half precision")
    detector.add_argument(
        "--meshes", type=Path, help="folder of meshes, as of `render shapes`: learn from renders too"
    )


def _add_shapes(trainings: Subparsers) -> None:
    """`vocabulary` and `mvcnn`: descriptors of whole shapes."""
    what = "the geometric words of Shape Google, from meshes"
    vocabulary = add_command(
        trainings,
        "vocabulary",
        _vocabulary,
        what,
        ShapeGoogleSettings,
        example="liftnet drkfs train vocabulary --meshes shapes --model models/vocabulary",
    )
    what = "MVCNN, from meshes in classes"
    mvcnn = add_command(
        trainings,
        "mvcnn",
        _mvcnn,
        what,
        MvcnnSettings,
        example="liftnet drkfs train mvcnn --meshes shapes --model models/mvcnn",
    )
    what = "folder of <class>/<name>.ply, as `render shapes` writes it"
    for command in (vocabulary, mvcnn):
        command.add_argument("--meshes", type=Path, required=True, metavar="DIR", help=what)
        command.add_argument("--model", type=Path, required=True, metavar="DIR", help="folder of what is trained")


def _score(arguments: argparse.Namespace) -> int:
    from liftnet.drkfs.score import ScoreRequest, score

    request = ScoreRequest(
        arguments.shape,
        arguments.target,
        arguments.out,
        arguments.pictures,
        arguments.up,
        arguments.device,
        arguments.threads,
        arguments.seed,
        arguments.lenient,
    )
    return score(request, settings_from(arguments, ScoreCommandSettings))


def _detector(arguments: argparse.Namespace) -> None:
    from liftnet.drkfs.train import run_detector

    inputs = _training_inputs(arguments, arguments.meshes)
    run_detector(inputs, settings_from(arguments, DetectorSettings), arguments.seed)


def _descriptor(arguments: argparse.Namespace) -> None:
    from liftnet.drkfs.train import run_descriptor

    run_descriptor(_training_inputs(arguments), settings_from(arguments, DescriptorSettings), arguments.seed)


def _training_inputs(arguments: argparse.Namespace, meshes: Path | None = None) -> TrainingInputs:
    """What a training on points reads and writes, after torch was told how many threads it may use."""
    import torch

    from liftnet.drkfs.train import TrainingInputs

    torch.set_num_threads(max(1, arguments.threads))
    return TrainingInputs(
        arguments.root, arguments.dataset, arguments.model, arguments.licence, arguments.half, meshes
    )


def _vocabulary(arguments: argparse.Namespace) -> None:
    from liftnet.shape.shape_google import train_vocabulary

    settings = settings_from(arguments, ShapeGoogleSettings)
    train_vocabulary(arguments.meshes, arguments.model, settings, arguments.seed, arguments.threads)


def _mvcnn(arguments: argparse.Namespace) -> None:
    import torch

    from liftnet.shape.mvcnn_training import train_mvcnn

    torch.set_num_threads(max(1, arguments.threads))
    train_mvcnn(arguments.meshes, arguments.model, settings_from(arguments, MvcnnSettings), arguments.seed)

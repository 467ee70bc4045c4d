"""The commands `drkfs train vocabulary` and `drkfs train mvcnn`: descriptors of whole shapes."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command
from liftnet.core.settings import settings_from
from liftnet.drkfs.settings import ShapeDescriptorSettings
from liftnet.shape.mvcnn.settings import MVCNN
from liftnet.shape.shape_google.settings import GOOGLE


def add_descriptor_commands(trainings: Subparsers) -> None:
    """Add `vocabulary` and `mvcnn` to the commands of `drkfs train`."""
    what = "the geometric words of Shape Google, from meshes"
    vocabulary = add_command(trainings, "vocabulary", _vocabulary, what, ShapeDescriptorSettings, only=GOOGLE)
    mvcnn = add_command(
        trainings, "mvcnn", _mvcnn, "MVCNN, from meshes in classes", ShapeDescriptorSettings, only=MVCNN
    )
    for command in (vocabulary, mvcnn):
        command.add_argument(
            "--meshes",
            type=Path,
            required=True,
            metavar="DIR",
            help="folder of <class>/<name>.ply, as `render shapes` writes it",
        )
        command.add_argument("--model", type=Path, required=True, metavar="DIR", help="folder of what is trained")


def _vocabulary(arguments: argparse.Namespace) -> None:
    from liftnet.shape.shape_google.learning import train_vocabulary
    from liftnet.shape.shape_google.settings import GoogleSettings

    settings = settings_from(arguments, GoogleSettings)
    train_vocabulary(arguments.meshes, arguments.model, settings, arguments.seed, arguments.threads)


def _mvcnn(arguments: argparse.Namespace) -> None:
    import torch

    from liftnet.shape.mvcnn.settings import MvcnnSettings
    from liftnet.shape.mvcnn.training import train_mvcnn

    torch.set_num_threads(max(1, arguments.threads))
    train_mvcnn(arguments.meshes, arguments.model, settings_from(arguments, MvcnnSettings), arguments.seed)

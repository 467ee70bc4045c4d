"""The command `drkfs score`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command
from liftnet.core.settings import settings_from
from liftnet.drkfs.settings import ScoreSettings


def add_score_command(commands: Subparsers) -> None:
    """Add the command to those of the stage `drkfs`."""
    score = add_command(
        commands, "score", _score, "Compare a shape with its target, or a folder with a folder", ScoreSettings
    )
    score.add_argument("shape", type=Path, metavar="SHAPE", help="mesh, or folder of meshes")
    score.add_argument(
        "target", type=Path, metavar="TARGET", help="what it should look like: a mesh, or a folder of the same names"
    )
    score.add_argument("--out", type=Path, metavar="FILE.csv", help="table to write; a stopped run goes on from it")
    score.add_argument(
        "--pictures", type=Path, metavar="PATH", help="where they differ: a .png for two files, a folder for folders"
    )
    score.add_argument("--up", choices=("y", "z"), default="y", help="axis that points up in the files (default: y)")
    score.add_argument("--device", default="auto", help="where to compute: auto (a GPU if there is one), cpu, cuda")


def _score(arguments: argparse.Namespace) -> int:
    from liftnet.drkfs.scoring.run import ScoreRequest, score

    request = ScoreRequest(
        arguments.shape,
        arguments.target,
        arguments.out,
        arguments.pictures,
        arguments.up,
        arguments.device,
        arguments.threads,
        arguments.seed,
    )
    return score(request, settings_from(arguments, ScoreSettings))

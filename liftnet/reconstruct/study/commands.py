"""The commands `reconstruct study build`, `analyse` and `simulate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from liftnet.core.command import Subparsers, add_command, add_stage
from liftnet.core.errors import LiftnetError
from liftnet.core.settings import settings_from
from liftnet.reconstruct.study.settings import StudySettings, VoterSettings

if TYPE_CHECKING:
    from liftnet.reconstruct.study.items import Item


def add_study(commands: Subparsers) -> None:
    """Add `study` to the commands of the stage."""
    studies = add_stage(commands, "study", "ask people which reconstruction looks more alike")
    _add_build(studies)
    analyse = add_command(
        studies,
        "analyse",
        _analyse,
        "the share of votes for DR-KFS, with its interval",
        example="liftnet reconstruct study analyse --plan study/ps1-plan.json --key study/ps1-key.json "
        "--answers answers --out tables/study_ps1",
    )
    what = "answers of simulated voters, to try a study and its analysis before anybody is asked"
    simulate = add_command(
        studies,
        "simulate",
        _simulate,
        what,
        VoterSettings,
        example="liftnet reconstruct study simulate --plan study/ps1-plan.json --key study/ps1-key.json --out answers",
    )
    for command in (analyse, simulate):
        command.add_argument("--plan", type=Path, required=True, metavar="FILE", help="the study's plan")
        command.add_argument("--key", type=Path, required=True, metavar="FILE", help="the study's key")
    analyse.add_argument("--answers", type=Path, required=True, metavar="DIR", help="what the participants sent")
    analyse.add_argument("--out", type=Path, required=True, metavar="STEM", help="table to write, without suffix")
    simulate.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder of the answers")
    simulate.add_argument("--voters", type=int, default=80, metavar="N", help="how many (default: 80)")


def _add_build(studies: Subparsers) -> None:
    what = "a page that asks people, its plan and its key"
    build = add_command(
        studies,
        "build",
        _build,
        what,
        StudySettings,
        example="liftnet reconstruct study build --root renders/reconstruction --models "
        "pix3d=scores/original,scores/drkfs --out study",
    )
    build.add_argument("--root", type=Path, metavar="DIR", help="folder of `render set --set reconstruction`")
    what = "tables of `reconstruct evaluate`, by a network's own loss and by DR-KFS: NETWORK=ORIGINAL,DRKFS"
    build.add_argument("--models", nargs="+", default=[], metavar="PAIR", help=what)
    what = "instead of both: a table of pictures and meshes (docs/studies.md)"
    build.add_argument("--items", type=Path, metavar="CSV", help=what)
    what = "ps1: drawn from all items; ps2: from the best, which takes scores"
    build.add_argument("--study", choices=("ps1", "ps2"), default="ps1", help=f"{what} (default: ps1)")
    build.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the study")


def _build(arguments: argparse.Namespace) -> None:
    from liftnet.reconstruct.study.build import build_study

    settings = settings_from(arguments, StudySettings)
    build_study(_items(arguments), arguments.out, arguments.study, settings, arguments.seed, arguments.threads)


def _items(arguments: argparse.Namespace) -> list[Item]:
    """What may be asked, from a table or from evaluations on a set."""
    from liftnet.reconstruct.study.evaluated import ModelPair, items_of_set
    from liftnet.reconstruct.study.items import items_of_table

    of_set = arguments.root is not None and bool(arguments.models)
    if of_set == (arguments.items is not None):
        raise LiftnetError("study build", "needs --root and --models, or --items", "Give one of both")
    if of_set:
        return items_of_set(arguments.root, [ModelPair.parsed(text) for text in arguments.models])
    return items_of_table(arguments.items)


def _analyse(arguments: argparse.Namespace) -> None:
    from liftnet.reconstruct.study.analyse import analyse_study

    analyse_study(arguments.plan, arguments.key, arguments.answers, arguments.out, arguments.seed)


def _simulate(arguments: argparse.Namespace) -> None:
    from liftnet.reconstruct.study.simulate import simulate_study

    if arguments.voters < 1:
        raise LiftnetError("--voters", "must be 1 at least", "Say how many voters to simulate")
    settings = settings_from(arguments, VoterSettings)
    simulate_study(arguments.plan, arguments.key, arguments.out, arguments.voters, settings, arguments.seed)

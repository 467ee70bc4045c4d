"""The command `python -m liftnet match`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.io.command import Subparsers, add_command
from liftnet.io.settings import settings_from
from liftnet.match.settings import MatchSettings


def add_commands(stages: Subparsers) -> None:
    """Register `match`."""
    parser = add_command(
        stages, "match", _run, "Find putative correspondences between all image pairs of one work.", MatchSettings
    )
    parser.add_argument(
        "--root", type=Path, required=True, help="folder of manifest.parquet and images/ (and masks/, for mask_first)"
    )
    parser.add_argument("--work", required=True, help="work_id of the work, as in the manifest")
    parser.add_argument("--out", type=Path, required=True, help="Parquet table to write, one row per image pair")


def _run(arguments: argparse.Namespace) -> None:
    from liftnet.match.work import match_work

    match_work(
        arguments.root,
        arguments.work,
        arguments.out,
        settings_from(arguments, MatchSettings),
        threads=arguments.threads,
        seed=arguments.seed,
    )

"""The command `python -m liftnet match`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command
from liftnet.core.settings import settings_from
from liftnet.match.settings import MatchSettings


def add_commands(stages: Subparsers) -> None:
    """Register `match`."""
    help = "Find putative correspondences between all image pairs of one work, or between images of different splits."
    parser = add_command(
        stages,
        "match",
        _run,
        help,
        MatchSettings,
        example="liftnet match --root results --work the-thinker --out results/matches/the-thinker.parquet",
    )
    parser.add_argument(
        "--root", type=Path, required=True, help="folder of manifest.parquet and images/ (and masks/, for mask_first)"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--work", help="work_id of the work, as in the manifest")
    what.add_argument(
        "--cross-split",
        action="store_true",
        help="images of val and test against those of other splits, on their masks",
    )
    parser.add_argument("--out", type=Path, required=True, help="Parquet table to write, one row per image pair")


def _run(arguments: argparse.Namespace) -> None:
    from liftnet.match.match import match_across_splits, match_work

    settings = settings_from(arguments, MatchSettings)
    common = arguments.out, settings, arguments.threads, arguments.seed
    if arguments.cross_split:
        match_across_splits(arguments.root, *common)
    else:
        match_work(arguments.root, arguments.work, *common)

"""Commands of the `verify` stage."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command, add_run_folder, add_stage
from liftnet.core.settings import settings_from
from liftnet.verify.settings import VerifySettings


def add_commands(stages: Subparsers) -> None:
    """Add `verify run`, `verify evaluate` and `verify cuts`."""
    commands = add_stage(stages, "verify", "keep the matches that two affine views of one solid object explain")
    run = add_command(
        commands,
        "run",
        _run,
        "decide on every pair of one work",
        VerifySettings,
        example="liftnet verify run --root results --matches results/matches/the-thinker.parquet --out "
        "results/pairs/the-thinker.parquet",
    )
    run.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet and masks/")
    run.add_argument("--matches", type=Path, required=True, help="putative matches of one work")
    run.add_argument("--out", type=Path, required=True, help="table of pairs to write")
    evaluate = add_command(
        commands,
        "evaluate",
        _evaluate,
        "count pairs by reason and measure their precision",
        example="liftnet verify evaluate --root results --museum museum",
    )
    evaluate.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, matches/ and pairs/")
    evaluate.add_argument("--museum", type=Path, help="museum with the true depth and cameras of the images")
    add_run_folder(evaluate, "--tables", "tables", "folder for the tables")
    cuts = add_command(
        commands,
        "cuts",
        _sweep,
        "count what other thresholds would keep",
        VerifySettings,
        example="liftnet verify cuts --root results",
    )
    cuts.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet and pairs/")
    cuts.add_argument("--museum", type=Path, help="museum with the truth, to measure the precision")
    add_run_folder(cuts, "--tables", "tables", "folder for the tables")


def _run(arguments: argparse.Namespace) -> None:
    from liftnet.verify.verify import verify_matches

    settings = settings_from(arguments, VerifySettings)
    verify_matches(arguments.root, arguments.matches, arguments.out, settings, arguments.seed, arguments.threads)


def _evaluate(arguments: argparse.Namespace) -> None:
    from liftnet.verify.evaluate import evaluate

    evaluate(arguments.root, arguments.museum, arguments.tables, arguments.threads)


def _sweep(arguments: argparse.Namespace) -> None:
    from liftnet.verify.evaluate import write_sweep

    settings = settings_from(arguments, VerifySettings)
    write_sweep(arguments.root, arguments.museum, arguments.tables, settings, arguments.threads)

"""Command `drkfs experiment`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command
from liftnet.core.settings import add_settings_arguments, settings_from
from liftnet.drkfs.settings import METRIC, DrkfsSettings, ShapeExperimentSettings

NAMES = ("legs", "bars", "shading", "sphere")


def add_experiment_commands(commands: Subparsers) -> None:
    """Add the command of the experiments to those of the stage."""
    parser = add_command(
        commands,
        "experiment",
        _experiment,
        "Run an experiment of the DR-KFS paper that needs no reconstruction network; a stopped run goes on",
        DrkfsSettings,
        METRIC,
    )
    parser.add_argument("name", choices=NAMES, help="legs: Figure 2; bars: Table 5; shading: Table 4; sphere: a fit")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results: tables/, figures/, drkfs/")
    add_settings_arguments(parser, ShapeExperimentSettings)


def _experiment(arguments: argparse.Namespace) -> None:
    from liftnet.experiments.drkfs.run import Run, run_experiment

    run = Run(
        arguments.out,
        settings_from(arguments, DrkfsSettings),
        settings_from(arguments, ShapeExperimentSettings),
        arguments.threads,
        arguments.seed,
    )
    run_experiment(arguments.name, run)

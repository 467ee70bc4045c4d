"""Command `report`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command
from liftnet.core.settings import settings_from
from liftnet.report.settings import ReportSettings


def add_commands(stages: Subparsers) -> None:
    """Add the stage's command to the command line."""
    parser = add_command(stages, "report", _report, "Write one self-contained page about a run", ReportSettings)
    parser.add_argument("--root", type=Path, required=True, help="folder of the run's results")
    parser.add_argument("--out", type=Path, required=True, help="the page, such as results/report.html")
    parser.add_argument("--config", type=Path, default=None, help="settings of the run, shown on the page (optional)")


def _report(arguments: argparse.Namespace) -> None:
    from liftnet.report.page import write_report

    settings = settings_from(arguments, ReportSettings)
    write_report(arguments.root, arguments.out, settings, arguments.seed, arguments.config)

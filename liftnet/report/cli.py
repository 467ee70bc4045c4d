"""Command `report`."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path

from liftnet.core.command import Subparsers, add_command
from liftnet.core.errors import LiftnetError
from liftnet.core.settings import settings_from
from liftnet.report.settings import ReportSettings


def add_commands(stages: Subparsers) -> None:
    """Add the stage's command to the command line."""
    what = "Print where the page about a run is; write it if there is none"
    parser = add_command(stages, "report", _report, what, ReportSettings, example="liftnet report results --open")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="folder of the run's results")
    which.add_argument("--root", type=Path, help="the same; the page is written anew")
    parser.add_argument("--out", type=Path, help="the page, such as page.html (default: report.html in the folder)")
    parser.add_argument("--config", type=Path, help="settings of the run, shown on the page (default: none)")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def _report(arguments: argparse.Namespace) -> None:
    folder: Path = arguments.root or arguments.folder
    page: Path = arguments.out or folder / "report.html"
    if arguments.root or not page.is_file():
        _write(folder, page, arguments)
    if arguments.folder:
        print(page.absolute())
    if arguments.open:
        webbrowser.open(page.absolute().as_uri())


def _write(folder: Path, page: Path, arguments: argparse.Namespace) -> None:
    from liftnet.report.page import write_report

    if not (folder / "manifest.parquet").is_file():
        raise LiftnetError(folder, "holds no run that has collected anything", "Name the folder of its results")
    write_report(folder, page, settings_from(arguments, ReportSettings), arguments.seed, arguments.config)

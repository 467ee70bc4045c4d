"""The command line: `python -m liftnet <stage> ...`, one command a stage."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

from liftnet import __version__
from liftnet.core.command import CommandParser
from liftnet.core.errors import LiftnetError
from liftnet.core.log import copied_to, get_logger, set_up_logging

STAGES = (
    "render",
    "collect",
    "segment",
    "match",
    "verify",
    "shard",
    "depth",
    "drkfs",
    "reconstruct",
    "report",
    "experiments",
)


def build_parser() -> CommandParser:
    """The parser of all stages; each stage's `cli` module adds its own commands."""
    parser = CommandParser(prog="python -m liftnet", description=__doc__)
    parser.add_argument("--version", action="version", version=f"liftnet {__version__}")
    stages = parser.add_subparsers(title="stages, in the order of the line", metavar="STAGE", required=True)
    for stage in STAGES:
        importlib.import_module(f"liftnet.{stage}.cli").add_commands(stages)
    return parser


def log_file(argv: list[str]) -> Path | None:
    """The file that --log names. It is read before anything else: what fails to load is written there too."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--log", type=Path)
    return parser.parse_known_args(argv)[0].log


def main(argv: list[str] | None = None) -> int:
    """Run one command; problems the user can mend are one plain line and exit status 1."""
    argv = sys.argv[1:] if argv is None else argv
    with copied_to(log_file(argv)):
        return _main(argv)


def _main(argv: list[str]) -> int:
    # Threads of torch that wait by spinning slow each other down tenfold as soon as another job shares the cores;
    # waiting asleep costs an eighth on an idle machine. OpenMP reads this when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = build_parser().parse_command(argv)
    set_up_logging(arguments.verbose)
    try:
        return arguments.run(arguments) or 0
    except LiftnetError as error:
        get_logger("liftnet").error("error: %s", error)
        return 1
    except KeyboardInterrupt:
        get_logger("liftnet").error("interrupted; run the same command again to go on")
        return 130


if __name__ == "__main__":
    sys.exit(main())

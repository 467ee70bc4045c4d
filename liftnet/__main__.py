"""From photographs of sculptures to depth: the whole line by `run`, and a command for each of its stages."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
    """The parser of all commands; the `cli` module of each stage, and that of the whole line, adds its own."""
    name = "liftnet" if Path(sys.argv[0]).name == "liftnet" else "python -m liftnet"
    parser = CommandParser(prog=name, description=__doc__)
    parser.set_defaults(top=parser)
    parser.add_argument("--version", action="version", version=f"liftnet {__version__}")
    title = "commands: the whole line, then its stages in their order"
    stages = parser.add_subparsers(title=title, metavar="COMMAND", required=True)
    for stage in ("launch", *STAGES):
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
    try:
        with copied_to(log_file(argv)), _printed_to_the_end():
            return _main(argv)
    except BrokenPipeError:  # whoever read what is printed has seen enough, as `head` does
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())  # for what Python prints at its own end
        return 128 + signal.SIGPIPE


@contextmanager
def _printed_to_the_end() -> Iterator[None]:
    """Print what waits to be printed here, where it is known what to do if nobody reads it."""
    try:
        yield
    finally:
        sys.stdout.flush()


def _main(argv: list[str]) -> int:
    # Threads of torch that wait by spinning slow each other down tenfold as soon as another job shares the cores;
    # waiting asleep costs an eighth on an idle machine. OpenMP reads this when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = build_parser().parse_command(argv)
    set_up_logging(arguments.verbose, arguments.quiet)
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

"""One way to declare a command: its parser, its settings and what it runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from liftnet.io.parallel import default_workers
from liftnet.io.settings import Settings, add_settings_arguments

Subparsers = Any  # argparse keeps the type of add_subparsers() private
Run = Callable[[argparse.Namespace], int | None]


def add_command(
    subparsers: Subparsers,
    name: str,
    run: Run,
    help: str,
    settings: type[Settings] | None = None,
    only: tuple[str, ...] = (),
) -> argparse.ArgumentParser:
    """Add `python -m liftnet ... <name>` that calls `run(arguments)`.

    `run` imports what it needs itself, so that `--help` and light commands do not load torch. It returns the exit
    status, None for 0. Settings are read with `settings_from(arguments, settings)`.
    """
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=help, description=help)
    parser.set_defaults(run=run)
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    parser.add_argument("--threads", type=int, default=default_workers(), help="worker threads (default: all cores)")
    parser.add_argument("--verbose", action="store_true", help="log details")
    if settings is not None:
        add_settings_arguments(parser, settings, only)
    return parser


def add_stage(stages: Subparsers, name: str, help: str) -> Subparsers:
    """Add a stage that has several commands, as in `python -m liftnet depth train`."""
    parser: argparse.ArgumentParser = stages.add_parser(name, help=help, description=help)
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

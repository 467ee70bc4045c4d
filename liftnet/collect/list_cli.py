"""`python -m liftnet collect list KIND`: the list of a catalogue or of a public set."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from liftnet.collect.catalogues import KINDS, CatalogueSettings, ListSettings
from liftnet.collect.settings import CollectSettings
from liftnet.core.command import Subparsers, add_command
from liftnet.core.log import get_logger
from liftnet.core.settings import add_settings_arguments, settings_from

ASKING = ("contact", "allow_host", "delay_s", "timeout_s", "total_s", "retries", "backoff_s", "max_wait_s")


def add_list_command(commands: Subparsers) -> None:
    """Add `list` with a command for each kind of source."""
    text = "make a list of images from a catalogue or a public set"
    parser = commands.add_parser("list", help=text, description=text)
    kinds = parser.add_subparsers(title="kinds of sources", metavar="KIND", required=True)
    for name, settings in KINDS.items():
        told = (settings.__doc__ or name).strip().splitlines()[0]
        kind = add_command(kinds, name, partial(_run, settings), told, settings)
        kind.add_argument("--out", type=Path, required=True, metavar="FILE", help="the list, a .parquet file")
        if issubclass(settings, CatalogueSettings):
            add_settings_arguments(kind, CollectSettings, ASKING)
            kind.add_argument(
                "--turns", type=Path, metavar="FOLDER", help="share hosts with other jobs through this folder"
            )


def _run(settings: type[ListSettings], arguments: argparse.Namespace) -> None:
    from liftnet.collect.sources.listing import make_list

    collect, turns = settings_from(arguments, CollectSettings), getattr(arguments, "turns", None)
    listed = make_list(settings_from(arguments, settings), arguments.out, collect, turns)
    get_logger("collect").info("%s, in %s", listed.summary(), arguments.out)

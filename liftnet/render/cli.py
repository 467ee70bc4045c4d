"""The command `render museum`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.io.command import Subparsers, add_command, add_stage
from liftnet.io.settings import settings_from
from liftnet.render.settings import RenderSettings


def add_commands(stages: Subparsers) -> None:
    """Add `render museum`."""
    commands = add_stage(stages, "render", "render the demo museum of procedural sculptures")
    museum = add_command(
        commands, "museum", _museum, "photographs of procedural sculptures, with their true depth", RenderSettings
    )
    museum.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the museum")


def _museum(arguments: argparse.Namespace) -> None:
    from liftnet.render.museum import render_museum

    render_museum(arguments.out, settings_from(arguments, RenderSettings), arguments.seed, arguments.threads)

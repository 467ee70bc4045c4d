"""The commands `render museum`, `render set` and `render shapes`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command, add_stage
from liftnet.core.settings import settings_from
from liftnet.render.settings import MUSEUM_SETTINGS, SET_SETTINGS, RenderSettings

ALL_SETS = tuple(dict.fromkeys(name for names in SET_SETTINGS.values() for name in names))


def add_commands(stages: Subparsers) -> None:
    """Add `render museum`, `render set` and `render shapes`."""
    commands = add_stage(stages, "render", "render the demo museum, and sets of shapes with exact correspondences")
    what = "photographs of procedural sculptures, with their true depth"
    museum = add_command(commands, "museum", _museum, what, RenderSettings, only=MUSEUM_SETTINGS)
    museum.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the museum")
    what = "views of shapes with depth, masks and exact correspondences, by the paper's protocols"
    rendered = add_command(commands, "set", _set, what, RenderSettings, only=ALL_SETS)
    rendered.add_argument("--set", required=True, choices=SET_SETTINGS, help="whose protocol")
    rendered.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the set")
    what = "meshes of the generated classes as <class>/<name>.ply, y up, with a table shapes.csv"
    shapes = add_command(commands, "shapes", _shapes, what)
    shapes.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the meshes")
    count = RenderSettings.model_fields["meshes_per_class"].default
    shapes.add_argument("--count", type=int, default=count, help=f"meshes of each class (default: {count})")
    shapes.add_argument("--classes", nargs="*", default=[], metavar="CLASS", help="classes (default: all 17)")


def _museum(arguments: argparse.Namespace) -> None:
    from liftnet.render.museum import render_museum

    render_museum(arguments.out, settings_from(arguments, RenderSettings), arguments.seed, arguments.threads)


def _set(arguments: argparse.Namespace) -> None:
    from liftnet.render.sets import render_set

    settings = settings_from(arguments, RenderSettings)
    render_set(arguments.out, arguments.set, settings, arguments.seed, arguments.threads)


def _shapes(arguments: argparse.Namespace) -> None:
    from liftnet.render.shapes import write_shapes

    write_shapes(arguments.out, arguments.classes, arguments.count, arguments.seed)

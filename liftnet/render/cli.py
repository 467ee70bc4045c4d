"""The commands `render museum`, `render set` and `render shapes`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command, add_stage
from liftnet.core.log import get_logger
from liftnet.core.settings import settings_from
from liftnet.render.settings import SET_NAMES, MuseumSettings, SetSettings, ShapeFileSettings


def add_commands(stages: Subparsers) -> None:
    """Add `render museum`, `render set` and `render shapes`."""
    commands = add_stage(
        stages, "render", "render the synthetic museum, and sets of shapes with exact correspondences"
    )
    what = "photographs of procedural sculptures, with their true depth"
    museum = add_command(
        commands, "museum", _museum, what, MuseumSettings, example="liftnet render museum --out museum"
    )
    museum.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the museum")
    what = "views of shapes with depth, masks and exact correspondences, by the paper's protocols"
    rendered = add_command(
        commands,
        "set",
        _set,
        what,
        SetSettings,
        example="liftnet render set --set sketchfab --sketchfab.folder models --out renders/sketchfab",
    )
    rendered.add_argument("--set", required=True, choices=SET_NAMES, help="whose protocol")
    rendered.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the set")
    rendered.add_argument("--lenient", action="store_true", help="exit 0 though some shapes were set aside")
    what = "meshes of the generated classes as <class>/<name>.ply, y up, with a table shapes.csv"
    shapes = add_command(
        commands, "shapes", _shapes, what, ShapeFileSettings, example="liftnet render shapes --out shapes"
    )
    shapes.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the meshes")
    shapes.add_argument("--classes", nargs="*", default=[], metavar="CLASS", help="classes (default: all 17)")


def _museum(arguments: argparse.Namespace) -> None:
    from liftnet.render.museum import render_museum

    render_museum(arguments.out, settings_from(arguments, MuseumSettings), arguments.seed, arguments.threads)


def _set(arguments: argparse.Namespace) -> int:
    from liftnet.data.schemas import RECONSTRUCTION_SHAPES, SHAPES, read_table
    from liftnet.render.reconstruction import NAME, render_reconstruction_set
    from liftnet.render.sets import render_set

    settings = settings_from(arguments, SetSettings)
    if arguments.set == NAME:
        last = render_reconstruction_set(arguments.out, settings, arguments.seed, arguments.threads)
    else:
        last = render_set(arguments.out, arguments.set, settings, arguments.seed, arguments.threads)
    schema = RECONSTRUCTION_SHAPES if arguments.set == NAME else SHAPES
    shapes = read_table(last.with_name("shapes.parquet"), schema).to_pylist()
    failed = sum(shape["status"] != "ok" for shape in shapes)
    if failed:
        get_logger("render").warning("%d of %d shapes were set aside; shapes.parquet says why", failed, len(shapes))
    return 0 if arguments.lenient or not failed else 1


def _shapes(arguments: argparse.Namespace) -> None:
    from liftnet.render.shapes import write_shapes

    settings = settings_from(arguments, ShapeFileSettings)
    write_shapes(arguments.out, arguments.classes, settings.meshes_per_class, arguments.seed)

"""The options of commands that read source lists."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from liftnet.core.errors import LiftnetError

if TYPE_CHECKING:
    from liftnet.collect.sources.records import Sources


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add --csv, --list, --directory and --museum."""
    group = parser.add_argument_group("sources (several are collected together; a museum alone)")
    group.add_argument(
        "--csv",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="lists of images: artist, work, url or image, and optional columns",
    )
    group.add_argument(
        "--list",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="the same in Parquet, as `collect list` writes",
    )
    group.add_argument(
        "--directory", type=Path, nargs="+", default=[], metavar="FOLDER", help="folders of artist/work/*.jpg"
    )
    group.add_argument(
        "--museum", type=Path, metavar="FOLDER", help="demo museum, scraped over HTTP from a server of our own"
    )


def sources_from(arguments: argparse.Namespace) -> Sources:
    """Read the lists that the options name, in the order csv, list, directory.

    Raises:
        LiftnetError: None is named, or a museum beside others; or a list cannot be used.
    """
    from liftnet.collect.sources import join_sources, read_csv, read_directory, read_list, read_museum

    others = [*arguments.csv, *arguments.list, *arguments.directory]
    if arguments.museum is not None:
        if others:
            raise LiftnetError("--museum", "is collected alone", "Collect the other sources into another folder")
        return read_museum(arguments.museum)
    if not others:
        raise LiftnetError("sources", "none is named", "Give --csv, --list, --directory or --museum")
    return join_sources(
        [
            *map(read_csv, arguments.csv),
            *map(read_list, arguments.list),
            *map(read_directory, arguments.directory),
        ]
    )

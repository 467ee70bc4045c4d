"""`python -m liftnet collect`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.collect.options import add_source_options, sources_from
from liftnet.collect.settings import CollectSettings
from liftnet.io.command import Subparsers, add_command
from liftnet.io.log import duration, get_logger
from liftnet.io.settings import settings_from


def add_commands(stages: Subparsers) -> None:
    """Add the command of this stage."""
    parser = add_command(
        stages, "collect", _run, "fetch photographs from the web, a folder or the museum", CollectSettings
    )
    add_source_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of images/, hand_masks/ and manifest.parquet")


def _run(arguments: argparse.Namespace) -> None:
    import time

    from liftnet.collect.collector import collect

    settings = settings_from(arguments, CollectSettings)
    start = time.monotonic()
    sources = sources_from(arguments)
    logger = get_logger("collect")
    web = any(row.image.path is None and row.problem is None for row in sources.rows)
    if web and not settings.contact:
        logger.warning("give `contact` (your mail address or page), so that site owners can reach you")
    result = collect(sources, arguments.out, settings, arguments.threads)
    logger.info("%s, after %s", result.summary(), duration(time.monotonic() - start))

"""`python -m liftnet collect list`, `plan`, `fetch`, `manifest` and `run`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from liftnet.collect.list_cli import add_list_command
from liftnet.collect.options import add_source_options, sources_from
from liftnet.collect.settings import CollectSettings
from liftnet.core.command import Subparsers, add_command, add_stage
from liftnet.core.log import duration, get_logger
from liftnet.core.settings import settings_from

if TYPE_CHECKING:
    from liftnet.collect.sources import Sources

_OUT = "folder of images/, hand_masks/, manifest.parquet and of the state in downloads/"


def add_commands(stages: Subparsers) -> None:
    """Add the commands of this stage."""
    commands = add_stage(stages, "collect", "fetch photographs from the web, a folder or the museum")
    add_list_command(commands)
    parser = add_command(commands, "plan", _plan, "divide what is to be fetched into jobs by host", CollectSettings)
    add_source_options(parser)
    parser.add_argument("--out", type=Path, required=True, help=_OUT)
    parser.add_argument(
        "--dry-run", action="store_true", help="only show who would be asked for what, and write downloads/plan.csv"
    )
    parser = add_command(commands, "fetch", _fetch, "fetch what the jobs of a plan ask for", CollectSettings)
    parser.add_argument("--out", type=Path, required=True, help=_OUT)
    parser.add_argument("--job", nargs="+", default=[], metavar="NAME", help="jobs of the plan (default: all)")
    parser = add_command(
        commands, "manifest", _manifest, "write manifest and splits of what was fetched", CollectSettings
    )
    parser.add_argument("--out", type=Path, required=True, help=_OUT)
    parser = add_command(commands, "run", _run, "plan, fetch and manifest in one process", CollectSettings)
    add_source_options(parser)
    parser.add_argument("--out", type=Path, required=True, help=_OUT)


def _plan(arguments: argparse.Namespace) -> None:
    from liftnet.collect.fetch.plan import plan, shown

    settings = settings_from(arguments, CollectSettings)
    sources = sources_from(arguments)
    _ask_for_contact(sources, settings)
    table = plan(sources, arguments.out, settings, write=not arguments.dry_run)
    get_logger("collect").info("the plan; nobody has been asked yet\n%s", shown(table))


def _fetch(arguments: argparse.Namespace) -> None:
    import time

    from liftnet.collect.fetch.fetch import fetch_jobs

    start = time.monotonic()
    settings = settings_from(arguments, CollectSettings)
    counts = fetch_jobs(arguments.out, arguments.job, settings, arguments.threads)
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items(), key=lambda pair: -pair[1]))
    get_logger("collect").info("fetched: %s, after %s", told or "nothing", duration(time.monotonic() - start))


def _manifest(arguments: argparse.Namespace) -> None:
    from liftnet.collect.gather import gather

    result = gather(arguments.out, settings_from(arguments, CollectSettings), arguments.threads)
    get_logger("collect").info("%s", result.summary())


def _run(arguments: argparse.Namespace) -> None:
    import time

    from liftnet.collect.collector import collect

    settings = settings_from(arguments, CollectSettings)
    start = time.monotonic()
    sources = sources_from(arguments)
    _ask_for_contact(sources, settings)
    result = collect(sources, arguments.out, settings, arguments.threads)
    get_logger("collect").info("%s, after %s", result.summary(), duration(time.monotonic() - start))


def _ask_for_contact(sources: Sources, settings: CollectSettings) -> None:
    web = any(row.image.path is None and row.problem is None for row in sources.rows)
    if web and not settings.contact:
        get_logger("collect").warning("give `contact` (your mail address or page), so that site owners can reach you")

"""`python -m liftnet collect list`, `plan`, `fetch`, `manifest` and `run`."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import create_model

from liftnet.collect.catalogues import CATALOGUES
from liftnet.collect.catalogues.base import ListSettings
from liftnet.collect.settings import (
    CollectSettings,
    FetchSettings,
    ManifestSettings,
    PermissionSettings,
    QuerySettings,
)
from liftnet.core.command import Subparsers, add_command, add_stage
from liftnet.core.errors import LiftnetError
from liftnet.core.log import duration, get_logger
from liftnet.core.settings import settings_from

if TYPE_CHECKING:
    from liftnet.collect.sources.records import Sources

LOG = get_logger("collect")
_OUT = "folder of images/, hand_masks/, manifest.parquet and of the state in downloads/"


def add_commands(stages: Subparsers) -> None:
    """Add the commands of this stage."""
    commands = add_stage(stages, "collect", "fetch photographs from the web, a folder or the museum")
    _add_lists(commands)
    parser = add_command(
        commands,
        "plan",
        _plan,
        "divide what is to be fetched into jobs by host",
        FetchSettings,
        example="liftnet collect plan --directory photos --out results",
    )
    add_sources(parser)
    parser.add_argument("--out", type=Path, required=True, help=_OUT)
    parser.add_argument(
        "--dry-run", action="store_true", help="only show who would be asked for what, and write downloads/plan.csv"
    )
    parser = add_command(
        commands,
        "fetch",
        _fetch,
        "fetch what the jobs of a plan ask for",
        FetchSettings,
        example="liftnet collect fetch --out results --job local",
    )
    parser.add_argument("--out", type=Path, required=True, help=_OUT)
    parser.add_argument("--job", nargs="+", default=[], metavar="NAME", help="jobs of the plan (default: all)")
    text = "write manifest and splits of what was fetched"
    parser = add_command(
        commands,
        "manifest",
        _manifest,
        text,
        ManifestSettings,
        example="liftnet collect manifest --out results --threads 8",
    )
    parser.add_argument("--out", type=Path, required=True, help=_OUT)
    parser = add_command(
        commands,
        "run",
        _run,
        "plan, fetch and manifest in one process",
        CollectSettings,
        example="liftnet collect run --directory photos --out results",
    )
    add_sources(parser)
    parser.add_argument("--out", type=Path, required=True, help=_OUT)


def _add_lists(commands: Subparsers) -> None:
    """Add `list` with a command for each kind of source."""
    text = "make a list of images from a catalogue or a public set"
    parser = commands.add_parser("list", help=text, description=text)
    kinds = parser.add_subparsers(title="kinds of sources", metavar="KIND", required=True)
    for name, catalogue in CATALOGUES.items():
        settings = _with_query_settings(catalogue.settings_type)
        text = (settings.__doc__ or name).strip().splitlines()[0]
        example = f"liftnet collect list {name} {catalogue.example} --out lists/{name}.parquet"
        kind = add_command(kinds, name, partial(_list, settings), text, settings, example=example)
        kind.add_argument("--out", type=Path, required=True, metavar="FILE", help="the list, a .parquet or .csv file")
        kind.add_argument(
            "--host-leases", type=Path, metavar="FOLDER", help="share hosts with other jobs through this folder"
        )


def _with_query_settings(settings: type[ListSettings]) -> type[ListSettings]:
    """The settings of a kind together with how servers are asked; one that asks none makes no use of them."""
    bases: Any = (settings, QuerySettings)
    made: Any = create_model(settings.__name__, __base__=bases, __doc__=settings.__doc__)
    return cast(type[ListSettings], made)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add --csv, --list, --directory and --museum."""
    group = parser.add_argument_group("sources (several are collected together; a museum alone)")
    for option, metavar, text in (
        ("--csv", "FILE", "lists of images: artist, work, url or image, and optional columns"),
        ("--list", "FILE", "the same in Parquet, as `collect list` writes"),
        ("--directory", "FOLDER", "folders of artist/work/*.jpg, of work/*.jpg, or of one work"),
    ):
        group.add_argument(option, type=Path, nargs="+", default=[], metavar=metavar, help=text)
    group.add_argument(
        "--trusted-folder",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="folders that the lists may take files from, besides their own and permissions.allow_folder",
    )
    group.add_argument(
        "--museum", type=Path, metavar="FOLDER", help="synthetic museum, scraped over HTTP from a server of our own"
    )


def _list(settings_type: type[ListSettings], arguments: argparse.Namespace) -> None:
    from liftnet.collect.listing import make_list

    settings = settings_from(arguments, settings_type)
    query = settings if isinstance(settings, QuerySettings) else None
    listed = make_list(settings, arguments.out, query, arguments.host_leases)
    LOG.info("%s, in %s", listed.summary(), arguments.out)


def _plan(arguments: argparse.Namespace) -> None:
    from liftnet.collect.fetch.plan import plan, shown

    settings = settings_from(arguments, FetchSettings)
    sources = sources_from(arguments, settings.permissions)
    _ask_for_contact(sources, settings)
    table = plan(sources, arguments.out, settings, write=not arguments.dry_run)
    LOG.info("the plan; nobody has been asked yet\n%s", shown(table))


def _fetch(arguments: argparse.Namespace) -> None:
    from liftnet.collect.fetch.fetch import fetch_jobs

    start = time.monotonic()
    settings = settings_from(arguments, FetchSettings)
    counts = fetch_jobs(arguments.out, arguments.job, settings, arguments.threads)
    shown = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    LOG.info("fetched: %s, after %s", shown or "nothing", duration(time.monotonic() - start))


def _manifest(arguments: argparse.Namespace) -> None:
    from liftnet.collect.manifest import make_manifest

    result = make_manifest(arguments.out, settings_from(arguments, ManifestSettings), arguments.threads)
    LOG.info("%s", result.summary())
    result.check_usable()


def _run(arguments: argparse.Namespace) -> None:
    from liftnet.collect.collect import collect

    start = time.monotonic()
    settings = settings_from(arguments, CollectSettings)
    sources = sources_from(arguments, settings.permissions)
    _ask_for_contact(sources, settings)
    result = collect(sources, arguments.out, settings, arguments.threads)
    LOG.info("%s, after %s", result.summary(), duration(time.monotonic() - start))
    result.check_usable()


def sources_from(arguments: argparse.Namespace, permissions: PermissionSettings) -> Sources:
    """Read the lists that the options name, in the order csv, list, directory.

    Args:
        arguments: The options.
        permissions: Which folders the lists' files may lie in.

    Raises:
        LiftnetError: None is named, or a museum beside others; or a list cannot be used.
    """
    from liftnet.collect.sources.directories import read_directory
    from liftnet.collect.sources.lists import read_csv, read_list, read_museum
    from liftnet.collect.sources.records import join_sources

    allowed = [*arguments.trusted_folder, *map(Path, permissions.allow_folder)]
    readers = (
        (partial(read_csv, allowed=allowed), arguments.csv),
        (partial(read_list, allowed=allowed), arguments.list),
        (read_directory, arguments.directory),
    )
    if arguments.museum is not None:
        if any(paths for _, paths in readers):
            raise LiftnetError("--museum", "is collected alone", "Collect the other sources into another folder")
        return read_museum(arguments.museum)
    lists = [read(path) for read, paths in readers for path in paths]
    if not lists:
        raise LiftnetError("sources", "none is named", "Give --csv, --list, --directory or --museum")
    return join_sources(lists)


def _ask_for_contact(sources: Sources, settings: QuerySettings) -> None:
    if sources.ask_servers and not settings.politeness.contact:
        LOG.warning("give `politeness.contact` (your mail address or page), so that site owners can reach you")

"""Commands of the whole line: `run`, `resume`, `completion`."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liftnet.core.command import Subparsers, add_command
from liftnet.core.log import get_logger
from liftnet.core.settings import ListOption
from liftnet.core.text import one_line

if TYPE_CHECKING:
    from liftnet.launch.planning import Options, Planned

LOG = get_logger("run")


class _Words(ListOption):
    """The words KEY=VALUE of `--config`; those of several such options are joined."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        """Add the words to those that are there."""
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), *values])


def add_commands(stages: Subparsers) -> None:
    """Add the commands to the command line."""
    _add_run(stages)
    _add_resume(stages)
    _add_completion(stages)


def _add_run(stages: Subparsers) -> None:
    what = "From photographs to the report: the whole line, by Snakemake, whose command is printed"
    example = "liftnet run photos/ --results results"
    run = add_command(stages, "run", _run, what, example=example, computes=False)
    run.add_argument(
        "source",
        nargs="?",
        metavar="PHOTOS",
        help="a folder of photographs, in artist/work/, in work/ or all of one work, or one with sources.csv; or a "
        "list of images (.csv or .parquet)",
    )
    run.add_argument("--demo", action="store_true", help="in place of photographs the built-in museum")
    run.add_argument("--results", metavar="DIR", help="folder of all that comes out (default: results)")
    run.add_argument(
        "--configfile", type=Path, action="append", default=[], metavar="FILE", help="settings, as in config.yaml"
    )
    _add_snakemake(run)


def _add_resume(stages: Subparsers) -> None:
    what = "Go on with a run, with the settings that it was given, from whatever folder"
    example = "liftnet resume results --config depth.train.iterations=5000"
    resume = add_command(stages, "resume", _resume, what, example=example, computes=False)
    resume.add_argument("results", metavar="DIR", help="folder of the run's results")
    resume.add_argument(
        "--unlock",
        action="store_true",
        help="first remove the lock that a killed run has left; only if no other runs in its folder",
    )
    _add_snakemake(resume)


def _add_snakemake(parser: argparse.ArgumentParser) -> None:
    """The options of both that Snakemake is told."""
    parser.add_argument(
        "--config",
        nargs="+",
        action=_Words,
        is_item=lambda word: "=" in word,
        default=[],
        metavar="KEY=VALUE",
        help="settings of config.yaml by their dotted names, such as match.search.ratio=0.7",
    )
    parser.add_argument("--cores", default="all", metavar="N", help="cores to use: a number, or all (default: all)")
    parser.add_argument(
        "--profile",
        default="default",
        metavar="NAME",
        help="default (this machine), slurm, generic (other clusters), or a folder of yours (default: default)",
    )
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="NAME",
        help="make this alone: dataset, statistics, depth, report, ..., or a file; may be repeated (default: all)",
    )
    parser.add_argument("--dry-run", action="store_true", help="check all, say what would be done, and do nothing")
    parser.add_argument(
        "--snakemake",
        default="",
        metavar="WORDS",
        help="more options for Snakemake, in one word: --snakemake='--use-conda --resources net=2'",
    )


def _add_completion(stages: Subparsers) -> None:
    what = "Print what completes commands, options and files in a shell"
    example = "liftnet completion bash > ~/.local/share/bash-completion/completions/liftnet"
    completion = add_command(stages, "completion", _completion, what, example=example, computes=False)
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell")


def _run(arguments: argparse.Namespace) -> int:
    from liftnet.launch.planning import plan_run

    files = tuple(arguments.configfile)
    planned = plan_run(arguments.source, arguments.demo, arguments.results, files, _options(arguments))
    return _start(planned, arguments)


def _resume(arguments: argparse.Namespace) -> int:
    from liftnet.launch.planning import plan_resume
    from liftnet.launch.starting import run_alone

    planned = plan_resume(arguments.results, _options(arguments))
    if arguments.unlock and not arguments.dry_run:
        run_alone(replace(planned.call, words=("--unlock",), targets=()))
    return _start(planned, arguments)


def _options(arguments: argparse.Namespace) -> Options:
    from liftnet.launch.planning import Options

    return Options(
        tuple(arguments.config), arguments.cores, arguments.profile, tuple(arguments.target), arguments.snakemake
    )


def _start(planned: Planned, arguments: argparse.Namespace) -> int:
    from liftnet.launch.starting import run, run_alone, tell_end, telling

    for line in planned.told:
        LOG.info("%s", line)
    call = replace(planned.call, words=(*planned.call.words, *_own_words(arguments)))
    print(f"$ {one_line(call.as_typed())}", file=sys.stderr, flush=True)
    if arguments.dry_run:
        return run_alone(call)
    ended = run(call, telling(arguments.quiet, arguments.verbose))
    tell_end(ended, planned.results)
    return ended.status


def _own_words(arguments: argparse.Namespace) -> list[str]:
    """What Snakemake is told of how to print."""
    words = ["--dry-run"] if arguments.dry_run else []
    words += ["--printshellcmds"] if arguments.verbose else []
    return [*words, *(["--nocolor"] if os.environ.get("NO_COLOR") else [])]


def _completion(arguments: argparse.Namespace) -> None:
    from liftnet.launch.completion import completion

    print(completion(arguments.top, arguments.shell))

"""What a call of `liftnet run` or `resume` means: the settings, where Snakemake works, what the user should know."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liftnet.core.documents import parse_own_yaml
from liftnet.core.errors import LiftnetError
from liftnet.core.opening import read_text
from liftnet.core.text import printable
from liftnet.launch.checks import check_run
from liftnet.launch.snakemake_call import SnakemakeCall, find_profile, find_snakemake
from liftnet.launch.words import settings_of_words
from liftnet.workflow.configuration import load_configuration, read_schema
from liftnet.workflow.experiments import merged
from liftnet.workflow.home import workflow_home
from liftnet.workflow.remembered import RECORD, Remembered, Source
from liftnet.workflow.results_folder import Runner, results_path

Tree = Mapping[str, Any]


@dataclass(frozen=True)
class Options:
    """What both commands are told.

    Attributes:
        config: The words KEY=VALUE.
        cores: A number, or "all".
        profile: A name or a folder.
        targets: Rules or files to make; none are all.
        snakemake: More options for Snakemake, as a shell would split them.
    """

    config: tuple[str, ...] = ()
    cores: str = "all"
    profile: str = "default"
    targets: tuple[str, ...] = ()
    snakemake: str = ""


@dataclass(frozen=True)
class Planned:
    """A run that can start.

    Attributes:
        call: What Snakemake is told.
        results: The folder of results, from wherever it is looked at.
        told: What the user should know of it.
    """

    call: SnakemakeCall
    results: Path
    told: tuple[str, ...]


def plan_run(
    photos: str | None, is_demo: bool, results: str | None, configfiles: tuple[Path, ...], options: Options
) -> Planned:
    """The run of some photographs, in this folder.

    Raises:
        LiftnetError: Nothing is named that could be collected, or something is named twice; a setting is wrong; what
            the run needs is not there; the folder of results is a run of something else.
    """
    home = workflow_home()
    schema_file = _schema_file(home)
    given = settings_of_words(options.config, read_schema(schema_file))
    for key, value in (("photos", photos), ("results", results)):
        if value is not None:
            if key in given:
                raise LiftnetError(f"--config {key}", "is named by a word of its own too", "Name it once")
            given[key] = value
    said: dict[str, Any] = {}
    for file in configfiles:
        said = merged(said, _read_settings(file))
    config = _whole(home, merged(said, given))
    asked = Source.of(config, Path.cwd())
    _check_source(asked, is_demo)
    held = Remembered.read(config["results"])
    if is_demo and held.has_begun and held.source is not None and not held.source.is_museum:
        reason = f"is a run of {held.source}"
        raise LiftnetError(held.results, reason, f"Name another folder: --results DIR; or: liftnet resume {results}")
    if not config["take_over"]:
        held.check(asked)
    call = _call(home, Path.cwd(), given, configfiles, options)
    return Planned(call, Path(config["results"]), tuple(check_run(config, home)))


def plan_resume(results: str, options: Options) -> Planned:
    """What goes on with the run in a folder: with its settings, in the folder in which it was called.

    Raises:
        LiftnetError: The folder holds no run, or its working folder is gone; a setting is wrong; what the run needs is
            not there.
    """
    home = workflow_home()
    folder = Path(results).expanduser().resolve()
    held, runner = Remembered.read(str(folder)), Runner.of(str(folder))
    if held.config is None and runner is None and not held.has_begun:
        raise LiftnetError(printable(results), "holds no run", "Start one: liftnet run PHOTOS --results DIR")
    place = runner.place(str(folder)) if runner else Path.cwd()
    if not place.is_dir():
        reason = f"was called in {printable(place)}, which is not there"
        raise LiftnetError(printable(results), reason, "Its relative paths begin there: put it back")
    given = settings_of_words(options.config, read_schema(_schema_file(home)))
    given["results"] = _name_of_results(held.config, folder, place)
    config = _whole(home, merged(held.config or {}, given))
    recorded = (folder / RECORD,) if held.config is not None else ()
    with chdir(place):
        told = tuple(check_run(config, home)) if held.config is not None else ()
    return Planned(_call(home, place, given, recorded, options), folder, told)


def _call(home: Path, folder: Path, given: Tree, configfiles: tuple[Path, ...], options: Options) -> SnakemakeCall:
    profile, words = find_profile(options.profile, home), tuple(shlex.split(options.snakemake))
    return SnakemakeCall(
        find_snakemake(), home, folder, profile, options.cores, given, configfiles, options.targets, words
    )


def _schema_file(home: Path) -> Path:
    return home / "workflow" / "schemas" / "config.schema.yaml"


def _read_settings(file: Path) -> dict[str, Any]:
    """The settings of a file, by which the user's words are checked before Snakemake reads it.

    Raises:
        LiftnetError: It cannot be read, or holds no settings.
    """
    try:
        settings = parse_own_yaml(read_text(file))
    except (OSError, ValueError) as error:
        raise LiftnetError(f"--configfile {printable(file)}", f"cannot be read ({error})", "Check the path") from error
    if not isinstance(settings, dict):
        raise LiftnetError(f"--configfile {printable(file)}", "holds no settings", "Write some as in config.yaml")
    return settings


def _whole(home: Path, said: Tree) -> dict[str, Any]:
    """The whole configuration, as the Snakefile will have it."""
    config = load_configuration(merged(_read_settings(home / "config.yaml"), said), _schema_file(home))
    return {**config, "results": results_path(config["results"])}


def _check_source(asked: Source, is_demo: bool) -> None:
    if is_demo and not asked.is_museum:
        raise LiftnetError("--demo", f"is the built-in museum, and {asked} are named too", "Leave one of them out")
    if asked.is_museum and not is_demo:
        remedy = (
            "liftnet run FOLDER; liftnet run --demo runs on the built-in museum, liftnet resume DIR goes on with a run"
        )
        raise LiftnetError("run", "no photographs are named", remedy)


def _name_of_results(config: Tree | None, folder: Path, place: Path) -> str:
    """The folder of results as its run named it, since Snakemake knows files by their names."""
    named = str((config or {}).get("results", ""))
    if named and (place / Path(named).expanduser()).resolve() == folder:
        return named
    return os.path.relpath(folder, place.resolve())

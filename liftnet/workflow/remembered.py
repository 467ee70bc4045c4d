"""What a folder of results is the run of: a call without a source goes on with it, one with another is refused."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from liftnet.core.documents import DocumentError, parse_yaml
from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json, write_text
from liftnet.core.opening import read_text
from liftnet.core.text import printable
from liftnet.workflow.configuration import Schema, problems, with_defaults
from liftnet.workflow.experiments import merged
from liftnet.workflow.results_folder import Runner, working_folder

Tree = Mapping[str, Any]
RECORD = "run_config.yaml"  # the settings of a run, written before its first job
PLANNED = "downloads/sources.json"  # written as soon as anything of a source is in the folder
_TAKE_OVER = "take_over=true to --config"
_ELSEWHERE = "Name another folder for this one: --config results=FOLDER"
_OF_THE_CALL = {"photos", "sources", "results", "take_over"}  # what a call says for itself alone
_SHOWN = 8  # settings told of


@dataclass(frozen=True)
class Source:
    """What a run collects: neither photographs nor lists are the built-in museum.

    Attributes:
        photos: `photos:` as given.
        lists: Name, kind and file or folder of each entry of `sources:`.
        folder: What relative paths are relative to.
    """

    photos: str | None
    lists: frozenset[tuple[str, str, str]]
    folder: Path

    @classmethod
    def of(cls, config: Tree, folder: Path) -> Source:
        """What a configuration asks for."""
        entries = config.get("sources") or []
        named = (("file" if entry.get("file") else "folder", entry) for entry in entries)
        lists = frozenset(
            (str(entry["name"]), str(entry["kind"]), _place(folder, entry.get(key) or "")) for key, entry in named
        )
        return cls(config.get("photos"), lists, folder)

    @property
    def is_museum(self) -> bool:
        """Whether it is the built-in museum, since nothing else is named."""
        return self.photos is None and not self.lists

    def lacks(self, held: Source) -> str:
        """What of the source of a run this one leaves out, in words; empty where it is the same or more of it."""
        if self.is_museum or held.is_museum:
            return "" if self.is_museum and held.is_museum else str(held)
        own = _place(self.folder, self.photos or "")
        photos = None if held.photos is None or _place(held.folder, held.photos) == own else held.photos
        missing = Source(photos, held.lists - self.lists, held.folder)
        return "" if missing.is_museum else str(missing)

    def __str__(self) -> str:
        if self.is_museum:
            return "the built-in demo museum"
        photos = [f"the photographs of {printable(self.photos)}"] if self.photos is not None else []
        lists = [f"the {kind} list {name}" for name, kind, _ in sorted(self.lists)]
        return " and ".join(photos + lists)


def _place(folder: Path, given: str) -> str:
    """Where a path leads to; a folder that has a sources.csv is that list."""
    path = folder / Path(given).expanduser()
    listed = path / "sources.csv"
    return str((listed if listed.is_file() else path).resolve()) if given else ""


@dataclass(frozen=True)
class Remembered:
    """What a folder of results says of its run.

    Attributes:
        results: The folder.
        config: The settings as recorded; None where they are not, or cannot be read.
        damage: Why they cannot be read.
        source: What it is the run of; None where that is not known.
    """

    results: str
    config: Tree | None
    damage: str
    source: Source | None

    @classmethod
    def read(cls, results: str) -> Remembered:
        """What is recorded in a folder that need not be there."""
        config: Any = None
        damage, runner = "", Runner.of(results)
        try:
            config = parse_yaml(read_text(Path(results) / RECORD))
            if not isinstance(config, dict) or not _has_source(config):
                config, damage = None, "holds no settings of a run"
        except FileNotFoundError:
            pass
        except (OSError, UnicodeError, DocumentError) as error:
            damage = str(error)
        folder = runner.place(results) if runner else Path.cwd()
        source = Source.of(config, folder) if config else _planned(results, folder)
        return cls(results, config, damage, source)

    @property
    def record(self) -> Path:
        """The file of the settings."""
        return Path(self.results) / RECORD

    @property
    def has_begun(self) -> bool:
        """Whether anything that was collected is in the folder."""
        return (Path(self.results) / PLANNED).exists()

    def check(self, asked: Source) -> None:
        """Refuse a call whose source would take the place of another one.

        Raises:
            LiftnetError: The folder is a run of something else, or what it is a run of cannot be read.
        """
        if not self.has_begun:
            return
        if self.source is None and self.damage:
            reason = f"{self.damage}, so it cannot be seen what this folder is a run of"
            raise LiftnetError(
                self.record, reason, f"{_ELSEWHERE}; if it is a run of {asked}, add {_TAKE_OVER}: it is written anew"
            )
        lacking = asked.lacks(self.source) if self.source is not None else ""
        if lacking:
            reason = f"this folder is a run of {self.source}, and this call asks for {asked}"
            reason += f", without {lacking}" if lacking != str(self.source) else ""
            remedy = (
                f"{_ELSEWHERE}; to go on with that run, name no source; to put this source in the place of that one, "
                f"add {_TAKE_OVER}"
            )
            raise LiftnetError(printable(self.results), reason, remedy)

    def spelt(self, asked: Source) -> str | None:
        """The photographs of a call as the run named them, since another path to them would collect all anew."""
        runner = Runner.of(self.results)
        here = runner is not None and runner.folder == working_folder(self.results)
        held = self.source.photos if self.source is not None and self.config is not None and here else None
        if held is None or asked.photos is None or not Path(held).expanduser().exists():
            return asked.photos
        return held if _place(asked.folder, held) == _place(asked.folder, asked.photos) else asked.photos

    def going_on(self, given: Tree, explicit: Tree, schema: Schema) -> dict[str, Any] | None:
        """The settings of a call that names no source: those of the run where it had one, with what is given changed.

        Args:
            given: The settings of the call with all defaults.
            explicit: What of them the command line says.
            schema: Of all settings.

        Returns:
            The settings; None where the folder is no run, or one of the museum, as the call is, and of nothing else
            that is the user's: meshes to score, weights.

        Raises:
            LiftnetError: It is the run of a source, and cannot be gone on with: its settings cannot be read or are of
                another version, or it was called in another working folder.
        """
        if self.config is None:
            self._check_without_record()
            return None
        if self.source is None or (self.source.is_museum and not _names_own(self.config, with_defaults({}, schema))):
            return None
        runner = Runner.of(self.results)
        if runner is not None and runner.folder != working_folder(self.results):
            reason = f"was called in {printable(runner.place(self.results))}, where its paths begin"
            raise LiftnetError(self.record, reason, "Call it there, or name the source here")
        found = problems(self.config, schema)
        if found:
            reason = "".join(("holds settings that cannot be used:", *(f"\n  - {line}" for line in found)))
            remedy = "\nThey may be of another version. Name the source again, and the settings that differ"
            raise LiftnetError(self.record, reason, remedy)
        own = merged(explicit, changed(given, with_defaults({}, schema)))
        own = {name: value for name, value in own.items() if name not in _OF_THE_CALL}
        return {**with_defaults(merged(self.config, own), schema), "results": given["results"]}

    def _check_without_record(self) -> None:
        """Refuse to put the museum where something else was collected, whose settings are not known."""
        if not self.has_begun or (self.source is not None and self.source.is_museum):
            return
        held = self.source or "photographs or lists"
        reason = f"{self.damage or 'is not there'}, and this folder is a run of {held}"
        known = self.source is not None and self.source.photos is not None
        again = f": --config photos={shlex.quote(printable(self.source.photos))}" if self.source and known else ""
        raise LiftnetError(self.record, reason, f"Name its source again, and settings that differ{again}")


def _names_own(config: Tree, defaults: Tree) -> bool:
    """Whether settings that are null by default, as paths to files of one's own are, say something."""
    for name, value in config.items():
        default = defaults.get(name)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            if _names_own(value, default):
                return True
        elif name in defaults and default is None and isinstance(value, str):
            return True
    return False


def _has_source(config: Tree) -> bool:
    """Whether the settings say what is collected, in a form that can be read."""
    photos, entries = config.get("photos"), config.get("sources")
    if not isinstance(photos, str | None) or not isinstance(entries, list):
        return False
    return all(isinstance(entry, dict) and {"name", "kind"} <= entry.keys() for entry in entries)


def _planned(results: str, folder: Path) -> Source | None:
    """The source that `collect plan` wrote down; None where there is none, or lists, which it does not name."""
    try:
        about = read_json(Path(results) / PLANNED)
        kind, origin = about["kind"], bytes.fromhex(about["origin"]).decode("utf-8", "surrogateescape")
    except (LiftnetError, ValueError, KeyError, TypeError):
        return None
    if kind == "lists" or Path(origin).parent == Path(results) / "lists":
        return None
    return Source(None if kind == "museum" else origin, frozenset(), folder)


def settings_of_call(given: Tree, explicit: Tree, schema: Schema, is_first: bool) -> tuple[dict[str, Any], str]:
    """The settings of a call, and words on where they are from, if they are remembered.

    A call that names a source says all its settings; one that names none goes on with the run of the folder.

    Args:
        given: The configuration with all defaults.
        explicit: What of it the command line says.
        schema: Of all settings.
        is_first: Whether this is the call itself, and not one of its jobs, before which it was checked.

    Raises:
        LiftnetError: See `Remembered.check` and `going_on`.
    """
    remembered = Remembered.read(given["results"])
    asked = Source.of(given, Path.cwd())
    if not asked.is_museum:
        if is_first and not given["take_over"]:
            remembered.check(asked)
        return {**given, "photos": remembered.spelt(asked)}, ""
    settings = remembered.going_on(given, explicit, schema)
    if settings is None:
        return dict(given), ""
    return (
        settings,
        f"no source is named: going on with {remembered.source}, by {remembered.record} ({told(settings, schema)})",
    )


def changed(settings: Tree, defaults: Tree) -> dict[str, Any]:
    """Those settings that are not as by default, nested as they are.

    >>> changed({"network": {"width": 8, "levels": 6}, "seed": 0}, {"network": {"width": 16, "levels": 6}, "seed": 0})
    {'network': {'width': 8}}
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        default = defaults.get(name)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            if inner := changed(value, default):
                found[name] = inner
        elif name not in defaults or value != default:
            found[name] = value
    return found


def told(config: Tree, schema: Schema) -> str:
    """The settings of a run that are not as by default, but for its source, in one line."""
    differing = changed(config, with_defaults({}, schema))
    pairs = [
        pair
        for name, value in differing.items()
        if name not in ("photos", "results", "sources")
        for pair in _flat(name, value)
    ]
    more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
    return (", ".join(pairs[:_SHOWN]) + more) or "all settings as by default"


def _flat(name: str, value: Any) -> list[str]:
    if isinstance(value, Mapping) and value:
        return [pair for key, inner in value.items() for pair in _flat(f"{name}.{key}", inner)]
    return [printable(f"{name}={value}")]


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def record(config: Tree, results: str) -> None:
    """Write the settings of a run, defaults included, beside its results.

    Raises:
        LiftnetError: The folder cannot be written.
    """
    kept = {**config, "take_over": False}
    text = yaml.dump(kept, Dumper=_Plain, sort_keys=False, allow_unicode=True)
    write_text(Path(results) / RECORD, text)

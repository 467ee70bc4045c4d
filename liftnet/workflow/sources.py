"""What a run collects, as its configuration names it: files that `collect` depends on, options that it is given."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liftnet.core.errors import LiftnetError
from liftnet.core.text import printable
from liftnet.core.walking import walk
from liftnet.data.layouts import read_layout
from liftnet.data.listed_files import local_files
from liftnet.workflow.user_paths import json_without_braces, without_braces

_SHAPENET = ("all.csv", "*/*/models/model_normalized.obj", "*/*/model.obj")
OF_SHAPENET = {"shapenet": _SHAPENET, "reconstruction": _SHAPENET}  # of the folders of these sets, what files count


@dataclass(frozen=True)
class Sources:
    """Where the images of a run come from.

    Args:
        results: Folder of all outputs.
        photos: The user's folder or list, None without.
        entries: `sources:` of the configuration: lists that are asked of catalogues or read from public sets.
    """

    results: str
    photos: str | None
    entries: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Sources:
        """What a configuration with all its defaults says."""
        return cls(config["results"], config["photos"], tuple(config["sources"]))

    def check(self) -> None:
        """Refuse photographs that are not there.

        Raises:
            LiftnetError: They are not there, or the setting is empty.
        """
        if self.photos is not None:
            self._photos_source()

    @property
    def is_museum(self) -> bool:
        """Whether the run collects the synthetic museum, since the user names nothing of his own."""
        return self.photos is None and not self.entries

    @property
    def museum_folder(self) -> str:
        """Where the synthetic museum is rendered."""
        return f"{self.results}/museum"

    def lists(self) -> list[str]:
        """The files of the lists that are asked of catalogues or read from public sets."""
        return [f"{self.results}/lists/{entry['name']}.parquet" for entry in self.entries]

    def files(self) -> list[str]:
        """The files that other rules make for `collect`: the museum's list, or those asked of catalogues."""
        return [f"{self.museum_folder}/sources.csv"] if self.is_museum else self.lists()

    def folders(self) -> list[str]:
        """The folders of photographs that are looked through.

        Raises:
            LiftnetError: The user's photographs are not there.
        """
        named = self._photos_source() if self.photos is not None else None
        own = [str(self.photos)] if named is not None and named.is_dir() else []
        return own + [entry["folder"] for entry in self.entries if entry.get("folder")]

    def layout(self) -> str:
        """What the user's folder is taken for, in a line; empty without one.

        Raises:
            LiftnetError: It holds no photographs where some are looked for.
        """
        if self.photos is None or Path(self.photos).expanduser().is_file():
            return ""
        named = self._photos_source()
        if named.is_file():
            return f"{printable(named)} says what is collected, not the folder it lies in"
        known = read_layout(named)
        return known.summary(f"{len(known.masks)} masks")

    def state(self) -> str:
        """Changes when the user's list, a file that it names, or any in his folder comes, goes or changes; else empty.

        His files are no inputs of a rule: Snakemake would take braces in their names for wildcards, stop at a link to
        nothing, and fail on names that are no UTF-8. As a parameter their state runs the job again all the same.
        """
        if self.photos is None:
            return ""
        named = self._photos_source()
        return _digest([*files_below(named), *(local_files(named) if named.is_file() else ())])

    def options(self) -> str:
        """How `collect plan` is told its sources."""
        if self.is_museum:
            return shlex.join(["--museum", self.museum_folder])
        words = ["--list", *self.lists()] if self.entries else []
        if self.photos is not None:
            named = self._photos_source()
            kind = "--directory"
            if named.is_file():
                kind = "--list" if named.suffix == ".parquet" else "--csv"
            words += [str(named)] if words and kind == "--list" else [kind, str(named)]
        trusted = [folder for entry in self.entries for folder in folders_of_entry(entry)]
        return shlex.join([*words, *(["--trusted-folder", *trusted] if trusted else [])])

    def entry(self, name: str) -> Mapping[str, Any]:
        """The entry of `sources:` of a name.

        Raises:
            LiftnetError: None or several have this name.
        """
        found = [entry for entry in self.entries if entry["name"] == name]
        if len(found) != 1:
            raise LiftnetError(
                "sources", f"{len(found)} entries have the name {name}; each needs a name of its own", "Rename one"
            )
        return found[0]

    def _photos_source(self) -> Path:
        """The list or the folder that `photos:` names."""
        if not self.photos:
            raise LiftnetError("photos", "is empty", "Name a folder or a list, or leave it out for the built-in demo")
        photos = Path(self.photos).expanduser()
        if not photos.exists():
            raise LiftnetError(
                "photos",
                f"{photos} does not exist",
                "Name a folder with sources.csv, a folder of photographs, or a list (.csv or .parquet): "
                "snakemake ... --config photos=FOLDER",
            )
        if str(photos).startswith("-"):  # which commands would take for an option
            photos = Path.cwd() / photos
        listed = photos / "sources.csv"
        return listed if listed.is_file() else photos


def files_of_entry(entry: Mapping[str, Any]) -> list[str]:
    """The files that an entry of `sources:` is read from, so that its list follows them."""
    named = (value for key, value in entry.items() if key not in ("name", "kind"))
    return [without_braces(path) for path in named if isinstance(path, str) and Path(path).is_file()]


def folders_of_entry(entry: Mapping[str, Any]) -> list[str]:
    """The folders that an entry of `sources:` names, or in which its table lies: its list takes files from there."""
    named = [str(entry["folder"])] if entry.get("folder") else []
    return [*named, str(Path(entry["file"]).parent)] if entry.get("file") else named


def settings_of_entry(entry: Mapping[str, Any]) -> str:
    """The options of an entry of `sources:` as JSON, for `--settings`."""
    options = {key: entry[key] for key in entry if key not in ("name", "kind")}
    return json_without_braces(json.dumps(options, sort_keys=True))


def state_of_entry(entry: Mapping[str, Any]) -> str:
    """Changes when a file that an entry of `sources:` names does, or one that its table names or its folder holds.

    Empty for a catalogue.
    """
    files = [Path(path) for path in files_of_entry(entry)]
    if entry.get("folder"):
        files += files_below(entry["folder"])
    columns = dict(pair.split("=", 1) for pair in entry.get("columns", ()) if "=" in pair)
    if entry.get("file") and columns:
        files += local_files(Path(entry["file"]), columns)
    return _digest(files) if files else ""


def files_below(path: str | Path) -> list[Path]:
    """The files that `walk` finds in a folder; a file is itself."""
    return walk(Path(path)).files if os.path.isdir(path) else [Path(path)]


def inputs_below(path: str) -> list[str]:
    """Those of `files_below` that can be inputs of a rule; a state follows the others.

    Braces would be wildcards, no rule can name what is no UTF-8, and a link to nothing would stop all.
    """
    files = [str(file) for file in files_below(path) if file.is_file()]
    return [file for file in files if file.isprintable() and not {"{", "}"} & set(file)]


def state_of_files(*paths: str | Path | None) -> str:
    """16 hex digits that change when a file of these folders comes, goes, or is replaced by an older or newer one."""
    return _digest(file for path in paths if path for file in files_below(path))


def state_of_set(name: str, folder: str | None) -> str:
    """As `state_of_files`, of the folder of a rendered set.

    Of one in the layout of ShapeNetCore only the meshes and the table count, not their pictures.
    """
    if name not in OF_SHAPENET:
        return state_of_files(folder)
    files = (file for pattern in OF_SHAPENET[name] for file in Path(folder).glob(pattern)) if folder else ()
    return _digest(sorted(files))


def state_of_settings(settings: Mapping[str, Any], schema: Mapping[str, Any], results: str) -> str:
    """As `state_of_files`, of the files and folders that settings name; empty where they name none.

    What lies in the folder of results is made by other rules, whose outputs Snakemake follows itself.

    Args:
        settings: A subtree of the configuration.
        schema: Its schema, in which paths have the format `path`.
        results: Folder of all outputs.
    """
    own = Path(results).resolve()
    named = (Path(word).expanduser() for word in _paths(settings, schema) if word)
    files = [file for path in named if own not in path.resolve().parents for file in _files_that_count(path)]
    return _digest(files) if files else ""


def _paths(settings: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    """The words of settings that are paths of the user."""
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            yield from _paths(value, schema.get("properties", {}).get(name, {}))
    elif isinstance(settings, list):
        for value in settings:
            yield from _paths(value, schema.get("items", {}))
    elif isinstance(settings, str) and any(
        kind.get("format") == "path" for kind in (schema, *schema.get("anyOf", ()))
    ):
        yield settings


def _files_that_count(path: Path) -> list[Path]:
    """The files below a path; of another run its manifest and manual masks, which change when its images do."""
    if not path.exists():
        return []
    if (path / "manifest.parquet").is_file():
        return [path / "manifest.parquet", *files_below(path / "hand_masks")]
    return files_below(path)


def _digest(files: Iterable[Path]) -> str:
    """A digest of the names, sizes and times of files; what cannot be looked at counts by its name."""
    total = hashlib.sha256()
    for file in files:
        try:
            about = file.stat()
            told = f"{about.st_size}-{about.st_mtime_ns}" if stat.S_ISREG(about.st_mode) else "folder"
        except OSError:
            told = "none"
        total.update(os.fsencode(file) + b"\0" + told.encode() + b"\0")
    return total.hexdigest()[:16]


def split_lists(folder: str | None) -> list[str]:
    """The files of the lists of splits in a folder; none without a folder.

    Raises:
        LiftnetError: It is named, and not there.
    """
    if not folder:
        return []
    if not Path(folder).is_dir():
        raise LiftnetError(
            "collect.splits.lists",
            f"{printable(folder)} is no folder",
            "Name the folder of the lists, or leave it empty",
        )
    return [without_braces(str(path)) for path in sorted(Path(folder).glob("*"))]

"""Where a file of a list is: an address, or a path as people and programs write it."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from liftnet.core.text import printable

EVERYWHERE = Path("/")  # below which all files of a list may lie
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_HOST = re.compile(
    r"(?:www\.[^/\s]+|[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:org|com|net|edu|gov|de|fr|it|uk|at|ch|nl|es|eu|jp|pl)(?::\d+)?)/\S",
    re.I,
)
_BENT_SCHEME = re.compile(r"\W*(?:https?|htp|htt)s?\s*[:;]?\s*/", re.I)
_AROUND = " '\"<>\xa0\u200b\u200e\u200f\u202a\u202c\ufeff"  # of what is pasted; U+202A is put there by Windows
_FOLDERS = 10_000  # whose real paths are remembered
_PLAIN = re.compile(r"[A-Za-z0-9_./,()+=-]*")  # has one reading
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True)
class Location:
    """Where a file is.

    Attributes:
        given: As the source list gives it: a URL, or a path.
        path: The local file; None for a URL.
        below: The folder, without links, that the file must lie in when it is opened; None for anywhere.
    """

    given: str
    path: Path | None = None
    below: Path | None = field(default=None, compare=False)

    @property
    def version(self) -> str:
        """Changes when a local file changes; empty for a URL or a missing file."""
        if self.path is None:
            return ""
        try:
            state = self.path.stat()
        except OSError:
            return ""
        return f"{state.st_size}-{state.st_mtime_ns}"

    @classmethod
    def from_row(cls, row: Mapping[str, Any], prefix: str = "") -> Location:
        """From three columns of a table."""
        paths = (row[f"{prefix}{name}"] for name in ("path", "below"))
        return cls(row[f"{prefix}asked"], *(None if path is None else Path(os.fsdecode(path)) for path in paths))

    def to_row(self, prefix: str = "") -> dict[str, Any]:
        """As three columns of a table; paths in native bytes, since names of files need not be text."""
        paths = {"path": self.path, "below": self.below}
        return {f"{prefix}asked": self.given} | {
            f"{prefix}{name}": None if path is None else os.fsencode(path) for name, path in paths.items()
        }


def place(
    asked: str, folder: Path, strict: bool = False, literal: bool = False
) -> tuple[Location, tuple[str, str] | None]:
    """A URL or path of a list, and what is wrong with it.

    A path that does not exist as it is written is read as people paste it (`file://`, `~`, `%20`, backslashes), where
    that exists.

    Args:
        asked: As the list says it.
        folder: What a relative path is relative to.
        strict: Refuse URLs and paths that lead out of `folder`.
        literal: Read a path as it is written, there or not.
    """
    if strict:
        path = PurePosixPath(asked)
        if path.is_absolute() or ".." in path.parts or SCHEME.match(asked) or "\\" in asked:
            problem = "the path must be relative and stay below the museum's folder"
            return Location(asked), ("path_refused", problem)
    elif is_address(asked):
        return Location(asked), None
    if "\0" in asked:
        return Location(asked), ("bad_row", "the path has a NUL character")
    plain = folder / asked
    if strict or literal or _is_there(plain):
        return Location(asked, plain), None
    readings = (folder / reading for reading in _readings(asked)[1:])
    return Location(asked, next(filter(_is_there, readings), plain)), None


def has_readings(asked: str) -> bool:
    """Whether a path may mean something else than it says: it has other letters than plain ones."""
    return _PLAIN.fullmatch(asked) is None


@dataclass(frozen=True)
class Within:
    """The folders in which the files of a list may lie: a list of a stranger's reads nothing else of this machine.

    Attributes:
        folders: Without links.
    """

    folders: tuple[Path, ...]
    _real: dict[str, str] = field(default_factory=dict, repr=False, compare=False)  # of the folders of files

    @classmethod
    def of(cls, *folders: Path) -> Within:
        """These folders, whatever links lead to them."""
        return cls(tuple(Path(os.path.realpath(folder.expanduser())) for folder in folders))

    @cached_property
    def _tops(self) -> list[tuple[Path, str]]:
        """The folders, each with what the paths of its files begin with."""
        return [(folder, f"{str(folder).rstrip('/')}/") for folder in self.folders]

    def placed(self, place: Location) -> tuple[Location, tuple[str, str] | None]:
        """A location with the folder that it must lie in, and why a local file is not read, if so.

        Followed through all links, it lies elsewhere. It is looked at again when it is opened.
        """
        if place.path is None:
            return place, None
        real = self._real_path(str(place.path))
        for folder, top in self._tops:
            if real.startswith(top) or real == top[:-1]:
                return Location(place.given, place.path, folder), None
        reason = (
            "the file lies outside the folder of its list; if you trust the list, allow the file's folder with "
            "collect.permissions.allow_folder (--permissions.allow-folder)"
        )
        return place, ("path_refused", reason + _no_path(place.given))

    def _real_path(self, path: str) -> str:
        """As `os.path.realpath`, which asks for every folder on the way; most files of a list lie in a few."""
        folder, _, file = path.rpartition("/")
        if file in ("", ".", "..") or not folder or os.path.islink(path):
            return os.path.realpath(path)
        real = self._real.get(folder)
        if real is None:
            if len(self._real) >= _FOLDERS:  # as many as a list has rows, of one that wants it so
                self._real.clear()
            real = self._real[folder] = os.path.realpath(folder)
        return f"{real.rstrip('/')}/{file}"


def is_address(asked: str) -> bool:
    """Whether a list means an address of the web, and no file on this machine."""
    return SCHEME.match(asked) is not None and not asked.lower().startswith("file://")


def _is_there(path: Path) -> bool:
    """Whether something bears the name, be it a link to nothing: reading it says more."""
    return os.path.lexists(path)


def _readings(asked: str) -> list[str]:
    """What a path may mean, first what it says."""
    plain = _unquoted(asked[7:]) if asked.lower().startswith("file://") else asked
    plain = plain.removeprefix("localhost") if asked.lower().startswith("file://localhost/") else plain
    home = os.path.expanduser(plain) if plain.startswith("~") else plain
    slashes = home.replace("\\", "/")
    forms = [asked, home, _unquoted(home), slashes, _unquoted(slashes), slashes.strip(_AROUND)]
    forms += [unicodedata.normalize(form, slashes) for form in ("NFC", "NFD")]
    return list(dict.fromkeys(forms))


def _unquoted(text: str) -> str:
    """%20 as what it stands for, bytes that are no UTF-8 as Python holds them in names of files."""
    return unquote(text, errors="surrogateescape")


def near_miss(asked: str, path: Path) -> str:
    """Words that say what an address was probably meant to be, if anything.

    Args:
        asked: As the list says it.
        path: The path that was looked for, and is not there.
    """
    if told := _no_path(asked):
        return told
    if asked.startswith("~"):
        return f"; ~ was read as {os.path.expanduser('~')}"
    if _is_there(path):
        return ""
    with contextlib.suppress(OSError):
        there = {unicodedata.normalize("NFC", other.name): other.name for other in path.parent.iterdir()}
        names = difflib.get_close_matches(unicodedata.normalize("NFC", path.name), there, 1, 0.6)
        low = {name.lower(): name for name in there}
        if found := low.get(path.name.lower()) or (names[0] if names else None):
            return f"; did you mean {printable(there[found])!r}?"
        return ""
    return f"; the folder {path.parent} does not exist either" if not path.parent.exists() else ""


def _no_path(asked: str) -> str:
    """Words that say what an address is that is no path of this machine, by its letters alone."""
    if asked.startswith("data:"):
        return "; it is a picture written into the list itself (data:); save it as a file"
    if asked.startswith("//") or _HOST.match(asked):
        return f"; if it is an address of the web, https:// is missing: https://{asked.lstrip('/')}"
    if _BENT_SCHEME.match(asked):
        return "; an address of the web begins with https:// and has nothing around it"
    if _DRIVE.match(asked):
        return "; it is a path of Windows (C:\\): give it relative to the list, or as this machine names it"
    return ""

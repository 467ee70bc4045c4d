"""One call of Snakemake on the workflow that comes with liftnet, as a list of words: no shell reads them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from liftnet.core.errors import LiftnetError, nearest
from liftnet.core.programs import find_program
from liftnet.core.walking import entries
from liftnet.launch.words import words_of_settings


@dataclass(frozen=True)
class SnakemakeCall:
    """What Snakemake is told.

    Attributes:
        program: The absolute path of `snakemake`.
        home: The folder of the Snakefile.
        folder: The folder it works in, from which relative paths begin.
        profile: The folder of a profile.
        cores: A number, or "all".
        config: What the call says of the configuration.
        configfiles: Files that say more of it.
        targets: Rules or files to make; none are all.
        words: More words, as Snakemake takes them.
    """

    program: str
    home: Path
    folder: Path
    profile: Path
    cores: str = "all"
    config: Mapping[str, Any] | None = None
    configfiles: tuple[Path, ...] = ()
    targets: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """The words of the command."""
        listed = {
            "--snakefile": [str(self.home / "Snakefile")],
            "--workflow-profile": [str(self.profile)],
            "--cores": [self.cores],
            "--configfile": [str(file) for file in self.configfiles],
            "--config": words_of_settings(self.config or {}),
        }
        options = [word for name, values in listed.items() if values for word in (name, *values)]
        return [self.program, *options, *self.words, *(["--", *self.targets] if self.targets else [])]

    def as_typed(self) -> str:
        """The command as it can be pasted into a shell."""
        name = "snakemake" if find_program("snakemake") == self.program else self.program
        line = shlex.join([name, *self.command()[1:]])
        return (
            line if self.folder.resolve() == Path.cwd().resolve() else f"cd {shlex.quote(str(self.folder))} && {line}"
        )


def find_snakemake() -> str:
    """The program of the environment that runs this, else one on PATH.

    Raises:
        LiftnetError: There is none.
    """
    beside = str(Path(sys.executable).parent)
    found = (find_program("snakemake", beside) if find_spec("snakemake") else None) or find_program("snakemake")
    if found is None:
        raise LiftnetError("snakemake", "is not installed here, and a run needs it", "pip install 'snakemake>=9.20'")
    return found


def find_profile(name: str, home: Path) -> Path:
    """The folder of a profile: one of the user's own, or one that comes with liftnet.

    Args:
        name: A folder with a profile.yaml, or the name of one of ours.
        home: The folder of the Snakefile.

    Raises:
        LiftnetError: There is none.
    """
    for folder in (Path(name).expanduser(), home / "profiles" / name):
        if (folder / "profile.yaml").is_file() or (folder / "config.yaml").is_file():
            return folder
    ours = [folder.name for folder in entries(home / "profiles")]
    reason = f"is no folder with a profile.yaml, and none of ours ({', '.join(ours)}){nearest(name, ours)}"
    raise LiftnetError(f"--profile {name}", reason, "Name a folder, or one of them")


def environment(descriptor: int | None) -> dict[str, str]:
    """The environment of Snakemake: this one, and where to write events.

    Args:
        descriptor: The open file for them; None for none.
    """
    from liftnet.workflow import events

    return {**os.environ, events.DESCRIPTOR: "" if descriptor is None else str(descriptor)}

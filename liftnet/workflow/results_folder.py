"""The folder of results: whether it can be one, and who is at work in it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any

from liftnet.core.errors import LiftnetError
from liftnet.core.files import writing_error
from liftnet.core.opening import read_text
from liftnet.core.text import printable

LOCK = ".run.lock"  # in the folder of results: held while a run goes on, and who holds or held it last
SNAKEMAKE_LOCKS = Path(".snakemake/locks")  # in the working folder; what is left there by a kill is a lock still
OWN = ("liftnet", "rules", "workflow", "envs", "profiles")  # what a run needs of the folder of the workflow
ELSEWHERE = "Name a folder of its own: --config results=FOLDER"


def results_path(given: str) -> str:
    """The folder of results as rules name it: `~` is the home folder, without `./` before and `/` behind it.

    One that begins with a dash, which commands would take for an option, is named from the root on.
    """
    path = os.path.expanduser(given)
    plain = path.rstrip("/") or "/" if ".." in Path(path).parts else os.path.normpath(path)
    if plain == "." or plain.startswith("-"):  # Snakemake takes no ./ before a name
        return os.path.normpath(Path.cwd() / plain)
    return f"/{plain.lstrip('/')}" if plain.startswith("//") else plain


def check_results(results: str, inputs: Iterable[str], workflow: Path) -> None:
    """Refuse a folder that results cannot or should not be written to, before anything is.

    Args:
        results: The folder.
        inputs: Folders of photographs, all of whose files are taken for input.
        workflow: The folder of the Snakefile.

    Raises:
        LiftnetError: It is the root of the file system, the home folder or code of the workflow; it is a file, may not
            be written to, or shares its place with the photographs.
    """
    what, real = f"results: {printable(results)}", Path(results).resolve()
    own = next((name for name in OWN if workflow.resolve() / name in (real, *real.parents)), None)
    if real in (Path(real.anchor), Path.home().resolve()) or own:
        reason = (
            f"is {own}/ of the workflow"
            if own
            else "is the home folder"
            if real.name
            else "is the root of the file system"
        )
        raise LiftnetError(what, f"{reason}, not a folder for results", ELSEWHERE)
    _check_writable(what, Path(results).absolute())
    for name in inputs:
        folder = Path(name).expanduser().resolve()
        if real == folder or folder in real.parents:
            place = "is" if real == folder else "lies in"
            outside = printable(folder.with_name(f"{folder.name}-results"))
            remedy = f"Name one outside: --config results={outside}"
            raise LiftnetError(
                what,
                f"{place} the photographs' folder {name}, so results would be taken for photographs next time",
                remedy,
            )
        if real in folder.parents:
            reason = f"holds the photographs' folder {name}, which a run could write into"
            raise LiftnetError(what, reason, "Name one beside it: --config results=FOLDER")


def _check_writable(what: str, path: Path) -> None:
    """Refuse a path that is no folder and cannot become one, or may not be written to."""
    there = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if there.is_symlink() and not there.exists():
        raise LiftnetError(what, f"{there} is a link to {os.readlink(there)}, which does not exist", "Mend the link")
    if not there.is_dir():
        named = "is a file" if there == path else f"lies below {printable(there)}, which is a file"
        raise LiftnetError(what, f"{named}, not a folder", ELSEWHERE)
    if not os.access(there, os.W_OK | os.X_OK):
        raise LiftnetError(what, f"you may not write in {printable(there)}", "Name a folder that you may write in")


@dataclass(frozen=True)
class Runner:
    """Who works on results, or did last.

    Attributes:
        folder: The working folder, relative to the results, so that both can be moved together.
        host: The machine.
        process: Its process there.
        started: When, for people.
    """

    folder: str
    host: str
    process: int
    started: str

    @classmethod
    def here(cls, results: str) -> Runner:
        """This process."""
        now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
        return cls(working_folder(results), socket.gethostname(), os.getpid(), now)

    @classmethod
    def of(cls, results: str) -> Runner | None:
        """Who works on results or did last; None where it is not known."""
        try:
            told: dict[str, Any] = json.loads(read_text(Path(results) / LOCK))
            return cls(str(told["folder"]), str(told["host"]), int(told["process"]), str(told["started"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def place(self, results: str) -> Path:
        """The working folder."""
        return Path(os.path.normpath(Path(results).resolve() / self.folder))

    def __str__(self) -> str:
        return f"process {self.process} on {printable(self.host)}, since {printable(self.started)}"


def working_folder(results: str) -> str:
    """The folder that Snakemake works in, relative to the results."""
    return os.path.relpath(Path.cwd().resolve(), Path(results).resolve())


def hold(results: str) -> FileIO:
    """Hold the folder of results until the file that is returned is closed, which the end of the process does too.

    Runs that work in one folder share it: Snakemake itself keeps them from making the same files. It knows nothing of
    runs in other working folders.

    Raises:
        LiftnetError: A run from another working folder holds it, or the folder cannot be written.
    """
    path = Path(results) / LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
    except OSError as error:
        raise writing_error(path, error) from error
    alone = _locked(file, fcntl.LOCK_EX)
    holder = Runner.of(results)
    if not alone and holder is not None and holder.folder != working_folder(results):
        file.close()
        reason = f"another run is at work in it, from {printable(holder.place(results))} ({holder})"
        raise LiftnetError(printable(results), reason, f"Wait for its end. {ELSEWHERE}")
    if alone:
        file.truncate(0)
        file.write(json.dumps(Runner.here(results).__dict__).encode())
    _locked(file, fcntl.LOCK_SH)
    return file


def _locked(file: FileIO, kind: int) -> bool:
    """Whether a lock is taken now; on file systems without locks it counts as taken."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def told_of_locks(results: str) -> str:
    """What Snakemake's locks in the working folder mean, in plain words; empty where there are none.

    Snakemake itself decides whether they matter to this call: this only says what they are.
    """
    if not SNAKEMAKE_LOCKS.is_dir() or not any(SNAKEMAKE_LOCKS.iterdir()):
        return ""
    holder = Runner.of(results) if is_held(results) else None
    if holder is not None:
        return (
            f"another run is at work in {printable(results)} ({holder}). Two must not make the same files: wait for "
            "its end, or name another folder: --config results=FOLDER"
        )
    return (
        "a lock of Snakemake lies in this folder, though no run that is known works in "
        f"{printable(results)}. One that was killed leaves it behind: if no other snakemake runs here, `snakemake "
        "--unlock` removes it; what is finished stays"
    )


def is_held(results: str) -> bool:
    """Whether a run that is alive, on this machine or on one that shares its locks, holds the folder."""
    try:
        file = FileIO(os.open(Path(results) / LOCK, os.O_RDONLY), "r")
    except OSError:
        return False
    with file:
        return not _locked(file, fcntl.LOCK_EX)

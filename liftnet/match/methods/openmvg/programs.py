"""Running OpenMVG's programs. Their exit status says little, so whoever calls one checks what it has written.

Each call gets a folder of its own that nothing else uses: OpenMVG loads old results instead of computing new ones
wherever it finds some, and keys its files by the stem of an image's name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from liftnet.core.errors import LiftnetError
from liftnet.core.files import writing_error
from liftnet.core.log import get_logger
from liftnet.core.opening import read_text
from liftnet.core.programs import find_program
from liftnet.match.methods.openmvg.files import full_disk

LOG = get_logger("match")

LISTING, FEATURES, PAIRS, MATCHES, FILTER = (
    f"openMVG_main_{name}"
    for name in ("SfMInit_ImageListing", "ComputeFeatures", "PairGenerator", "ComputeMatches", "GeometricFilter")
)
HOW_TO_GET_IT = (
    "OpenMVG is on neither PyPI, Debian nor conda-forge: build it from source with CMake or its Dockerfile, or "
    "install it with vcpkg (openmvg[software]) or from nixpkgs (docs/openmvg.md); then name its folder in "
    "match.openmvg.bin or put it on PATH. Or choose match.features.extractor opencv and match.search.matcher exact"
)
_LAST_LINES = 4
_LONGEST_WORDS = 600  # characters
_LITTLE_SPACE = 1 << 20  # bytes


class ProgramError(LiftnetError):
    """A program ran and failed, was stopped, or wrote nothing; `reason` does not name it."""


def _find_program(name: str, folder: str) -> str:
    """The path of a program of OpenMVG, in `folder` or, where that is empty, on PATH."""
    path = find_program(name, folder)
    if path is None:
        raise LiftnetError(name, f"was not found {f'in {folder}' if folder else 'on PATH'}", HOW_TO_GET_IT)
    return path


class Programs:
    """Some of OpenMVG's programs.

    Args:
        names: Those that will be called.
        folder: Where they are; empty: on PATH.
        minutes: After which a call is stopped.

    Raises:
        LiftnetError: One is missing; says how to get it.
    """

    def __init__(self, names: Sequence[str], folder: str, minutes: float) -> None:
        self.paths = {name: _find_program(name, folder) for name in names}
        self.minutes = minutes

    def call(self, name: str, folder: Path, *arguments: str, writes: str) -> Path:
        """Run a program in `folder`, on one thread: what it writes depends on the order of threads.

        Args:
            name: The program.
            folder: Its working folder. The arguments name files relative to it: OpenMVG passes their path to a shell,
                unquoted, to draw a graph of the pairs.
            *arguments: Its options.
            writes: The file it must have written.

        Returns:
            The path of that file.

        Raises:
            ProgramError: It fails, is ended by a signal, takes too long, or says it succeeded and wrote no file.
            LiftnetError: It cannot be run, or the disk is full.
        """
        LOG.debug("running %s", name)
        try:
            status = self._run(name, folder, arguments)
        except subprocess.TimeoutExpired as error:
            reason = f"was stopped after {self.minutes:g} minutes"
            raise ProgramError(name, reason, "Raise match.openmvg.timeout_minutes") from error
        _check_space(folder)
        if status < 0:
            raise ProgramError(name, f"was ended by signal {-status}", _last_words(folder, name))
        if status:
            raise ProgramError(name, f"ended with exit status {status}", _last_words(folder, name))
        if not (folder / writes).is_file():
            reason = f"ended with exit status 0 but wrote no {Path(writes).name}"
            raise ProgramError(name, reason, _last_words(folder, name))
        return folder / writes

    def _run(self, name: str, folder: Path, arguments: Sequence[str]) -> int:
        """The exit status of a program; what it says goes to a file."""
        try:
            tools = _without_graphviz(folder)
            file = open(folder / f"{name}.log", "wb")  # noqa: SIM115
        except OSError as error:
            raise writing_error(folder, error) from error
        path = os.pathsep.join([str(tools), os.environ.get("PATH", os.defpath)])
        with file as words:
            try:
                return subprocess.run(
                    [self.paths[name], *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env=os.environ | {"OMP_NUM_THREADS": "1", "PATH": path},
                    timeout=60 * self.minutes,
                    check=False,
                ).returncode
            except OSError as error:
                raise LiftnetError(self.paths[name], f"cannot be run ({error.strerror})", HOW_TO_GET_IT) from error


def _without_graphviz(folder: Path) -> Path:
    """A folder to put first on PATH, whose `neato` does nothing.

    OpenMVG has Graphviz draw the graph of the pairs if it is installed. Nobody looks at it here, and for many pairs
    the drawing takes longer than the matching.
    """
    tools = folder / "tools"
    if not tools.exists():
        tools.mkdir()
        (tools / "neato").write_text("#!/bin/sh\n")
        (tools / "neato").chmod(0o755)
    return tools


def _check_space(folder: Path) -> None:
    """OpenMVG does not notice a full disk: it writes half a file and says it succeeded."""
    if shutil.disk_usage(folder).free < _LITTLE_SPACE:
        raise full_disk()


def _last_words(folder: Path, name: str) -> str:
    """The end of what a program said, for an error message."""
    lines = read_text(folder / f"{name}.log", errors="replace").split("\n")
    said = " | ".join([line.strip() for line in lines if line.strip()][-_LAST_LINES:])
    return f"Its last words: {said[-_LONGEST_WORDS:]}" if said else "It said nothing"

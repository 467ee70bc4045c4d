"""The one walker of a user's folders, whatever they hold."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.text import printable

LOG = get_logger("core")
_OF_THE_SYSTEM = frozenset(  # what systems, cameras and programs keep beside files, in lower case
    {
        "@eadir",
        "#recycle",
        "@recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "__macosx",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "picasa.ini",
        "icon\r",
    }
)


@dataclass
class Walk:
    """What lies below a folder.

    Attributes:
        folder: The folder.
        files: All files, links to nothing among them, in the order of their paths.
        unreadable: Folders that could not be read.
        passed_over: How many hidden files and folders, and such of the system, were passed over.
    """

    folder: Path
    files: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)
    passed_over: int = 0


def walk(folder: Path) -> Walk:
    """Look at all that lies below a folder.

    Hidden files and folders (`.x`, so also `._x` and `.thumbnails`) and those of systems (`@eaDir`, `Thumbs.db`) are
    passed over. Links are followed, and one that leads back up is not entered again.
    """
    found = Walk(folder)
    seen: set[str] = set()

    def unreadable(error: OSError) -> None:
        found.unreadable.append(Path(error.filename))

    for root, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        real = os.path.realpath(root)
        if real in seen:  # a link back up
            folders.clear()
            continue
        seen.add(real)
        kept = sorted(entry for entry in folders if not _is_of_the_system(entry))
        files = [entry for entry in names if not _is_of_the_system(entry)]
        found.passed_over += len(folders) - len(kept) + len(names) - len(files)
        folders[:] = kept
        found.files += (Path(root) / entry for entry in files)
    found.files.sort()
    if found.passed_over:
        LOG.info("%s: %d hidden files or folders passed over", printable(folder), found.passed_over)
    return found


def _is_of_the_system(name: str) -> bool:
    return name.startswith(".") or name.lower() in _OF_THE_SYSTEM


def entries(folder: Path) -> list[Path]:
    """What lies in a folder itself, sorted, without what is hidden or of the system.

    Raises:
        LiftnetError: It cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if not _is_of_the_system(path.name))
    except OSError as error:
        reason = f"the folder cannot be read ({error.strerror}), nor what is in it"
        raise LiftnetError(folder, reason, "Check its permissions") from error


def tell_unreadable(found: Walk) -> None:
    """Name and count in the log the folders that could not be read, where nothing else has a row for them."""
    if found.unreadable:
        names = ", ".join(printable(folder) for folder in found.unreadable[:5])
        more = ", ..." if len(found.unreadable) > 5 else ""
        text = "%s: %d folders cannot be read, nor what is in them; check their permissions: %s%s"
        LOG.warning(text, printable(found.folder), len(found.unreadable), names, more)

"""Opening files: what others name, without waiting for a pipe; what is our own, without following a link."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def only_files(path: str | os.PathLike[str], flags: int) -> int:
    """An `opener` of `open` for what others name: a pipe, a device or a folder is an error at once and never waits.

    Raises:
        OSError: It is no regular file, or cannot be opened.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_mode(os.fspath(path), os.fstat(descriptor).st_mode)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def check_file(path: Path | str) -> None:
    """As `only_files`, for a library that opens files itself.

    Raises:
        OSError: It is no regular file, or is not there.
    """
    _check_mode(str(path), os.stat(path).st_mode)


def _check_mode(path: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", path)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", path)


def no_links(path: str | os.PathLike[str], flags: int) -> int:
    """An `opener` of `open` for files of a run that are changed where they lie: a link to another file is an error.

    Raises:
        OSError: It is a link, or cannot be opened.
    """
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)

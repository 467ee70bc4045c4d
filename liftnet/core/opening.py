"""Opening files: what others name, without waiting for a pipe; what is our own, without following a link."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

from liftnet.core.limits import FILE_BYTES

_PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def only_files(path: str | os.PathLike[str], flags: int) -> int:
    """An `opener` of `open` for what others name: a pipe, a device or a folder is an error at once and never waits.

    Raises:
        OSError: It is no regular file, or cannot be opened.
    """
    return _regular(os.fspath(path), lambda: os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC))


def _regular(path: str, opened: Callable[[], int]) -> int:
    descriptor = opened()
    try:
        _check_mode(path, os.fstat(descriptor).st_mode)
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
    """An `opener` of `open` for files of a run that are changed where they lie: one that is another file is an error.

    Raises:
        OSError: It is a link, has a second name elsewhere (a hard link), is a pipe or a device, or cannot be opened.
    """
    # emptied only when it is known to be ours
    descriptor = os.open(path, flags & ~os.O_TRUNC | _PLAIN, 0o644)
    try:
        state = os.fstat(descriptor)
        _check_mode(os.fspath(path), state.st_mode)
        if state.st_nlink > 1:
            raise OSError(errno.EMLINK, "it has a second name elsewhere (a hard link)", os.fspath(path))
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def open_file(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a file of others to read its bytes: no pipe, no device.

    Raises:
        OSError: It is no regular file, or cannot be opened.
    """
    return open(path, "rb", opener=only_files)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file in hexadecimal digits, read piece by piece.

    Raises:
        OSError: It is no regular file, or cannot be opened.
    """
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def at_most(file: BufferedReader, most: int) -> bytes:
    """The bytes of an open file, one more than `most` where there are more; memory is taken for what is there."""
    return file.read(min(os.fstat(file.fileno()).st_size, most) + 1)


def read_bytes(path: str | os.PathLike[str], most: int = FILE_BYTES) -> bytes:
    """The bytes of a file, no more than `most`.

    Raises:
        OSError: It is no regular file, cannot be read, or is longer (EFBIG).
    """
    with open_file(path) as file:
        data = at_most(file, most)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is longer than {most:,} bytes", os.fspath(path))
    return data


def read_text(path: str | os.PathLike[str], most: int = FILE_BYTES, errors: str = "strict") -> str:
    """The text of a file in UTF-8, each line end as a newline.

    Raises:
        OSError: As of `read_bytes`.
        UnicodeDecodeError: It is not UTF-8.
    """
    return read_bytes(path, most).decode("utf-8", errors).replace("\r\n", "\n").replace("\r", "\n")


def opener_below(folder: Path) -> Callable[[str, int], int]:
    """An `opener` of `open` for a file that lies below a folder when it is opened, all links followed.

    What a list may name is looked at when the run is planned; a link put there since then leads nowhere. Of a regular
    file that has another name elsewhere (a hard link) nothing tells which of the two is meant.

    Args:
        folder: Without links.
    """

    def opened(path: str, flags: int) -> int:
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(folder):
            raise OutsideError(errno.EXDEV, "it lies outside its folder", path)
        parts = real.relative_to(folder).parts
        holder = os.open(folder, _FOLDER)
        try:
            for part in parts[:-1]:
                inner = os.open(part, _FOLDER, dir_fd=holder)
                os.close(holder)
                holder = inner
            return _regular(path, lambda: os.open(parts[-1] if parts else ".", flags | _PLAIN, dir_fd=holder))
        finally:
            os.close(holder)

    return opened


class OutsideError(OSError):
    """A file that lies elsewhere than it may."""
